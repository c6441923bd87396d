"""The tip of the pipette in a picture: two dark walls that come in from a border and end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.tip_fit import Fitted, fit_here, fit_walls, support
from calibration.tip_search import OUTER_UM, TAPER, Place, all_leans, leans_about, search

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

MIN_FIT = 0.45
MIN_TRUST = 1.25  # fit and support together: noise and tails reach 1.12, the faintest pipette 1.27
_MIN_CONTRAST = 0.03
# Two tails side by side reach the border, but with gaps; a pipette as faint as they has none.
_FAINT, _WHOLE = 0.06, 0.8
_MAX_BLUR_PX = 6.0  # a fit that is stretched to its bounds follows halos, not walls
_PLACES = 3  # of the best pairs of walls, those that are looked at closely
_SMOOTH_PX = 0.8
_ABOUT_PX = 110  # half of the part of the picture in which a tip is followed


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
    places: list[tuple[Place, bool, bool]] = []
    for turned in (False, True):
        for mirrored in (False, True):
            leans = all_leans() if like is None else _leans(like, turned, mirrored)
            if len(leans):
                view = _view(flat, turned, mirrored)
                places += [(p, turned, mirrored) for p in search(view, um_per_px, leans, _PLACES)]
    places.sort(key=lambda found: -found[0].score)
    for place, turned, mirrored in places[:_PLACES]:
        view = _view(flat, turned, mirrored)
        tip = _refine(view, place, um_per_px)
        if tip is not None:
            return _back(tip, view.shape, turned, mirrored)
    return None


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
    smooth = cv2.GaussianBlur(flat, (0, 0), _SMOOTH_PX)
    guess = np.array(
        [like.x_px - left, like.y_px - top, like.direction_rad, like.outer_px / 2, like.taper]
    )
    found = fit_here(smooth, guess, ((0.0, like.blur_px),))
    if found is None or found.fit < MIN_FIT:
        return None
    return _tip(found, left, top)


def _view(flat: Float32, turned: bool, mirrored: bool) -> Float32:
    """Show the picture so that a border becomes the left one."""
    picture = flat.T if turned else flat
    return np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)


def _leans(like: Tip, turned: bool, mirrored: bool) -> Float64:
    """Give the slopes to be searched in one of the four views; none where ``like`` cannot be."""
    dx, dy = math.cos(like.direction_rad), math.sin(like.direction_rad)
    if turned:
        dx, dy = dy, dx
    if mirrored:
        dx = -dx
    return leans_about(math.atan2(-dy, -dx))  # the shaft comes from the left


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


def _refine(flat: Float32, place: Place, um_per_px: float) -> Tip | None:
    """Fit walls to the picture about a place; None where they do not explain it."""
    smooth = cv2.GaussianBlur(flat, (0, 0), _SMOOTH_PX)
    guess = np.array((place.x_px, place.y_px, place.direction_rad, place.half_px, place.taper))
    found = fit_walls(smooth, guess)
    if found is None:
        return None
    tip = _tip(found, 0, 0)
    dark = support(smooth, found.values)
    if tip.fit < MIN_FIT or tip.fit + dark < MIN_TRUST:
        return None
    if tip.contrast < _FAINT and dark < _WHOLE:
        return None
    if tip.contrast < _MIN_CONTRAST or tip.blur_px > _MAX_BLUR_PX:
        return None
    if not TAPER[0] / 2 <= tip.taper <= TAPER[1]:
        return None
    if not OUTER_UM[0] <= tip.outer_px * um_per_px <= OUTER_UM[1]:
        return None
    return tip


def _tip(found: Fitted, left: int, top: int) -> Tip:
    x, y, direction, half, taper, blur, darkness, _ = (float(value) for value in found.values)
    return Tip(x + left, y + top, direction, 2 * half, taper, blur, darkness, found.fit)
