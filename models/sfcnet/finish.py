"""From logits at half size to maps at full size, exactly and fast.

The network ends with logits at the resize stage; the paper then resizes them bilinearly to the
input's size and takes the largest. Where background beats every class at all four corners of a
cell it also wins everywhere between them, for interpolation is a convex combination. So only the
few cells with sperm about are interpolated; the result is the same to the last pixel.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

CLASSES = 3


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _finish(logits, class_map, part_map):  # type: ignore[no-untyped-def]
    rows, columns, planes = logits.shape
    height, width = class_map.shape
    scale_y, scale_x = rows / height, columns / width
    clear = np.empty((rows, columns), np.bool_)
    for y in range(rows):
        for x in range(columns):
            clear[y, x] = logits[y, x, 0] > logits[y, x, 1] and logits[y, x, 0] > logits[y, x, 2]
    lefts, parts = np.empty(width, np.int64), np.empty(width)
    for u in range(width):
        parts[u] = max((u + 0.5) * scale_x - 0.5, 0.0)
        lefts[u] = int(parts[u])
        parts[u] -= lefts[u]
    # Of a row of cells, which have sperm at a corner; found once for all rows of pixels in it.
    near = np.empty(columns, np.bool_)
    before = -1
    for v in range(height):
        fy = max((v + 0.5) * scale_y - 0.5, 0.0)
        top = int(fy)
        bottom = min(top + 1, rows - 1)
        fy -= top
        if top != before:
            before = top
            for x in range(columns):
                right = min(x + 1, columns - 1)
                near[x] = not (
                    clear[top, x] & clear[top, right] & clear[bottom, x] & clear[bottom, right]
                )
        for u in range(width):
            left = lefts[u]
            if not near[left]:
                continue
            right = min(left + 1, columns - 1)
            fx = parts[u]
            a, b = (1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx
            c, d = fy * (1.0 - fx), fy * fx
            best, label = -1e30, 0
            for k in range(CLASSES):
                value = (
                    a * logits[top, left, k]
                    + b * logits[top, right, k]
                    + c * logits[bottom, left, k]
                    + d * logits[bottom, right, k]
                )
                if value > best:
                    best, label = value, k
            class_map[v, u] = label
            # A part belongs to a sperm: background pixels have none, sperm pixels have one.
            part = 0
            if label > 0:
                best = -1e30
                for k in range(CLASSES + 1, planes):
                    value = (
                        a * logits[top, left, k]
                        + b * logits[top, right, k]
                        + c * logits[bottom, left, k]
                        + d * logits[bottom, right, k]
                    )
                    if value > best:
                        best, part = value, k - CLASSES
            part_map[v, u] = part


def class_and_part_maps(
    logits: NDArray[np.float32], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Resize bilinearly and take the largest.

    Parameters
    ----------
    logits : (classes + parts, h, w) float32
        Of the three classes, then of the parts (none, head, midpiece, tail).
    height, width : int
        Size of the maps.

    Returns
    -------
    class_map, part_map : (height, width) uint8
        SpermClass, and SpermPart (none exactly where the class is background).
    """
    class_map = np.zeros((height, width), np.uint8)
    part_map = np.zeros((height, width), np.uint8)
    # Channels last, as the network leaves them: no copy, and the planes of a pixel lie together.
    pixels = np.ascontiguousarray(logits.transpose(1, 2, 0), np.float32)
    _finish(pixels, class_map, part_map)
    return class_map, part_map
