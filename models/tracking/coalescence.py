"""Association without averaging of permutations, for sperm that stay close and slow.

Two tracks that share two detections for long are drawn to the middle of both: joint association
averages over who is who. For such a cluster only the likeliest permutation of each set of detected
tracks and used measurements counts (JPDA*: Blom and Bloem, IEEE Trans. Automatic Control, 2000).
It costs identities where paths cross at speed, and is used for these clusters alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.tracking.association import Association
from models.tracking.gating import Candidates
from models.tracking.population import Records
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

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

    def rows(self, time_s: float, records: Records) -> list[tuple[int, int]]:
        """Pairs of rows of predicted tracks that have been close and slow for long, as of now."""
        settings = self._settings
        close = _close_pairs(records, settings.coalesce_um_s, settings.coalesce_sigma)
        if not len(close):
            self._since_s.clear()
            return []
        ids = records["track_id"][close].tolist()
        keys = {(a, b): (i, j) for (a, b), (i, j) in zip(ids, close.tolist(), strict=True)}
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
def _close_pairs(records: Records, slow_um_s: float, sigma: float) -> Int64:
    """Rows of two confirmed tracks near each other and of like velocity, elder first."""
    n = records.shape[0]
    # Place, velocity and covariance of the place of those that count, side by side.
    state, row = np.empty((n, 7)), np.empty(n, np.int64)
    count = 0
    for i in range(n):
        one = records[i]
        if one.confirmed:
            for k in range(4):
                state[count, k] = one.mean[k]
            p = one.covariance
            state[count, 4], state[count, 5], state[count, 6] = p[0, 0], p[0, 1], p[1, 1]
            row[count] = i
            count += 1
    found = [(0, 0) for _ in range(0)]
    for i in range(count):
        for j in range(i):
            vx, vy = state[i, 2] - state[j, 2], state[i, 3] - state[j, 3]
            dx, dy = state[i, 0] - state[j, 0], state[i, 1] - state[j, 1]
            # No ellipse reaches farther than its trace.
            a, c = state[i, 4] + state[j, 4], state[i, 6] + state[j, 6]
            if dx * dx + dy * dy >= sigma * sigma * (a + c):
                continue
            if vx * vx + vy * vy > slow_um_s * slow_um_s:
                continue
            b = state[i, 5] + state[j, 5]
            d2 = (c * dx * dx - 2.0 * b * dx * dy + a * dy * dy) / (a * c - b * b)
            if d2 < sigma * sigma:
                found.append((row[j], row[i]))
    pairs = np.empty((len(found), 2), np.int64)
    for k in range(len(found)):
        pairs[k, 0], pairs[k, 1] = found[k]
    return pairs


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
