"""Instances: to which sperm each pixel of a frame belongs, head and tail of the right owner."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measure.shapes import Shapes
from models.sfcnet.whole_sperm import hang_on
from models.types import Float64, Int64, UInt8

UInt16 = NDArray[np.uint16]
_HALF_PX = 3.0  # of a tail's width at most
_REACH_PX = 12  # pixels left over go to the sperm that they hang on, so far


def identity_map(
    class_map: UInt8, part_map: UInt8, box_px: NDArray[np.floating], shapes: Shapes
) -> UInt16:
    """Give every sperm pixel its owner.

    A head's pixels go to the nearest box that holds them; a tail's to the nearest centre line, so
    that where two tails cross each keeps its own beyond the crossing. What is left goes to the
    sperm that it hangs on, and stays without owner where there is none.

    Parameters
    ----------
    class_map, part_map : (H, W) uint8
        SpermClass, SpermPart.
    box_px : (N, 4)
        Heads found.
    shapes : Shapes
        Of the same heads.

    Returns
    -------
    (H, W) uint16
        Row of the sperm, from 1; 0 is no sperm, or a tail whose head is not in the picture.
    """
    owner = np.zeros(class_map.shape, np.uint16)
    box = np.ascontiguousarray(box_px, np.float64).reshape(-1, 4)
    _own(class_map, part_map, box, shapes.line_px, shapes.points, owner)
    hang_on(class_map, owner, _REACH_PX)
    return owner


@njit(cache=True, nogil=True)
def _own(
    class_map: UInt8, part_map: UInt8, box: Float64, line: Float64, points: Int64, owner: UInt16
) -> None:
    height, width = class_map.shape
    nearest = np.full((height, width), 1e9, np.float32)
    for i in range(len(box)):
        for j in range(points[i]):
            x, y = line[i, j]
            if not (-4.0 < x < width + 4.0 and -4.0 < y < height + 4.0):
                continue
            for v in range(max(int(y - _HALF_PX), 0), min(int(y + _HALF_PX) + 2, height)):
                for u in range(max(int(x - _HALF_PX), 0), min(int(x + _HALF_PX) + 2, width)):
                    far = (u - x) ** 2 + (v - y) ** 2
                    if class_map[v, u] > 0 and part_map[v, u] != 1 and far < _HALF_PX * _HALF_PX:
                        if far < nearest[v, u]:
                            nearest[v, u] = far
                            owner[v, u] = i + 1
    nearest[:] = 1e9
    for i in range(len(box)):
        if not np.isfinite(box[i]).all():
            continue
        x, y, a, b = box[i, 0], box[i, 1], 0.5 * box[i, 2] + 1.0, 0.5 * box[i, 3] + 1.0
        for v in range(max(int(y - b), 0), min(int(y + b) + 2, height)):
            for u in range(max(int(x - a), 0), min(int(x + a) + 2, width)):
                far = ((u - x) / a) ** 2 + ((v - y) / b) ** 2
                head = class_map[v, u] > 0 and part_map[v, u] == 1
                if head and far < 2.0 and far < nearest[v, u]:
                    nearest[v, u] = far
                    owner[v, u] = i + 1
