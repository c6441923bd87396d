"""Where a head is, from the picture itself: finer than a box, and true to one moment.

A box moves in steps of the network's own doubt. The middle of a head's brightness is steady to a
tenth of a pixel. Frames of an interlaced camera show two moments a sixtieth of a second apart; the
mean of both takes a third off a yawing of 16 Hz. So only the even rows are read, which all belong
to one moment; in a progressive frame they are as good as all.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measure.head import is_nearest, neighbours
from models.types import Float64, UInt8

_FARTHEST_PX = 4.0  # from the box's middle; farther is something else
_CORE = 0.45  # of the peak contrast: what is darker, or brighter, belongs to the head
_LEAST_CONTRAST = 8.0  # grey levels; less is noise


def refine_centres(image: UInt8, box_px: NDArray[np.floating]) -> Float64:
    """Give the centre of every head, (N, 2) px; that of its box where the picture shows none.

    NaN where the border cuts the head: the middle of what is left of it would lag behind, and bend
    the end of its path by microns.

    Parameters
    ----------
    image : (H, W) uint8
    box_px : (N, 4)
        Centre x, y, width, height.
    """
    box = np.ascontiguousarray(box_px, np.float64).reshape(-1, 4)
    return np.asarray(_refine(image, box))


@njit(cache=True, nogil=True)
def _refine(image: UInt8, box: Float64) -> Float64:
    height, width = image.shape
    out = box[:, :2].copy()
    for i in range(len(box)):
        x0, y0 = box[i, 0], box[i, 1]
        if not np.isfinite(box[i]).all():
            continue
        a, b = 0.5 * box[i, 2] + 0.5, 0.5 * box[i, 3] + 0.5
        left, right = int(np.ceil(x0 - a)), int(np.floor(x0 + a))
        top, bottom = int(np.ceil(y0 - b)), int(np.floor(y0 + b))
        if left < 0 or top < 0 or right >= width or bottom >= height:
            out[i] = np.nan
            continue
        if right - left < 3:
            continue
        ground = _ground(image, left, top, right, bottom)
        sign, peak = _peak(image, ground, x0, y0)
        if peak < _LEAST_CONTRAST:
            continue
        floor = _CORE * peak
        near = neighbours(i, box, 2.0 * (a + b))
        m, mx, my = 0.0, 0.0, 0.0
        for y in range(top + top % 2, bottom + 1, 2):
            for x in range(left, right + 1):
                dx, dy = x - x0, y - y0
                if (dx / a) ** 2 + (dy / b) ** 2 > 1.0 or not is_nearest(x, y, x0, y0, near):
                    continue
                weight = sign * (image[y, x] - ground) - floor
                if weight > 0.0:
                    m += weight
                    mx += weight * dx
                    my += weight * dy
        if m > 0.0 and abs(mx / m) < _FARTHEST_PX and abs(my / m) < _FARTHEST_PX:
            out[i, 0], out[i, 1] = x0 + mx / m, y0 + my / m
    return out


@njit(cache=True, nogil=True)
def _ground(image: UInt8, left: int, top: int, right: int, bottom: int) -> float:
    """Median grey level of the box's rim."""
    rim = np.empty(2 * (right - left + 1) + 2 * (bottom - top + 1))
    n = 0
    for x in range(left, right + 1):
        rim[n], rim[n + 1] = image[top, x], image[bottom, x]
        n += 2
    for y in range(top, bottom + 1):
        rim[n], rim[n + 1] = image[y, left], image[y, right]
        n += 2
    return float(np.median(rim))


@njit(cache=True, nogil=True)
def _peak(image: UInt8, ground: float, x0: float, y0: float) -> tuple[float, float]:
    """Sign and size of the contrast in the middle of the head."""
    height, width = image.shape
    total, count = 0.0, 0
    for y in range(max(int(y0) - 1, 0), min(int(y0) + 3, height)):
        for x in range(max(int(x0) - 1, 0), min(int(x0) + 3, width)):
            total += image[y, x] - ground
            count += 1
    mean = total / max(count, 1)
    return (1.0 if mean > 0.0 else -1.0), abs(mean)
