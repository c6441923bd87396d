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

_TAU = 2.0 * math.pi


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
    reach_um: float,
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
    reach_um : distance outside the edge up to which the table counts
    """
    height, width = canvas.shape
    inv_step = um_per_px / EDGE_STEP_UM
    offset = -EDGE_FROM_UM / EDGE_STEP_UM
    for i in range(len(x)):
        a = shape[i, 0]
        b = shape[i, 1]
        level = depth_level(z_um[i])
        sigma = blur_um[level] / um_per_px
        reach = min(reach_um, 7.9) / um_per_px
        radius = max(a, b) * (1.0 + abs(shape[i, 3]) + abs(shape[i, 4])) + reach
        if (
            x[i] + radius < 0.0
            or x[i] - radius > width - 1
            or y[i] + radius < 0.0
            or y[i] - radius > height - 1
        ):
            continue
        # A shape narrower than the blur does not reach its full contrast.
        small = 1.0 - math.exp(-a * b / (2.0 * sigma * sigma))
        full = 0.5 * (1.0 + math.erf(min(a, b) / (sigma * 1.4142135)))
        gain = amplitude[i] * weight * min(small / full, 1.0)
        if abs(gain) < 1e-4:
            continue
        row = edge[level]
        x0 = max(math.ceil(x[i] - radius), 0)
        x1 = min(math.floor(x[i] + radius), width - 1)
        y1 = min(math.floor(y[i] + radius), height - 1)
        ca = ux[i]
        sa = uy[i]
        egg = shape[i, 2]
        lobe2 = shape[i, 3]
        lobe3 = shape[i, 4]
        shade = shape[i, 5]
        lobed = lobe2 != 0.0 or lobe3 != 0.0
        limit2 = radius * radius
        for yy in range(first_in(y[i] - radius, first_row, row_step), y1 + 1, row_step):
            dy = yy - y[i]
            for xx in range(x0, x1 + 1):
                dx = xx - x[i]
                if dx * dx + dy * dy > limit2:
                    continue
                u = dx * ca + dy * sa
                v = dy * ca - dx * sa
                p = u / a
                q = v / (b * (1.0 + egg * max(min(p, 1.0), -1.0)))
                rho2 = p * p + q * q
                if rho2 < 1e-6:
                    distance = -min(a, b)
                else:
                    rho = math.sqrt(rho2)
                    ra = p / a
                    rb = q / b
                    slope = math.sqrt(ra * ra + rb * rb) / rho
                    bound = 1.0
                    if lobed:
                        c = p / rho
                        s = q / rho
                        bound += lobe2 * (2.0 * c * s) + lobe3 * (c * (4.0 * c * c - 3.0))
                    distance = (rho - bound) / slope
                    if distance < -b:
                        distance = -b
                t = distance * inv_step + offset
                if t < 0.0:
                    t = 0.0
                k = int(t)
                if k >= EDGE_COUNT - 1:
                    continue
                f = t - k
                value = row[k] + (row[k + 1] - row[k]) * f
                if shade != 0.0 and distance < 1.0:
                    value *= 1.0 + shade * p
                canvas[yy, xx] += np.float32(gain * value)


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
    """Add blurred poly-lines: the sum of its segments is the blurred curve, without joints.

    Parameters
    ----------
    canvas : (H, W) float32, changed
    px, py : (n, m) points, px; NaN ends a line early
    sigma : (n, m) standard deviation across, px, at each point
    amplitude : (n, m) signed contrast on the centre line at each point
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
            sd = 0.5 * (sigma[i, j] + sigma[i, j + 1])
            gain = 0.5 * (amplitude[i, j] + amplitude[i, j + 1]) * weight
            if abs(gain) < 3e-4:
                continue
            reach = reach_sd * sd
            low_x = min(xa, xb) - reach
            high_x = max(xa, xb) + reach
            low_y = min(ya, yb) - reach
            high_y = max(ya, yb) + reach
            if high_x < 0 or low_x > width - 1 or high_y < 0 or low_y > height - 1:
                continue
            length = math.hypot(xb - xa, yb - ya)
            if length < 1e-9:
                continue
            ca = (xb - xa) / length
            sa = (yb - ya) / length
            inv = 1.0 / sd
            x0 = max(math.ceil(low_x), 0)
            x1 = min(math.floor(high_x), width - 1)
            y1 = min(math.floor(high_y), height - 1)
            for yy in range(first_in(low_y, first_row, row_step), y1 + 1, row_step):
                dy = yy - ya
                for xx in range(x0, x1 + 1):
                    dx = xx - xa
                    t = abs(dy * ca - dx * sa) * inv / LINE_STEP
                    k = int(t)
                    if k >= LINE_COUNT - 1:
                        continue
                    along = (dx * ca + dy * sa) * inv
                    p = half + along * per_sd
                    q = half + (along - length * inv) * per_sd
                    if p <= 0.0 or q >= STEP_COUNT - 1:
                        continue
                    fp = 1.0 if p >= STEP_COUNT - 1 else step[int(p)]
                    fq = 0.0 if q <= 0.0 else step[int(q)]
                    across = line[k] + (line[k + 1] - line[k]) * (t - k)
                    canvas[yy, xx] += np.float32(gain * across * (fp - fq))
