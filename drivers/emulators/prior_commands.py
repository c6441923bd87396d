"""The command set of a ProScan: a line in, lines out.

Written from the command descriptions of the ProScan III manual and from published observations
of real controllers, not from the driver: the two meet only on the wire.
"""

from __future__ import annotations

import re

from drivers.emulators.prior_controller import (
    MICROSTEPS_PER_UM,
    PARSE,
    RANGE,
    UNKNOWN,
    ProScanController,
    Refusal,
    Z,
)
from drivers.emulators.prior_focus import Action, FocusCommands, numbers, whole

_SEPARATORS = re.compile(r"[,\s;:]+")
_AXES = {"X": 0, "Y": 1, "Z": Z}
_RATES = {"96": 9600, "19": 19200, "38": 38400, "115": 115200}
_RESET_S = 20.0
NO_WHEEL, NO_SHUTTER = 17, 20
_WORDS = {1: "NO STAGE", 2: "NOT IDLE", 4: "STRING PARSE", 5: "COMMAND NOT FOUND",
          7: "NO FOCUS", 8: "VALUE OUT OF RANGE", 18: "QUEUE FULL"}  # fmt: skip


class ProScanCommands:
    """Parses and runs one line at a time. ``None`` as a reply: ``R`` follows at the end."""

    def __init__(self, controller: ProScanController) -> None:
        self._controller = controller
        self._jog_units = [100.0, 100.0]
        self._backlash = {verb: ["0", "0"] for verb in ("BLSH", "BLSJ", "BLZH", "BLZJ")}
        self._error_words = False
        self.rate = 0  # that has been asked for, and not been taken yet
        self._actions: dict[str, Action] = {
            "": self._position, "=": self._latched, "?": self._report, "$": self._busy,
            "X": self._jog_size, "Z": self._zero, "M": self._home,
            "I": self._halt, "K": self._kill, "VS": self._velocity, "LMT": self._switches,
            "SS": self._steps, "RES": self._resolution, "STAGE": self._stage, "DATE": self._date,
            "SIS": self._index, "COMP": self._comp, "ERROR": self._error,
            "H": self._joystick, "J": self._joystick,
            "VERSION": lambda *_: [controller.variant.version],
            "SERIAL": lambda *_: ["20417"], "RIS": self._index,
            "ERRORSTAT": lambda *_: ["END"],
            "BAUD": self._rate, "RESET": self._reset, "7": self._unfitted, "8": self._unfitted,
        }  # fmt: skip
        self._actions |= FocusCommands(controller).actions
        for verbs, action in (
            ("P PS PX PY PZ", self._position), ("G GX GY GR", self._go), ("F B L R", self._jog),
            ("SMS SAS SCS SMZ SAZ SCZ", self._percent),
            ("XD YD ZD", self._sign), ("BLSH BLSJ BLZH BLZJ", self._play),
        ):  # fmt: skip
            self._actions |= dict.fromkeys(verbs.split(), action)

    def execute(self, line: str, at_s: float) -> list[str] | None:
        """Run one command received whole at ``at_s``."""
        verb, arguments = _split(line, equals=self._controller.variant.equals_separates)
        try:
            if verb not in self._actions:
                raise Refusal(UNKNOWN)
            return self._actions[verb](verb, arguments, at_s)
        except Refusal as refusal:
            code = refusal.code
            if self._controller.compatible:
                return ["R"]  # no errors are told in that mode
            return [f"E,{_WORDS.get(code, code) if self._error_words else code}"]

    def _position(self, verb: str, arguments: list[str], at_s: float) -> list[str]:
        axis = _AXES.get(verb[1:])
        if arguments:
            if axis is not None:
                self._controller.only_fitted(axis)
            self._controller.redefine(self._units(axis, arguments, verb), at_s)
            return ["0"]
        position = self._controller.position(at_s)
        if verb in ("PX", "PY", "PZ"):
            return [str(position["XYZ".index(verb[1])])]
        return [",".join(map(str, position[:2] if verb == "PS" else position))]

    def _go(self, verb: str, arguments: list[str], at_s: float) -> list[str] | None:
        if not arguments:
            raise Refusal(PARSE)
        units = self._units(_AXES.get(verb[1:]), arguments, verb)
        self._controller.go(units, at_s, relative=verb == "GR")
        return self._accepted()

    def _units(self, axis: int | None, arguments: list[str], verb: str) -> dict[int, float]:
        """Numbers by axis. A third one where there is no focus is heard, and does nothing."""
        values = numbers(arguments)
        if axis is not None:
            return {axis: values[0]}
        has_z = self._controller.variant.focus and verb != "PS"
        return dict(enumerate(values[: 3 if has_z else 2]))

    def _jog(self, verb: str, arguments: list[str], at_s: float) -> list[str] | None:
        axis, sign = {"R": (0, 1), "L": (0, -1), "F": (1, 1), "B": (1, -1)}[verb]
        step = numbers(arguments)[0] if arguments else self._jog_units[axis]
        self._controller.go({axis: sign * step}, at_s, relative=True)
        return self._accepted()

    def _jog_size(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if arguments:
            values = numbers(arguments)
            self._jog_units[: len(values[:2])] = values[:2]
            return ["0"]
        return [",".join(f"{unit:g}" for unit in self._jog_units)]

    def _home(self, _verb: str, _arguments: list[str], at_s: float) -> list[str] | None:
        self._controller.go(self._zeros(), at_s)
        return self._accepted()

    def _zeros(self) -> dict[int, float]:
        return dict.fromkeys(range(3 if self._controller.variant.focus else 2), 0.0)

    def _accepted(self) -> list[str] | None:
        return None if self._controller.late_r else ["R"]

    def _velocity(self, _verb: str, arguments: list[str], at_s: float) -> list[str]:
        unit = arguments[-1] if arguments[2:] and arguments[-1] in ("U", "P") else ""
        values = numbers(arguments[:-1] if unit else arguments)
        if len(values) < 2:
            raise Refusal(PARSE)
        self._controller.run(values[0], values[1], at_s, unit)
        return ["R"]

    def _halt(self, _verb: str, _arguments: list[str], at_s: float) -> list[str]:
        self._controller.halt(at_s)
        return ["R"]

    def _kill(self, _verb: str, _arguments: list[str], at_s: float) -> list[str]:
        self._controller.kill(at_s)
        return ["R"]

    def _index(self, verb: str, _arguments: list[str], at_s: float) -> None:
        self._controller.index(at_s, restore=verb == "RIS")

    def _zero(self, _verb: str, _arguments: list[str], at_s: float) -> list[str]:
        self._controller.redefine(self._zeros(), at_s)
        return ["0"]

    def _busy(self, _verb: str, arguments: list[str], at_s: float) -> list[str]:
        mask = {"X": 1, "Y": 2, "Z": 4, "S": 3}.get(arguments[0] if arguments else "", 0)
        return [str(self._controller.busy(at_s) & (mask if arguments else 0xFFF))]

    def _switches(self, _verb: str, _arguments: list[str], at_s: float) -> list[str]:
        open_now = {
            (axis, side) for axis, side in enumerate(self._controller.plant.switches(at_s)) if side
        }
        return [f"{self._controller.limits(open_now):02X}"]

    def _latched(self, _verb: str, _arguments: list[str], at_s: float) -> list[str]:
        hits = self._controller.plant.hits(at_s)
        self._controller.plant.clear_hits()
        return [str(self._controller.limits(hits))]

    def _percent(self, verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if verb.endswith("Z"):
            self._controller.only_fitted(Z)
        percent = self._controller.percent
        if not arguments:
            return [f"{max(1, round(percent[verb]))}"]  # a whole number, whatever it was set by
        in_um = arguments[-1] == "U"
        if arguments == ["U"]:
            raise Refusal(PARSE)
        value = numbers(arguments[:-1] if in_um else arguments)[0]
        if in_um:
            settings = self._controller.plant.settings
            top = settings.max_speed_um_s if verb.startswith("SM") else settings.acceleration_um_s2
            value = max(1.0, 100 * value / top)
        if not 1 <= value <= self._controller.variant.percent_max:
            raise Refusal(RANGE)
        percent[verb] = value
        return ["0"]

    def _steps(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if not arguments:
            return [str(self._controller.microsteps_per_unit)]
        self._controller.microsteps_per_unit = whole(numbers(arguments)[0])
        return ["0"]

    def _resolution(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if not arguments or arguments[0] not in ("S", "X", "Y", "Z"):
            raise Refusal(PARSE)
        axis = Z if arguments[0] == "Z" else 0
        if axis == Z:
            self._controller.only_fitted(Z)
        if len(arguments) == 1:
            return [f"{self._controller.unit_um(axis):g}"]
        um = numbers(arguments[1:])[0]
        steps = whole(um * self._controller.microsteps_per_um(axis))
        self._controller.units[axis : Z if axis == 0 else Z + 1] = [steps] * (2 if axis == 0 else 1)
        return ["0"]

    def _sign(self, verb: str, arguments: list[str], _at_s: float) -> list[str]:
        axis = _AXES[verb[0]]
        if axis == Z:
            self._controller.only_fitted(Z)
        if not arguments:
            return [str(self._controller.direction[axis])]
        if arguments[0] not in ("1", "-1"):
            raise Refusal(RANGE)
        self._controller.direction[axis] = int(arguments[0])
        return ["0"]

    def _play(self, verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if not arguments:
            return [",".join(self._backlash[verb])]
        numbers(arguments)
        self._backlash[verb] = arguments
        return ["0"]

    def _joystick(self, verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        self._controller.joystick = verb == "J"
        return ["0"]

    def _comp(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        if not arguments:
            return [str(int(self._controller.compatible))]
        self._controller.compatible = _flag(arguments)
        return ["0"]

    def _rate(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        """Change the line's rate; the reply comes at the new one."""
        if not arguments or arguments[0] not in _RATES:
            raise Refusal(RANGE)
        if _RATES[arguments[0]] > self._controller.variant.top_baud:
            raise Refusal(RANGE)
        self.rate = _RATES[arguments[0]]
        return ["0"]

    def _reset(self, _verb: str, _arguments: list[str], at_s: float) -> None:
        self._controller.switch_on(at_s, _RESET_S)
        self._error_words = False

    def _unfitted(self, verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        raise Refusal({"7": NO_WHEEL, "8": NO_SHUTTER}[verb])

    def _error(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        self._error_words = _flag(arguments)
        return ["0"]

    def _report(self, _verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        variant = self._controller.variant
        return [
            "PROSCAN INFORMATION",
            "DSP_1 IS 4-AXIS STEPPER VERSION 2.7",
            f"DRIVE CHIPS 000{int(variant.focus)}{'11' if variant.stage else '00'}",
            f"JOYSTICK {'ACTIVE' if self._controller.joystick else 'NOT ACTIVE'}",
            f"STAGE = {'H117(2MM)PHY' if variant.stage else 'NONE'}",
            f"FOCUS = {'NORMAL' if variant.focus else 'NONE'}",
            "SHUTTERS = 000",
            "END",
        ]

    def _stage(self, _verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        if not self._controller.variant.stage:
            return ["STAGE = NONE", "END"]
        return [
            "STAGE = H117(2MM)PHY",
            "TYPE = 8",
            "SIZE_X = 114 MM",
            "SIZE_Y = 75 MM",
            f"MICROSTEPS/MICRON = {MICROSTEPS_PER_UM}",
            "LIMITS = NORMALLY CLOSED",
            "END",
        ]

    def _date(self, _verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        variant = self._controller.variant
        return [
            f"Prior Scientific Instruments {variant.model} Version {variant.version}",
            "Compiled Jan  1 2015",
        ]


def _split(line: str, *, equals: bool) -> tuple[str, list[str]]:
    """Verb and arguments. A lone ``=`` is a command; elsewhere it may separate, by the model."""
    text = line.upper()
    if equals and text.strip() != "=":
        text = text.replace("=", " ")
    words = [word for word in _SEPARATORS.split(text) if word]
    return (words[0], words[1:]) if words else ("", [])


def _flag(arguments: list[str]) -> bool:
    if arguments[:1] not in (["0"], ["1"]):
        raise Refusal(PARSE)
    return arguments[0] == "1"
