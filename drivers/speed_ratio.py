"""How many times as fast as told does it go? Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.commanded import LAGS_S, Commanded
from drivers.pose import Pose

_LEAST = 3
_LEAST_WAY_UM = 0.5
_STRAY = 0.2


def speed_ratio(commanded: Commanded, poses: Sequence[Pose]) -> float | None:
    """Ratio of the way that was gone to the way that was commanded, where it is constant.

    Parameters
    ----------
    commanded : Commanded
        Velocities sent, from the first pose's time on.
    poses : sequence of Pose
        As read back since, stage frame, oldest first.

    Returns
    -------
    float or None
        None where no single ratio, with any lag, explains the whole path within a fifth of the
        way: a stage that stands, a hand, a garbled command amid others.
    """
    if len(poses) < _LEAST:
        return None
    first = poses[0]
    moved = [(pose.x_um - first.x_um, pose.y_um - first.y_um) for pose in poses[1:]]
    reach_um = max(math.hypot(*way) for way in moved)
    if reach_um < _LEAST_WAY_UM:
        return None
    best = (math.inf, 0.0)
    for lag_s in LAGS_S:
        told = [commanded.way_um(first.time_s - lag_s, pose.time_s - lag_s) for pose in poses[1:]]
        square = sum(x * x + y * y for x, y in told)
        if square <= 0:
            continue
        pairs = list(zip(moved, told, strict=True))
        ratio = sum(mx * cx + my * cy for (mx, my), (cx, cy) in pairs) / square
        stray_um = max(math.hypot(mx - ratio * cx, my - ratio * cy) for (mx, my), (cx, cy) in pairs)
        best = min(best, (stray_um, ratio))
    stray_um, ratio = best
    return ratio if ratio > 0 and stray_um <= _STRAY * reach_um else None
