"""The picture of a head as a function of its ellipse, and the ellipse that explains a picture best.

A head is an ellipse with the edge of a blurred disc, shaded along its axis, and what light does
around it: dark heads (bright field) have one bright ring, bright heads (phase contrast) a halo and
a thin dark line at the edge. Twelve parameters, all free within what optics allow (Gaussian
priors), found by the method of Levenberg and Marquardt with exact derivatives.

Image frame, pixels. Sources: Zernike, Physica 9 (1942), on the halo of phase contrast; Marquardt,
SIAM Journal 11 (1963).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from models.types import Float64

# x, y, angle, ln half length, ln half width, contrast, ln blur, ground, ring, its place (or, of a
# bright head, the depth of the dark line), ln ring width, shading
_N = 12
_STEPS = 15
_GAIN = 2e-3  # a step that lowers the cost by less is the last
_NOISE = 0.04  # of the contrast: how far the picture of a head departs from the model
_LEAST_NOISE = 2.0
# Bright heads: the image is so much wider than the head, and where the halo and the line begin.
_WIDER_UM, _HALO_UM, _LINE_UM, _LINE_SD_UM = 0.35, 0.3, 0.55, 0.28


@njit(cache=True, nogil=True)
def fit_ellipse(
    pixel: Float64, own: Float64, ground: float, contrast: float, um_per_px: float
) -> tuple[Float64, float]:
    """Fit the model; return its parameters (12,) and the sum of squares that they leave.

    Parameters
    ----------
    pixel : (n, 3) float64
        x, y and grey level of what is to be explained.
    own : (6,) float64
        Where to begin: centre x, y, length, width, and the unit vector along the head.
    ground, contrast : float
        Grey level about the head, and the head's less that.
    um_per_px : float
    """
    bright = contrast > 0.0
    mean, sd = np.zeros(_N), np.full(_N, 1e6)
    mean[0], mean[1], mean[2] = own[0], own[1], np.arctan2(own[5], own[4])
    mean[3], mean[4] = np.log(0.5 * own[2]), np.log(0.5 * own[3])
    sd[0], sd[1], sd[2], sd[3], sd[4] = 1.5, 1.5, 0.3, 0.5, 0.5
    mean[5], mean[7] = contrast, ground
    mean[6], sd[6] = np.log(1.1 if bright else 1.6), 0.5
    if bright:
        mean[8], mean[9], mean[10] = 0.45, 0.2, np.log(1.8 / um_per_px)
        sd[8], sd[9], sd[10] = 0.2, 0.1, 0.3
    else:
        mean[8], mean[9], mean[10] = -0.12, 2.4 / um_per_px, np.log(1.0 / um_per_px)
        sd[8], sd[9], sd[10] = 0.1, 0.3 / um_per_px, 0.3
    sd[11] = 0.15
    noise = max(_NOISE * abs(contrast), _LEAST_NOISE)
    now = mean.copy()
    normal, slope = np.zeros((_N, _N)), np.zeros(_N)
    trial_normal, trial_slope = np.zeros((_N, _N)), np.zeros(_N)
    cost, squares = _cost(pixel, now, bright, um_per_px, noise, mean, sd, normal, slope)
    damping = 1e-2
    for _ in range(_STEPS):
        system = normal.copy()
        for k in range(_N):
            system[k, k] *= 1.0 + damping
        trial = now + np.linalg.solve(system, slope)
        trial[3] = min(max(trial[3], mean[3] - 1.0), mean[3] + 1.0)
        trial[4] = min(max(trial[4], mean[4] - 1.0), mean[4] + 1.0)
        trial[6] = min(max(trial[6], -1.5), 2.5)
        trial[10] = min(max(trial[10], mean[10] - 1.0), mean[10] + 1.0)
        new, rest = _cost(
            pixel, trial, bright, um_per_px, noise, mean, sd, trial_normal, trial_slope
        )
        if new < cost:
            gain = cost - new
            now, cost, squares = trial, new, rest
            normal, trial_normal = trial_normal, normal
            slope, trial_slope = trial_slope, slope
            damping = max(0.2 * damping, 1e-6)
            if gain < _GAIN * cost:
                break
        else:
            damping *= 8.0
            if damping > 1e4:
                break
    return now, squares


@njit(cache=True, nogil=True)
def _cost(
    pixel: Float64,
    at: Float64,
    bright: bool,
    um_per_px: float,
    noise: float,
    mean: Float64,
    sd: Float64,
    normal: Float64,
    slope: Float64,
) -> tuple[float, float]:
    """Cost and sum of squares at ``at``; fills the normal equations (N, N) and their right side."""
    x0, y0, c, s = at[0], at[1], np.cos(at[2]), np.sin(at[2])
    a, b, gain, blur = np.exp(at[3]), np.exp(at[4]), at[5], np.exp(at[6])
    ring, place, wide, shade = at[8], at[9], np.exp(at[10]), at[11]
    wider, halo_from = _WIDER_UM / um_per_px, _HALO_UM / um_per_px
    line_at, line_sd = _LINE_UM / um_per_px, _LINE_SD_UM / um_per_px
    normal[:], slope[:] = 0.0, 0.0
    squares = 0.0
    row = np.empty(_N)
    for n in range(len(pixel)):
        dx, dy = pixel[n, 0] - x0, pixel[n, 1] - y0
        p, q = (dx * c + dy * s) / a, (dy * c - dx * s) / b
        square = p * p + q * q + 1e-9
        rho = np.sqrt(square)
        steep2 = (p / a) ** 2 + (q / b) ** 2 + 1e-12
        steep = np.sqrt(steep2)
        # Distance from the edge to first order: the implicit function over its slope.
        d = (square - rho) / steep
        dp = (2.0 - 1.0 / rho) * p / steep - d * p / (a * a * steep2)
        dq = (2.0 - 1.0 / rho) * q / steep - d * q / (b * b * steep2)
        d_la = d * p * p / (a * a * steep2) - dp * p
        d_lb = d * q * q / (b * b * steep2) - dq * q
        if d < -b:
            d, dp, dq, d_la, d_lb = -b, 0.0, 0.0, 0.0, -b
        along = min(max(p, -1.0), 1.0)
        lit = 1.0 + shade * along
        t = (wider - d) / blur if bright else -d / blur
        core = 0.5 * math.erfc(-t * 0.7071067811865476)
        bell = 0.3989422804014327 * np.exp(-0.5 * t * t)
        if bright:
            out = max(d - halo_from, 0.0) / wide
            halo = np.exp(-0.5 * out * out)
            far = (d - line_at) / line_sd
            line = np.exp(-0.5 * far * far)
            shape = core * lit + ring * halo * (1.0 - core) - place * line
            by_d = -bell / blur * (lit - ring * halo)
            by_d += place * line * far / line_sd - ring * (1.0 - core) * halo * out / wide
            row[6] = -gain * bell * t * (lit - ring * halo)
            row[8] = gain * halo * (1.0 - core)
            row[9] = -gain * line
            row[10] = gain * ring * (1.0 - core) * halo * out * out
        else:
            far = (d - place) / wide
            bow = np.exp(-0.5 * far * far)
            shape = core * lit + ring * bow
            by_d = -bell / blur * lit - ring * bow * far / wide
            row[6] = -gain * bell * t * lit
            row[8] = gain * bow
            row[9] = gain * ring * bow * far / wide
            row[10] = gain * ring * bow * far * far
        by_d *= gain
        by_p = by_d * dp
        by_q = by_d * dq
        by_la = by_d * d_la
        if abs(p) < 1.0:
            by_p += gain * core * shade
            by_la -= gain * core * shade * p
        row[0] = -by_p * c / a + by_q * s / b
        row[1] = -by_p * s / a - by_q * c / b
        row[2] = by_p * q * b / a - by_q * p * a / b
        row[3], row[4] = by_la, by_d * d_lb
        row[5], row[7], row[11] = shape, 1.0, gain * core * along
        rest = pixel[n, 2] - at[7] - gain * shape
        squares += rest * rest
        for k in range(_N):
            slope[k] += row[k] * rest
            for m in range(k + 1):
                normal[k, m] += row[k] * row[m]
    cost = squares / noise**2
    for k in range(_N):
        slope[k] /= noise**2
        for m in range(k + 1):
            normal[k, m] /= noise**2
            normal[m, k] = normal[k, m]
        off = (mean[k] - at[k]) / sd[k]
        cost += off * off
        normal[k, k] += 1.0 / sd[k] ** 2
        slope[k] += off / sd[k]
    return cost, squares
