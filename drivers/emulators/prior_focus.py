"""The commands of a ProScan for its focus drive, and how arguments are read.

Source: ProScan III manual, focus commands; the user unit is 0.1 um, a turn of the motor 100 um.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from drivers.emulators.prior_controller import (
    PARSE,
    RANGE,
    ProScanController,
    Refusal,
    Z,
)

LARGEST = 2.0**31  # what a controller counts with

Action = Callable[[str, list[str], float], list[str] | None]


class FocusCommands:
    """GZ, V, U, D, C, VZ, SSZ, UPR and FOCUS. Without a focus drive they are refused."""

    def __init__(self, controller: ProScanController) -> None:
        self._controller = controller
        self._jog_units = 100.0
        self.actions: dict[str, Action] = {
            "GZ": self._go, "V": self._absolute, "U": self._jog, "D": self._jog,
            "C": self._jog_size, "VZ": self._run, "SSZ": self._steps, "UPR": self._per_turn,
            "FOCUS": self._block,
        }  # fmt: skip

    def _absolute(self, verb: str, arguments: list[str], at_s: float) -> list[str] | None:
        """Go to an absolute height: not a version, whatever it looks like."""
        if not arguments:
            return [self._controller.variant.bare_v]
        return self._go(verb, arguments, at_s)

    def _go(self, _verb: str, arguments: list[str], at_s: float) -> list[str] | None:
        if not arguments:
            raise Refusal(PARSE)
        self._controller.go({Z: numbers(arguments)[0]}, at_s)
        return self._accepted()

    def _jog(self, verb: str, arguments: list[str], at_s: float) -> list[str] | None:
        step = numbers(arguments)[0] if arguments else self._jog_units
        self._controller.go({Z: step if verb == "U" else -step}, at_s, relative=True)
        return self._accepted()

    def _jog_size(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        self._controller.only_fitted(Z)
        if not arguments:
            return [f"{self._jog_units:g}"]
        self._jog_units = numbers(arguments)[0]
        return ["0"]

    def _run(self, _verb: str, arguments: list[str], at_s: float) -> list[str]:
        if not arguments:
            raise Refusal(PARSE)
        self._controller.run_focus(numbers(arguments)[0], at_s)
        return ["R"]

    def _steps(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        self._controller.only_fitted(Z)
        if not arguments:
            return [str(self._controller.units[Z])]
        self._controller.units[Z] = whole(numbers(arguments)[0])
        return ["0"]

    def _per_turn(self, _verb: str, arguments: list[str], _at_s: float) -> list[str]:
        """Micrometres for a turn of the focus motor: what its scale rests on."""
        self._controller.only_fitted(Z)
        values = numbers([word for word in arguments if word != "Z"])
        if not values:
            return [f"{self._controller.um_per_turn:g}"]
        if not 1 <= values[0] <= 10_000:
            raise Refusal(RANGE)
        self._controller.um_per_turn = values[0]
        return ["0"]

    def _block(self, _verb: str, _arguments: list[str], _at_s: float) -> list[str]:
        if not self._controller.variant.focus:
            return ["FOCUS = NONE", "END"]
        return [
            "FOCUS = NORMAL",
            "TYPE = 0",
            f"MICRONS/REV = {self._controller.um_per_turn:g}",
            "END",
        ]

    def _accepted(self) -> list[str] | None:
        return None if self._controller.late_r else ["R"]


def numbers(arguments: list[str]) -> list[float]:
    """Read arguments. Raises Refusal for what is no number, or larger than any count."""
    try:
        values = [float(argument) for argument in arguments]
    except ValueError as error:
        raise Refusal(PARSE) from error
    if not all(math.isfinite(value) for value in values):  # Python takes INF and NAN for numbers
        raise Refusal(PARSE)
    if any(abs(value) > LARGEST for value in values):
        raise Refusal(RANGE)
    return values


def whole(value: float) -> int:
    """Read a number of microsteps. Raises Refusal for one that cannot be."""
    steps = round(value)
    if not 1 <= steps <= 100_000:
        raise Refusal(RANGE)
    return steps
