"""Where the stage was, is, and will be when a command takes effect."""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from drivers.types import Pose

Float64 = NDArray[np.float64]


class PoseHistory:
    """Read-back positions of the stage, and what was commanded between them.

    A serial line allows some ten readbacks a second beside the velocity stream; between them the
    position is dead-reckoned with the commanded velocity, which the stage takes up ``lag_s`` after
    the command; a planned move by its speed, each axis for itself until it is there. Between two
    readbacks the difference that dead reckoning left is spread linearly.

    Parameters
    ----------
    lag_s : float
        From handing over a velocity command until the stage moves with it.
    span_s : float
        How long a readback is kept.
    trust_s : float
        How far beyond the last readback a position is still stated.
    """

    def __init__(self, lag_s: float, span_s: float = 3.0, trust_s: float = 0.5) -> None:
        self._lag_s = lag_s
        self._span_s = span_s
        self._trust_s = trust_s
        self._read_s: list[float] = []
        self._read_um: list[tuple[float, float]] = []
        # From effective time on: velocity, and the displacement reckoned until then.
        self._command_s: list[float] = []
        self._velocity_um_s: list[tuple[float, float]] = []
        self._reckoned_um: list[tuple[float, float]] = []
        self._plan: tuple[float, float, tuple[float, float]] | None = None

    @property
    def lag_s(self) -> float:
        """From handing over a velocity command until the stage moves with it."""
        return self._lag_s

    @property
    def newest_s(self) -> float:
        """Time of the last readback; minus infinity before the first."""
        return self._read_s[-1] if self._read_s else -np.inf

    def read(self, pose: Pose) -> None:
        """Take in a readback; one that is older than the last is ignored."""
        if pose.time_s <= self.newest_s:
            return
        self._read_s.append(pose.time_s)
        self._read_um.append((pose.x_um, pose.y_um))
        self._forget(pose.time_s - self._span_s)

    def command(self, time_s: float, vx_um_s: float, vy_um_s: float) -> None:
        """Take in that a velocity was commanded at ``time_s``."""
        self._plan = None
        effective_s = time_s + self._lag_s
        self._reckoned_um.append(self._displacement(effective_s))
        self._command_s.append(effective_s)
        self._velocity_um_s.append((vx_um_s, vy_um_s))

    def move(self, time_s: float, to_um: Float64, speed_um_s: float) -> None:
        """Take in that a planned move was commanded at ``time_s``; a velocity ends it."""
        self.command(time_s, 0.0, 0.0)
        self._plan = (time_s + self._lag_s, speed_um_s, (float(to_um[0]), float(to_um[1])))

    def at(self, time_s: float) -> Float64 | None:
        """Position (2,) um, stage frame, at ``time_s``; None where it is not known."""
        index = bisect_right(self._read_s, time_s)
        if index == 0 or time_s > self._read_s[-1] + self._trust_s:
            return None
        before_s, before_um = self._read_s[index - 1], self._read_um[index - 1]
        start, now = self._displacement(before_s), self._displacement(time_s)
        x_um = before_um[0] + now[0] - start[0]
        y_um = before_um[1] + now[1] - start[1]
        if index < len(self._read_s):
            after_s, after_um = self._read_s[index], self._read_um[index]
            end = self._displacement(after_s)
            share = (time_s - before_s) / (after_s - before_s)
            x_um += share * (after_um[0] - before_um[0] - end[0] + start[0])
            y_um += share * (after_um[1] - before_um[1] - end[1] + start[1])
        elif self._plan is not None:
            start_s, speed_um_s, to_um = self._plan
            way_um = speed_um_s * max(0.0, time_s - max(before_s, start_s))
            x_um = _towards(x_um, to_um[0], way_um)
            y_um = _towards(y_um, to_um[1], way_um)
        return np.array((x_um, y_um))

    def speed_um_s(self, time_s: float) -> float:
        """Commanded speed that is in effect at ``time_s``."""
        index = bisect_right(self._command_s, time_s)
        return float(np.hypot(*self._velocity_um_s[index - 1])) if index else 0.0

    def _displacement(self, time_s: float) -> tuple[float, float]:
        """Integral of the effective velocity until ``time_s``, from an arbitrary start."""
        index = bisect_right(self._command_s, time_s)
        if index == 0:
            return self._reckoned_um[0] if self._reckoned_um else (0.0, 0.0)
        since_s = time_s - self._command_s[index - 1]
        x_um, y_um = self._reckoned_um[index - 1]
        vx_um_s, vy_um_s = self._velocity_um_s[index - 1]
        return x_um + vx_um_s * since_s, y_um + vy_um_s * since_s

    def _forget(self, before_s: float) -> None:
        old = max(0, bisect_right(self._read_s, before_s) - 1)
        del self._read_s[:old], self._read_um[:old]
        old = max(0, bisect_right(self._command_s, before_s) - 1)
        del self._command_s[:old], self._velocity_um_s[:old], self._reckoned_um[:old]


def _towards(from_um: float, to_um: float, way_um: float) -> float:
    """Go ``way_um`` from one place towards another, not beyond."""
    return from_um + math.copysign(min(way_um, abs(to_um - from_um)), to_um - from_um)
