"""Which measurements may belong to which track: ellipses from the innovation covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.types import Float64, Int64

MOST = 32
"""Measurements of a track at most, the nearest ones: 200 sperm have no more than 30 in a gate."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of track and measurement inside the gate, E of them, ordered by track.

    Attributes
    ----------
    start : (N + 1,) int64
        Pairs of track i are ``start[i]`` to ``start[i + 1]``.
    track, measurement : (E,) int64
    distance2 : (E,) float64
        Squared Mahalanobis distance, the least of the modes'.
    innovation_um : (E, K, 2) float64
        Measurement less prediction, in each mode of motion.
    density : (E, K) float64
        Normal density of the innovation in each mode, 1/um^2.
    thinned : int
        Tracks with more measurements in the gate than ``MOST``; they keep the nearest.
    """

    start: Int64
    track: Int64
    measurement: Int64
    distance2: Float64
    innovation_um: Float64
    density: Float64
    thinned: int = 0


def gate(
    predicted_um: Float64, innovation_covariance: Float64, measured_um: Float64, threshold: float
) -> Candidates:
    """Pairs whose squared Mahalanobis distance is ``threshold`` at most in one mode or more.

    Of a track with more than ``MOST``, the nearest.

    Parameters
    ----------
    predicted_um : (N, K, 2)
    innovation_covariance : (N, K, 2, 2), um^2
    measured_um : (M, 2)
    threshold : float
    """
    return candidates(
        np.ascontiguousarray(predicted_um), np.ascontiguousarray(innovation_covariance),
        np.zeros(np.shape(predicted_um)[1]), np.ascontiguousarray(measured_um), threshold,
        np.ones(len(predicted_um), np.bool_), len(measured_um),
    )  # fmt: skip


def candidates(
    mean: Float64,
    covariance: Float64,
    variance: Float64,
    measured_um: Float64,
    threshold: float,
    takes_weak: NDArray[np.bool_],
    weak_from: int,
) -> Candidates:
    """Do the same from the states: their first two components are x and y.

    Parameters
    ----------
    mean, covariance : (N, K, 2 or more), (N, K, 2 or more, 2 or more)
    variance : (K,)
        Of a measurement in each mode, um^2 per axis.
    measured_um : (M, 2)
    threshold : float
    takes_weak : (N,) bool
        Tracks to which the measurements from row ``weak_from`` on may belong.
    weak_from : int
    """
    return Candidates(
        *_gate(mean, covariance, variance, measured_um, threshold, takes_weak, weak_from)
    )


@njit(cache=True, nogil=True)
def _gate(
    predicted: Float64,
    covariance: Float64,
    variance: Float64,
    measured: Float64,
    threshold: float,
    takes_weak: NDArray[np.bool_],
    weak_from: int,
) -> tuple[Int64, Int64, Int64, Float64, Float64, Float64, int]:
    n, modes, m = predicted.shape[0], predicted.shape[1], measured.shape[0]
    start = np.zeros(n + 1, np.int64)
    room = 4 * n + m + 16
    track, measurement = np.empty(room, np.int64), np.empty(room, np.int64)
    # From left to right, so that only those in reach are looked at.
    order = np.argsort(measured[:, 0])
    across = measured[order, 0]
    reach = np.sqrt(threshold)
    # Innovation covariance of each mode: xx, xy, yy, and its determinant.
    spread = np.empty((modes, 4))
    count, thinned = 0, 0
    for i in range(n):
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        for k in range(modes):
            _spread(covariance, variance, i, k, spread)
            rx, ry = reach * np.sqrt(spread[k, 0]), reach * np.sqrt(spread[k, 2])
            low_x = min(low_x, predicted[i, k, 0] - rx)
            high_x = max(high_x, predicted[i, k, 0] + rx)
            low_y = min(low_y, predicted[i, k, 1] - ry)
            high_y = max(high_y, predicted[i, k, 1] + ry)
        for place in range(np.searchsorted(across, low_x), m):
            j = order[place]
            x, y = measured[j, 0], measured[j, 1]
            if x > high_x:
                break
            if y < low_y or y > high_y or (j >= weak_from and not takes_weak[i]):
                continue
            for k in range(modes):
                dx, dy = x - predicted[i, k, 0], y - predicted[i, k, 1]
                if _distance2(dx, dy, spread, k) <= threshold:
                    if count == room:
                        track, measurement = _doubled(track), _doubled(measurement)
                        room *= 2
                    track[count], measurement[count] = i, j
                    count += 1
                    break
        if count - start[i] > MOST:
            thinned += 1
            count = _nearest(predicted[i], spread, measured, measurement, start[i], count)
        measurement[start[i] : count].sort()
        start[i + 1] = count
    distance2 = np.full(count, np.inf)
    innovation = np.empty((count, modes, 2))
    density = np.empty((count, modes))
    for i in range(n):
        for k in range(modes):
            _spread(covariance, variance, i, k, spread)
            scale = 2.0 * np.pi * np.sqrt(spread[k, 3])
            for e in range(start[i], start[i + 1]):
                j = measurement[e]
                dx, dy = measured[j, 0] - predicted[i, k, 0], measured[j, 1] - predicted[i, k, 1]
                d2 = _distance2(dx, dy, spread, k)
                innovation[e, k, 0], innovation[e, k, 1] = dx, dy
                density[e, k] = np.exp(-0.5 * d2) / scale
                distance2[e] = min(distance2[e], d2)
    return start, track[:count], measurement[:count], distance2, innovation, density, thinned


@njit(cache=True, nogil=True)
def _nearest(
    predicted: Float64, spread: Float64, measured: Float64, measurement: Int64, begin: int, end: int
) -> int:
    """Move the ``MOST`` nearest of a track's measurements to the front; return their end."""
    distance2 = np.full(end - begin, np.inf)
    for e in range(begin, end):
        x, y = measured[measurement[e]]
        for k in range(predicted.shape[0]):
            far = _distance2(x - predicted[k, 0], y - predicted[k, 1], spread, k)
            distance2[e - begin] = min(distance2[e - begin], far)
    nearest = measurement[begin:end][np.argsort(distance2, kind="mergesort")[:MOST]].copy()
    measurement[begin : begin + MOST] = nearest
    return begin + MOST


@njit(cache=True, nogil=True)
def _spread(covariance: Float64, variance: Float64, i: int, k: int, out: Float64) -> None:
    """Write the innovation's covariance of track i in mode k, xx, xy, yy, and its determinant."""
    xx, xy = covariance[i, k, 0, 0] + variance[k], covariance[i, k, 0, 1]
    yy = covariance[i, k, 1, 1] + variance[k]
    out[k, 0], out[k, 1], out[k, 2], out[k, 3] = xx, xy, yy, xx * yy - xy * xy


@njit(cache=True, nogil=True)
def _distance2(dx: float, dy: float, spread: Float64, k: int) -> float:
    """Squared Mahalanobis distance of an innovation in mode k."""
    total = spread[k, 2] * dx * dx - 2.0 * spread[k, 1] * dx * dy + spread[k, 0] * dy * dy
    return float(total / spread[k, 3])


@njit(cache=True, nogil=True)
def _doubled(column: Int64) -> Int64:
    wider = np.empty(2 * column.shape[0], np.int64)
    wider[: column.shape[0]] = column
    return wider
