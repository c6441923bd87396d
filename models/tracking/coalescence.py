"""Association without averaging of permutations, for sperm that stay close and slow.

Two tracks that share two detections for long are drawn to the middle of both: joint association
averages over who is who. For such a cluster only the likeliest permutation of each set of detected
tracks and used measurements counts (JPDA*: Blom and Bloem, IEEE Trans. Automatic Control, 2000).
It costs identities where paths cross at speed, and is used for these clusters alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.tracking.association import Association
from models.tracking.gating import Candidates
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

Bool = NDArray[np.bool_]
# A larger cluster is left as it is: it has 2^(tracks + measurements) sets.
_TRACKS, _MEASUREMENTS = 5, 7


class Coalescence:
    """Knows which tracks have been close and slow for long.

    Attributes
    ----------
    clusters : int
        Clusters so far that were associated without averaging.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._since_s: dict[tuple[int, int], float] = {}
        self.clusters = 0

    def rows(
        self, time_s: float, track_id: Int64, mean: Float64, covariance: Float64, confirmed: Bool
    ) -> list[tuple[int, int]]:
        """Pairs of rows that have been close and slow for ``coalesce_s``, as of now.

        ``mean`` (N, 4) and ``covariance`` (N, 4, 4) are the predicted states, um and um/s.
        """
        settings = self._settings
        close = _close_pairs(
            mean, covariance, confirmed, settings.coalesce_um_s, settings.coalesce_sigma
        )
        keys = {(int(track_id[i]), int(track_id[j])): (int(i), int(j)) for i, j in close.tolist()}
        self._since_s = {key: self._since_s.get(key, time_s) for key in keys}
        return [
            rows for key, rows in keys.items()
            if time_s - self._since_s[key] >= settings.coalesce_s
        ]  # fmt: skip

    def sharpen(
        self,
        pairs: Candidates,
        weight: Float64,
        miss_weight: Float64,
        association: Association,
        rows: list[tuple[int, int]],
    ) -> None:
        """Replace the marginals of the clusters of these tracks."""
        done: set[int] = set()
        for i, j in rows:
            if i in done and j in done:
                continue
            floor = self._settings.negligible * miss_weight
            tracks, measurements = _cluster(pairs.start, pairs.measurement, weight, floor, i)
            done.update(tracks.tolist())
            if j in tracks and len(tracks) <= _TRACKS and len(measurements) <= _MEASUREMENTS:
                best_permutations(
                    pairs.start, pairs.measurement, weight, floor, miss_weight, tracks,
                    measurements, association.missed, association.paired,
                )  # fmt: skip
                self.clusters += 1


@njit(cache=True, nogil=True)
def _close_pairs(
    mean: Float64, covariance: Float64, confirmed: Bool, slow_um_s: float, sigma: float
) -> Int64:
    n = mean.shape[0]
    found = np.empty((n * (n - 1) // 2, 2), np.int64)
    count = 0
    for i in range(n):
        for j in range(i):
            if not (confirmed[i] and confirmed[j]):
                continue
            dx, dy = mean[i, 0] - mean[j, 0], mean[i, 1] - mean[j, 1]
            vx, vy = mean[i, 2] - mean[j, 2], mean[i, 3] - mean[j, 3]
            if vx * vx + vy * vy > slow_um_s * slow_um_s:
                continue
            a = covariance[i, 0, 0] + covariance[j, 0, 0]
            b = covariance[i, 0, 1] + covariance[j, 0, 1]
            c = covariance[i, 1, 1] + covariance[j, 1, 1]
            d2 = (c * dx * dx - 2.0 * b * dx * dy + a * dy * dy) / (a * c - b * b)
            if d2 < sigma * sigma:
                found[count, 0], found[count, 1] = j, i
                count += 1
    return found[:count].copy()


@njit(cache=True, nogil=True)
def _cluster(
    start: Int64, measurement: Int64, weight: Float64, floor: Float64, seed: int
) -> tuple[Int64, Int64]:
    """Tracks that share measurements with this one, also through others; and these."""
    n = start.shape[0] - 1
    inside = np.zeros(n, np.bool_)
    used = np.zeros(measurement.max() + 1 if measurement.shape[0] else 1, np.bool_)
    inside[seed] = True
    grown = True
    while grown:
        grown = False
        for i in range(n):
            touches = inside[i]
            for e in range(start[i], start[i + 1]):
                touches |= weight[e] >= floor[i] and used[measurement[e]]
            if not touches:
                continue
            grown |= not inside[i]
            inside[i] = True
            for e in range(start[i], start[i + 1]):
                if weight[e] >= floor[i] and not used[measurement[e]]:
                    used[measurement[e]] = True
                    grown = True
    return np.flatnonzero(inside), np.flatnonzero(used)


@njit(cache=True, nogil=True)
def best_permutations(
    start: Int64,
    measurement: Int64,
    weight: Float64,
    floor: Float64,
    miss_weight: Float64,
    tracks: Int64,
    measurements: Int64,
    missed: Float64,
    paired: Float64,
) -> None:
    """Write the marginals of one cluster, of the best event for each pair of sets.

    The state is the set of detected tracks and the set of used measurements; each track passed
    keeps the likeliest way into each state.
    """
    n, m = tracks.shape[0], measurements.shape[0]
    bit = np.full(measurements.max() + 1 if m else 1, -1, np.int64)
    for k in range(m):
        bit[measurements[k]] = k
    size = 1 << (n + m)
    best = np.zeros(size)
    best[0] = 1.0
    came = np.full((n, size), -1, np.int64)
    for level in range(n):
        i = tracks[level]
        after = best * miss_weight[i]
        for state in range(size):
            if best[state] == 0.0:
                continue
            for e in range(start[i], start[i + 1]):
                if weight[e] < floor[i]:
                    continue
                mark = 1 << (n + bit[measurement[e]])
                if state & mark:
                    continue
                to = state | mark | (1 << level)
                value = best[state] * weight[e]
                if value > after[to]:
                    after[to] = value
                    came[level, to] = e
        best = after / after.max()
    total = best.sum()
    for level in range(n):
        i = tracks[level]
        missed[i] = 0.0
        for e in range(start[i], start[i + 1]):
            paired[e] = 0.0
    for state in range(size):
        share = best[state] / total
        at = state
        for level in range(n - 1, -1, -1):
            if share == 0.0:
                break
            if at & (1 << level):
                e = came[level, at]
                paired[e] += share
                at ^= (1 << level) | (1 << (n + bit[measurement[e]]))
            else:
                missed[tracks[level]] += share
