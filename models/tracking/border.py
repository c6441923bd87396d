"""Heads that the picture's border cuts: where their middle would be if the whole were seen."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.types import Float32, Float64

# A box whose side is this near to the border may be cut by it.
_CUT_PX = 0.5
# A track this near to the middle of what is seen is taken for that head's.
_REACH_PX = 14.0


def whole_boxes(
    box_px: NDArray[np.floating], track_px: Float64, size_px: Float64, width_px: int, height_px: int
) -> Float32:
    """Let boxes that the border cuts reach beyond it, as far as the head was long before.

    The middle of what is left of a head that leaves the picture stays behind it, and so would its
    speed; of one that enters it runs ahead. A box without a track near it stays as it is.

    Parameters
    ----------
    box_px : (N, 4)
        Centre x, y, width, height. Image frame.
    track_px : (M, 2)
        Where the tracks of the frame before are expected. Image frame.
    size_px : (M, 2)
        Width and height of their boxes.
    width_px, height_px : int
        Of the picture.

    Returns
    -------
    (N, 4) float32
    """
    box = np.array(box_px, np.float32).reshape(-1, 4)
    if len(box) and len(track_px):
        _extend(box, track_px, size_px, width_px, height_px)
    return box


@njit(cache=True, nogil=True)
def _extend(
    box: Float32, track_px: Float64, size_px: Float64, width_px: int, height_px: int
) -> None:
    for i in range(len(box)):
        x, y, w, h = box[i]
        left, right = x - 0.5 * w < _CUT_PX, x + 0.5 * w > width_px - 1.0 - _CUT_PX
        top, bottom = y - 0.5 * h < _CUT_PX, y + 0.5 * h > height_px - 1.0 - _CUT_PX
        if not (left or right or top or bottom):
            continue
        nearest, least = -1, _REACH_PX * _REACH_PX
        for k in range(len(track_px)):
            away = (track_px[k, 0] - x) ** 2 + (track_px[k, 1] - y) ** 2
            if away < least:
                nearest, least = k, away
        if nearest < 0:
            continue
        if left != right:
            box[i, 2] = max(w, size_px[nearest, 0])
            box[i, 0] += 0.5 * (box[i, 2] - w) * (1.0 if right else -1.0)
        if top != bottom:
            box[i, 3] = max(h, size_px[nearest, 1])
            box[i, 1] += 0.5 * (box[i, 3] - h) * (1.0 if bottom else -1.0)
