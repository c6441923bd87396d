"""Exact joint association probabilities.

A joint event gives each track at most one measurement and each measurement at most one track; its
weight is the product of its pairs' weights and of the miss weights of the other tracks. Wanted
is, for each pair, the share of the events that contain it. Tracks that share no measurement,
not even through others, form separate clusters. Inside a cluster the tracks are passed one
after the other, and the state is the set of measurements used so far that a later track could
still want: forward and backward sums over these states give all marginals exactly, as in the
efficient hypothesis management of Maskell, Briers and Wright (2004) and Horridge and Maskell
(2006), without enumerating events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.types import Float64, Int64

# One over a distance has no value at zero.
_LEAST_DISTANCE = 0.1


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
    """

    missed: Float64
    paired: Float64
    overloads: int


def associate(
    start: Int64,
    measurement: Int64,
    weight: Float64,
    distance2: Float64,
    miss_weight: Float64,
    measurements: int,
    *,
    negligible: float = 0.0,
    max_live_bits: int = 13,
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
    max_live_bits : int
        Most contested measurements at once. A cluster beyond that first loses pairs farther
        than ``narrow_gate``, then all but each track's best four, three, two, one.
    narrow_gate : float
    """
    missed, paired, overloads = _associate(
        start, measurement, weight, distance2, miss_weight, measurements, negligible,
        max_live_bits, narrow_gate,
    )  # fmt: skip
    return Association(missed, paired, int(overloads))


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
    start: Int64, measurement: Int64, active: Int64, measurements: int
) -> tuple[Int64, Int64]:
    """Tracks ordered by cluster, and the bounds of the clusters in that order."""
    n = start.shape[0] - 1
    parent = np.arange(measurements)
    one = np.full(n, -1, np.int64)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            if active[e] == 1 and one[i] < 0:
                one[i] = measurement[e]
            elif active[e] == 1:
                a, b = _root(parent, one[i]), _root(parent, measurement[e])
                parent[b] = a
    label = np.empty(n, np.int64)
    for i in range(n):
        # A track without any pair is a cluster of its own.
        label[i] = _root(parent, one[i]) if one[i] >= 0 else measurements + i
    order = np.argsort(label, kind="mergesort")
    bounds = np.empty(n + 1, np.int64)
    count = 0
    for k in range(n):
        if k == 0 or label[order[k]] != label[order[k - 1]]:
            bounds[count] = k
            count += 1
    bounds[count] = n
    return order, bounds[: count + 1]


@njit(cache=True, nogil=True)
def _plan(
    members: Int64,
    start: Int64,
    measurement: Int64,
    active: Int64,
    wanted: Int64,
    slot: Int64,
    order: Int64,
    check: Int64,
    mark: Int64,
    keep: Int64,
    widths: Int64,
) -> int:
    """Order the tracks so that few measurements are contested at once; assign their bits.

    Writes ``order`` (places in ``members``); for each pair ``check``, the bit that forbids it
    (0: it is free), and ``mark``, the bit that it sets; for each level ``keep``, the bits that
    survive it, and ``widths``. ``wanted`` and ``slot`` are scratch, one entry per measurement.
    Returns the number of bits needed.
    """
    n = members.shape[0]
    for k in range(n):
        i = members[k]
        for e in range(start[i], start[i + 1]):
            wanted[measurement[e]] = 0
            slot[measurement[e]] = -1
    for k in range(n):
        i = members[k]
        for e in range(start[i], start[i + 1]):
            wanted[measurement[e]] += active[e]
    done = np.zeros(n, np.bool_)
    in_use = np.int64(0)
    needed = 0
    widths[0] = 0
    for level in range(n):
        best, best_cost = -1, 1 << 60
        for k in range(n):
            if done[k]:
                continue
            i = members[k]
            fresh, closing, shared = 0, 0, 0
            for e in range(start[i], start[i + 1]):
                if active[e] == 0:
                    continue
                j = measurement[e]
                if slot[j] >= 0:
                    shared += 1
                    closing += wanted[j] == 1
                elif wanted[j] > 1:
                    fresh += 1
            # Fewest bits first; among equals the track that shares most with those before it.
            cost = (fresh - closing) * 4096 - shared
            if cost < best_cost:
                best, best_cost = k, cost
        done[best] = True
        order[level] = best
        i = members[best]
        gone = np.int64(0)
        for e in range(start[i], start[i + 1]):
            check[e] = 0
            mark[e] = 0
            if active[e] == 0:
                continue
            j = measurement[e]
            wanted[j] -= 1
            if slot[j] >= 0:
                check[e] = np.int64(1) << slot[j]
                if wanted[j] == 0:
                    gone |= check[e]
                else:
                    mark[e] = check[e]
        in_use &= ~gone
        keep[level] = ~gone
        for e in range(start[i], start[i + 1]):
            j = measurement[e]
            if active[e] == 1 and wanted[j] > 0 and slot[j] < 0:
                free = 0
                while (in_use >> free) & 1:
                    free += 1
                if free > 60:
                    return 64
                slot[j] = free
                mark[e] = np.int64(1) << free
                in_use |= mark[e]
        width = 0
        while (in_use >> width) > 0:
            width += 1
        widths[level + 1] = width
        needed = max(needed, width)
    return needed


@njit(cache=True, nogil=True)
def _sum_product(
    members: Int64,
    order: Int64,
    start: Int64,
    weight: Float64,
    active: Int64,
    miss_weight: Float64,
    check: Int64,
    mark: Int64,
    keep: Int64,
    widths: Int64,
    missed: Float64,
    paired: Float64,
) -> None:
    """Forward and backward sums over the sets of used, still contested measurements."""
    n = members.shape[0]
    offset = np.zeros(n + 2, np.int64)
    for level in range(n + 1):
        offset[level + 1] = offset[level] + (np.int64(1) << widths[level])
    forward = np.zeros(offset[n + 1])
    forward[0] = 1.0
    for level in range(n):
        i = members[order[level]]
        base, after = offset[level], offset[level + 1]
        for state in range(np.int64(1) << widths[level]):
            f = forward[base + state]
            if f == 0.0:
                continue
            rest = state & keep[level]
            forward[after + rest] += f * miss_weight[i]
            for e in range(start[i], start[i + 1]):
                if active[e] == 1 and state & check[e] == 0:
                    forward[after + (rest | mark[e])] += f * weight[e]
        # Only ratios matter: keep the numbers near 1.
        total = 0.0
        for k in range(after, offset[level + 2]):
            total += forward[k]
        for k in range(after, offset[level + 2]):
            forward[k] /= total
    backward = np.ones(1)
    for level in range(n - 1, -1, -1):
        i = members[order[level]]
        size = np.int64(1) << widths[level]
        earlier = np.zeros(size)
        largest = 0.0
        missed[i] = 0.0
        for e in range(start[i], start[i + 1]):
            paired[e] = 0.0
        for state in range(size):
            f = forward[offset[level] + state]
            if f == 0.0:
                continue
            rest = state & keep[level]
            value = miss_weight[i] * backward[rest]
            missed[i] += f * value
            for e in range(start[i], start[i + 1]):
                if active[e] == 1 and state & check[e] == 0:
                    part = weight[e] * backward[rest | mark[e]]
                    paired[e] += f * part
                    value += part
            earlier[state] = value
            largest = max(largest, value)
        total = missed[i]
        for e in range(start[i], start[i + 1]):
            total += paired[e]
        missed[i] /= total
        for e in range(start[i], start[i + 1]):
            paired[e] /= total
        backward = earlier / largest


@njit(cache=True, nogil=True)
def _thin(members: Int64, start: Int64, weight: Float64, active: Int64, best: int) -> None:
    """Leave each track its ``best`` heaviest pairs."""
    for k in range(members.shape[0]):
        i = members[k]
        heaviest = np.argsort(-(weight[start[i] : start[i + 1]] * active[start[i] : start[i + 1]]))
        for rank in range(best, heaviest.shape[0]):
            active[start[i] + heaviest[rank]] = 0


@njit(cache=True, nogil=True)
def _associate(
    start: Int64,
    measurement: Int64,
    weight: Float64,
    distance2: Float64,
    miss_weight: Float64,
    measurements: int,
    negligible: float,
    max_live_bits: int,
    narrow_gate: float,
) -> tuple[Float64, Float64, int]:
    n, pairs = start.shape[0] - 1, measurement.shape[0]
    missed, paired = np.ones(n), np.zeros(pairs)
    active = np.ones(pairs, np.int64)
    for i in range(n):
        for e in range(start[i], start[i + 1]):
            active[e] = weight[e] >= negligible * miss_weight[i]
    check, mark = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
    wanted, slot = np.zeros(measurements, np.int64), np.zeros(measurements, np.int64)
    order, bounds = _clusters(start, measurement, active, measurements)
    overloads = 0
    for c in range(bounds.shape[0] - 1):
        members = order[bounds[c] : bounds[c + 1]]
        size = members.shape[0]
        if size == 1:
            i = members[0]
            total = miss_weight[i]
            for e in range(start[i], start[i + 1]):
                total += active[e] * weight[e]
            missed[i] = miss_weight[i] / total
            for e in range(start[i], start[i + 1]):
                paired[e] = active[e] * weight[e] / total
            continue
        sequence = np.empty(size, np.int64)
        keep, widths = np.empty(size, np.int64), np.empty(size + 1, np.int64)
        bits = _plan(
            members, start, measurement, active, wanted, slot, sequence, check, mark, keep, widths
        )
        best = 5
        overloads += bits > max_live_bits
        while bits > max_live_bits:
            if best == 5:
                for k in range(size):
                    for e in range(start[members[k]], start[members[k] + 1]):
                        active[e] *= distance2[e] <= narrow_gate
            else:
                _thin(members, start, weight, active, best)
            best -= 1
            bits = _plan(
                members, start, measurement, active, wanted, slot, sequence, check, mark, keep,
                widths,
            )  # fmt: skip
        _sum_product(
            members, sequence, start, weight, active, miss_weight, check, mark, keep, widths,
            missed, paired,
        )  # fmt: skip
    return missed, paired, overloads
