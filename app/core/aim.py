"""The point of the chosen sperm that the tip shall meet. Pure."""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np

from app.core.selection import Target
from models.types import Float64

PATH_UM = 12.0  # of the mean path, whose direction is the heading
WINDOW_S = (0.3, 1.2)
LEAST_UM = 3.0  # a shorter way says nothing about where the head points


class Point(Enum):
    """Where on the sperm."""

    TAIL = "tail"  # to immobilise
    HEAD = "head"  # to aspirate


class Aim:
    """Knows the heading of the target, also after it has stopped.

    The heading is the direction of a straight line through the newest stretch of the path: long
    enough that the head's yawing and the noise average out, short enough to follow a turn.

    Parameters
    ----------
    tail_um : float
        How far behind the middle of the head the tail is met.
    """

    def __init__(self, tail_um: float) -> None:
        self._tail_um = tail_um
        self._heading: Float64 | None = None
        self._path: deque[tuple[float, Float64]] = deque()

    def restart(self) -> None:
        """Forget the heading: another sperm."""
        self._heading = None
        self._path.clear()

    def observe(self, target: Target) -> None:
        """Take in the target as of a frame."""
        if self._path and target.time_s <= self._path[-1][0]:
            return
        self._path.append((target.time_s, target.position_um))
        speed_um_s = float(np.linalg.norm(target.velocity_um_s))
        least_s, most_s = WINDOW_S
        window_s = min(max(PATH_UM / max(speed_um_s, 1e-6), least_s), most_s)
        while self._path[0][0] < target.time_s - window_s:
            self._path.popleft()
        times_s = np.array([time_s for time_s, _ in self._path])
        if times_s[-1] - times_s[0] < 0.7 * window_s:
            return
        times_s = times_s - times_s.mean()
        slope_um_s = times_s @ np.stack([um for _, um in self._path]) / float(times_s @ times_s)
        speed_um_s = float(np.linalg.norm(slope_um_s))
        if speed_um_s * window_s >= LEAST_UM:
            self._heading = np.asarray(slope_um_s / speed_um_s)

    @property
    def across(self) -> Float64:
        """Unit vector (2,) across the sperm, stage frame; along y where its heading is unknown."""
        heading = self._heading
        return np.array((0.0, 1.0)) if heading is None else np.array((-heading[1], heading[0]))

    def at_um(self, target: Target, point: Point, time_s: float) -> Float64 | None:
        """Say where it is at ``time_s``, (2,), stage frame; None for a tail never seen to swim."""
        head_um = target.position_um + target.velocity_um_s * (time_s - target.time_s)
        if point is Point.HEAD:
            return np.asarray(head_um)
        if self._heading is None:
            return None
        return np.asarray(head_um - self._tail_um * self._heading)
