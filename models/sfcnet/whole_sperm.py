"""One class for a whole sperm: pixels take the class that its head was given.

Normal and abnormal are properties of a sperm, not of a pixel. Each detected head takes the class
that the network's logits favour over its pixels, and passes it on along the sperm: every sperm
pixel takes the class of the head that is nearest along the segmented pixels. What no head
reaches keeps the network's own class (bridging gaps of 4 or 8 px changed nothing, measured).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Int8 = NDArray[np.int8]


@numba.njit(cache=True, nogil=True)
def _head_labels(box_px, logits, class_map, part_map, labels):  # type: ignore[no-untyped-def]
    height, width = class_map.shape
    scale_y, scale_x = logits.shape[1] / height, logits.shape[2] / width
    for k in range(len(box_px)):
        x, y, w, h = box_px[k]
        left, right = max(int(x - 0.5 * w + 0.5), 0), min(int(x + 0.5 * w + 0.5), width - 1)
        top, bottom = max(int(y - 0.5 * h + 0.5), 0), min(int(y + 0.5 * h + 0.5), height - 1)
        head, any_part, heads, pixels = 0.0, 0.0, 0, 0
        for v in range(top, bottom + 1):
            row = min(int((v + 0.5) * scale_y), logits.shape[1] - 1)
            for u in range(left, right + 1):
                if class_map[v, u] == 0:
                    continue
                column = min(int((u + 0.5) * scale_x), logits.shape[2] - 1)
                favour = logits[1, row, column] - logits[2, row, column]
                any_part += favour
                pixels += 1
                if part_map[v, u] == 1:
                    head += favour
                    heads += 1
        if heads > 0:
            labels[k] = 1 if head >= 0.0 else 2
        elif pixels > 0:
            labels[k] = 1 if any_part >= 0.0 else 2


@numba.njit(cache=True, nogil=True)
def _spread(box_px, labels, class_map):  # type: ignore[no-untyped-def]
    height, width = class_map.shape
    owner = np.zeros((height, width), np.int8)
    queue = np.empty(height * width, np.int32)
    end = 0
    for k in range(len(box_px)):
        if labels[k] == 0:
            continue
        x, y, w, h = box_px[k]
        left, right = max(int(x - 0.5 * w + 0.5), 0), min(int(x + 0.5 * w + 0.5), width - 1)
        top, bottom = max(int(y - 0.5 * h + 0.5), 0), min(int(y + 0.5 * h + 0.5), height - 1)
        for v in range(top, bottom + 1):
            for u in range(left, right + 1):
                # Where boxes overlap, the better one (first) keeps the pixel.
                if class_map[v, u] > 0 and owner[v, u] == 0:
                    owner[v, u] = labels[k]
                    queue[end] = v * width + u
                    end += 1
    begin = 0
    while begin < end:
        v, u = queue[begin] // width, queue[begin] % width
        begin += 1
        class_map[v, u] = owner[v, u]
        for y2 in range(max(v - 1, 0), min(v + 2, height)):
            for x2 in range(max(u - 1, 0), min(u + 2, width)):
                if class_map[y2, x2] > 0 and owner[y2, x2] == 0:
                    owner[y2, x2] = owner[v, u]
                    queue[end] = y2 * width + x2
                    end += 1


def head_labels(
    box_px: NDArray[np.float32], logits: NDArray[np.float32], class_map: UInt8, part_map: UInt8
) -> Int8:
    """Return the class that the logits favour on each head (N, 4); 0 where there is no sperm."""
    labels = np.zeros(len(box_px), np.int8)
    _head_labels(box_px, logits, class_map, part_map, labels)
    return labels


def spread_labels(box_px: NDArray[np.float32], labels: Int8, class_map: UInt8) -> None:
    """Give every sperm pixel of ``class_map``, in place, the class of its nearest head.

    Parameters
    ----------
    box_px : (N, 4) float32
        Heads, best first: centre x, y, width, height.
    labels : (N,) int8
        SpermClass of each; 0 passes nothing on.
    class_map : (H, W) uint8
        SpermClass; changed.
    """
    _spread(box_px, labels, class_map)
