"""The tip of the pipette in a picture: two dark walls that come in from a border and end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

OUTER_UM = (3.0, 11.0)  # diameter of the opening, outside
TAPER = (0.004, 0.10)
MIN_LENGTH_PX = 60
MIN_FIT = 0.55
_HALF = 2  # the search runs at half resolution
_LEAN = 0.80  # radians: up to there lines are searched from the left and the right border
_ANGLES = 121
_NEAR = 0.16  # the walls lean to both sides of the axis by the taper
_NEAR_ANGLES = 25
_CANDIDATES = 60
_THRESHOLD = 0.30
_ABOUT_PX = 110  # half of the part of the picture in which a tip is followed
_STARTS = ((0.0, 1.6), (0.0, 3.0), (-14.0, 2.2), (14.0, 2.2))  # px along the shaft, blur px


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the pipette ends.

    Attributes
    ----------
    x_px, y_px : float
        Middle of the opening, image frame.
    direction_rad : float
        Where the shaft comes from, seen from the tip, image frame.
    outer_px, taper : float
        Distance of the walls at the tip; growth of the radius along the shaft.
    blur_px : float
        Half width of a wall: least in focus.
    contrast : float
        Darkness of the walls, share of the light.
    fit : float
        Correlation of picture and model about the tip, 0 to 1.
    """

    x_px: float
    y_px: float
    direction_rad: float
    outer_px: float
    taper: float
    blur_px: float
    contrast: float
    fit: float


@dataclass(frozen=True, slots=True)
class _Wall:
    """A line from the border (column ``0`` or the last): row there, lean, last column, score."""

    row: float
    lean: float
    end: float
    score: float


def find_tip(
    image: UInt8, um_per_px: float, background: UInt8 | None = None, like: Tip | None = None
) -> Tip | None:
    """Find the pipette in a picture (H, W); None when none is in view.

    Parameters
    ----------
    image : picture
    um_per_px : size of a pixel
    background : the same view without the pipette, where there is one; specks and sperm that rest
        disappear from the search
    like : the same pipette as found before: only its direction is searched, which is quicker
    """
    flat = image.astype(np.float32)
    light = cv2.GaussianBlur(flat, (0, 0), 40.0)
    if background is not None:
        flat = flat - background.astype(np.float32) + light
    flat = flat / np.maximum(light, 1.0) - 1.0
    best: tuple[float, Tip] | None = None
    for turned in (False, True):
        picture = np.ascontiguousarray(flat.T) if turned else flat
        for mirrored in (False, True):
            leans = _leans(like, turned, mirrored)
            if not len(leans):
                continue
            view = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
            guess = _search(view, um_per_px, leans)
            if guess is None or (best is not None and guess[0] < best[0]):
                continue
            tip = _refine(view, guess[1], um_per_px)
            if tip is not None:
                best = guess[0], _back(tip, view.shape, turned, mirrored)
    return None if best is None else best[1]


def follow_tip(image: UInt8, um_per_px: float, like: Tip) -> Tip | None:
    """Find the tip again, some pixels from where it was; None where it is not seen there.

    Walls are fitted about the old place only: several times quicker than ``find_tip``.
    """
    x, y = round(like.x_px), round(like.y_px)
    left, top = max(0, x - _ABOUT_PX), max(0, y - _ABOUT_PX)
    part = image[top : y + _ABOUT_PX, left : x + _ABOUT_PX].astype(np.float32)
    if min(part.shape, default=0) < _ABOUT_PX:
        return None
    flat = part / max(float(np.median(part)), 1.0) - 1.0
    smooth = cv2.GaussianBlur(flat, (0, 0), 0.8)
    guess = np.array(
        [like.x_px - left, like.y_px - top, like.direction_rad, like.outer_px / 2, like.taper]
    )
    fit = _fit(smooth, guess, ((0.0, like.blur_px),))
    if fit is None or fit[1] < MIN_FIT:
        return None
    values = fit[0]
    return Tip(
        float(values[0]) + left, float(values[1]) + top, float(values[2]), 2 * float(values[3]),
        float(values[4]), float(values[5]), float(values[6]), fit[1],
    )  # fmt: skip


def _leans(like: Tip | None, turned: bool, mirrored: bool) -> Float64:
    """Give the slopes to be searched in one of the four views; none where ``like`` cannot be."""
    if like is None:
        return np.tan(np.linspace(-_LEAN, _LEAN, _ANGLES))
    dx, dy = math.cos(like.direction_rad), math.sin(like.direction_rad)
    if turned:
        dx, dy = dy, dx
    if mirrored:
        dx = -dx
    axis = math.atan2(-dy, -dx)  # the shaft comes from the left
    if abs(axis) > _LEAN:
        return np.empty(0)
    return np.tan(axis + np.linspace(-_NEAR, _NEAR, _NEAR_ANGLES))


def _back(tip: Tip, shape: tuple[int, ...], turned: bool, mirrored: bool) -> Tip:
    """Undo the mirror and the transposition of the view in which the tip was found."""
    x, y = tip.x_px, tip.y_px
    dx, dy = math.cos(tip.direction_rad), math.sin(tip.direction_rad)
    if mirrored:
        x, dx = shape[1] - 1 - x, -dx
    if turned:
        x, y, dx, dy = y, x, dy, dx
    return Tip(
        x, y, math.atan2(dy, dx), tip.outer_px, tip.taper, tip.blur_px, tip.contrast, tip.fit
    )


def _ridges(flat: Float32) -> Float32:
    """Darkness of lines in units of the noise, clipped to -1..1, at half resolution."""
    size = (flat.shape[1] // _HALF, flat.shape[0] // _HALF)
    small = cv2.resize(flat, size, interpolation=cv2.INTER_AREA)
    best = np.full(small.shape, -1.0, np.float32)
    for scale in (1.2, 2.4):
        curved = cv2.Laplacian(cv2.GaussianBlur(small, (0, 0), scale), cv2.CV_32F)
        noise = 1.4826 * float(np.median(np.abs(curved)))
        best = np.maximum(best, np.clip(curved / max(3.0 * noise, 1e-9), -1.0, 1.0))
    return best


def _walls(ridges: Float32, leans: Float64) -> list[_Wall]:
    """Rank lines that begin at the left border, by how long they stay dark."""
    height, width = ridges.shape
    score = np.empty((len(leans), height), np.float32)
    end = np.empty((len(leans), height), np.int64)
    for k, lean in enumerate(leans):
        shear = np.array([[1.0, 0.0, 0.0], [lean, 1.0, 0.0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        rows = cv2.warpAffine(ridges, shear, (width, height), flags=flags, borderValue=-1.0)
        total = np.cumsum(rows - _THRESHOLD, axis=1)
        end[k] = total.argmax(axis=1)
        score[k] = total.max(axis=1) * math.hypot(1.0, lean)
    walls: list[_Wall] = []
    for _ in range(_CANDIDATES):
        k, row = divmod(int(score.argmax()), height)
        if score[k, row] < 0.25 * MIN_LENGTH_PX / _HALF:
            break
        walls.append(_Wall(float(row), float(leans[k]), float(end[k, row]), float(score[k, row])))
        score[max(0, k - 2) : k + 3, max(0, row - 2) : row + 3] = -1.0
    return walls


def _search(flat: Float32, um_per_px: float, leans: Float64) -> tuple[float, Float64] | None:
    """Find the best pair of walls from the left border: score; tip x, y, direction, half, taper."""
    walls = _walls(_ridges(flat), leans)
    unit = um_per_px * _HALF
    best: tuple[float, Float64] | None = None
    for i, one in enumerate(walls):
        for other in walls[i + 1 :]:
            upper, lower = (one, other) if one.row < other.row else (other, one)
            end = min(upper.end, lower.end)
            if end * _HALF < MIN_LENGTH_PX:
                continue
            axis = math.atan((upper.lean + lower.lean) / 2)
            cosine = math.cos(axis)
            top, bottom = upper.row + upper.lean * end, lower.row + lower.lean * end
            apart = (bottom - top) * cosine
            wide = (lower.row - upper.row) * cosine
            taper = (wide - apart) / (2 * end / cosine)
            if not OUTER_UM[0] * 0.7 <= apart * unit <= OUTER_UM[1] * 1.2:
                continue
            if not TAPER[0] <= taper <= TAPER[1]:
                continue
            # The opening is cut square: seen from the border, one wall ends a little earlier.
            uneven = abs((upper.end - lower.end) - apart * math.sin(axis))
            score = upper.score + lower.score - 1.5 * max(0.0, uneven - 4.0)
            if best is None or score > best[0]:
                x, y = (upper.end + lower.end) / 2, 0.0
                y = (upper.row + lower.row) / 2 + (upper.lean + lower.lean) / 2 * x
                guess = (x * _HALF + 0.5, y * _HALF + 0.5, axis + math.pi, apart * _HALF / 2, taper)
                best = score, np.array(guess)
    return best


def _model(values: Float64, x: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Walls and their bright rims (n,) each, of unit height, for points (n,)."""
    tip_x, tip_y, direction, half, taper, blur = values[:6]
    dx, dy = x - tip_x, y - tip_y
    u = dx * math.cos(direction) + dy * math.sin(direction)
    v = np.abs(dy * math.cos(direction) - dx * math.sin(direction))
    across = v - half - np.maximum(u, 0.0) * taper
    away = np.where(u < 0, np.hypot(across, u), across)
    wall = np.exp(-0.5 * (away / blur) ** 2)
    fade = np.where(u < 0, np.exp(-0.5 * (u / blur) ** 2), 1.0)
    near = np.exp(-0.5 * ((np.abs(across) - 2.3 * blur) / blur) ** 2) * fade
    return np.asarray(wall), np.asarray(near)


def _refine(flat: Float32, guess: Float64, um_per_px: float) -> Tip | None:
    """Fit walls to the picture about the tip; None where they do not explain it."""
    smooth = cv2.GaussianBlur(flat, (0, 0), 0.8)
    for turn in range(4):
        fit = _fit(smooth, guess, _STARTS if turn == 0 else _STARTS[:2])
        if fit is None:
            return None
        fitted, correlation = fit
        moved_px = math.hypot(fitted[0] - guess[0], fitted[1] - guess[1])
        guess = fitted[:5]
        if moved_px < 4.0:
            break
    outer_px = 2 * float(fitted[3])
    if correlation < MIN_FIT or fitted[6] < 0.02 or fitted[4] < TAPER[0] / 2:
        return None
    if not OUTER_UM[0] <= outer_px * um_per_px <= OUTER_UM[1]:
        return None
    return Tip(
        float(fitted[0]), float(fitted[1]), float(fitted[2]), outer_px, float(fitted[4]),
        float(fitted[5]), float(fitted[6]), correlation,
    )  # fmt: skip


def _fit(
    smooth: Float32, guess: Float64, starts: tuple[tuple[float, float], ...]
) -> tuple[Float64, float] | None:
    """Fit the model about ``guess``: values (8,) and their correlation with the picture."""
    x, y = _patch(guess, *smooth.shape)
    if len(x) < 400:
        return None
    seen = smooth[y, x].astype(np.float64)
    seen -= np.median(seen)
    scale = 1.4826 * float(np.median(np.abs(seen))) + 1e-4
    points = x.astype(np.float64), y.astype(np.float64)
    near = np.array([*guess, 2.0, 0.1, 0.03])
    low = near - np.array([30, 30, 0.12, 0, 0, 0, 0, 0])
    high = near + np.array([30, 30, 0.12, 0, 0, 0, 0, 0])
    low[3:], high[3:] = (1.0, -0.01, 0.8, 0.0, -0.3), (25.0, 0.12, 7.0, 1.0, 0.5)

    def off(values: Float64) -> Float64:
        wall, rim = _model(values, *points)
        return np.asarray(values[7] * rim - values[6] * wall - seen)

    cost, fitted, correlation = math.inf, near, 0.0
    for ahead, blur in starts:
        # Along the shaft the picture hardly changes: begin at several places.
        start = near.copy()
        start[:2] += ahead * np.array([math.cos(guess[2]), math.sin(guess[2])])
        start[5] = blur
        found = least_squares(
            off, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), loss="soft_l1",
            f_scale=scale, x_scale=[1, 1, 0.02, 1, 0.01, 0.5, 0.05, 0.05], max_nfev=25,
        )  # fmt: skip
        if found.cost < cost:
            cost, fitted = float(found.cost), np.asarray(found.x, np.float64)
            inside = np.abs(found.fun) < 6 * scale
            told = found.fun + seen
            if inside.sum() > 100:
                correlation = float(np.corrcoef(told[inside], seen[inside])[0, 1])
    return fitted, correlation


def _patch(tip: Float64, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the pixels about the tip: some ahead of it, more of the shaft."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    dx, dy = x - tip[0], y - tip[1]
    u = dx * math.cos(tip[2]) + dy * math.sin(tip[2])
    v = np.abs(dy * math.cos(tip[2]) - dx * math.sin(tip[2]))
    # Half the room around it, to see that the walls end here.
    inside = (u > -30) & (u < 90) & (v < tip[3] + 14 + 0.08 * np.maximum(u, 0))
    return x[inside], y[inside]
