"""The micropipette: two dark walls that taper to an open tip. A negative, never labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.splat import cut, depth_level, first_in

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pipette:
    """Shape of a drawn-out glass capillary.

    Attributes
    ----------
    outer_um : diameter at the tip, outside
    wall_um : thickness of the wall's image
    taper : growth of the radius with distance from the tip
    direction_rad : where the shaft comes from, seen from the tip, image frame (x right, y down)
    contrast : of the walls, positive is dark
    """

    outer_um: float = 6.5
    wall_um: float = 0.9
    taper: float = 0.045
    direction_rad: float = 0.0
    contrast: float = 0.38


def draw_pipette(rng: np.random.Generator) -> Pipette:
    """Draw a pipette that enters from the right or the left, as it is mounted on a rig."""
    side = 0.0 if rng.random() < 0.5 else math.pi
    return Pipette(
        outer_um=float(rng.uniform(5, 8)),
        wall_um=float(rng.uniform(0.7, 1.3)),
        taper=float(rng.uniform(0.015, 0.06)),
        direction_rad=side + float(rng.uniform(-0.45, 0.45)),
        contrast=float(rng.uniform(0.2, 0.5)),
    )


def on_glass(pipette: Pipette, offset_um: Float64, margin_um: float = 2.0) -> NDArray[np.bool_]:
    """Say which points lie on the capillary's image, walls and bore.

    Parameters
    ----------
    offset_um : (n, 2) float64
        Points from the tip along the image axes, um.
    margin_um : float
        Counted as glass around its outline: half of a head.

    Returns
    -------
    (n,) bool
    """
    along = np.array([math.cos(pipette.direction_rad), math.sin(pipette.direction_rad)])
    u = offset_um @ along
    v = np.abs(offset_um @ np.array([-along[1], along[0]]))
    reach = 0.5 * pipette.outer_um + margin_um + pipette.taper * np.maximum(u, 0.0)
    return np.asarray((u >= -margin_um) & (v <= reach))


@njit(nogil=True, cache=True, fastmath=True)
def splat_pipette(
    canvas: Float32,
    tip_x: float,
    tip_y: float,
    direction: float,
    outer: float,
    wall: float,
    taper: float,
    contrast: float,
    sigma: float,
    first_row: int,
    row_step: int,
    weight: float,
) -> None:
    """Add a pipette whose tip is at (tip_x, tip_y); lengths in px."""
    height, width = canvas.shape
    ca = math.cos(direction)
    sa = math.sin(direction)
    sd = math.sqrt(sigma * sigma + wall * wall / 12.0)
    dark = contrast * weight * wall / (sd * 2.5)
    dark = min(dark, 0.7 * weight)
    bright = 0.45 * dark
    inv = 1.0 / sd
    reach = 5.0 * sd + wall
    wide = 0.5 * outer + reach
    veil = -0.04 * contrast * weight
    for yy in range(first_in(0.0, first_row, row_step), height, row_step):
        dy = yy - tip_y
        # With x counted from the tip: u >= -reach and |v| <= wide + taper * max(u, 0).
        lo, hi = -tip_x, width - 1.0 - tip_x
        lo, hi = cut(ca, dy * sa + reach, lo, hi)
        lo, hi = cut(taper * ca + sa, wide + taper * (dy * sa + reach) - dy * ca, lo, hi)
        lo, hi = cut(taper * ca - sa, wide + taper * (dy * sa + reach) + dy * ca, lo, hi)
        if lo > hi:
            continue
        for xx in range(max(math.ceil(lo + tip_x), 0), min(math.floor(hi + tip_x), width - 1) + 1):
            dx = xx - tip_x
            u = dx * ca + dy * sa
            v = abs(dy * ca - dx * sa)
            across = v - 0.5 * outer - max(u, 0.0) * taper
            if across < -reach:
                canvas[yy, xx] += np.float32(veil)
                continue
            # Rounded ends of the walls at the tip.
            distance = math.hypot(across, u) if u < 0.0 else across
            t = distance * inv
            value = -dark * math.exp(-0.5 * t * t)
            inner = (across + 1.6 * sd + 0.5 * wall) * inv
            outside = (across - 1.9 * sd - 0.4 * wall) * inv
            rim = math.exp(-0.5 * inner * inner) + 0.6 * math.exp(-0.5 * outside * outside)
            shade = veil if across < 0.0 else 0.0
            if u < 0.0:
                fade = math.exp(-0.5 * u * u * inv * inv)
                rim *= fade
                shade *= fade
            canvas[yy, xx] += np.float32(value + bright * rim + shade)


@njit(nogil=True, cache=True)
def pipette_blur(z_um: float, blur_um: Float64) -> float:
    """Give the standard deviation of the blur, um, of a pipette ``z_um`` above focus."""
    known = blur_um[depth_level(0.0)]
    return math.sqrt(known * known + (0.25 * z_um) ** 2)
