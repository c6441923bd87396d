"""Whole paths after the fact: a fixed-interval smoother over each track's own measurements.

Source: Rauch, Tung, Striebel, AIAA Journal (1965), for one motion model; a track is smoothed in
the mode of motion under which its measurements are likeliest.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.tracking.motion import MotionModel
from models.tracking.settings import TrackerSettings
from models.types import Float64


def smooth(
    time_s: Float64, raw_um: Float64, settings: TrackerSettings | None = None
) -> tuple[Float64, Float64]:
    """Mean path of one sperm, from all that was seen of it.

    Parameters
    ----------
    time_s : (N,)
        Increasing.
    raw_um : (N, 2)
        Associated measurements; NaN where there is none. The first one must be there.
    settings : TrackerSettings, optional

    Returns
    -------
    state : (N, 4)
        x, y (um), vx, vy (um/s), the frame of ``raw_um``.
    covariance : (N, 2, 2)
        Of position and speed along either axis.

    Raises
    ------
    ValueError
        Columns differ in length, time does not increase, or the first measurement is missing.
    """
    if raw_um.shape != (len(time_s), 2) or len(time_s) == 0:
        raise ValueError(f"smooth: {len(time_s)} times, {raw_um.shape} measurements")
    if not (np.diff(time_s) > 0.0).all() or not np.isfinite(raw_um[0]).all():
        raise ValueError("smooth: time must increase, from a measurement on")
    model = MotionModel(settings or TrackerSettings())
    time_s = np.ascontiguousarray(time_s, dtype=np.float64)
    raw_um = np.ascontiguousarray(raw_um, dtype=np.float64)
    best: tuple[Float64, Float64, float] | None = None
    for density, variance, speed_variance in model.parameters():
        one = _smooth(time_s, raw_um, density, variance, speed_variance)
        if best is None or one[2] > best[2]:
            best = one
    if best is None:
        raise ValueError("smooth: no mode of motion")
    return best[0], best[1]


def heads(raw_um: Float64, path_um: Float64, settings: TrackerSettings | None = None) -> Float64:
    """Where the head was (N, 2), given the mean path and what was seen of it.

    Of the residual's variance, what exceeds the detector's noise is the head's own swing about the
    path. That share of each residual is kept: the best linear estimate where the swing is not
    correlated from frame to frame. Without a measurement (NaN) the head is on the path.
    """
    noise = (settings or TrackerSettings()).localisation_um ** 2
    residual: Float64 = np.subtract(raw_um, path_um)
    seen = np.flatnonzero(np.isfinite(residual[:, 0]))
    place: Float64 = path_um.copy()
    if len(seen) == 0:
        return place
    variance = float((residual[seen] ** 2).mean())
    share = max(0.0, 1.0 - noise / variance) if variance > 0.0 else 0.0
    place[seen] += share * residual[seen]
    return place


@njit(cache=True, nogil=True)
def _smooth(
    time_s: Float64, raw: Float64, density: float, variance: float, speed_variance: float
) -> tuple[Float64, Float64, float]:
    """Smoothed state and covariance, and the log likelihood of the measurements.

    The axes share one covariance: model and noise are the same along both.
    """
    n = time_s.shape[0]
    mean, ahead = np.zeros((n, 4)), np.zeros((n, 4))
    p, p_ahead = np.zeros((n, 2, 2)), np.zeros((n, 2, 2))
    mean[0, 0], mean[0, 1] = raw[0, 0], raw[0, 1]
    p[0, 0, 0], p[0, 1, 1] = variance, speed_variance
    likelihood = 0.0
    for k in range(1, n):
        dt = time_s[k] - time_s[k - 1]
        a, b, c = p[k - 1, 0, 0], p[k - 1, 0, 1], p[k - 1, 1, 1]
        p_ahead[k, 0, 0] = a + 2.0 * dt * b + dt * dt * c + density * dt**3 / 3.0
        p_ahead[k, 0, 1] = p_ahead[k, 1, 0] = b + dt * c + density * dt**2 / 2.0
        p_ahead[k, 1, 1] = c + density * dt
        for axis in range(2):
            ahead[k, axis] = mean[k - 1, axis] + dt * mean[k - 1, axis + 2]
            ahead[k, axis + 2] = mean[k - 1, axis + 2]
        p[k] = p_ahead[k]
        mean[k] = ahead[k]
        if not (np.isfinite(raw[k, 0]) and np.isfinite(raw[k, 1])):
            continue
        s = p_ahead[k, 0, 0] + variance
        gain, gain_speed = p_ahead[k, 0, 0] / s, p_ahead[k, 0, 1] / s
        for axis in range(2):
            innovation = raw[k, axis] - ahead[k, axis]
            mean[k, axis] += gain * innovation
            mean[k, axis + 2] += gain_speed * innovation
            likelihood -= 0.5 * (innovation * innovation / s + np.log(2.0 * np.pi * s))
        p[k, 0, 0] = (1.0 - gain) * p_ahead[k, 0, 0]
        p[k, 0, 1] = p[k, 1, 0] = (1.0 - gain) * p_ahead[k, 0, 1]
        p[k, 1, 1] = p_ahead[k, 1, 1] - gain_speed * p_ahead[k, 0, 1]
    for k in range(n - 2, -1, -1):
        dt = time_s[k + 1] - time_s[k]
        q = p_ahead[k + 1]
        determinant = q[0, 0] * q[1, 1] - q[0, 1] * q[0, 1]
        # C = P F' (P ahead)^-1
        u0, u1 = p[k, 0, 0] + dt * p[k, 0, 1], p[k, 0, 1]
        v0, v1 = p[k, 0, 1] + dt * p[k, 1, 1], p[k, 1, 1]
        c = np.empty((2, 2))
        c[0, 0] = (u0 * q[1, 1] - u1 * q[0, 1]) / determinant
        c[0, 1] = (u1 * q[0, 0] - u0 * q[0, 1]) / determinant
        c[1, 0] = (v0 * q[1, 1] - v1 * q[0, 1]) / determinant
        c[1, 1] = (v1 * q[0, 0] - v0 * q[0, 1]) / determinant
        for axis in range(2):
            dx = mean[k + 1, axis] - ahead[k + 1, axis]
            dv = mean[k + 1, axis + 2] - ahead[k + 1, axis + 2]
            mean[k, axis] += c[0, 0] * dx + c[0, 1] * dv
            mean[k, axis + 2] += c[1, 0] * dx + c[1, 1] * dv
        p[k] += c @ (p[k + 1] - q) @ c.T
    return mean, p, likelihood
