"""The mechanics behind a controller: axes that take time to start, to move and to stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from drivers.emulators.axis import Axis, AxisSettings

Vector = tuple[float, ...]

_MEMORY_S = 2.0


@dataclass(frozen=True, slots=True)
class PlantSettings:
    """Mechanics of an instrument.

    Attributes
    ----------
    axes : tuple of AxisSettings
        x, y, z.
    max_speed_um_s : float
    acceleration_um_s2 : float
        100 mm/s^2 reproduces measured travel times of a ProScan stage.
    dead_time_s : float
        From the end of a command on the wire to the first motion. Everything up to
        ``dead_time_s`` ahead is therefore decided, and published ahead of time. With 50
        velocities a second over 38400 baud, 18 ms make a sine lag by 33 ms.
    """

    axes: tuple[AxisSettings, ...] = field(default_factory=lambda: (AxisSettings(),) * 3)
    max_speed_um_s: float = 5_500.0
    acceleration_um_s2: float = 100_000.0
    dead_time_s: float = 0.018


@dataclass(frozen=True, slots=True)
class PlantSample:
    """The true state at one time: where the load is, micrometres, one value per axis."""

    time_s: float
    load_um: Vector
    velocity_um_s: Vector


class Plant:
    """Axes that obey commands after a dead time, and run on without a host.

    Time is an argument everywhere: monotonic seconds, never earlier than in the call before
    for commands; any time back to two seconds ago for questions. Positions are in the frame of
    the machine: zero is where it stood when it was built. Sequences have one value per axis;
    None leaves an axis alone.
    """

    def __init__(
        self, settings: PlantSettings, start_um: Sequence[float] = (), time_s: float = 0.0
    ) -> None:
        start_um = start_um or (0.0,) * len(settings.axes)
        self.settings = settings
        self._axes = [
            Axis(axis, position_um, time_s)
            for axis, position_um in zip(settings.axes, start_um, strict=True)
        ]
        self._accepted_s = [time_s] * len(self._axes)
        self._latched: set[tuple[int, int]] = set()

    def move(
        self,
        target_um: Sequence[float | None],
        at_s: float,
        *,
        speed_um_s: float | None = None,
        acceleration_um_s2: float | None = None,
        curve_s: float = 0.0,
    ) -> None:
        """Go to a position; each axis for itself, all at the same speed."""
        speed = min(speed_um_s or self.settings.max_speed_um_s, self.settings.max_speed_um_s)
        acceleration = acceleration_um_s2 or self.settings.acceleration_um_s2
        changed = [
            None if axis.rest_s <= at_s and axis.state(at_s).motor_um == target else target
            for axis, target in zip(self._axes, target_um, strict=True)
        ]
        for axis, target, begin_s in self._commanded(changed, at_s):
            axis.move(target, speed, acceleration, begin_s, curve_s)

    def set_velocity(
        self,
        velocity_um_s: Sequence[float | None],
        at_s: float,
        *,
        acceleration_um_s2: float | None = None,
        curve_s: float = 0.0,
    ) -> None:
        """Run at a velocity until told otherwise, or a limit switch opens."""
        top = self.settings.max_speed_um_s
        acceleration = acceleration_um_s2 or self.settings.acceleration_um_s2
        for axis, velocity, begin_s in self._commanded(velocity_um_s, at_s):
            axis.run(max(-top, min(top, velocity)), acceleration, begin_s, curve_s)

    def halt(self, at_s: float, *, acceleration_um_s2: float | None = None) -> None:
        """Ramp down every axis that moves."""
        running = [None if axis.rest_s <= at_s else 0.0 for axis in self._axes]
        self.set_velocity(running, at_s, acceleration_um_s2=acceleration_um_s2)

    def kill(self, at_s: float, slip_um: Sequence[float] = ()) -> None:
        """Stop without a ramp. The load slips by ``slip_um`` against the count."""
        slip_um = slip_um or (0.0,) * len(self._axes)
        for axis, slip, begin_s in self._commanded(slip_um, at_s):
            axis.kill(slip, begin_s)

    def motor_um(self, time_s: float) -> Vector:
        """Give what the controller counts."""
        return tuple([axis.state(time_s).motor_um for axis in self._axes])

    def load_um(self, time_s: float) -> Vector:
        """Where the load truly is: backlash and slip included."""
        return tuple([axis.state(time_s).load_um for axis in self._axes])

    def velocity_um_s(self, time_s: float) -> Vector:
        """Velocity of the motors."""
        return tuple([axis.state(time_s).velocity_um_s for axis in self._axes])

    def moving(self, time_s: float) -> tuple[bool, ...]:
        """Whether each axis has something to do: from the command's arrival to rest."""
        return tuple(
            [
                accepted_s <= time_s < axis.rest_s
                for axis, accepted_s in zip(self._axes, self._accepted_s, strict=True)
            ]
        )

    @property
    def rest_s(self) -> float:
        """When everything planned has ended; inf while a velocity runs without end."""
        return max(axis.rest_s for axis in self._axes)

    def switches(self, time_s: float) -> tuple[int, ...]:
        """Limit switches open now: -1, 0 or +1 per axis."""
        return tuple(
            [
                _side(axis.state(time_s).motor_um, axis.settings.low_um, axis.settings.high_um)
                for axis in self._axes
            ]
        )

    def hits(self, until_s: float) -> set[tuple[int, int]]:
        """Limits run into up to ``until_s``, as (axis, side), since ``clear_hits``."""
        for number, axis in enumerate(self._axes):
            self._latched |= {(number, side) for hit_s, side in axis.hits if hit_s <= until_s}
            axis.hits = [hit for hit in axis.hits if hit[0] > until_s]
        return set(self._latched)

    def clear_hits(self) -> None:
        """Forget the latched limits."""
        self._latched.clear()

    def decided_until_s(self, now_s: float) -> float:
        """No command that arrives from ``now_s`` on changes the path before this time."""
        return now_s + self.settings.dead_time_s

    def samples(self, after_s: float, until_s: float, step_s: float) -> Iterator[PlantSample]:
        """Yield the true path in (after_s, until_s]: every ``step_s``, and wherever it bends."""
        count = int((until_s - after_s) / step_s + 1e-9)
        times = {until_s} | {after_s + (i + 1) * step_s for i in range(count)}
        for axis in self._axes:
            times.update(axis.starts_between(after_s, until_s))
        for time_s in sorted(times):
            states = [axis.state(time_s) for axis in self._axes]
            yield PlantSample(
                time_s,
                tuple([state.load_um for state in states]),
                tuple([state.velocity_um_s for state in states]),
            )

    def _commanded(
        self, values: Sequence[float | None], at_s: float
    ) -> Iterator[tuple[Axis, float, float]]:
        begin_s = at_s + self.settings.dead_time_s
        for number, (axis, value) in enumerate(zip(self._axes, values, strict=True)):
            axis.forget(at_s - _MEMORY_S)
            if value is not None:
                self._accepted_s[number] = at_s
                yield axis, value, begin_s


def _side(position_um: float, low_um: float, high_um: float) -> int:
    return (position_um >= high_um) - (position_um <= low_um)
