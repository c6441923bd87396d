"""Which measurements may belong to which track: an ellipse from the innovation covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.types import Float64, Int64


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs of track and measurement inside the gate, E of them, ordered by track.

    Attributes
    ----------
    start : (N + 1,) int64
        Pairs of track i are ``start[i]`` to ``start[i + 1]``.
    track, measurement : (E,) int64
    innovation_um : (E, 2) float64
        Measurement less prediction.
    distance2 : (E,) float64
        Squared Mahalanobis distance.
    density : (E,) float64
        Normal density of the innovation, 1/um^2.
    """

    start: Int64
    track: Int64
    measurement: Int64
    innovation_um: Float64
    distance2: Float64
    density: Float64


def gate(
    predicted_um: Float64, innovation_covariance: Float64, measured_um: Float64, threshold: float
) -> Candidates:
    """Pairs whose squared Mahalanobis distance is ``threshold`` at most.

    Parameters
    ----------
    predicted_um : (N, 2)
    innovation_covariance : (N, 2, 2), um^2
    measured_um : (M, 2)
    threshold : float
    """
    return Candidates(
        *_gate(
            np.ascontiguousarray(predicted_um),
            np.ascontiguousarray(innovation_covariance),
            np.ascontiguousarray(measured_um),
            threshold,
        )
    )


@njit(cache=True, nogil=True)
def _gate(
    predicted: Float64, covariance: Float64, measured: Float64, threshold: float
) -> tuple[Int64, Int64, Int64, Float64, Float64, Float64]:
    n, m = predicted.shape[0], measured.shape[0]
    start = np.zeros(n + 1, np.int64)
    capacity = 4 * n + 16
    track = np.empty(capacity, np.int64)
    measurement = np.empty(capacity, np.int64)
    innovation = np.empty((capacity, 2))
    distance2 = np.empty(capacity)
    density = np.empty(capacity)
    count = 0
    for i in range(n):
        sxx, sxy, syy = covariance[i, 0, 0], covariance[i, 0, 1], covariance[i, 1, 1]
        determinant = sxx * syy - sxy * sxy
        reach_x, reach_y = np.sqrt(threshold * sxx), np.sqrt(threshold * syy)
        scale = 1.0 / (2.0 * np.pi * np.sqrt(determinant))
        for j in range(m):
            dx = measured[j, 0] - predicted[i, 0]
            dy = measured[j, 1] - predicted[i, 1]
            if abs(dx) > reach_x or abs(dy) > reach_y:
                continue
            d2 = (syy * dx * dx - 2.0 * sxy * dx * dy + sxx * dy * dy) / determinant
            if d2 > threshold:
                continue
            if count == capacity:
                capacity *= 2
                track = np.append(track, np.empty(count, np.int64))
                measurement = np.append(measurement, np.empty(count, np.int64))
                grown = np.empty((capacity, 2))
                grown[:count] = innovation
                innovation = grown
                distance2 = np.append(distance2, np.empty(count))
                density = np.append(density, np.empty(count))
            track[count], measurement[count] = i, j
            innovation[count, 0], innovation[count, 1] = dx, dy
            distance2[count] = d2
            density[count] = scale * np.exp(-0.5 * d2)
            count += 1
        start[i + 1] = count
    return (
        start, track[:count], measurement[:count], innovation[:count], distance2[:count],
        density[:count],
    )  # fmt: skip
