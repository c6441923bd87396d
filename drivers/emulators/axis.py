"""One motor, its screw and its limit switches, in closed form."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class AxisSettings:
    """Mechanics of one axis.

    Attributes
    ----------
    low_um, high_um : float
        Positions of the limit switches, where the motor is cut.
    backlash_um : float
        Play between screw and nut: after a reversal, the first ``backlash_um`` move nothing.
    """

    low_um: float = -57_000.0
    high_um: float = 57_000.0
    backlash_um: float = 0.0


class Segment(NamedTuple):
    """Constant acceleration from ``time_s`` until the next segment; never changes direction.

    ``play_um`` is where the load starts; it follows the motor through the play, and stands
    ``slip_um`` beside that.
    """

    time_s: float
    motor_um: float
    velocity_um_s: float
    acceleration_um_s2: float
    play_um: float
    slip_um: float


class AxisState(NamedTuple):
    """Of one moment. ``motor_um`` is what the controller counts, ``load_um`` where the load is."""

    motor_um: float
    load_um: float
    velocity_um_s: float


class Axis:
    """A trajectory of segments, exact at any time that is still remembered.

    A command replaces everything from its time on. Nothing is integrated step by step, so the
    path does not depend on how often or how punctually it is looked at.
    """

    def __init__(self, settings: AxisSettings, start_um: float, time_s: float) -> None:
        self.settings = settings
        self.hits: list[tuple[float, int]] = []
        self._segments = [Segment(time_s, start_um, 0.0, 0.0, start_um, 0.0)]
        self._starts = [time_s]

    @property
    def rest_s(self) -> float:
        """When the motion planned so far ends; inf for a velocity without end."""
        last = self._segments[-1]
        return math.inf if last.velocity_um_s else last.time_s

    def state(self, time_s: float) -> AxisState:
        """Where it is at ``time_s``; before memory begins, where memory begins."""
        segment = self._segments[max(0, bisect_right(self._starts, time_s) - 1)]
        motor_um, play_um, v = self._reached(segment, max(0.0, time_s - segment.time_s))
        return AxisState(motor_um, play_um + segment.slip_um, v)

    def starts_between(self, after_s: float, until_s: float) -> list[float]:
        """Give the times at which the acceleration changes, in (after_s, until_s]."""
        first = bisect_right(self._starts, after_s)
        return self._starts[first : bisect_right(self._starts, until_s)]

    def forget(self, before_s: float) -> None:
        """Drop what ended before ``before_s``."""
        keep = bisect_right(self._starts, before_s) - 1
        if keep > 0:
            del self._segments[:keep], self._starts[:keep]

    def move(
        self,
        target_um: float,
        speed_um_s: float,
        accel_um_s2: float,
        at_s: float,
        curve_s: float = 0.0,
    ) -> None:
        """Go to ``target_um`` in the shortest time that speed and acceleration allow.

        ``curve_s`` is how long the acceleration takes to build up and to end (S-curve), for moves
        that begin at rest.
        """
        now = self.state(at_s)
        if curve_s > 0 and not now.velocity_um_s:
            self._move_softly(target_um, speed_um_s, accel_um_s2, at_s, curve_s)
            return
        rest_um = now.motor_um + now.velocity_um_s * abs(now.velocity_um_s) / (2 * accel_um_s2)
        way = math.copysign(1.0, target_um - rest_um)
        distance_um = way * (target_um - now.motor_um)
        v0 = way * now.velocity_um_s
        peak = math.sqrt(max(0.0, accel_um_s2 * distance_um + v0 * v0 / 2))
        if peak <= speed_um_s:
            legs = [((peak - v0) / accel_um_s2, way * accel_um_s2)]
        else:
            peak = speed_um_s
            change = abs(peak - v0) / accel_um_s2
            cruise_um = distance_um - change * (peak + v0) / 2 - peak * peak / (2 * accel_um_s2)
            legs = [(change, math.copysign(accel_um_s2, way * (peak - v0))), (cruise_um / peak, 0)]
        legs.append((peak / accel_um_s2, -way * accel_um_s2))
        self._plan(at_s, legs, 0.0, end_um=target_um)

    def run(
        self, velocity_um_s: float, accel_um_s2: float, at_s: float, curve_s: float = 0.0
    ) -> None:
        """Ramp to a velocity and keep it."""
        change = velocity_um_s - self.state(at_s).velocity_um_s
        self._plan(at_s, _ramp(change, accel_um_s2, curve_s), velocity_um_s)

    def _move_softly(
        self, target_um: float, speed_um_s: float, accel_um_s2: float, at_s: float, curve_s: float
    ) -> None:
        """Move from rest to rest; a ramp of ``v`` takes ``v / a`` and the curve's time."""
        way_um = target_um - self.state(at_s).motor_um
        length_um = abs(way_um)
        # peak * (peak / a + curve) is the way of both ramps
        peak = accel_um_s2 / 2 * (math.sqrt(curve_s**2 + 4 * length_um / accel_um_s2) - curve_s)
        peak = min(peak, speed_um_s)
        if peak <= 0:
            self._plan(at_s, [], 0.0, end_um=target_um)
            return
        cruise_s = max(0.0, length_um / peak - peak / accel_um_s2 - curve_s)
        up = _ramp(math.copysign(peak, way_um), accel_um_s2, curve_s)
        down = [(lasting_s, -accel) for lasting_s, accel in reversed(up)]
        self._plan(at_s, [*up, (cruise_s, 0.0), *down], 0.0, end_um=target_um)

    def kill(self, slip_um: float, at_s: float) -> None:
        """Stand still at once. The load comes to rest ``slip_um`` from where the count says."""
        self._plan(at_s, [], 0.0, slip_um=slip_um)

    def _plan(
        self,
        at_s: float,
        legs: list[tuple[float, float]],
        end_velocity_um_s: float,
        *,
        end_um: float | None = None,
        slip_um: float = 0.0,
    ) -> None:
        last = self._segments[max(0, bisect_right(self._starts, at_s) - 1)]
        motor_um, play_um, v = self._reached(last, max(0.0, at_s - last.time_s))
        keep = bisect_right(self._starts, at_s - 1e-12)
        del self._segments[keep:], self._starts[keep:]
        self.hits = [hit for hit in self.hits if hit[0] < at_s]
        slip_um += last.slip_um
        time_s = at_s
        for duration_s, a in _monotone(legs, v):
            segment = Segment(time_s, motor_um, v, a, play_um, slip_um)
            if self._cut(segment, duration_s):
                return
            self._append(segment)
            time_s += duration_s
            motor_um, play_um, v = self._reached(segment, duration_s)
            v = 0.0 if abs(v) < 1e-6 else v
        motor_um = motor_um if end_um is None else end_um
        play_um = self._coupled(motor_um, play_um)
        segment = Segment(time_s, motor_um, end_velocity_um_s, 0.0, play_um, slip_um)
        if end_velocity_um_s and self._cut(segment, math.inf):
            return
        self._append(segment)

    def _cut(self, segment: Segment, duration_s: float) -> bool:
        """End the plan at a limit switch if ``segment`` runs into one; True when it does."""
        v, a = segment.velocity_um_s, segment.acceleration_um_s2
        side = int(math.copysign(1, v if v else a))
        limit_um = self.settings.high_um if side > 0 else self.settings.low_um
        way_um = side * (limit_um - segment.motor_um)
        ahead_um = math.inf
        if duration_s < math.inf:
            ahead_um = side * (v * duration_s + a * duration_s * duration_s / 2)
        if ahead_um <= way_um + 1e-9:
            return False
        delay_s = _time_to_travel(max(0.0, way_um), side * v, side * a)
        self._append(segment)
        hit_s = segment.time_s + delay_s
        play_um = self._coupled(limit_um, segment.play_um)
        self._append(Segment(hit_s, limit_um, 0.0, 0.0, play_um, segment.slip_um))
        self.hits.append((hit_s, side))
        return True

    def _append(self, segment: Segment) -> None:
        if self._starts and segment.time_s <= self._starts[-1]:
            self._segments[-1] = segment  # a leg of no duration
        else:
            self._segments.append(segment)
            self._starts.append(segment.time_s)

    def _reached(self, segment: Segment, elapsed_s: float) -> tuple[float, float, float]:
        """Motor, load without slip, and velocity after ``elapsed_s`` of a segment."""
        v, a = segment.velocity_um_s, segment.acceleration_um_s2
        motor_um = segment.motor_um + v * elapsed_s + a * elapsed_s * elapsed_s / 2
        return motor_um, self._coupled(motor_um, segment.play_um), v + a * elapsed_s

    def _coupled(self, motor_um: float, play_um: float) -> float:
        """Play operator; exact on a path that does not turn back."""
        half_um = self.settings.backlash_um / 2
        return min(max(play_um, motor_um - half_um), motor_um + half_um)


def _monotone(legs: list[tuple[float, float]], v: float) -> list[tuple[float, float]]:
    """Split each (duration, acceleration) leg where the velocity passes zero."""
    split: list[tuple[float, float]] = []
    for duration_s, a in legs:
        if duration_s <= 0:
            continue
        turn_s = -v / a if a else 0.0
        if 1e-12 < turn_s < duration_s - 1e-12:
            split += [(turn_s, a), (duration_s - turn_s, a)]
        else:
            split.append((duration_s, a))
        v += a * duration_s
    return split


def _time_to_travel(distance_um: float, v: float, a: float) -> float:
    """Solve distance = v t + a t^2 / 2 for the first t >= 0, with v >= 0."""
    if abs(a) < 1e-12:
        return distance_um / v
    return 2 * distance_um / (v + math.sqrt(max(0.0, v * v + 2 * a * distance_um)) or 1.0)


def _ramp(change_um_s: float, accel_um_s2: float, curve_s: float) -> list[tuple[float, float]]:
    """Legs (time, acceleration) of a change of velocity.

    An S-curve as half the acceleration at both ends: its way and its time are exact.
    """
    accel = math.copysign(accel_um_s2, change_um_s)
    lasting_s = abs(change_um_s) / accel_um_s2
    if curve_s <= 0:
        return [(lasting_s, accel)]
    if lasting_s < curve_s:  # the full acceleration is never reached
        return [(lasting_s + curve_s, change_um_s / (lasting_s + curve_s))]
    return [(curve_s, accel / 2), (lasting_s - curve_s, accel), (curve_s, accel / 2)]
