"""What motion was commanded, and where it leads with any lag that an instrument may have. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

LAGS_S = (0.0, 0.02, 0.04, 0.06, 0.08)

_JITTER_S = 0.010
_REMEMBER = 256


class Window(NamedTuple):
    """Bounds of the way along one axis, um, between two times."""

    low_um: float
    high_um: float


class _Change(NamedTuple):
    time_s: float
    velocity_um_s: tuple[float, float]
    slack_s: float


class Commanded:
    """Velocities sent to two axes, and the ways that they explain.

    The lag of a stage is not known exactly, so each of several is allowed, 0 to 80 ms. Two further
    things grow with how hard the motion is accelerated. Each command may act some 10 ms earlier or
    later than its neighbours, and an early or late change of velocity shifts the path for good: a
    random walk of ``10 ms * sqrt(sum(dv^2))``. And a change takes ``dv / a``, which costs
    ``dv^2 / (2 a)`` of the way. A command whose exchange took long may have acted at any time
    within it.

    Parameters
    ----------
    acceleration_um_s2 : float
        Least acceleration of the ramps.
    lags_s : sequence of float
        Ascending.
    """

    def __init__(
        self, acceleration_um_s2: float = 50_000.0, lags_s: Sequence[float] = LAGS_S
    ) -> None:
        self._acceleration_um_s2 = acceleration_um_s2
        self._lags_s = tuple(lags_s)
        self._changes: deque[_Change] = deque(maxlen=_REMEMBER)

    @property
    def velocity_um_s(self) -> tuple[float, float]:
        """The newest velocity; zero before the first."""
        return self._changes[-1].velocity_um_s if self._changes else (0.0, 0.0)

    def restart(self) -> None:
        """Forget: a new stretch of motion begins from standstill."""
        self._changes.clear()

    def note(self, time_s: float, velocity_um_s: Sequence[float], took_s: float = 0.0) -> None:
        """Note a velocity that was sent at ``time_s`` and acknowledged ``took_s`` later."""
        x, y = velocity_um_s
        self._changes.append(_Change(time_s, (x, y), max(0.0, took_s - 0.030)))

    def way_um(self, from_s: float, until_s: float) -> tuple[float, float]:
        """Way between two times as commanded, without any lag."""
        x_um = y_um = 0.0
        end_s = until_s
        for time_s, (vx, vy), _ in reversed(self._changes):
            begin_s = max(time_s, from_s)
            if end_s > begin_s:
                x_um += vx * (end_s - begin_s)
                y_um += vy * (end_s - begin_s)
            end_s = min(end_s, time_s)
            if time_s <= from_s:
                break
        return x_um, y_um

    def windows(self, from_s: float, until_s: float) -> tuple[Window, Window]:
        """Bounds of the way between two times, for x and for y."""
        ways = [self.way_um(from_s - lag_s, until_s - lag_s) for lag_s in self._lags_s]
        soft_um = self._softness_um(from_s - self._lags_s[-1], until_s)
        x, y = (
            Window(min(way[axis] for way in ways) - soft, max(way[axis] for way in ways) + soft)
            for axis, soft in enumerate(soft_um)
        )
        return x, y

    def _softness_um(self, from_s: float, until_s: float) -> tuple[float, float]:
        squares, late_um, before = [0.0, 0.0], [0.0, 0.0], (0.0, 0.0)
        for time_s, velocity, slack_s in self._changes:
            if from_s <= time_s <= until_s:
                for axis in (0, 1):
                    change_um_s = velocity[axis] - before[axis]
                    squares[axis] += change_um_s**2
                    late_um[axis] += abs(change_um_s) * slack_s
            before = velocity
        x_um, y_um = (
            _JITTER_S * math.sqrt(square) + square / (2 * self._acceleration_um_s2) + late
            for square, late in zip(squares, late_um, strict=True)
        )
        return x_um, y_um
