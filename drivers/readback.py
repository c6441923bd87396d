"""Does it move as it was told? Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from drivers.commanded import Commanded
from drivers.pose import Pose
from drivers.speed_ratio import speed_ratio

_WINDOW_S = 1.0
_TOLERANCE_UM = 10.0
_PATH_TOLERANCE = 0.10


class Readback:
    """Compares poses read while a velocity is streamed with the velocities sent.

    What lies outside of all that ``Commanded`` explains by more than 10 um and 10% of the way,
    twice in a row, is no longer the motion that was commanded: a garbled command, a wrong scale,
    a lost step, a limit switch, a hand on the joystick.
    """

    def __init__(self, acceleration_um_s2: float = 50_000.0) -> None:
        self._commanded = Commanded(acceleration_um_s2)
        self._poses: deque[Pose] = deque()
        self._misses = 0

    def restart(self, pose: Pose | None = None) -> None:
        """Forget: a new stretch of motion begins, at ``pose``, from standstill."""
        self._commanded.restart()
        self._poses.clear()
        if pose is not None:
            self._poses.append(pose)
        self._misses = 0

    def commanded(self, time_s: float, velocity_um_s: Sequence[float], took_s: float = 0.0) -> None:
        """Note a velocity that was sent at ``time_s`` and acknowledged ``took_s`` later."""
        self._commanded.note(time_s, velocity_um_s, took_s)

    def predicted_um(self, now_s: float) -> tuple[float, float] | None:
        """Where it should be now, ahead of the newest pose; None before the first."""
        if not self._poses:
            return None
        last = self._poses[-1]
        dx_um, dy_um = self._commanded.way_um(last.time_s, now_s)
        return last.x_um + dx_um, last.y_um + dy_um

    def check(self, pose: Pose) -> str:
        """Take a pose; say what is wrong, or nothing."""
        while self._poses and self._poses[0].time_s < pose.time_s - _WINDOW_S:
            self._poses.popleft()
        excess_um = self._excess_um(self._poses[0], pose) if self._poses else 0.0
        self._poses.append(pose)
        self._misses = self._misses + 1 if excess_um > 0 else 0
        if self._misses < 2:
            return ""
        return f"does not move as commanded: {excess_um:.0f} um beyond what any lag explains"

    def ratio(self) -> float | None:
        """How many times as fast as told it goes; None where that is not always the same."""
        return speed_ratio(self._commanded, list(self._poses))

    def _excess_um(self, first: Pose, last: Pose) -> float:
        moved = (last.x_um - first.x_um, last.y_um - first.y_um)
        excess = [0.0]
        windows = self._commanded.windows(first.time_s, last.time_s)
        for moved_um, (low_um, high_um) in zip(moved, windows, strict=True):
            allowed_um = _TOLERANCE_UM + _PATH_TOLERANCE * max(abs(low_um), abs(high_um))
            excess.append(max(low_um - moved_um, moved_um - high_um) - allowed_um)
        return max(excess)
