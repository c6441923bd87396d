"""Two walls that end, fitted to the picture about a tip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_STARTS = ((0.0, 1.6), (0.0, 3.0))  # px along the shaft, blur px
_TURNS = 5
_SETTLED_PX = 1.5
_SCAN_PX = 110  # to both sides of the tip
_NEAR_PX = 3.0
_DARK = 0.4  # of the usual darkness of the walls
_BOTH = 5.0
_PIXELS_PER_PLACE = 2.0  # a place along a wall is several pixels of the picture
_ASTRAY_PX = 6.0  # one wall alone moves the end by less than this
_ABOUT_END_PX = 12
_SPOILT = 1.6  # times as rough as the other wall
_CLEAN = 0.2  # rms about its own end, of a wall's darkness: nothing lies there
_CUT = 3.0  # of the noise: what is farther off is something else


@dataclass(frozen=True, slots=True)
class Fitted:
    """The model's values, image frame, px.

    Attributes
    ----------
    values : (8,) float64
        Tip x, y; direction; half distance of the walls; taper; blur; darkness of the walls and
        brightness of their rims, share of the light.
    fit : float
        Correlation of picture and model, 0 to 1.
    """

    values: Float64
    fit: float


def fit_walls(smooth: Float32, guess: Float64) -> Fitted | None:
    """Fit walls about ``guess`` (5,): tip x, y, direction, half distance, taper.

    Fitting what is near and looking along the whole shaft for its end take turns: along the shaft
    a picture of two walls hardly changes. None where there is too little picture.
    """
    fitted: Fitted | None = None
    for turn in range(_TURNS):
        starts = _STARTS if fitted is None else ((0.0, float(fitted.values[5])),)
        fitted = fit_here(smooth, guess, starts)
        if fitted is None:
            return None
        ahead_px = _end(smooth, fitted.values)
        if abs(ahead_px) < _SETTLED_PX:
            return _by_the_cleaner_wall(smooth, fitted)
        if turn < _TURNS - 1:
            guess = _slid(fitted.values, ahead_px)[:5]
    if fitted is None:
        return None
    return _by_the_cleaner_wall(smooth, _judged(smooth, fitted, ahead_px))


def _slid(values: Float64, ahead_px: float) -> Float64:
    """Move the tip along its shaft; the walls stay where they are."""
    moved = np.array(values)
    moved[:2] += ahead_px * np.array((math.cos(values[2]), math.sin(values[2])))
    moved[3] = max(moved[3] + ahead_px * moved[4], 1.0)
    return moved


def _judged(smooth: Float32, fitted: Fitted, ahead_px: float) -> Fitted:
    """Choose between two ends that do not agree: something lies there.

    The walls' own end is taken where both walls are for it, and the picture about it is hardly
    against it; half of the way where the two are near each other.
    """
    moved = _slid(fitted.values, ahead_px)
    for_it = _misfit_of_walls(smooth, fitted.values, 0.0) - _misfit_of_walls(
        smooth, fitted.values, ahead_px
    )
    against = _misfit(smooth, fitted.values, moved) - _misfit(smooth, fitted.values, fitted.values)
    if for_it.min() < _BOTH or _PIXELS_PER_PLACE * for_it.sum() < against:
        return fitted
    if abs(ahead_px) < _NEAR_PX:
        moved = _slid(fitted.values, ahead_px / 2)
    return Fitted(moved, fitted.fit)


def _by_the_cleaner_wall(smooth: Float32, fitted: Fitted) -> Fitted:
    """Let one wall alone tell the end where something lies at the other's.

    Both walls end at the same distance along the shaft. A wall that looks as it should all about
    its own end, where the other does not, is right; in any other case both are believed. Half of
    the way is gone where the two are near each other.
    """
    u, dark = _wall_darkness(smooth, fitted.values)
    blur = float(fitted.values[5])
    limit = (_CUT * _noise_of_walls(u, dark)) ** 2
    ends = np.arange(-_ASTRAY_PX, _ASTRAY_PX + 0.01, 0.25)
    own_end, roughness = [], []
    for wall in dark:
        off = [np.nansum(np.minimum((wall - _told(u, end, blur)) ** 2, limit)) for end in ends]
        end = float(ends[int(np.argmin(off))])
        near = np.isfinite(wall) & (np.abs(u - end) < _ABOUT_END_PX)
        if near.sum() < _ABOUT_END_PX:
            return fitted
        own_end.append(end)
        roughness.append(float(np.sqrt(((wall - _told(u, end, blur))[near] ** 2).mean())))
    clean, spoilt = sorted((0, 1), key=lambda side: roughness[side])
    sure = roughness[clean] < _CLEAN and roughness[spoilt] > _SPOILT * roughness[clean]
    ahead_px = own_end[clean]
    if not sure or abs(ahead_px) >= _ASTRAY_PX:
        return fitted
    if abs(ahead_px) < _NEAR_PX:
        ahead_px /= 2
    return Fitted(_slid(fitted.values, ahead_px), fitted.fit)


def _told(u: Float64, end_px: float, blur: float) -> Float64:
    """Give the darkness of a wall (n,) along the shaft that ends, roundly, at ``end_px``."""
    return np.where(u < end_px, np.exp(-0.5 * ((u - end_px) / blur) ** 2), 1.0)


def _misfit(smooth: Float32, about: Float64, values: Float64) -> float:
    """Sum of the squared residuals about a tip, in units of the noise, each at most ``_CUT``."""
    x, y = _patch(about, *smooth.shape)
    seen = smooth[y, x].astype(np.float64)
    wall, rim = _model(values, x.astype(np.float64), y.astype(np.float64))
    off = values[7] * rim - values[6] * wall - (seen - np.median(seen))
    noise = 1.4826 * float(np.median(np.abs(off))) + 1e-6
    return float(np.minimum((off / noise) ** 2, _CUT**2).sum())


def _misfit_of_walls(smooth: Float32, values: Float64, end_px: float) -> Float64:
    """Give the same of the darkness along each wall, (2,), for an end there."""
    u, dark = _wall_darkness(smooth, values)
    noise = _noise_of_walls(u, dark)
    told = _told(u, end_px, float(values[5]))
    off = np.minimum(((dark - told) / noise) ** 2, _CUT**2)
    return np.asarray(np.nansum(off, axis=1))


def _noise_of_walls(u: Float64, dark: Float64) -> float:
    """Scatter of the darkness (2, n) along the shaft; 0.4 where too little is seen of it."""
    inner = dark[:, (u > 5) & (u < 60)]
    inner = inner[np.isfinite(inner)]
    if inner.size < 10:
        return 0.4
    return float(np.clip(1.4826 * np.median(np.abs(inner - np.median(inner))), 0.05, 0.4))


def fit_here(
    smooth: Float32, guess: Float64, starts: tuple[tuple[float, float], ...]
) -> Fitted | None:
    """Fit the model about ``guess`` (5,), from several places along the shaft and blurs."""
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
        start = near.copy()
        start[:2] += ahead * np.array([math.cos(guess[2]), math.sin(guess[2])])
        start[5] = blur
        found = least_squares(
            off, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), loss="cauchy",
            f_scale=2 * scale, x_scale=[1, 1, 0.02, 1, 0.01, 0.5, 0.05, 0.05], max_nfev=25,
        )  # fmt: skip
        if found.cost < cost:
            cost, fitted = float(found.cost), np.asarray(found.x, np.float64)
            inside = np.abs(found.fun) < 6 * scale
            told = found.fun + seen
            # A model that is flat where the picture is looked at explains nothing of it.
            flat = inside.sum() <= 100 or not told[inside].std() * seen[inside].std() > 0
            correlation = 0.0 if flat else float(np.corrcoef(told[inside], seen[inside])[0, 1])
    return Fitted(fitted, correlation)


def support(smooth: Float32, values: Float64) -> float:
    """Say over which share of its length, tip to border, the fainter wall is dark, 0 to 1."""
    u, dark = _wall_darkness(smooth, values, math.hypot(*smooth.shape))
    shaft = dark[:, u > 3]
    seen = np.isfinite(shaft)
    if seen.sum(axis=1).min() < 10:
        return 0.0
    return float(((shaft > _DARK) & seen).sum(axis=1).min() / seen.sum(axis=1).max())


def _wall_darkness(
    smooth: Float32, values: Float64, reach_px: float = _SCAN_PX
) -> tuple[Float64, Float64]:
    """Darkness of both walls, (2, n), at distances ``u_px`` (n,) along the shaft, from the tip on.

    Each is compared with what lies beside it: the halo of a sperm is on both, and drops out. NaN
    outside the picture.
    """
    height, width = smooth.shape
    tip_x, tip_y, direction, half, taper, blur, darkness, rim = values
    cosine, sine = math.cos(direction), math.sin(direction)
    u = np.arange(-_SCAN_PX, reach_px + 1, dtype=np.float64)
    beside = np.arange(-math.ceil(3.5 * blur), math.ceil(3.5 * blur) + 1, dtype=np.float64)
    profile = _across(beside, float(blur), float(darkness), float(rim))
    profile -= profile.mean()
    profile /= float((profile**2).sum())
    found = []
    for side in (-1.0, 1.0):
        v = side * (half + u * taper)[:, None] + beside[None, :]
        x, y = tip_x + u[:, None] * cosine - v * sine, tip_y + u[:, None] * sine + v * cosine
        seen = cv2.remap(smooth, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        there = ((x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)).all(axis=1)
        there &= half + u * taper > 1.0
        found.append(np.where(there, seen.astype(np.float64) @ profile, np.nan))
    return u, np.array(found)


def _end(smooth: Float32, values: Float64) -> float:
    """Say how far along the shaft (px, from the tip on) its end rather is.

    Each place along the two walls is asked whether it looks more like a wall (1) or like nothing
    (0); the end is where the answers on both sides of it agree best. What is neither, because a
    sperm lies there, says little.
    """
    u, dark = _wall_darkness(smooth, values)
    seen = np.isfinite(dark)
    noise = _noise_of_walls(u, dark)
    limit = (_CUT * noise) ** 2
    ends = np.arange(-_SCAN_PX + 10, _SCAN_PX - 10, 0.1)
    blur = float(values[5])
    dark = np.where(seen, dark, 0.0)
    off = np.zeros(len(ends))
    wall = np.where(seen, np.minimum((dark - 1.0) ** 2, limit), 0.0).sum(axis=0)
    none = np.where(seen, np.minimum(dark**2, limit), 0.0).sum(axis=0)
    # The end itself is round: a stretch of a few blurs about it is looked at in full.
    reach = math.ceil(3 * blur)
    walls_from = np.concatenate([np.cumsum(wall[::-1])[::-1], [0.0]])
    none_until = np.concatenate([[0.0], np.cumsum(none)])
    for k, end in enumerate(ends):
        low = int(np.searchsorted(u, end - reach))
        high = int(np.searchsorted(u, end))
        told = np.exp(-0.5 * ((u[low:high] - end) / blur) ** 2)
        near = np.where(
            seen[:, low:high], np.minimum((dark[:, low:high] - told) ** 2, limit), 0.0
        ).sum()
        off[k] = none_until[low] + float(near) + walls_from[high]
    return float(ends[int(off.argmin())])


def _across(across: Float64, blur: float, darkness: float, rim: float) -> Float64:
    """Brightness at distances from a wall, px."""
    wall = np.exp(-0.5 * (across / blur) ** 2)
    bright = np.exp(-0.5 * ((np.abs(across) - 2.3 * blur) / blur) ** 2)
    return np.asarray(rim * bright - darkness * wall)


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


def _patch(tip: Float64, height: int, width: int) -> tuple[Int64, Int64]:
    """Give the pixels about the tip: some ahead of it, more of the shaft."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    dx, dy = x - tip[0], y - tip[1]
    u = dx * math.cos(tip[2]) + dy * math.sin(tip[2])
    v = np.abs(dy * math.cos(tip[2]) - dx * math.sin(tip[2]))
    # Half the room around it, to see that the walls end here.
    inside = (u > -30) & (u < 90) & (v < tip[3] + 14 + 0.08 * np.maximum(u, 0))
    return x[inside], y[inside]
