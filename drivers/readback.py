"""Does it move as it was told? Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from drivers.pose import Pose

_WINDOW_S = 1.0
_LAGS_S = (0.0, 0.02, 0.04, 0.06, 0.08)
_TOLERANCE_UM = 10.0
_PATH_TOLERANCE = 0.10

_REMEMBER = 256


class Readback:
    """Compares poses read while a velocity is streamed with the velocities sent.

    The stage follows with a lag that is not known exactly, so every lag from 0 to 80 ms is
    allowed; what lies outside all of them by more than 10 um and 10% of the way, twice in a row,
    is no longer the motion that was commanded: a garbled command, a wrong scale, a lost step, a
    limit switch, a hand on the joystick.
    """

    def __init__(self) -> None:
        self._velocities: deque[tuple[float, float, float]] = deque(maxlen=_REMEMBER)
        self._poses: deque[Pose] = deque()
        self._misses = 0

    def restart(self, pose: Pose | None = None) -> None:
        """Forget: a new stretch of motion begins, at ``pose``, from standstill."""
        self._velocities.clear()
        self._poses.clear()
        if pose is not None:
            self._poses.append(pose)
        self._misses = 0

    def commanded(self, time_s: float, velocity_um_s: Sequence[float]) -> None:
        """Note a velocity that was sent at ``time_s``."""
        self._velocities.append((time_s, velocity_um_s[0], velocity_um_s[1]))

    def displacement_um(self, from_s: float, until_s: float) -> tuple[float, float]:
        """Way between two times as commanded, without any lag."""
        x_um = y_um = 0.0
        end_s = until_s
        for time_s, vx, vy in reversed(self._velocities):
            begin_s = max(time_s, from_s)
            if end_s > begin_s:
                x_um += vx * (end_s - begin_s)
                y_um += vy * (end_s - begin_s)
            end_s = min(end_s, time_s)
            if time_s <= from_s:
                break
        return x_um, y_um

    def predicted_um(self, now_s: float) -> tuple[float, float] | None:
        """Where it should be now, ahead of the newest pose; None before the first."""
        if not self._poses:
            return None
        last = self._poses[-1]
        dx_um, dy_um = self.displacement_um(last.time_s, now_s)
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

    def _excess_um(self, first: Pose, last: Pose) -> float:
        ways = [
            self.displacement_um(first.time_s - lag_s, last.time_s - lag_s) for lag_s in _LAGS_S
        ]
        moved = (last.x_um - first.x_um, last.y_um - first.y_um)
        excess = []
        for axis, moved_um in enumerate(moved):
            low_um = min(way[axis] for way in ways)
            high_um = max(way[axis] for way in ways)
            allowed_um = _TOLERANCE_UM + _PATH_TOLERANCE * max(abs(low_um), abs(high_um))
            excess.append(max(low_um - moved_um, moved_um - high_um) - allowed_um)
        return max(*excess, 0.0)
