"""Two heads found as one: a detection between both that corrects both.

Joint association gives each detection to one track at most. For two established tracks so near
that their heads may be found as one there is one more event: the detection is that of both, and
lies about the middle between them. It then says where their middle is; how they lie about it
stays as predicted. Source: the merged measurement of Bar-Shalom, Li, Kirubarajan, Estimation with
Applications to Tracking and Navigation (2001), and of Koch and van Keuk, IEEE Trans. Aerospace
and Electronic Systems (1997).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.tracking.population import Records
from models.types import Float64, Int64

# Standard deviation of where between two heads one detection for both lies, in their distance.
_BETWEEN = 0.15
# How much less likely two heads are one that were two in the frame before.
_SUDDEN = 0.1


@njit(cache=True, nogil=True)
def merge(
    records: Records,
    start: Int64,
    measurement: Int64,
    density: Float64,
    measured: Float64,
    chance: Float64,
    missed: Float64,
    paired: Float64,
    variance: Float64,
    probability: float,
    reach_um: float,
    resolution_um: float,
    recent_s: float,
    before_s: float,
    established: int,
) -> tuple[Int64, Float64, Float64, Float64]:
    """Weigh, for each pair of tracks, that one detection is that of both.

    ``missed`` (N,) and ``paired`` (E,) are changed: what is left to the other events.

    Returns
    -------
    detection : (N,) int64
        That is also another track's; -1: none.
    share : (N,) float64
        Probability of that.
    innovation : (N, K, 2) float64
        Detection less the middle of the two, in each mode.
    likelihood : (N, K) float64
        Its density in each mode, 1/um^2.
    """
    n, modes = records.shape[0], variance.shape[0]
    detection, share = np.full(n, -1, np.int64), np.zeros(n)
    innovation, likelihood = np.zeros((n, modes, 2)), np.zeros((n, modes))
    if reach_um <= 0.0:
        return detection, share, innovation, likelihood
    x, y = np.empty(n), np.empty(n)
    for i in range(n):
        x[i], y[i] = records[i].mean[0], records[i].mean[1]
    for i in range(n):
        if not records[i].confirmed:
            continue
        for j in range(i):
            dx, dy = x[i] - x[j], y[i] - y[j]
            apart2 = dx * dx + dy * dy
            if apart2 >= reach_um * reach_um or not records[j].confirmed:
                continue
            # A second track on one head must not live on by that head.
            hits_i, newest_i = _own_of_late(records[i].trail, recent_s)
            hits_j, newest_j = _own_of_late(records[j].trail, recent_s)
            if min(hits_i, hits_j) < established:
                continue
            together = probability * np.exp(-apart2 / resolution_um**2)
            # Heads that are one stay so for frames; a miss is over in the next.
            if min(newest_i, newest_j) > before_s:
                together *= _SUDDEN
            best, at = _best(
                records, i, j, start, measurement, density, measured, chance, missed, paired,
                variance, together, apart2,
            )  # fmt: skip
            # A track shares one detection with one other at most: the likeliest.
            if at < 0 or best <= share[i] or best <= share[j]:
                continue
            for one, other in ((i, j), (j, i)):
                detection[one], share[one] = at, best
                _see(
                    records, one, other, measured[at], variance, apart2, innovation[one],
                    likelihood[one],
                )  # fmt: skip
    for i in range(n):
        missed[i] *= 1.0 - share[i]
        for e in range(start[i], start[i + 1]):
            paired[e] *= 1.0 - share[i]
    return detection, share, innovation, likelihood


@njit(cache=True, nogil=True)
def _own_of_late(trail: Float64, recent_s: float) -> tuple[int, float]:
    """Count a track's own detections of late, and tell when it had the newest."""
    count, newest = 0, -np.inf
    for k in range(trail.shape[0]):
        if trail[k, 0] > recent_s:
            count += 1
            newest = max(newest, trail[k, 0])
    return count, newest


@njit(cache=True, nogil=True)
def _best(
    records: Records, i: int, j: int, start: Int64, measurement: Int64, density: Float64,
    measured: Float64, chance: Float64, missed: Float64, paired: Float64, variance: Float64,
    together: float, apart2: float,
) -> tuple[float, int]:  # fmt: skip
    """Probability that a detection in both gates is that of both, and which; -1: none."""
    best, at = 0.0, -1
    for e in range(start[i], start[i + 1]):
        for f in range(start[j], start[j + 1]):
            if measurement[e] != measurement[f]:
                continue
            # Against the likelier of the two events that one has it and the other is missed.
            odds = 0.0
            for one, pair, other in ((i, e, j), (j, f, i)):
                own = 0.0
                for k in range(variance.shape[0]):
                    own += records[one].mode[k] * density[pair, k]
                mass = paired[pair] * missed[other]
                rest = chance[one] * own * (1.0 - chance[other])
                if mass > 0.0 and rest > 0.0:
                    odds = max(odds, mass / rest)
            z = measured[measurement[e]]
            odds *= together * _middle(records, i, j, z, variance, apart2)
            odds *= records[i].detectable * records[j].detectable
            if odds / (1.0 + odds) > best:
                best, at = odds / (1.0 + odds), measurement[e]
    return best, at


@njit(cache=True, nogil=True)
def _middle(
    records: Records, i: int, j: int, z: Float64, variance: Float64, apart2: float
) -> float:
    """Density of a detection about the middle of two tracks, 1/um^2."""
    one, other = records[i], records[j]
    noise = _BETWEEN * _BETWEEN * apart2
    for k in range(variance.shape[0]):
        noise += 0.25 * variance[k] * (one.mode[k] + other.mode[k])
    sxx = 0.25 * (one.covariance[0, 0] + other.covariance[0, 0]) + noise
    sxy = 0.25 * (one.covariance[0, 1] + other.covariance[0, 1])
    syy = 0.25 * (one.covariance[1, 1] + other.covariance[1, 1]) + noise
    dx = z[0] - 0.5 * (one.mean[0] + other.mean[0])
    dy = z[1] - 0.5 * (one.mean[1] + other.mean[1])
    determinant = sxx * syy - sxy * sxy
    d2 = (syy * dx * dx - 2.0 * sxy * dx * dy + sxx * dy * dy) / determinant
    return float(np.exp(-0.5 * d2) / (2.0 * np.pi * np.sqrt(determinant)))


@njit(cache=True, nogil=True)
def _see(
    records: Records, i: int, j: int, z: Float64, variance: Float64, apart2: float,
    innovation: Float64, likelihood: Float64,
) -> None:  # fmt: skip
    """Write what the detection says to each mode of one of the two."""
    one, other = records[i], records[j]
    for k in range(variance.shape[0]):
        p = one.mode_covariance[k]
        noise = 0.5 * variance[k] + _BETWEEN * _BETWEEN * apart2
        sxx = 0.25 * (p[0, 0] + other.covariance[0, 0]) + noise
        sxy = 0.25 * (p[0, 1] + other.covariance[0, 1])
        syy = 0.25 * (p[1, 1] + other.covariance[1, 1]) + noise
        dx = z[0] - 0.5 * (one.mode_mean[k, 0] + other.mean[0])
        dy = z[1] - 0.5 * (one.mode_mean[k, 1] + other.mean[1])
        determinant = sxx * syy - sxy * sxy
        d2 = (syy * dx * dx - 2.0 * sxy * dx * dy + sxx * dy * dy) / determinant
        innovation[k, 0], innovation[k, 1] = dx, dy
        likelihood[k] = np.exp(-0.5 * d2) / (2.0 * np.pi * np.sqrt(determinant))
