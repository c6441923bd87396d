"""Exact joint association probabilities.

A joint event gives each track at most one measurement and each measurement at most one track; its
weight is the product of its pairs' weights and of the miss weights of the other tracks. Wanted
is, for each pair, the share of the events that contain it. Tracks that share no measurement,
not even through others, form separate clusters. Inside a cluster forward and backward sums over
sets of used measurements give all marginals exactly (``joint_sums``), as in the efficient
hypothesis management of Maskell, Briers and Wright (2004) and Horridge and Maskell (2006),
without enumerating events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.tracking.joint_sums import plan, sum_product, sum_two
from models.types import Float64, Int64

# One over a distance has no value at zero.
_LEAST_DISTANCE = 0.1
# A few milliseconds' work at most: the bound is a wide one.
MAX_STEPS = 1e6
# Times that a cluster that is too wide is thinned.
_LAST = 5
# As much work in a frame as in so many clusters of the most steps; after it only what is cheap.
_FRAME = 4.0
# What is cheap, in steps for each track.
_CHEAP = 100.0


@dataclass(frozen=True, slots=True)
class Association:
    """Marginal probabilities of the joint events.

    Attributes
    ----------
    missed : (N,) float64
        That the track has no measurement.
    paired : (E,) float64
        That the pair belongs together.
    overloads : int
        Clusters that were too wide for the exact sum and lost their least likely pairs.
    work : float
        Bound on the steps of all sums, and looks at pairs while they were planned.
    """

    missed: Float64
    paired: Float64
    overloads: int
    work: float


def associate(
    start: Int64,
    measurement: Int64,
    weight: Float64,
    distance2: Float64,
    miss_weight: Float64,
    measurements: int,
    *,
    negligible: float = 0.0,
    max_steps: float = MAX_STEPS,
    narrow_gate: float = 5.99,
) -> Association:
    """Marginal association probabilities of N tracks with E gated pairs.

    Parameters
    ----------
    start : (N + 1,) int64
        Pairs of track i are ``start[i]`` to ``start[i + 1]``.
    measurement : (E,) int64
        Measurement of each pair.
    weight, distance2 : (E,)
        Weight of each pair, and its squared Mahalanobis distance.
    miss_weight : (N,)
        Weight of a track without measurement; above zero.
    measurements : int
        Number of measurements.
    negligible : float
        A pair whose weight is below this share of its track's miss weight is left out.
    max_steps : float
        Most steps of a cluster's sums, at most (see ``joint_sums``). A cluster beyond that first
        loses pairs farther than ``narrow_gate``, then all but each track's best four, three, two,
        one, until it fits; each part it falls into by itself. After four times as much work in a
        frame, planning included, what is not cheap keeps each track's best pair only.
    narrow_gate : float
    """
    missed, paired, overloads, work = _associate(
        start, measurement, weight, distance2, miss_weight, measurements, negligible,
        max_steps, narrow_gate,
    )  # fmt: skip
    return Association(missed, paired, int(overloads), float(work))


def paper_weights(distance2: Float64, gate: float, tracks: int) -> tuple[Float64, Float64]:
    """Weights of pairs (E,) and of misses (tracks,) in inverse proportion to the distance.

    As published with SFCNet: a joint event's probability falls with one over the Mahalanobis
    distance of its pairs, and there is no term for misses; one at the gate's distance stands in.
    The densities of the textbook tell a precise track from an uncertain one, these do not.
    """
    weight = 1.0 / (np.sqrt(distance2) + _LEAST_DISTANCE)
    return weight, np.full(tracks, 1.0 / (np.sqrt(gate) + _LEAST_DISTANCE))


@njit(cache=True, nogil=True)
def textbook_weights(
    mode: Float64, track: Int64, density: Float64, chance: Float64, clutter_per_um2: float,
    gate_probability: float,
) -> tuple[Float64, Float64]:  # fmt: skip
    """Weights of pairs (E,) and of misses (N,), relative to false detections.

    ``density`` (E, K) of each pair is taken over the modes (N, K) of its ``track`` (E,);
    ``chance`` (N,) is the probability that the sperm is there and detected.
    """
    weight, miss = np.zeros(track.shape[0]), np.empty(chance.shape[0])
    for e in range(track.shape[0]):
        i = track[e]
        for k in range(mode.shape[1]):
            weight[e] += mode[i, k] * density[e, k]
        weight[e] *= chance[i] / clutter_per_um2
    for i in range(chance.shape[0]):
        miss[i] = 1.0 - gate_probability * chance[i]
    return weight, miss


@njit(cache=True, nogil=True)
def _root(parent: Int64, item: int) -> int:
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@njit(cache=True, nogil=True)
def _clusters(
    rows: Int64, start: Int64, measurement: Int64, active: Int64, measurements: int
) -> tuple[Int64, Int64]:
    """Order these tracks by cluster; return them, and the bounds of the clusters in that order."""
    n = rows.shape[0]
    parent = np.arange(measurements)
    one = np.full(n, -1, np.int64)
    for k in range(n):
        for e in range(start[rows[k]], start[rows[k] + 1]):
            if active[e] == 1 and one[k] < 0:
                one[k] = measurement[e]
            elif active[e] == 1:
                a, b = _root(parent, one[k]), _root(parent, measurement[e])
                parent[b] = a
    label = np.empty(n, np.int64)
    for k in range(n):
        # A track without any pair is a cluster of its own.
        label[k] = _root(parent, one[k]) if one[k] >= 0 else measurements + k
    order = np.argsort(label, kind="mergesort")
    bounds = np.empty(n + 1, np.int64)
    count = 0
    for k in range(n):
        if k == 0 or label[order[k]] != label[order[k - 1]]:
            bounds[count] = k
            count += 1
    bounds[count] = n
    return rows[order], bounds[: count + 1]


@njit(cache=True, nogil=True)
def _narrow(
    members: Int64, start: Int64, distance2: Float64, active: Int64, narrow_gate: float
) -> None:
    """Leave each track the pairs within the narrow gate."""
    for k in range(members.shape[0]):
        for e in range(start[members[k]], start[members[k] + 1]):
            active[e] *= distance2[e] <= narrow_gate


@njit(cache=True, nogil=True)
def _thin(members: Int64, start: Int64, weight: Float64, active: Int64, best: int) -> None:
    """Leave each track its ``best`` heaviest pairs."""
    for k in range(members.shape[0]):
        i = members[k]
        heaviest = np.argsort(-(weight[start[i] : start[i + 1]] * active[start[i] : start[i + 1]]))
        for rank in range(best, heaviest.shape[0]):
            active[start[i] + heaviest[rank]] = 0


@njit(cache=True, nogil=True)
def _alone(
    i: int, start: Int64, weight: Float64, active: Int64, miss_weight: Float64, missed: Float64,
    paired: Float64,
) -> None:  # fmt: skip
    """Marginals of a track that contests nothing."""
    total = miss_weight[i]
    for e in range(start[i], start[i + 1]):
        total += active[e] * weight[e]
    missed[i] = miss_weight[i] / total
    for e in range(start[i], start[i + 1]):
        paired[e] = active[e] * weight[e] / total


@njit(cache=True, nogil=True)
def _limit(size: int, thinned: int, work: float, max_steps: float) -> float:
    """Most steps for a cluster of so many tracks, after so much work in this frame."""
    if thinned == _LAST:
        return np.inf
    return min(max_steps, max(_FRAME * max_steps - work, _CHEAP * size))


@njit(cache=True, nogil=True)
def _associate(
    start: Int64,
    measurement: Int64,
    weight: Float64,
    distance2: Float64,
    miss_weight: Float64,
    measurements: int,
    negligible: float,
    max_steps: float,
    narrow_gate: float,
) -> tuple[Float64, Float64, int, float]:
    n, pairs = start.shape[0] - 1, measurement.shape[0]
    missed, paired = np.ones(n), np.zeros(pairs)
    active = np.ones(pairs, np.int64)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            active[e] = weight[e] >= negligible * miss_weight[i]
    check, mark = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    wanted, slot = np.zeros(measurements, np.int64), np.zeros(measurements, np.int64)
    room = np.empty((2, n), np.int64)
    overloads, work = 0, 0.0
    rest, left = np.arange(n), n
    # First with all pairs, then within the narrow gate, then with the best four, three, two, one:
    # what does not fit is thinned, falls apart, and each part is looked at anew by itself.
    for thinned in range(_LAST + 1):
        if 0 < thinned < _LAST and work > _FRAME * max_steps:
            continue
        if thinned == 1:
            _narrow(rest, start, distance2, active, narrow_gate)
        elif thinned > 1:
            _thin(rest, start, weight, active, _LAST + 1 - thinned)
        order, bounds = _clusters(rest, start, measurement, active, measurements)
        left = 0
        for c in range(bounds.shape[0] - 1):
            members = order[bounds[c] : bounds[c + 1]]
            size = members.shape[0]
            if size == 1:
                _alone(members[0], start, weight, active, miss_weight, missed, paired)
                continue
            if size == 2:
                sum_two(members, start, measurement, weight, active, miss_weight, missed, paired)
                continue
            limit = _limit(size, thinned, work, max_steps)
            sequence, keep = room[0, :size], room[1, :size]
            steps, looks = plan(
                members, start, measurement, active, wanted, slot, sequence, check, mark, keep,
                limit, min(_FRAME * max_steps - work, max_steps),
            )  # fmt: skip
            work += looks
            if steps > limit or steps == np.inf:
                overloads += thinned == 0
                # These places were read before.
                rest[left : left + size] = members
                left += size
                continue
            work += steps
            sum_product(
                members, sequence, start, weight, active, miss_weight, check, mark, keep, missed,
                paired,
            )  # fmt: skip
        if left == 0:
            break
        rest = rest[:left]
    return missed, paired, overloads, work
