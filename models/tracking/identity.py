"""Whether a track still follows the sperm that it followed before it met another.

Two tracks meet when they come so near that their heads may be found as one. What each had shown
before is kept; when they have parted, the two ways to continue (each its own, or exchanged) are
weighed against each other. The likelier one is taken, and its probability is reported.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.tracking.linkage import link_paths_and_looks
from models.tracking.population import COLUMNS, TRAIL, Records, exchange
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

# Fewer detections tell nothing of a sperm's way.
_LEAST = 3
_MOMENT_S = 1e-6
# Detections beyond these, of yawing heads at high frame rates, tell little new.
_INDEPENDENT = 7.0
# Meetings at once, 5 kB each, and of these with a track that is not confirmed. A crowd of 200 has
# 180; more than these are of detections that have no sperm behind them.
MOST_MEETINGS, _MOST_YOUNG = 2000, 1500
# What is known of two tracks when there was no room to remember what they had shown: nothing.
_UNJUDGED = 0.5
# Two tracks that are near each other, or have just been: their names; when they were near first
# and last; whether they are now; and what each had shown before, the columns of a trail in order
# of time, with the number of its rows.
_MEETING = np.dtype(
    [
        ("first", np.int64), ("second", np.int64), ("begun_s", np.float64),
        ("near_s", np.float64), ("length", np.int64, (2,)),
        ("before", np.float64, (2, TRAIL, COLUMNS)), ("near", np.bool_),
    ],
    align=True,
)  # fmt: skip


class Meetings:
    """All meetings that are not decided yet, and the judgement of those that are over.

    Attributes
    ----------
    exchanges : int
        Times so far that two tracks got each other's sperm back.
    crowded : int
        Frames so far with more meetings than are kept. Confirmed tracks of the others are in doubt.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._open: Records = np.zeros(32, _MEETING)
        # Of whom each meeting is, side by side, to be found quickly.
        self._names = np.zeros((32, 2), np.int64)
        self._count = 0
        self._newest_id = 0
        self.exchanges = 0
        self.crowded = 0

    def update(self, time_s: float, records: Records, own: Int64, contested_id: Int64) -> None:
        """Take in a frame; give tracks their sperm back, and say how sure that is.

        Parameters
        ----------
        records : (N,)
            Live tracks with their trails, this frame included; changed where it is told who is
            who. One at least of two that meet must be confirmed.
        own : (N,)
            Detection of each track, -1 for none; exchanged with its sperm.
        contested_id : (C, 2)
            Tracks that may both have had the same detection in this frame, elder first.
        """
        s = self._settings
        pairs, fresh = _openings(records, contested_id, self._newest_id, s.meet_um, s.lost_um)
        if len(records):
            self._newest_id = max(self._newest_id, int(records[-1]["track_id"]))
        if self._count == 0 and len(pairs) == 0 and len(fresh) == 0:
            return
        self._make_room(self._count + len(pairs) + len(fresh))
        self._count, near_full = _meet(
            self._open, self._names, self._count, records, pairs, time_s, s.recall_s, s.doubt_s
        )
        self._count, fresh_full = _look_back(
            self._open, self._names, self._count, records, fresh, time_s, s.recall_s, s.decide_s,
            s.missed_s,
        )  # fmt: skip
        self.crowded += near_full or fresh_full
        self._count, verdicts = _judge(
            self._open, self._names, self._count, records, own, time_s, s.meet_um, s.unresolved_s,
            s.unresolved_doubt, s.watch_s, s.decide_s, s.decide_frames, s.kept_prior, s.path_trust,
            s.look_trust, s.exchange_above,
        )  # fmt: skip
        if len(verdicts):
            self.exchanges += _apply(records, own, verdicts, s.exchange_above, time_s + s.doubt_s)

    def _make_room(self, wanted: int) -> None:
        """Make room for so many meetings, as far as there is to be any."""
        if wanted <= len(self._open) or len(self._open) == MOST_MEETINGS:
            return
        size, kept = min(2 * wanted, MOST_MEETINGS), self._count
        room, names = np.zeros(size, _MEETING), np.zeros((size, 2), np.int64)
        room[:kept], names[:kept] = self._open[:kept], self._names[:kept]
        self._open, self._names = room, names


@njit(cache=True, nogil=True)
def _openings(
    records: Records, contested_id: Int64, newest_id: int, meet_um: float, lost_um: float
) -> tuple[Int64, Int64]:
    """Rows of tracks that are near each other or contest a detection, and of fresh ones.

    A fresh one (younger than ``newest_id``) is paired with the confirmed ones within ``lost_um``.
    """
    n = records.shape[0]
    x, y, counts = np.empty(n), np.empty(n), np.empty(n, np.bool_)
    for i in range(n):
        x[i], y[i], counts[i] = records[i].mean[0], records[i].mean[1], records[i].confirmed
    near = [(0, 0) for _ in range(0)]
    for i in range(n):
        for j in range(i):
            dx = x[i] - x[j]
            if dx >= meet_um or dx <= -meet_um or not (counts[i] or counts[j]):
                continue
            dy = y[i] - y[j]
            if dx * dx + dy * dy < meet_um * meet_um:
                near.append((j, i))
    for c in range(contested_id.shape[0]):
        i, j = _row(records, contested_id[c, 0]), _row(records, contested_id[c, 1])
        if i >= 0 and j >= 0 and (counts[i] or counts[j]):
            near.append((i, j))
    fresh = [(0, 0) for _ in range(0)]
    first = n
    while first > 0 and records[first - 1].track_id > newest_id:
        first -= 1
    for c in range(first, n):
        for a in range(n):
            dx, dy = x[a] - x[c], y[a] - y[c]
            if counts[a] and dx * dx + dy * dy < lost_um * lost_um:
                fresh.append((a, c))
    return _table(near), _table(fresh)


@njit(cache=True, nogil=True)
def _table(pairs: list[tuple[int, int]]) -> Int64:
    table = np.empty((len(pairs), 2), np.int64)
    for k in range(len(pairs)):
        table[k, 0], table[k, 1] = pairs[k]
    return table


@njit(cache=True, nogil=True)
def _row(records: Records, track_id: int) -> int:
    """Row of a track, -1 if it has ended; names increase from row to row."""
    low, high = 0, records.shape[0]
    while low < high:
        middle = (low + high) // 2
        if records[middle].track_id < track_id:
            low = middle + 1
        else:
            high = middle
    return low if low < records.shape[0] and records[low].track_id == track_id else -1


@njit(cache=True, nogil=True)
def cut(trail: Float64, since_s: float, until_s: float, piece: Float64) -> int:
    """Copy the rows of a trail between two times into ``piece``, in order; return their number."""
    count = 0
    for k in range(trail.shape[0]):
        # A comparison with NaN is false.
        if trail[k, 0] > since_s and trail[k, 0] <= until_s:
            at = count
            while at > 0 and piece[at - 1, 0] > trail[k, 0]:
                piece[at] = piece[at - 1]
                at -= 1
            piece[at] = trail[k]
            count += 1
    return count


@njit(cache=True, nogil=True)
def _find(names: Int64, count: int, first: int, second: int) -> int:
    """Place of the meeting of two tracks; ``count`` if there is none."""
    for m in range(count):
        if names[m, 0] == first and names[m, 1] == second:
            return m
    return count


@njit(cache=True, nogil=True)
def _doubt(records: Records, i: int, j: int, until_s: float) -> None:
    """Say of two tracks that either may have the other's sperm."""
    for row in (i, j):
        records[row].identity = min(records[row].identity, _UNJUDGED)
        records[row].doubt_until_s = until_s


@njit(cache=True, nogil=True)
def _meet(
    meetings: Records, names: Int64, count: int, records: Records, pairs: Int64, time_s: float,
    recall_s: float, doubt_s: float,
) -> tuple[int, bool]:  # fmt: skip
    """Open the meetings of those that are near now, and mark those that go on.

    Returns how many there are, and whether there was no room for some.
    """
    full = False
    for m in range(count):
        meetings[m].near = False
    for k in range(pairs.shape[0]):
        i, j = pairs[k, 0], pairs[k, 1]
        first, second = records[i].track_id, records[j].track_id
        m = _find(names, count, first, second)
        both = records[i].confirmed and records[j].confirmed
        if m == count and m >= (MOST_MEETINGS if both else _MOST_YOUNG):
            full = True
            if both:
                _doubt(records, i, j, time_s + doubt_s)
            continue
        one = meetings[m]
        if m == count:
            names[m, 0], names[m, 1] = first, second
            one.first, one.second, one.begun_s = first, second, time_s
            since_s, until_s = time_s - recall_s, time_s - _MOMENT_S
            one.length[0] = cut(records[i].trail, since_s, until_s, one.before[0])
            one.length[1] = cut(records[j].trail, since_s, until_s, one.before[1])
            count += 1
        one.near_s, one.near = time_s, True
    return count, full


@njit(cache=True, nogil=True)
def _look_back(
    meetings: Records, names: Int64, count: int, records: Records, fresh: Int64, time_s: float,
    recall_s: float, decide_s: float, missed_s: float,
) -> tuple[int, bool]:  # fmt: skip
    """Let new tracks meet disturbed ones nearby: they may be what those had followed.

    Returns how many meetings there are, and whether there was no room for some.
    """
    full = False
    before = np.empty((TRAIL, COLUMNS))
    for k in range(fresh.shape[0]):
        i, j = fresh[k, 0], fresh[k, 1]
        first, second = records[i].track_id, records[j].track_id
        length = _before_trouble(
            meetings, names, count, first, records[i].trail, time_s, recall_s, decide_s, missed_s,
            before,
        )  # fmt: skip
        if length < 0:
            continue
        m = _find(names, count, first, second)
        if m == count and m >= _MOST_YOUNG:
            full = True
            continue
        one = meetings[m]
        one.first, one.second = first, second
        names[m, 0], names[m, 1] = first, second
        one.begun_s, one.near_s = time_s, time_s - _MOMENT_S
        one.length[0], one.length[1] = length, 0
        one.before[0, :length] = before[:length]
        if m == count:
            one.near = False
            count += 1
    return count, full


@njit(cache=True, nogil=True)
def _before_trouble(
    meetings: Records, names: Int64, count: int, track_id: int, trail: Float64, time_s: float,
    recall_s: float, decide_s: float, missed_s: float, before: Float64,
) -> int:  # fmt: skip
    """Recall what a track had shown before it met another or was missed; -1: neither."""
    for m in range(count):
        if names[m, 0] != track_id and names[m, 1] != track_id:
            continue
        one = meetings[m]
        if time_s - one.near_s < decide_s:
            for side in range(2):
                if names[m, side] == track_id and one.length[side] >= _LEAST:
                    before[: one.length[side]] = one.before[side, : one.length[side]]
                    return int(one.length[side])
    seen = cut(trail, time_s - recall_s, np.inf, before)
    for k in range(seen):
        after_s = before[k + 1, 0] if k + 1 < seen else time_s
        if after_s - before[k, 0] > missed_s and before[k, 0] >= time_s - decide_s:
            return k + 1
    return -1


@njit(cache=True, nogil=True)
def _judge(
    meetings: Records, names: Int64, count: int, records: Records, own: Int64, time_s: float,
    meet_um: float, unresolved_s: float, unresolved_doubt: float, watch_s: float, decide_s: float,
    decide_frames: int, kept_prior: float, path_trust: float, look_trust: float,
    exchange_above: float,
) -> tuple[int, Float64]:  # fmt: skip
    """Tell what is known of those that have parted; forget those that are decided.

    Returns how many meetings are left, and verdicts (V, 5): rows of the two (-1: it has ended);
    the time after which trails belong to the bodies that part; the probability that they have
    exchanged their sperm; whether both were seen again, so that they can get them back.
    """
    verdicts = np.empty((2 * count, 5))
    told = 0
    for m in range(count):
        one = meetings[m]
        if one.near and time_s - one.begun_s > unresolved_s:
            # One detection for both, for long: it may be either's.
            i, j = _row(records, one.first), _row(records, one.second)
            both = records[i].confirmed and records[j].confirmed
            if both and (own[i] >= 0) != (own[j] >= 0):
                verdicts[told, 0], verdicts[told, 1], verdicts[told, 2] = i, j, time_s
                verdicts[told, 3], verdicts[told, 4] = unresolved_doubt, 0.0
                told += 1
    after = np.empty((2, TRAIL, COLUMNS))
    left = 0
    for m in range(count):
        one = meetings[m]
        waited_s = time_s - one.near_s
        decided = False
        if not one.near and waited_s >= watch_s:
            i, j = _row(records, one.first), _row(records, one.second)
            late = waited_s > decide_s
            enough = _LEAST if late else decide_frames
            seen = _seen_since(records, i, one.near_s), _seen_since(records, j, one.near_s)
            if max(seen) >= enough and (late or min(seen) >= enough):
                lengths = (
                    cut(records[i].trail, one.near_s, np.inf, after[0]) if i >= 0 else 0,
                    cut(records[j].trail, one.near_s, np.inf, after[1]) if j >= 0 else 0,
                )
                score, links = _score(
                    one.before, one.length, after, lengths, kept_prior, path_trust, look_trust
                )
                if links > 1 or (links == 1 and min(seen) >= _LEAST):
                    chance = 1.0 / (1.0 + np.exp(min(max(score, -50.0), 50.0)))
                    known = one.length[0] > 0
                    verdicts[told, 0], verdicts[told, 1] = i, j
                    verdicts[told, 2] = one.before[0, one.length[0] - 1, 0] if known else one.near_s
                    verdicts[told, 3], verdicts[told, 4] = chance, min(seen) >= _LEAST
                    told += 1
                    decided = i >= 0 and j >= 0
            # What one had shown is kept a while: its sperm may be found anew.
            decided |= late
        if not decided:
            i, j, chance = _taken_over(
                meetings, m, records, time_s, meet_um, watch_s, decide_frames, kept_prior,
                path_trust, look_trust, after,
            )  # fmt: skip
            if chance > exchange_above:
                verdicts[told, 0], verdicts[told, 1] = i, j
                verdicts[told, 2] = one.before[0, one.length[0] - 1, 0]
                verdicts[told, 3], verdicts[told, 4] = chance, 1.0
                told += 1
                decided = True
        if not decided:
            if left < m:
                meetings[left] = meetings[m]
                names[left] = names[m]
            left += 1
    return left, verdicts[:told]


@njit(cache=True, nogil=True)
def _taken_over(
    meetings: Records, m: int, records: Records, time_s: float, meet_um: float, watch_s: float,
    decide_frames: int, kept_prior: float, path_trust: float, look_trust: float, after: Float64,
) -> tuple[int, int, float]:  # fmt: skip
    """Say how likely a new track has the sperm of an elder one that is not seen any more.

    The elder was led astray, by a speck beside the head say, and lost that as well: nothing of it
    will be seen to be compared, and where it is thought to be it may stay near for long.
    """
    one = meetings[m]
    i, j = _row(records, one.first), _row(records, one.second)
    if i < 0 or j < 0 or one.length[0] < _LEAST or one.length[1] > 0:
        return i, j, 0.0
    since_s = one.begun_s - _MOMENT_S
    if time_s - records[i].seen_s < watch_s or _seen_since(records, j, since_s) < decide_frames:
        return i, j, 0.0
    lengths = 0, cut(records[j].trail, since_s, np.inf, after[1])
    # That the elder is not seen speaks against it as much as its age would speak for it.
    score, _ = _score(one.before, one.length, after, lengths, -kept_prior, path_trust, look_trust)
    # Paths are held against one that begins in a certain um^2; a stranger begins anywhere near.
    score -= path_trust * np.log(np.pi * meet_um * meet_um)
    return i, j, 1.0 / (1.0 + np.exp(min(max(score, -50.0), 50.0)))


@njit(cache=True, nogil=True)
def _score(
    before: Float64, length: Int64, after: Float64, lengths: tuple[int, int], kept_prior: float,
    path_trust: float, look_trust: float,
) -> tuple[float, int]:  # fmt: skip
    """Log odds that each went on as its own track, and how many had been known before."""
    score, links = kept_prior, 0
    for side in range(2):
        # Each piece before goes on as its own track or as the other one.
        n = length[side]
        if n < _LEAST:
            continue
        links += 1
        for way, sign in ((side, 1.0), (1 - side, -1.0)):
            m = lengths[way]
            if m >= _LEAST:
                path, look = link_paths_and_looks(before[side, :n], after[way, :m])
                path *= min(1.0, _INDEPENDENT / m)
                score += sign * (path_trust * path + look_trust * look)
    return score, links


@njit(cache=True, nogil=True)
def _seen_since(records: Records, row: int, since_s: float) -> int:
    """Count detections of a track (-1: it has ended) after a time."""
    count = 0
    if row >= 0:
        for k in range(TRAIL):
            count += records[row].trail[k, 0] > since_s
    return count


@njit(cache=True, nogil=True)
def _apply(
    records: Records, own: Int64, verdicts: Float64, exchange_above: float, until_s: float
) -> int:
    """Exchange what was exchanged, and note how sure the tracks are; returns the exchanges."""
    exchanges = 0
    for k in range(verdicts.shape[0]):
        i, j, exchanged = int(verdicts[k, 0]), int(verdicts[k, 1]), verdicts[k, 3]
        sure = 1.0 - exchanged
        if verdicts[k, 4] > 0.0 and exchanged > exchange_above:
            exchange(records, i, j, verdicts[k, 2])
            own[i], own[j] = own[j], own[i]
            exchanges += 1
            sure = exchanged
        for row in (i, j):
            if row >= 0:
                records[row].identity = min(records[row].identity, sure)
                records[row].doubt_until_s = until_s
    return exchanges
