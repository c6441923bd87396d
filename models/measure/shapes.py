"""Head and tail of every sperm in one frame, with what stands against relying on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measure.head import measure_heads
from models.measure.soft import Planes
from models.measure.tail import MOST_POINTS, find_neck, trace
from models.types import Float32, Float64, Int64


class Flag(IntFlag):
    """Why a measure of one frame is not used."""

    BORDER = 1  # the head touches the picture's border
    OVERLAP = 2  # another head is so near that outlines may touch
    BLURRED = 4  # the outline is so soft that the head is out of focus, or hardly one
    TAIL_UNSEEN = 8  # no tail leaves the head
    TAIL_CUT = 16  # the tail leaves the picture
    TAIL_CROSSED = 32  # the tail meets another sperm
    TWO_TAILS = 64  # two lines leave the head
    UNLIKE = 128  # the picture is not that of one head


HEAD_FLAGS = Flag.BORDER | Flag.OVERLAP | Flag.BLURRED | Flag.UNLIKE
_LEAST_SOLID = 0.9


@dataclass(frozen=True, slots=True)
class ShapeSettings:
    """When a frame's measure is relied on.

    Attributes
    ----------
    point_spread_px : float
        With ``grey``, standard deviation of the blur of the planes.
    grey : bool
        Grey moments of the planes, else the outline at one half.
    border_px, overlap_px, meets_px : float
        A box nearer to the border; the free space between two boxes; a tail nearer to another.
    most_edge : float
        Share of a head's soft sum that may lie outside its outline.
    least_neck : float
        Mean probability of tail next to the head; less is no tail.
    """

    point_spread_px: float = 0.0
    grey: bool = False
    border_px: float = 1.0
    overlap_px: float = 1.0
    meets_px: float = 5.0
    most_edge: float = 0.3
    least_neck: float = 0.3


@dataclass(frozen=True, slots=True)
class Shapes:
    """Measures of one frame, N rows. Image frame.

    Attributes
    ----------
    values : (N, 6) float64
        Head area (px2), length, width (px), length/width, bend of the neck (degrees, left of the
        head's axis positive), tail length (px); NaN where there is none.
    centre_px : (N, 2) float64
        Centre of the head's outline.
    axis : (N, 2) float64
        Unit vector along the head, away from the tail where there is one.
    flags : (N,) int64
        Flag.
    line_px : (N, MOST_POINTS, 2) float64
        The tail's centre line from the neck on.
    points : (N,) int64
        How many of them.
    """

    values: Float64
    centre_px: Float64
    axis: Float64
    flags: Int64
    line_px: Float64
    points: Int64

    def __len__(self) -> int:
        return len(self.flags)


def measure_shapes(
    planes: Planes,
    box_px: NDArray[np.floating],
    height_px: int,
    width_px: int,
    settings: ShapeSettings | None = None,
) -> Shapes:
    """Measure every sperm of a frame.

    Parameters
    ----------
    planes : Planes
    box_px : (N, 4)
        Heads found: centre x, y, width, height.
    height_px, width_px : int
        Of the picture.
    settings : ShapeSettings, optional
    """
    s = settings or ShapeSettings()
    box = np.ascontiguousarray(box_px, np.float64).reshape(-1, 4)
    box = np.where(np.isfinite(box), box, -1e4)  # a box that is nowhere has no head
    heads = measure_heads(planes.head, planes.per_px, box, s.point_spread_px, s.grey)
    n = len(box)
    values, axis = np.full((n, 6), np.nan), np.ascontiguousarray(heads[:, 5:7])
    line_px, points = np.full((n, MOST_POINTS, 2), np.nan), np.zeros(n, np.int64)
    flags = _measure(
        planes.body, planes.head + planes.body, planes.per_px, box, heads, height_px, width_px,
        s.border_px, s.overlap_px, s.meets_px, s.most_edge, s.least_neck, values, axis, line_px,
        points,
    )  # fmt: skip
    return Shapes(values, heads[:, :2], axis, flags, line_px, points)


@njit(cache=True, nogil=True)
def _measure(
    body: Float32,
    sperm: Float32,
    per_px: float,
    box: Float64,
    heads: Float64,
    height_px: int,
    width_px: int,
    border_px: float,
    overlap_px: float,
    meets_px: float,
    most_edge: float,
    least_neck: float,
    values: Float64,
    axis: Float64,
    line_px: Float64,
    points: Int64,
) -> Int64:
    n = len(box)
    flags = np.zeros(n, np.int64)
    scratch = np.empty((MOST_POINTS, 2))
    for i in range(n):
        if not np.isfinite(heads[i, 0]):
            flags[i] = 4 | 8
            continue
        own = heads[i]
        values[i, 0], values[i, 1], values[i, 2] = own[4], own[2], own[3]
        values[i, 3] = own[2] / own[3]
        if _near_border(box[i], height_px, width_px, border_px):
            flags[i] |= 1
        # Of an ellipse this ratio is 1; two heads in one outline fill their ellipse badly.
        solid = own[4] / (0.25 * np.pi * own[2] * own[3])
        if solid < _LEAST_SOLID or _overlapped(box, i, overlap_px):
            flags[i] |= 2
        if own[8] > most_edge:
            flags[i] |= 4
        angle, strength, other_angle, other = find_neck(body, per_px, own)
        if strength < least_neck:
            flags[i] |= 8
            continue
        count, length = trace(body, sperm, per_px, own, angle, line_px[i])
        if other >= max(0.6 * strength, least_neck):
            count2, length2 = trace(body, sperm, per_px, own, other_angle, scratch)
            if min(length, length2) > 15.0:
                flags[i] |= 64
            if length2 > length:
                count, length, angle = count2, length2, other_angle
                line_px[i, :count] = scratch[:count]
        line_px[i, count:] = np.nan
        points[i] = count
        # The head points away from its tail.
        if np.cos(angle) * own[5] + np.sin(angle) * own[6] > 0.0:
            axis[i, 0], axis[i, 1] = -own[5], -own[6]
        values[i, 4] = _bend(line_px[i], count, axis[i], own[2])
        values[i, 5] = length
        tip_x, tip_y = line_px[i, count - 1]
        if not (4.0 <= tip_x <= width_px - 5.0 and 4.0 <= tip_y <= height_px - 5.0):
            flags[i] |= 16
    bound = np.empty((n, 4))
    for i in range(n):
        bound[i] = _bound(line_px[i], points[i])
    for i in range(n):
        if points[i] > 0 and _meets(line_px, points, bound, box, i, meets_px):
            flags[i] |= 32
    return flags


@njit(cache=True, nogil=True)
def _near_border(box: Float64, height_px: int, width_px: int, border_px: float) -> bool:
    x, y, a, b = box[0], box[1], 0.5 * box[2] + border_px, 0.5 * box[3] + border_px
    inside = x - a >= -0.5 and y - b >= -0.5
    return not (inside and x + a <= width_px - 0.5 and y + b <= height_px - 0.5)


@njit(cache=True, nogil=True)
def _overlapped(box: Float64, i: int, free_px: float) -> bool:
    for k in range(len(box)):
        if k != i and (
            abs(box[k, 0] - box[i, 0]) < 0.5 * (box[k, 2] + box[i, 2]) + free_px
            and abs(box[k, 1] - box[i, 1]) < 0.5 * (box[k, 3] + box[i, 3]) + free_px
        ):
            return True
    return False


@njit(cache=True, nogil=True)
def _bend(line: Float64, count: int, axis: Float64, head_px: float) -> float:
    """Angle between the head's axis and the midpiece, degrees; NaN of a stump.

    The midpiece is taken from a quarter to one whole head length behind the head.
    """
    first, last = int(0.25 * head_px + 0.5), int(head_px + 0.5)
    if count <= last:
        return np.nan
    dx, dy = line[last, 0] - line[first, 0], line[last, 1] - line[first, 1]
    ax, ay = -axis[0], -axis[1]
    return float(np.degrees(np.arctan2(ax * dy - ay * dx, ax * dx + ay * dy)))


@njit(cache=True, nogil=True)
def _bound(line: Float64, count: int) -> Float64:
    """Left, top, right and bottom of a centre line."""
    bound = np.array((1e9, 1e9, -1e9, -1e9))
    for j in range(count):
        bound[0], bound[1] = min(bound[0], line[j, 0]), min(bound[1], line[j, 1])
        bound[2], bound[3] = max(bound[2], line[j, 0]), max(bound[3], line[j, 1])
    return bound


@njit(cache=True, nogil=True)
def _meets(
    line: Float64, points: Int64, bound: Float64, box: Float64, i: int, near_px: float
) -> bool:
    """Whether a tail comes near another head or another tail."""
    for k in range(len(box)):
        if k == i:
            continue
        reach = 0.5 * max(box[k, 2], box[k, 3]) + 1.0
        if (
            bound[i, 0] - reach < box[k, 0] < bound[i, 2] + reach
            and bound[i, 1] - reach < box[k, 1] < bound[i, 3] + reach
        ):
            for j in range(points[i]):
                dx, dy = line[i, j, 0] - box[k, 0], line[i, j, 1] - box[k, 1]
                if dx * dx + dy * dy < reach * reach:
                    return True
        if (
            bound[i, 0] - near_px > bound[k, 2]
            or bound[k, 0] - near_px > bound[i, 2]
            or bound[i, 1] - near_px > bound[k, 3]
            or bound[k, 1] - near_px > bound[i, 3]
        ):
            continue
        for j in range(0, points[i], 2):
            for m in range(0, points[k], 2):
                dx, dy = line[i, j, 0] - line[k, m, 0], line[i, j, 1] - line[k, m, 1]
                if dx * dx + dy * dy < near_px * near_px:
                    return True
    return False
