"""Compiled splats: shapes are added to a canvas of relative contrast, only in their boxes.

Every kernel takes ``first_row`` and ``row_step``, so that one field of an interlaced frame costs
half, and ``weight``, the share of the exposure that the pose stands for. Lengths are px.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.optics import (
    DEPTH_LEVELS,
    DEPTH_STEP_UM,
    EDGE_COUNT,
    EDGE_FROM_UM,
    EDGE_STEP_UM,
    LINE_COUNT,
    LINE_STEP,
    STEP_COUNT,
)

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

FAINTEST = 0.003  # contrast below which nothing is drawn


@njit(nogil=True, cache=True, inline="always")
def depth_level(z_um: float) -> int:
    """Row of the tables for a depth."""
    level = math.floor(z_um / DEPTH_STEP_UM + 0.5) + DEPTH_LEVELS // 2
    return min(max(level, 0), DEPTH_LEVELS - 1)


@njit(nogil=True, cache=True, inline="always")
def first_in(low: float, first_row: int, row_step: int) -> int:
    """First row of the field at or below ``low``."""
    y = max(math.ceil(low), 0)
    shift = (y - first_row) % row_step
    if shift:
        y += row_step - shift
    return y


@njit(nogil=True, cache=True, inline="always")
def cut(slope: float, offset: float, low: float, high: float) -> tuple[float, float]:
    """Cut the interval [low, high] to where ``slope * x + offset >= 0``."""
    if slope > 1e-9:
        low = max(low, -offset / slope)
    elif slope < -1e-9:
        high = min(high, -offset / slope)
    elif offset < 0.0:
        high = low - 1.0
    return low, high


@njit(nogil=True, cache=True, fastmath=True)
def _edge_distance(
    out: Float32,
    along: Float32,
    dx: float,
    dy: float,
    ca: float,
    sa: float,
    inv_a: float,
    inv_b: float,
    egg: float,
    lobe2: float,
    lobe3: float,
) -> None:
    """Signed distance, px, from a body's edge for a run of pixels of one row.

    ``out`` (run,) is filled, and ``along`` (run,) with the place along the long axis in half
    lengths; (dx, dy) is the first pixel from the centre. To first order, as in ray marching: the
    implicit function over its slope. Plain arithmetic, so that it runs on vector registers.
    """
    one = np.float32(1.0)
    p0 = np.float32((dx * ca + dy * sa) * inv_a)
    q0 = np.float32((dy * ca - dx * sa) * inv_b)
    p1 = np.float32(ca * inv_a)
    q1 = np.float32(-sa * inv_b)
    ia = np.float32(inv_a * inv_a)
    ib = np.float32(inv_b * inv_b)
    e = np.float32(egg)
    l2 = np.float32(2.0 * lobe2)
    l3 = np.float32(lobe3)
    four = np.float32(4.0)
    three = np.float32(3.0)
    tiny = np.float32(1e-6)
    for k in range(len(out)):
        step = np.float32(k)
        p = p0 + step * p1
        q = (q0 + step * q1) / (one + e * max(min(p, one), -one))
        square = p * p + q * q + tiny
        rho = math.sqrt(square)
        c = p / rho
        s = q / rho
        bound = one + l2 * c * s + l3 * c * (four * c * c - three)
        out[k] = (rho - bound) * rho / math.sqrt(p * p * ia + q * q * ib + tiny * ia)
        along[k] = p


@njit(nogil=True, cache=True, fastmath=True)
def splat_bodies(
    canvas: Float32,
    x: Float64,
    y: Float64,
    ux: Float64,
    uy: Float64,
    shape: Float64,
    amplitude: Float64,
    z_um: Float64,
    edge: Float32,
    blur_um: Float64,
    um_per_px: float,
    first_row: int,
    row_step: int,
    weight: float,
) -> None:
    """Add ellipse-like bodies: heads, specks, cells.

    Parameters
    ----------
    canvas : (H, W) float32, changed
    x, y : (n,) centre, px
    ux, uy : (n,) unit vector of the long axis, image frame
    shape : (n, 6) half length px, half width px, egg (-1..1), lobe2, lobe3, shading
    amplitude : (n,) signed contrast of the core
    z_um : (n,) depth
    edge, blur_um : tables of models.specimen.optics
    """
    height, width = canvas.shape
    inv_step = np.float32(um_per_px / EDGE_STEP_UM)
    offset = np.float32(-EDGE_FROM_UM / EDGE_STEP_UM)
    last = np.float32(EDGE_COUNT - 1.01)
    zero = np.float32(0.0)
    one = np.float32(1.0)
    distance = np.empty(width, np.float32)
    along = np.empty(width, np.float32)
    for i in range(len(x)):
        a = shape[i, 0]
        b = shape[i, 1]
        swell = 1.0 + abs(shape[i, 3]) + abs(shape[i, 4])
        most = max(a, b) * swell + 8.0 / um_per_px
        if (
            x[i] + most < 0.0
            or x[i] - most > width - 1
            or y[i] + most < 0.0
            or y[i] - most > height - 1
        ):
            continue
        level = depth_level(z_um[i])
        sigma = blur_um[level] / um_per_px
        # A shape narrower than the blur does not reach its full contrast.
        small = 1.0 - math.exp(-a * b / (2.0 * sigma * sigma))
        full = 0.5 * (1.0 + math.erf(min(a, b) / (sigma * 1.4142135)))
        gain = np.float32(amplitude[i] * weight * min(small / full, 1.0))
        row = edge[level]
        k = EDGE_COUNT - 1
        while k >= 0 and abs(gain * row[k]) < FAINTEST * weight:
            k -= 1
        if k < 0:
            continue
        reach = (EDGE_FROM_UM + (k + 1) * EDGE_STEP_UM) / um_per_px
        radius = max(a, b) * swell + reach
        if radius <= 0.0:
            continue
        y1 = min(math.floor(y[i] + radius), height - 1)
        shade = np.float32(shape[i, 5])
        deepest = np.float32(-min(a, b))
        for yy in range(first_in(y[i] - radius, first_row, row_step), y1 + 1, row_step):
            dy = yy - y[i]
            chord = math.sqrt(max(radius * radius - dy * dy, 0.0))
            x0 = max(math.ceil(x[i] - chord), 0)
            x1 = min(math.floor(x[i] + chord), width - 1)
            run = x1 + 1 - x0
            if run <= 0:
                continue
            far = distance[:run]
            _edge_distance(
                far,
                along[:run],
                x0 - x[i],
                dy,
                ux[i],
                uy[i],
                1.0 / a,
                1.0 / b,
                shape[i, 2],
                shape[i, 3],
                shape[i, 4],
            )
            target = canvas[yy, x0 : x1 + 1]
            for n in range(run):
                d = max(far[n], deepest)
                t = min(max(d * inv_step + offset, zero), last)
                j = int(t)
                value = row[j] + (row[j + 1] - row[j]) * (t - np.float32(j))
                if d < one:
                    value *= one + shade * along[n]
                target[n] += gain * value


@njit(nogil=True, cache=True, fastmath=True)
def splat_strokes(
    canvas: Float32,
    px: Float64,
    py: Float64,
    sigma: Float64,
    amplitude: Float64,
    line: Float32,
    step: Float32,
    first_row: int,
    row_step: int,
    weight: float,
) -> None:
    """Add blurred poly-lines.

    A pixel belongs to the piece between whose mitre lines it lies, and its brightness follows
    from the distance to that piece: every pixel along a curve is visited once.

    Parameters
    ----------
    canvas : (H, W) float32, changed
    px, py : (n, m) points, px; NaN ends a line early
    sigma : (n, m) standard deviation across, px, at each point
    amplitude : (n, m) signed contrast on the centre line at each point
    line, step : tables of models.specimen.optics
    """
    height, width = canvas.shape
    n, m = px.shape
    reach_sd = (LINE_COUNT - 1) * LINE_STEP
    half = (STEP_COUNT - 1) / 2.0
    per_sd = (STEP_COUNT - 1) / 8.0
    for i in range(n):
        for j in range(m - 1):
            xa = px[i, j]
            ya = py[i, j]
            xb = px[i, j + 1]
            yb = py[i, j + 1]
            if not (math.isfinite(xa) and math.isfinite(xb)):
                break
            gain_a = amplitude[i, j] * weight
            gain_b = amplitude[i, j + 1] * weight
            if max(abs(gain_a), abs(gain_b)) < 0.3 * FAINTEST:
                continue
            sd = 0.5 * (sigma[i, j] + sigma[i, j + 1])
            reach = reach_sd * sd
            if (
                max(xa, xb) + reach < 0.0
                or min(xa, xb) - reach > width - 1
                or max(ya, yb) + reach < 0.0
                or min(ya, yb) - reach > height - 1
            ):
                continue
            length = math.hypot(xb - xa, yb - ya)
            if length < 1e-6:
                continue
            ca = (xb - xa) / length
            sa = (yb - ya) / length
            start = j == 0
            end = j == m - 2 or not math.isfinite(px[i, j + 2])
            cap = 2.5 * sd
            # Normals of the mitre lines at both ends; at the tips of the line a faded cap.
            if start:
                ax, ay, oa = ca, sa, cap
            else:
                ax = xb - px[i, j - 1]
                ay = yb - py[i, j - 1]
                oa = 0.0
            if end:
                bx, by, ob = ca, sa, cap
            else:
                bx = px[i, j + 2] - xa
                by = py[i, j + 2] - ya
                ob = 0.0
            extra = reach + (cap if (start or end) else 0.0)
            inv = 1.0 / (sd * LINE_STEP)
            inv_length = 1.0 / length
            y1 = min(math.floor(max(ya, yb) + extra), height - 1)
            low_x = max(min(xa, xb) - extra, 0.0)
            high_x = min(max(xa, xb) + extra, width - 1.0)
            for yy in range(first_in(min(ya, yb) - extra, first_row, row_step), y1 + 1, row_step):
                dy = yy - ya
                # With x counted from a: |dy ca - x sa| <= reach, and between the mitre lines.
                lo, hi = low_x - xa, high_x - xa
                lo, hi = cut(-sa, dy * ca + reach, lo, hi)
                lo, hi = cut(sa, reach - dy * ca, lo, hi)
                lo, hi = cut(ax, ay * dy + oa, lo, hi)
                lo, hi = cut(-bx, bx * (xb - xa) + by * (yb - yy) + ob - 1e-9, lo, hi)
                if lo > hi:
                    continue
                x0 = max(math.ceil(lo + xa), 0)
                x1 = min(math.floor(hi + xa), width - 1)
                for xx in range(x0, x1 + 1):
                    dx = xx - xa
                    t = min(abs(dy * ca - dx * sa) * inv, LINE_COUNT - 1.01)
                    k = int(t)
                    across = line[k] + (line[k + 1] - line[k]) * (t - k)
                    along = dx * ca + dy * sa
                    part = min(max(along * inv_length, 0.0), 1.0)
                    value = (gain_a + (gain_b - gain_a) * part) * across
                    if start:
                        s = half + along / sd * per_sd
                        value *= step[min(max(int(s), 0), STEP_COUNT - 1)]
                    if end:
                        s = half + (length - along) / sd * per_sd
                        value *= step[min(max(int(s), 0), STEP_COUNT - 1)]
                    canvas[yy, xx] += np.float32(value)
