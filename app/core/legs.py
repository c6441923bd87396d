"""The way of a pipette from place to place: lift, traverse, descend. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

Place = tuple[float, float, float]

SAME_UM = 0.5  # nearer places are one: nothing has to be lifted for that


def legs(
    start_um: Sequence[float], target_um: Sequence[float], safe_z_um: float, up: int
) -> list[Place]:
    """Split a way into straight legs, pipette frame: no leg sideways is below the safe height.

    All axes of the manipulator run at one speed, so a slanting move is no straight line; each leg
    is along z, or at one height.

    Parameters
    ----------
    start_um, target_um : x, y, z
    safe_z_um : float
    up : int
        Sign of z that leads away from the dish: 1 or -1.

    Returns
    -------
    list of (x, y, z)
        Ends of the legs in their order; empty where it is there already.
    """
    x, y, z = (float(um) for um in start_um)
    to_x, to_y, to_z = (float(um) for um in target_um)
    if math.hypot(to_x - x, to_y - y) <= SAME_UM:
        return [] if abs(to_z - z) <= SAME_UM else [(x, y, to_z)]
    cruise = up * max(up * z, up * safe_z_um, up * to_z)
    corners = [(x, y, cruise), (to_x, to_y, cruise), (to_x, to_y, to_z)]
    way: list[Place] = []
    here = (x, y, z)
    for corner in corners:
        if corner != here:
            way.append(corner)
            here = corner
    return way
