"""The head of one sperm in one frame: where it is, how long and wide, which way it lies.

The outline is where the soft plane falls to one half, found between the pixels by reading it on a
grid of half pixels whose cells count by how far they lie inside; length and width are those of
the ellipse of the same second moments. With a known point spread and a plane that is the shape
blurred by it, grey moments less its variance are finer still. Image frame, pixels; the caller
turns them into micrometres.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.measure.soft import sample
from models.types import Float32, Float64

HEAD_COLUMNS = ("x_px", "y_px", "length_px", "width_px", "area_px2", "ux", "uy", "peak", "edge")
_STEP_PX = 0.5
_STEEP = 6.0  # a cell counts wholly from 1/12 above one half on
_MARGIN_PX = 2.5


@njit(cache=True, nogil=True)
def measure_heads(
    plane: Float32, per_px: float, box_px: Float64, point_spread_px: float, grey: bool
) -> Float64:
    """Measure every head; (N, 9) in the order of HEAD_COLUMNS, NaN where there is no head.

    Parameters
    ----------
    plane : (h, w) float32
        Probability of head.
    per_px : float
        Cells of the plane per pixel.
    box_px : (N, 4) float64
        Boxes about the heads: centre x, y, width, height.
    point_spread_px : float
        Standard deviation of the blur; its variance is taken from grey moments.
    grey : bool
        Grey moments, else those of the outline at one half.

    ``ux, uy`` is a unit vector along the head, either way. ``peak`` is the mean of the plane
    within, ``edge`` the share of the plane's sum that lies under one half: a blurred head has more.
    """
    out = np.full((len(box_px), 9), np.nan)
    for i in range(len(box_px)):
        x0, y0 = box_px[i, 0], box_px[i, 1]
        a = 0.5 * box_px[i, 2] + _MARGIN_PX
        b = 0.5 * box_px[i, 3] + _MARGIN_PX
        near = neighbours(i, box_px, 2.0 * (a + b))
        m, mx, my, mxx, mxy, myy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        inside, weak, held = 0.0, 0.0, 0.0
        y = y0 - b
        while y <= y0 + b:
            x = x0 - a
            while x <= x0 + a:
                dx, dy = x - x0, y - y0
                if (dx / a) ** 2 + (dy / b) ** 2 <= 1.6 and is_nearest(x, y, x0, y0, near):
                    p = sample(plane, per_px, x, y)
                    if p > 0.0:
                        if p >= 0.5:
                            inside += 1.0
                            held += p
                        else:
                            weak += p
                        weight = p if grey else min(max((p - 0.5) * _STEEP + 0.5, 0.0), 1.0)
                        m += weight
                        mx += weight * dx
                        my += weight * dy
                        mxx += weight * dx * dx
                        mxy += weight * dx * dy
                        myy += weight * dy * dy
                x += _STEP_PX
            y += _STEP_PX
        cell = _STEP_PX * _STEP_PX
        if inside * cell < 4.0:  # fewer than four pixels are no head
            continue
        mx, my = mx / m, my / m
        cxx, cxy, cyy = mxx / m - mx * mx, mxy / m - mx * my, myy / m - my * my
        if grey:
            cxx -= point_spread_px * point_spread_px
            cyy -= point_spread_px * point_spread_px
        middle, spread = 0.5 * (cxx + cyy), np.hypot(0.5 * (cxx - cyy), cxy)
        if middle - spread <= 0.0:
            continue
        angle = 0.5 * np.arctan2(2.0 * cxy, cxx - cyy)
        out[i, 0], out[i, 1] = x0 + mx, y0 + my
        out[i, 2] = 4.0 * np.sqrt(middle + spread)
        out[i, 3] = 4.0 * np.sqrt(middle - spread)
        out[i, 4] = m * cell
        out[i, 5], out[i, 6] = np.cos(angle), np.sin(angle)
        out[i, 7] = held / inside
        out[i, 8] = weak / (weak + held)
    return out


@njit(cache=True, nogil=True)
def neighbours(i: int, box_px: Float64, reach_px: float) -> Float64:
    """Centres (K, 2) of the other boxes that lie within reach."""
    near = np.empty((len(box_px), 2))
    count = 0
    for k in range(len(box_px)):
        dx, dy = box_px[k, 0] - box_px[i, 0], box_px[k, 1] - box_px[i, 1]
        if k != i and abs(dx) < reach_px and abs(dy) < reach_px:
            near[count] = box_px[k, :2]
            count += 1
    return near[:count]


@njit(cache=True, nogil=True)
def is_nearest(x: float, y: float, x0: float, y0: float, others: Float64) -> bool:
    """Whether (x0, y0) is nearer to a point than all others are."""
    own = (x - x0) ** 2 + (y - y0) ** 2
    for k in range(len(others)):
        dx, dy = x - others[k, 0], y - others[k, 1]
        if dx * dx + dy * dy < own:
            return False
    return True
