"""The inside of a ProScan: units, origin, queue and motion."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

from drivers.emulators.axis import AxisSettings
from drivers.emulators.plant import Plant, PlantSettings

MICROSTEPS_PER_UM = 25
MICROSTEPS_PER_TURN = 50_000
Z = 2

NO_STAGE, NOT_IDLE, PARSE, UNKNOWN, NO_FOCUS, RANGE, FULL = 1, 2, 4, 5, 7, 8, 18
NOT_INDEXED = 44

_QUEUE = 100
_HALF_TRAVEL_UM = (57_000.0, 37_500.0)  # SIZE_X = 114 mm, SIZE_Y = 75 mm
_HALF_FOCUS_UM = 5_000.0
_FOCUS_UM_PER_TURN = 100.0
_FOCUS_UM_S = 1_000.0
_UNITS = (25, 25, 50)  # microsteps: 1 um of the stage, 0.1 um of the focus
_SLIP_UM = 2.0
_CURVE_S = 0.013  # of SCS 100
_BOOT_S = 1.0
_JOYSTICK_UM_S = 1_000.0


@dataclass(frozen=True, slots=True)
class ProScanVariant:
    """What differs between controllers.

    Attributes
    ----------
    version : str
        Firmware, three digits.
    model : str
        In the first lines of ``?``.
    r_at_end : bool
        ``R`` answers a move when it has ended (the manual) or at once (as observed).
    velocity_in_user_units : bool
        ``VS`` counts in user units, or in micrometres whatever the resolution (the manual).
    percent_max : int
        Upper end of SMS, SAS and SCS.
    top_baud : int
        Fastest rate that ``BAUD`` takes.
    equals_separates : bool
        Whether ``=`` stands between words as a comma does.
    stage : bool
        Whether one is plugged in.
    bare_v : str
        Answer to ``V`` without a number.
    baud : int
    backlash_um : float
    focus : bool
        Whether a focus drive is plugged in.
    """

    version: str = "103"
    model: str = "PROSCAN III"
    r_at_end: bool = False
    velocity_in_user_units: bool = False
    percent_max: int = 1000
    top_baud: int = 115200
    equals_separates: bool = False
    stage: bool = True
    bare_v: str = "R"
    baud: int = 38400
    backlash_um: float = 0.4
    focus: bool = False


VARIANTS = {
    "proscan2": ProScanVariant(
        "276", "PROSCAN II", percent_max=100, top_baud=38400, equals_separates=True, bare_v="E,4"
    ),
    "proscan3": ProScanVariant(),
    "proscan3-r-at-end": ProScanVariant(r_at_end=True),
    "proscan3-velocity-units": ProScanVariant(velocity_in_user_units=True),
    "proscan3-9600": ProScanVariant(baud=9600),
    "proscan3-focus": ProScanVariant(focus=True),
    "proscan3-no-stage": ProScanVariant(stage=False),
}


class Refusal(Exception):
    """The controller says no. ``code`` is its error number."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class ProScanController:
    """Motion of the stage in the units of its host.

    Host positions are in user units (a number of microsteps), counted from an origin that the
    host may move, with a sign per axis. The plant's are micrometres in the machine's frame.
    """

    def __init__(self, variant: ProScanVariant, time_s: float) -> None:
        axes = [AxisSettings(-end, end, variant.backlash_um) for end in _HALF_TRAVEL_UM]
        focus = AxisSettings(-_HALF_FOCUS_UM, _HALF_FOCUS_UM, variant.backlash_um)
        self.variant = variant
        self.plant = Plant(PlantSettings(axes=(*axes, focus)), time_s=time_s)
        self.joystick = True
        self.deaf_until_s = -math.inf
        self._origin_um = [0.0, 0.0, 0.0]
        self._queue: deque[tuple[float, ...]] = deque()
        self._under_way = False
        self._indexing = False
        self._restoring = False
        self._kept_origin_um: list[float] | None = None  # survives the power, once indexed
        self._dice = random.Random(1)
        self._to_factory_settings()

    def _to_factory_settings(self) -> None:
        self.units = list(_UNITS)
        self.um_per_turn = _FOCUS_UM_PER_TURN
        self.direction = [1, 1, 1]
        self.percent = dict.fromkeys(("SMS", "SAS", "SCS", "SMZ", "SAZ", "SCZ"), 100.0)
        self.compatible = False
        self.joystick = True

    @property
    def microsteps_per_unit(self) -> int:
        """Of the stage's unit."""
        return self.units[0]

    @microsteps_per_unit.setter
    def microsteps_per_unit(self, steps: int) -> None:
        self.units[:Z] = [steps, steps]

    def microsteps_per_um(self, axis: int) -> float:
        """Scale of an axis: fixed for the stage, by the turn for the focus."""
        return MICROSTEPS_PER_TURN / self.um_per_turn if axis == Z else MICROSTEPS_PER_UM

    def unit_um(self, axis: int) -> float:
        """Size of the host's unit of an axis."""
        return self.units[axis] / self.microsteps_per_um(axis)

    @property
    def um_per_unit(self) -> float:
        """Size of the host's unit of the stage."""
        return self.unit_um(0)

    @property
    def late_r(self) -> bool:
        """Whether a move is answered at its end."""
        return self.variant.r_at_end or self.compatible

    def position(self, at_s: float) -> tuple[int, ...]:
        """Count in user units, x y z."""
        return tuple(self._to_units(axis, um) for axis, um in enumerate(self.plant.motor_um(at_s)))

    def redefine(self, units: dict[int, float], at_s: float) -> None:
        """Call the present position ``units``, by axis. Refused while moving."""
        self._only_idle(at_s)
        for axis, unit in units.items():
            here_um = self.plant.motor_um(at_s)[axis]
            self._origin_um[axis] = here_um - self.direction[axis] * unit * self.unit_um(axis)
        self._keep_origin()

    def go(self, units: dict[int, float], at_s: float, *, relative: bool = False) -> None:
        """Queue one move; axes that are not named stay at the end of the move before."""
        for axis in units:
            self.only_fitted(axis)
        if len(self._queue) >= (0 if self.compatible and self._under_way else _QUEUE):
            raise Refusal(FULL)
        target_um = list(self._end_um(at_s))
        for axis, unit in units.items():
            offset_um = self.direction[axis] * unit * self.unit_um(axis)
            target_um[axis] = (target_um if relative else self._origin_um)[axis] + offset_um
        self._queue.append(tuple(target_um))
        self.advance(at_s)

    def run(self, x_unit_s: float, y_unit_s: float, at_s: float, unit: str = "") -> None:
        """Run at a velocity; forgets the queue.

        ``unit``: 'U' is um/s, 'P' is microsteps/s, none is what the controller takes it for.
        """
        self.only_fitted()
        self._clear()
        self._under_way = False
        own = self.um_per_unit if self.variant.velocity_in_user_units else 1.0
        scale = {"U": 1.0, "P": 1.0 / MICROSTEPS_PER_UM}.get(unit, own)
        velocity = [scale * self.direction[0] * x_unit_s, scale * self.direction[1] * y_unit_s]
        self.plant.set_velocity(
            [*velocity, None],
            at_s,
            acceleration_um_s2=self._acceleration("SAS"),
            curve_s=self._curve_s("SCS"),
        )

    def run_focus(self, um_s: float, at_s: float) -> None:
        """Run the focus at a velocity; forgets the queue."""
        self.only_fitted(Z)
        self._clear()
        self._under_way = False
        top = _FOCUS_UM_S * min(1.0, self.percent["SMZ"] / 100)
        velocity = self.direction[Z] * max(-top, min(top, um_s))
        self.plant.set_velocity(
            [None, None, velocity], at_s, acceleration_um_s2=self._acceleration("SAZ")
        )

    def halt(self, at_s: float) -> None:
        """Ramp down; forgets the queue."""
        self._clear()
        self.plant.halt(at_s, acceleration_um_s2=self._acceleration("SAS"))

    def kill(self, at_s: float) -> None:
        """Stop dead; forgets the queue. What moved may have lost steps."""
        self._clear()
        slip_um = [
            self._dice.uniform(-_SLIP_UM, _SLIP_UM) if moves else 0.0
            for moves in self.plant.moving(at_s)
        ]
        self.plant.kill(at_s, slip_um)

    def switch_off(self, at_s: float) -> None:
        """Cut the power: the motors stop dead, and nothing is heard."""
        self._clear()
        self._under_way = False
        self.plant.kill(at_s)
        self.deaf_until_s = math.inf

    def switch_on(self, at_s: float, deaf_s: float = _BOOT_S) -> None:
        """Power up, with the settings of the factory; where it stands is its origin."""
        self.switch_off(at_s)
        self._to_factory_settings()
        self._origin_um = list(self.plant.motor_um(at_s + self.plant.settings.dead_time_s))
        self.deaf_until_s = at_s + deaf_s

    def touch(self, um: float, at_s: float) -> None:
        """Push the joystick so that the stage goes ``um`` along x."""
        if self.joystick and self.deaf_until_s <= at_s:
            x_um = self.plant.motor_um(at_s)[0]
            self._clear()
            self.plant.move((x_um + um, None, None), at_s, speed_um_s=_JOYSTICK_UM_S)

    def index(self, at_s: float, *, restore: bool = False) -> None:
        """Drive into the positive ends; the origin is set there when they are reached.

        ``restore`` sets it back instead to where it was before the power failed: refused where
        that is not known, as the stage was never indexed.
        """
        self.only_fitted()
        if restore and self._kept_origin_um is None:
            raise Refusal(NOT_INDEXED)
        self._clear()
        top = self.plant.settings.max_speed_um_s
        self.plant.set_velocity((top, top, None), at_s)
        self._under_way = self._indexing = True
        self._restoring = restore

    def busy(self, at_s: float) -> int:
        """Bits of the axes that move: 1 for X, 2 for Y, 4 for Z."""
        if self._queue:
            return 7 if self.variant.focus else 3
        return sum(
            bit for bit, moves in zip((1, 2, 4), self.plant.moving(at_s), strict=True) if moves
        )

    def limits(self, sides: set[tuple[int, int]]) -> int:
        """Bits of limit switches, +X -X +Y -Y, for (axis, side) pairs; all without a stage."""
        if not self.variant.stage:
            return 0x0F
        return sum(1 << (2 * axis + (side < 0)) for axis, side in sides)

    def advance(self, now_s: float) -> int:
        """Start moves that are due; return how many have ended that are answered at the end."""
        ended = 0
        while self._under_way and self.plant.rest_s <= now_s:
            if self._indexing:
                self._set_index(now_s)
            ended += self.late_r or self._indexing
            self._under_way = self._indexing = False
            self._start_next(now_s)
        if not self._under_way:
            self._start_next(now_s)
        return ended

    def next_event_s(self) -> float:
        """When ``advance`` has something to do."""
        return self.plant.rest_s if self._under_way else math.inf

    def only_fitted(self, axis: int = 0) -> None:
        """Refuse what needs a stage, or a focus, that is not plugged in. Raises Refusal."""
        if not (self.variant.focus if axis == Z else self.variant.stage):
            raise Refusal(NO_FOCUS if axis == Z else NO_STAGE)

    def _set_index(self, now_s: float) -> None:
        kept_um = self._kept_origin_um if self._restoring else None
        self._origin_um[:Z] = kept_um or self.plant.motor_um(now_s)[:Z]
        self._kept_origin_um = self._origin_um[:Z]

    def _keep_origin(self) -> None:
        """Remember the origin beyond the next power cut, where the ends have been found before."""
        if self._kept_origin_um is not None:
            self._kept_origin_um = self._origin_um[:Z]

    def _acceleration(self, setting: str) -> float:
        return self.plant.settings.acceleration_um_s2 * min(1.0, self.percent[setting] / 100)

    def _curve_s(self, setting: str) -> float:
        """S-curve beyond that of ``SCS,100``, which the measured travel times have in them."""
        return max(0.0, _CURVE_S * (100 / self.percent[setting] - 1))

    def _start_next(self, now_s: float) -> None:
        if not self._queue:
            return
        x_um, y_um, z_um = self._queue.popleft()
        for target, top, last in (
            ((x_um, y_um, None), self.plant.settings.max_speed_um_s, "S"),
            ((None, None, z_um), _FOCUS_UM_S, "Z"),
        ):
            self.plant.move(
                target,
                now_s,
                speed_um_s=top * min(1.0, self.percent["SM" + last] / 100),
                acceleration_um_s2=self._acceleration("SA" + last),
                curve_s=self._curve_s("SC" + last),
            )
        self._under_way = True

    def _end_um(self, at_s: float) -> tuple[float, ...]:
        """Where the last move that was accepted leads."""
        if self._queue:
            return self._queue[-1]
        return self.plant.motor_um(self.plant.rest_s if self._under_way else at_s)

    def _to_units(self, axis: int, motor_um: float) -> int:
        microsteps = round((motor_um - self._origin_um[axis]) * self.microsteps_per_um(axis))
        return self.direction[axis] * round(microsteps / self.units[axis])

    def _clear(self) -> None:
        self._queue.clear()
        self._indexing = False
        self._under_way = self._under_way and self.late_r  # what was begun is still answered

    def _only_idle(self, at_s: float) -> None:
        if self.busy(at_s):
            raise Refusal(NOT_IDLE)
