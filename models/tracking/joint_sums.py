"""Exact marginals of one cluster: in which order its tracks are passed, and the sums.

The tracks are passed one after the other, and the state is the set of measurements used so far
that a later track could still want. Only sets that some joint event reaches are visited; the
order decides how many they are. A track with a wide gate, which contests its measurements with
many others, should come early: it uses one of them at most.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.types import Float64, Int64

# More contested measurements at once than a state has bits for.
_BITS = 60
# A look at a track while planning costs as much as so many steps of the sums.
_LOOKS = 2.0
# First tracks that are tried at most.
_TRIES = 16
# An odd number that spreads states over a table (golden ratio: Knuth's multiplicative hashing).
_SCATTER = np.int64(-7046029254386353131)


def _subsets() -> Float64:
    """Subsets of l things with k members at most, at [l, k]."""
    exactly = np.zeros((_BITS + 2, _BITS + 2))
    exactly[:, 0] = 1.0
    for l_things in range(1, _BITS + 2):
        exactly[l_things, 1:] = exactly[l_things - 1, 1:] + exactly[l_things - 1, :-1]
    return np.asarray(exactly.cumsum(axis=1))


_SUBSETS = _subsets()


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
    begin: int,
    limit: float,
) -> tuple[float, int]:
    """Order the tracks so that few sets of measurements are reached; assign the bits.

    Writes ``order`` (places in ``members``; the first is ``begin`` unless that is negative); for
    each pair ``check``, the bit that forbids it (0: it is free), and ``mark``, the bit that it
    sets; for each level ``keep``, the bits that survive it. ``wanted`` and ``slot`` are scratch,
    one entry per measurement. Returns a bound on the steps from state to state (at each level no
    more of the contested measurements are in use than there are tracks behind that have one), and
    how many pairs were looked at. The bound is infinite, and the plan not finished, once it has
    passed ``limit``.
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
    live, users, states, steps, looks = 0, 0, 1.0, 0.0, 0
    for level in range(n):
        best, best_cost, best_shared = -1, np.inf, 0
        for k in range(n):
            if done[k] or (level == 0 and begin >= 0 and k != begin):
                continue
            i = members[k]
            looks += start[i + 1] - start[i]
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
            after = min(live + fresh - closing, _BITS + 1)
            cost = _SUBSETS[after, min(users + (fresh > 0 or shared > closing), _BITS + 1)]
            # Among equals the track that shares most with those before it.
            if best < 0 or cost < best_cost or (cost == best_cost and shared > best_shared):
                best, best_cost, best_shared = k, cost, shared
        done[best] = True
        order[level] = best
        i = members[best]
        steps += states * (start[i + 1] - start[i] + 1)
        if steps > limit:
            return np.inf, looks
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
                    live -= 1
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
                if free > _BITS:
                    return np.inf, looks
                slot[j] = free
                mark[e] = np.int64(1) << free
                in_use |= mark[e]
                live += 1
        users = 0
        for behind in range(level + 1):
            i = members[order[behind]]
            for e in range(start[i], start[i + 1]):
                if active[e] == 1 and wanted[measurement[e]] > 0:
                    users += 1
                    break
        states = _SUBSETS[live, min(users, _BITS + 1)]
    return steps, looks


@njit(cache=True, nogil=True)
def plan(
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
    limit: float,
    patience: float,
) -> tuple[float, int]:
    """Plan from several first tracks, keep the best plan; return its bound on the steps, and looks.

    Those with most measurements come first; the search goes on while it costs less than the sums
    that it may shorten, and no plan is tried after ``patience`` looks at pairs. An infinite bound
    says that each plan passed ``limit``, and that there is none. See ``_plan``.
    """
    best, last = -1, -1
    steps, looks = _plan(
        members, start, measurement, active, wanted, slot, order, check, mark, keep, best, limit
    )
    n = members.shape[0]
    if steps > _LOOKS * n * n:
        options = np.zeros(n, np.int64)
        for k in range(n):
            for e in range(start[members[k]], start[members[k] + 1]):
                options[k] += active[e]
        widest = np.argsort(-options)
        for tried in range(min(n, _TRIES)):
            if steps < _LOOKS * (tried + 1) * n * n or looks > patience:
                break
            last = widest[tried]
            # What needs more than the best plan so far is not worth finishing.
            fewer, more = _plan(
                members, start, measurement, active, wanted, slot, order, check, mark, keep, last,
                min(limit, steps),
            )  # fmt: skip
            looks += more
            if fewer < steps:
                best, steps = last, fewer
        if last != best and steps < np.inf:
            _, more = _plan(
                members, start, measurement, active, wanted, slot, order, check, mark, keep, best,
                limit,
            )  # fmt: skip
            looks += more
    return float(steps), looks


@njit(cache=True, nogil=True)
def sum_two(
    members: Int64,
    start: Int64,
    measurement: Int64,
    weight: Float64,
    active: Int64,
    miss_weight: Float64,
    missed: Float64,
    paired: Float64,
) -> None:
    """Sum over all joint events of two tracks, as they are."""
    for side in range(2):
        i, other = members[side], members[1 - side]
        everything = miss_weight[other]
        for f in range(start[other], start[other + 1]):
            everything += active[f] * weight[f]
        missed[i] = miss_weight[i] * everything
        total = missed[i]
        for e in range(start[i], start[i + 1]):
            rest = miss_weight[other]
            for f in range(start[other], start[other + 1]):
                if measurement[f] != measurement[e]:
                    rest += active[f] * weight[f]
            paired[e] = active[e] * weight[e] * rest
            total += paired[e]
        missed[i] /= total
        for e in range(start[i], start[i + 1]):
            paired[e] /= total


@njit(cache=True, nogil=True)
def sum_product(
    members: Int64,
    order: Int64,
    start: Int64,
    weight: Float64,
    active: Int64,
    miss_weight: Float64,
    check: Int64,
    mark: Int64,
    keep: Int64,
    missed: Float64,
    paired: Float64,
) -> None:
    """Forward and backward sums over the sets of used, still contested measurements."""
    n = members.shape[0]
    bound = np.empty(n + 2, np.int64)
    state, forward = np.empty(256, np.int64), np.empty(256)
    # Where each state leads, way by way: first without a measurement, then pair by pair.
    to, ways = np.empty(1024, np.int64), 0
    table = np.zeros(256, np.int64)
    state[0], forward[0] = 0, 1.0
    bound[0], bound[1], count = 0, 1, 1
    for level in range(n):
        i = members[order[level]]
        base = bound[level + 1]
        fan = start[i + 1] - start[i] + 1
        most = (base - bound[level]) * fan
        while count + most > state.shape[0]:
            state, forward = _longer(state), _longer(forward)
        while ways + most > to.shape[0]:
            to = _longer(to)
        while 2 * most > table.shape[0]:
            table = np.zeros(2 * table.shape[0], np.int64)
        mask = table.shape[0] - 1
        total = 0.0
        for s in range(bound[level], base):
            used, f = state[s], forward[s]
            rest = used & keep[level]
            for e in range(start[i] - 1, start[i + 1]):
                if e < start[i]:
                    after, part = rest, f * miss_weight[i]
                elif active[e] == 1 and used & check[e] == 0:
                    after, part = rest | mark[e], f * weight[e]
                else:
                    to[ways] = -1
                    ways += 1
                    continue
                # Open addressing; what was written for an earlier level counts as empty.
                at = ((after * _SCATTER) >> 32) & mask
                while base <= table[at] < count and state[table[at]] != after:
                    at = (at + 1) & mask
                if not base <= table[at] < count:
                    table[at], state[count], forward[count] = count, after, 0.0
                    count += 1
                to[ways] = table[at]
                ways += 1
                forward[table[at]] += part
                total += part
        # Only ratios matter: keep the numbers near 1.
        for s in range(base, count):
            forward[s] /= total
        bound[level + 2] = count
    backward = np.ones(count)
    for level in range(n - 1, -1, -1):
        i = members[order[level]]
        fan = start[i + 1] - start[i] + 1
        ways -= (bound[level + 1] - bound[level]) * fan
        largest = 0.0
        missed[i] = 0.0
        for e in range(start[i], start[i + 1]):
            paired[e] = 0.0
        for s in range(bound[level], bound[level + 1]):
            f, way = forward[s], ways + (s - bound[level]) * fan
            value = miss_weight[i] * backward[to[way]]
            missed[i] += f * value
            for e in range(start[i], start[i + 1]):
                way += 1
                if to[way] >= 0:
                    part = weight[e] * backward[to[way]]
                    paired[e] += f * part
                    value += part
            backward[s] = value
            largest = max(largest, value)
        for s in range(bound[level], bound[level + 1]):
            backward[s] /= largest
        total = missed[i]
        for e in range(start[i], start[i + 1]):
            total += paired[e]
        missed[i] /= total
        for e in range(start[i], start[i + 1]):
            paired[e] /= total


@njit(cache=True, nogil=True)
def _longer(column: NDArray[np.generic]) -> NDArray[np.generic]:
    """Twice the room, with what is there."""
    more = np.empty(2 * column.shape[0], column.dtype)
    more[: column.shape[0]] = column
    return more
