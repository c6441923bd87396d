"""Where a pipette may be in a picture: two dark walls that come in from a border and end together.

Everything here is at half resolution, as seen from the left border: for the other borders the
picture is mirrored and transposed before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

OUTER_UM = (3.0, 11.0)  # diameter of the opening, outside
TAPER = (0.004, 0.10)
MIN_LENGTH_PX = 60
HALF = 2  # the search runs at half resolution
LEAN = 0.80  # radians: up to there lines are searched from the left and the right border
_ANGLES = 121
_NEAR = 0.16  # the walls lean to both sides of the axis by the taper
_NEAR_ANGLES = 25
_SCALES_PX = (1.2, 2.4)
_LINES = 60
_DARK = 0.5  # of the ridge's scale: what is less is taken to be no wall
_BRIGHT = -0.4  # a sperm that lies across a wall is no more against it than this
_FINE_LEANS = np.linspace(-0.6, 0.6, 7)  # of the step between two slopes
_FINE_ROWS = np.array((-1.0, -0.5, 0.0, 0.5, 1.0))
_SUPPORT = 0.5  # of each wall's length is dark
_APART_PX = 8.0  # two places that are nearer are one


@dataclass(frozen=True, slots=True)
class Place:
    """A pair of walls, as seen from the left border, px of the whole picture.

    Attributes
    ----------
    x_px, y_px : float
        Where they end: the tip.
    direction_rad : float
        Where the shaft comes from, seen from the tip.
    half_px, taper : float
        Half their distance at the tip; its growth along the shaft.
    score : float
        How long and how dark they are.
    """

    x_px: float
    y_px: float
    direction_rad: float
    half_px: float
    taper: float
    score: float


@dataclass(frozen=True, slots=True)
class _Walls:
    """Lines from the left border: their rows there (n,), slopes (n,), darkness (n, width)."""

    row: Float64
    lean: Float64
    dark: Float32


def all_leans() -> Float64:
    """Give the slopes to be searched where nothing is known."""
    return np.tan(np.linspace(-LEAN, LEAN, _ANGLES))


def leans_about(axis_rad: float) -> Float64:
    """Give the slopes of walls whose axis is known; none where it belongs to another border."""
    if abs(axis_rad) > LEAN:
        return np.empty(0)
    return np.tan(axis_rad + np.linspace(-_NEAR, _NEAR, _NEAR_ANGLES))


def search(flat: Float32, um_per_px: float, leans: Float64, at_most: int) -> list[Place]:
    """Rank the pairs of walls that may be a pipette from the left border.

    Parameters
    ----------
    flat : (H, W) float32, relative to the light: 0 is as bright as the surroundings
    um_per_px : of the whole picture
    leans : slopes to be searched, evenly spaced in angle
    at_most : places that are returned
    """
    dark: Float32 = np.asarray(np.maximum(_ridges(flat), _BRIGHT) - _DARK, np.float32)
    rough = _lines(dark, leans)
    if len(rough) < 2:
        return []
    walls = _sharpened(dark, rough, abs(float(leans[1] - leans[0])))
    one, other = np.triu_indices(len(walls.row), 1)
    total = np.cumsum(walls.dark[one] + walls.dark[other], axis=1)
    end = total.argmax(axis=1)
    score = total[np.arange(len(end)), end]
    at = walls.row[:, None] + walls.lean[:, None] * np.array((0.0, 1.0))[None, :]
    begin_gap = at[other, 0] - at[one, 0]
    end_y = walls.row[None, :] + walls.lean[None, :] * end[:, None]
    pair = np.arange(len(end))
    end_gap = end_y[pair, other] - end_y[pair, one]
    middle_y = (end_y[pair, other] + end_y[pair, one]) / 2
    axis = np.arctan((walls.lean[one] + walls.lean[other]) / 2)
    cosine, side = np.cos(axis), np.where(end_gap > 0, 1.0, -1.0)
    apart = end_gap * side * cosine
    taper = (begin_gap * side * cosine - apart) * cosine / (2 * np.maximum(end, 1))
    unit = um_per_px * HALF
    possible = (apart * unit >= OUTER_UM[0] * 0.7) & (apart * unit <= OUTER_UM[1] * 1.2)
    possible &= (taper >= TAPER[0]) & (taper <= TAPER[1])
    possible &= (middle_y > 2) & (middle_y < dark.shape[0] - 3) & (end < dark.shape[1] - 4)
    ranked = np.flatnonzero(possible)
    ranked = ranked[np.argsort(-(score / cosine)[ranked])]
    places: list[Place] = []
    for k in ranked:
        if not _supported(walls, int(one[k]), int(other[k]), int(end[k]), float(cosine[k])):
            continue
        x_px, y_px = float(end[k]) * HALF + 0.5, float(middle_y[k]) * HALF + 0.5
        if any(math.hypot(x_px - p.x_px, y_px - p.y_px) < _APART_PX for p in places):
            continue
        places.append(
            Place(
                x_px, y_px, float(axis[k]) + math.pi, float(apart[k]) * HALF / 2, float(taper[k]),
                float(score[k] / cosine[k]),
            )
        )  # fmt: skip
        if len(places) >= at_most:
            break
    return places


def _ridges(flat: Float32) -> Float32:
    """Darkness of lines in units of the noise, clipped to -1..1, at half resolution."""
    size = (flat.shape[1] // HALF, flat.shape[0] // HALF)
    small = cv2.resize(flat, size, interpolation=cv2.INTER_AREA)
    best = np.full(small.shape, -1.0, np.float32)
    for scale in _SCALES_PX:
        curved = cv2.Laplacian(cv2.GaussianBlur(small, (0, 0), scale), cv2.CV_32F)
        noise = 1.4826 * float(np.median(np.abs(curved)))
        best = np.maximum(best, np.clip(curved / max(3.0 * noise, 1e-9), -1.0, 1.0))
    return best


def _lines(dark: Float32, leans: Float64) -> Float64:
    """Rank lines by how long they stay dark: row at the left border, slope, (n, 2).

    A wall may come in through the upper or the lower border: its row is then outside, and what
    lies outside the picture counts neither for nor against it.
    """
    height, width = dark.shape
    pad = height // 2
    part = cv2.copyMakeBorder(dark, pad, pad, 0, 0, cv2.BORDER_CONSTANT, value=0.0)
    score = np.empty((len(leans), height + 2 * pad), np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for k, lean in enumerate(leans):
        shear = np.array([[1.0, 0.0, 0.0], [lean, 1.0, 0.0]])
        rows = cv2.warpAffine(part, shear, (width, height + 2 * pad), flags=flags, borderValue=0.0)
        score[k] = np.cumsum(rows, axis=1).max(axis=1) * math.hypot(1.0, lean)
    found: list[tuple[float, float]] = []
    for _ in range(_LINES):
        k, row = divmod(int(score.argmax()), height + 2 * pad)
        if score[k, row] < 0.25 * MIN_LENGTH_PX / HALF:
            break
        found.append((row - pad, float(leans[k])))
        score[max(0, k - 2) : k + 3, max(0, row - 2) : row + 3] = -1.0
    return np.array(found).reshape(-1, 2)


def _sharpened(dark: Float32, rough: Float64, step: float) -> _Walls:
    """Turn and shift each line (n, 2) by fractions of a step to where it is darkest."""
    width = dark.shape[1]
    x = np.arange(width, dtype=np.float32)
    turn, shift = np.meshgrid(_FINE_LEANS * step, _FINE_ROWS, indexing="ij")
    row = rough[:, 0, None] + shift.ravel()[None, :]
    lean = rough[:, 1, None] + turn.ravel()[None, :]
    y = (row[..., None] + lean[..., None] * x).astype(np.float32)
    maps = y.reshape(-1, width)
    seen = cv2.remap(
        dark, np.ascontiguousarray(np.broadcast_to(x, maps.shape)), maps, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=0.0,
    ).reshape(y.shape)  # fmt: skip
    best = np.cumsum(seen, axis=2).max(axis=2).argmax(axis=1)
    line = np.arange(len(rough))
    return _Walls(row[line, best], lean[line, best], np.asarray(seen[line, best], np.float32))


def _supported(walls: _Walls, one: int, other: int, end: int, cosine: float) -> bool:
    """Whether both walls are long enough within the picture, and dark over most of it."""
    here, there = walls.dark[one, :end], walls.dark[other, :end]
    inside = (here != 0.0) & (there != 0.0)
    if inside.sum() * HALF / cosine < MIN_LENGTH_PX:
        return False
    least = min(float((here[inside] > 0).mean()), float((there[inside] > 0).mean()))
    return least >= _SUPPORT
