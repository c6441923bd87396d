"""Whether a track still follows the sperm that it followed before it met another.

Two tracks meet when they come so near that their heads may be found as one. What each had shown
before is kept; when they have parted, the two ways to continue (each its own, or exchanged) are
weighed against each other. The likelier one is taken, and its probability is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.tracking.linkage import Piece, link
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

Bool = NDArray[np.bool_]
# Columns of a trail: time, x, y, and the three of Piece.look.
COLUMNS = 6
# Fewer detections tell nothing of a sperm's way.
_LEAST = 3
_MOMENT_S = 1e-6
# Detections beyond these, of yawing heads at high frame rates, tell little new.
_INDEPENDENT = 7.0


@dataclass(slots=True)
class Meeting:
    """Two tracks that are near each other, or have just been.

    Attributes
    ----------
    before : pair of Piece
        What each had shown; may be empty.
    begun_s, near_s : float
        When they were near first, and last.
    """

    before: tuple[Piece, Piece]
    begun_s: float
    near_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a meeting may have ended.

    Attributes
    ----------
    first, second : int
        Rows of the tracks; -1: it has ended.
    begun_s : float
        Trails after this time belong to the bodies that part.
    exchanged : float
        Probability that they have exchanged their sperm.
    both : bool
        Both were seen again, so that they can get their sperm back.
    """

    first: int
    second: int
    begun_s: float
    exchanged: float
    both: bool


def piece(trail: Float64, since_s: float, until_s: float) -> Piece:
    """Cut a piece out of a trail (H, COLUMNS) whose rows are in any order; NaN times are empty."""
    return Piece(*_cut(trail, since_s, until_s))


@njit(cache=True, nogil=True)
def _cut(trail: Float64, since_s: float, until_s: float) -> tuple[Float64, Float64, Float64]:
    rows = np.empty(trail.shape[0], np.int64)
    count = 0
    for k in range(trail.shape[0]):
        # A comparison with NaN is false.
        if trail[k, 0] > since_s and trail[k, 0] <= until_s:
            at = count
            while at > 0 and trail[rows[at - 1], 0] > trail[k, 0]:
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = k
            count += 1
    time_s, place, look = np.empty(count), np.empty((count, 2)), np.empty((count, 3))
    for k in range(count):
        row = trail[rows[k]]
        time_s[k] = row[0]
        place[k, 0], place[k, 1] = row[1], row[2]
        look[k, 0], look[k, 1], look[k, 2] = row[3], row[4], row[5]
    return time_s, place, look


class Meetings:
    """All meetings that are not decided yet."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._open: dict[tuple[int, int], Meeting] = {}
        self._newest_id = 0

    def update(
        self,
        time_s: float,
        track_id: Int64,
        position_um: Float64,
        counts: Bool,
        trail: Float64,
        seen: Bool,
        contested_id: Int64,
    ) -> list[Verdict]:
        """Take in a frame; tell what is known of those that have parted.

        Parameters
        ----------
        track_id : (N,)
        position_um : (N, 2)
        counts : (N,)
            Confirmed tracks; one of two that meet must be.
        trail : (N, H, COLUMNS)
            The newest frames of each track, this one included.
        seen : (N,)
            With a detection of its own in this frame.
        contested_id : (C, 2)
            Tracks that may both have had the same detection in this frame, elder first.
        """
        settings = self._settings
        near = set()
        verdicts = []
        row = {int(one): k for k, one in enumerate(track_id)}
        pairs = near_pairs(position_um, counts, settings.meet_um)
        for a, b in contested_id.tolist():
            i, j = row.get(a, -1), row.get(b, -1)
            if i >= 0 and j >= 0 and (counts[i] or counts[j]):
                pairs.append((i, j))
        for i, j in pairs:
            key = (int(track_id[i]), int(track_id[j]))
            near.add(key)
            meeting = self._open.get(key)
            if meeting is None:
                since = time_s - settings.recall_s
                before = tuple(piece(trail[k], since, time_s - _MOMENT_S) for k in (i, j))
                self._open[key] = Meeting((before[0], before[1]), time_s, time_s)
            else:
                meeting.near_s = time_s
                long = time_s - meeting.begun_s > settings.unresolved_s
                if long and counts[i] and counts[j] and seen[i] != seen[j]:
                    # One detection for both, for long: it may be either's.
                    verdicts.append(Verdict(i, j, time_s, settings.unresolved_doubt, False))
        self._look_back(time_s, track_id, position_um, counts, trail)
        if len(near) == len(self._open):
            return verdicts
        for key in [key for key in self._open if key not in near]:
            meeting = self._open[key]
            verdict = self._judge(time_s, meeting, row.get(key[0], -1), row.get(key[1], -1), trail)
            if verdict is not None:
                verdicts.append(verdict)
            # What one had shown is kept a while: its sperm may be found anew.
            if time_s - meeting.near_s > settings.decide_s or (
                verdict and min(verdict.first, verdict.second) >= 0
            ):
                del self._open[key]
        return verdicts

    def _look_back(
        self,
        time_s: float,
        track_id: Int64,
        position_um: Float64,
        counts: Bool,
        trail: Float64,
    ) -> None:
        """Let new tracks meet disturbed ones nearby: they may be what those had followed."""
        fresh = np.flatnonzero(track_id > self._newest_id)
        if len(fresh) == 0:
            return
        self._newest_id = int(track_id[fresh].max())
        for a, c in _around(position_um, counts, fresh, self._settings.lost_um).tolist():
            key = (int(track_id[a]), int(track_id[c]))
            before = self._before_trouble(time_s, key[0], trail[a])
            if before is not None:
                nothing = piece(trail[c], np.inf, np.inf)
                self._open[key] = Meeting((before, nothing), time_s, time_s - _MOMENT_S)

    def _before_trouble(self, time_s: float, track_id: int, trail: Float64) -> Piece | None:
        """Recall what a track had shown before it met another or was missed; None: neither."""
        settings = self._settings
        for key, meeting in self._open.items():
            if track_id in key and time_s - meeting.near_s < settings.decide_s:
                before = meeting.before[key.index(track_id)]
                if len(before) >= _LEAST:
                    return before
        until_s = _missed_after(
            trail, time_s, settings.recall_s, settings.decide_s, settings.missed_s
        )
        if np.isnan(until_s):
            return None
        return piece(trail, time_s - settings.recall_s, until_s)

    def _judge(
        self, time_s: float, meeting: Meeting, i: int, j: int, trail: Float64
    ) -> Verdict | None:
        """Weigh both ways to continue; None while too little was seen. A row of -1 has ended."""
        settings = self._settings
        waited_s = time_s - meeting.near_s
        if waited_s < settings.watch_s:
            return None
        late = waited_s > settings.decide_s
        enough = settings.decide_frames if not late else _LEAST
        seen = _seen_since(trail, i, j, meeting.near_s)
        if max(seen) < enough or (min(seen) < enough and not late):
            return None
        after = [piece(trail[k], meeting.near_s, np.inf) if k >= 0 else None for k in (i, j)]
        score, links = settings.kept_prior, 0
        for own, other in ((0, 1), (1, 0)):
            # Each piece before goes on as its own track or as the other one.
            before = meeting.before[own]
            if len(before) < _LEAST:
                continue
            links += 1
            for way, sign in ((own, 1.0), (other, -1.0)):
                follows = after[way]
                if follows is not None and len(follows) >= _LEAST:
                    path, look = link(before, follows)
                    path *= min(1.0, _INDEPENDENT / len(follows))
                    score += sign * (settings.path_trust * path + settings.look_trust * look)
        if links == 0 or (links == 1 and min(seen) < _LEAST):
            return None
        chance = float(1.0 / (1.0 + np.exp(np.clip(score, -50.0, 50.0))))
        begun = meeting.before[0].time_s
        begun_s = float(begun[-1]) if len(begun) else meeting.near_s
        return Verdict(i, j, begun_s, chance, min(seen) >= _LEAST)


@njit(cache=True, nogil=True)
def _seen_since(trail: Float64, i: int, j: int, since_s: float) -> tuple[int, int]:
    """Count detections of two tracks, rows i and j (-1: it has ended), after a time."""
    first, second = 0, 0
    for k in range(trail.shape[1]):
        first += i >= 0 and trail[i, k, 0] > since_s
        second += j >= 0 and trail[j, k, 0] > since_s
    return first, second


@njit(cache=True, nogil=True)
def _missed_after(
    trail: Float64, time_s: float, recall_s: float, recent_s: float, missed_s: float
) -> float:
    """Begin of the first recent gap of ``missed_s`` in a trail; NaN: there is none."""
    seen = _cut(trail, time_s - recall_s, np.inf)[0]
    for k in range(seen.shape[0]):
        after = seen[k + 1] if k + 1 < seen.shape[0] else time_s
        if after - seen[k] > missed_s and seen[k] >= time_s - recent_s:
            return float(seen[k])
    return np.nan


@njit(cache=True, nogil=True)
def _around(position: Float64, counts: Bool, fresh: Int64, reach: float) -> Int64:
    """Pairs of a track that counts and a fresh one within reach."""
    found = np.empty((fresh.shape[0] * position.shape[0], 2), np.int64)
    count = 0
    for c in fresh:
        for a in range(position.shape[0]):
            dx, dy = position[a, 0] - position[c, 0], position[a, 1] - position[c, 1]
            if counts[a] and dx * dx + dy * dy < reach * reach:
                found[count, 0], found[count, 1] = a, c
                count += 1
    return found[:count].copy()


@njit(cache=True, nogil=True)
def _near_pairs(position: Float64, counts: Bool, reach: float) -> Int64:
    n = position.shape[0]
    found = np.empty((n * (n - 1) // 2, 2), np.int64)
    count = 0
    for i in range(n):
        for j in range(i):
            if not (counts[i] or counts[j]):
                continue
            dx, dy = position[i, 0] - position[j, 0], position[i, 1] - position[j, 1]
            if dx * dx + dy * dy < reach * reach:
                found[count, 0], found[count, 1] = j, i
                count += 1
    return found[:count].copy()


def near_pairs(position_um: Float64, counts: Bool, reach_um: float) -> list[tuple[int, int]]:
    """Rows of tracks nearer than ``reach_um``, one of which at least counts; elder first."""
    return [(int(i), int(j)) for i, j in _near_pairs(position_um, counts, reach_um)]
