"""One class for a whole sperm: pixels take the class that its head was given.

Normal and abnormal are properties of a sperm, not of a pixel. Each detected head is judged, and
passes its class on to the pixels that are its own: those that point at it, or hang on to those
that do. What is no one's keeps the network's own class (bridging gaps of 4 or 8 px changed
nothing, measured).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Int8 = NDArray[np.int8]

# A pointer means the head nearest to where it leads, if that is so near: this, and this share of
# its length.
POINTER_REACH_PX, POINTER_REACH_SHARE = 8.0, 0.25


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
def _own_heads(box_px, class_map, part_map, of_tails, owner):  # type: ignore[no-untyped-def]
    """Give each head the sperm pixels in its box; with ``of_tails`` those of tails, too."""
    height, width = class_map.shape
    for k in range(len(box_px)):
        x, y, w, h = box_px[k]
        left, right = max(int(x - 0.5 * w + 0.5), 0), min(int(x + 0.5 * w + 0.5), width - 1)
        top, bottom = max(int(y - 0.5 * h + 0.5), 0), min(int(y + 0.5 * h + 0.5), height - 1)
        for v in range(top, bottom + 1):
            for u in range(left, right + 1):
                # Where boxes overlap, the better one (first) keeps the pixel.
                if class_map[v, u] > 0 and owner[v, u] == 0 and (of_tails or part_map[v, u] == 1):
                    owner[v, u] = k + 1


@numba.njit(cache=True, nogil=True)
def _own_tails(box_px, class_map, to_head_px, owner):  # type: ignore[no-untyped-def]
    """Give each pixel that has no owner to the head that its cell points at."""
    height, width = class_map.shape
    _, rows, columns = to_head_px.shape
    side_y, side_x = height / rows, width / columns
    told = np.full((rows, columns), -1, np.int32)
    for v in range(height):
        for u in range(width):
            if class_map[v, u] == 0 or owner[v, u] > 0:
                continue
            i, j = int((v + 0.5) / side_y), int((u + 0.5) / side_x)
            if told[i, j] < 0:
                dx, dy = to_head_px[0, i, j], to_head_px[1, i, j]
                x, y = (j + 0.5) * side_x - 0.5 + dx, (i + 0.5) * side_y - 0.5 + dy
                reach = POINTER_REACH_PX + POINTER_REACH_SHARE * math.hypot(dx, dy)
                best, told[i, j] = reach * reach, 0
                for k in range(len(box_px)):
                    away = (box_px[k, 0] - x) ** 2 + (box_px[k, 1] - y) ** 2
                    if away < best:
                        best, told[i, j] = away, k + 1
            owner[v, u] = told[i, j]


@numba.njit(cache=True, nogil=True)
def hang_on(class_map: UInt8, owner: NDArray[np.uint16], reach_px: int) -> None:
    """Give sperm pixels without owner that of the nearest that has one, along the sperm; in place.

    Parameters
    ----------
    class_map : (H, W) uint8
        SpermClass; 0 is no sperm.
    owner : (H, W) uint16
        0 is no one's; changed.
    reach_px : int
        Pixels along the sperm, at most, from those that had an owner.
    """
    height, width = class_map.shape
    queue = np.empty(height * width, np.int32)
    begin, end, depth = 0, 0, 0
    for v in range(height):
        for u in range(width):
            if owner[v, u] > 0:
                queue[end] = v * width + u
                end += 1
    ring = end
    while begin < end and depth < reach_px:
        v, u = queue[begin] // width, queue[begin] % width
        begin += 1
        for y in range(max(v - 1, 0), min(v + 2, height)):
            for x in range(max(u - 1, 0), min(u + 2, width)):
                if class_map[y, x] > 0 and owner[y, x] == 0:
                    owner[y, x] = owner[v, u]
                    queue[end] = y * width + x
                    end += 1
        if begin == ring:
            # All that lie as far as this have been passed: what was added lies a pixel farther.
            ring, depth = end, depth + 1


@numba.njit(cache=True, nogil=True)
def _pass_on(owner, labels, class_map):  # type: ignore[no-untyped-def]
    for v in range(class_map.shape[0]):
        for u in range(class_map.shape[1]):
            if owner[v, u] > 0 and labels[owner[v, u] - 1] > 0:
                class_map[v, u] = labels[owner[v, u] - 1]


def head_labels(
    box_px: NDArray[np.float32], logits: NDArray[np.float32], class_map: UInt8, part_map: UInt8
) -> Int8:
    """Return the class that the logits favour on each head (N, 4); 0 where there is no sperm."""
    labels = np.zeros(len(box_px), np.int8)
    _head_labels(box_px, logits, class_map, part_map, labels)
    return labels


def owners(
    box_px: NDArray[np.float32],
    class_map: UInt8,
    part_map: UInt8,
    to_head_px: NDArray[np.float32] | None = None,
) -> NDArray[np.uint16]:
    """Say whose each sperm pixel is.

    A head's pixels are its box's. A tail's go to the head that they point at, if there is one
    there (models.sfcnet.head_pointers); without pointers, and without a head there, to the nearest
    owner along the segmented pixels. What nothing reaches is no one's.

    Parameters
    ----------
    box_px : (N, 4) float32
        Heads, best first: centre x, y, width, height.
    class_map, part_map : (H, W) uint8
        SpermClass, SpermPart.
    to_head_px : (2, h, w) float32, optional
        From the middle of each cell to its head, x and y, px.

    Returns
    -------
    (H, W) uint16
        Row of the head, from 1; 0 is no one's.
    """
    owner = np.zeros(class_map.shape, np.uint16)
    _own_heads(box_px, class_map, part_map, to_head_px is None, owner)
    if to_head_px is not None:
        _own_tails(box_px, class_map, to_head_px, owner)
    hang_on(class_map, owner, class_map.size)
    return owner


def pass_on(owner: NDArray[np.uint16], labels: Int8, class_map: UInt8) -> None:
    """Give every sperm pixel of ``class_map``, in place, the class of its head.

    Parameters
    ----------
    owner : (H, W) uint16
        As ``owners`` returns it.
    labels : (N,) int8
        SpermClass of each head; 0 passes nothing on.
    class_map : (H, W) uint8
        SpermClass; changed.
    """
    _pass_on(owner, labels, class_map)
