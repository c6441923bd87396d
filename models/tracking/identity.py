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
    near_s : float
        When they were near last.
    """

    before: tuple[Piece, Piece]
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
    rows = trail[(trail[:, 0] > since_s) & (trail[:, 0] <= until_s)]
    rows = rows[np.argsort(rows[:, 0])]
    return Piece(rows[:, 0].copy(), rows[:, 1:3].copy(), rows[:, 3:].copy())


class Meetings:
    """All meetings that are not decided yet."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._open: dict[tuple[int, int], Meeting] = {}
        self._newest_id = 0

    def update(
        self, time_s: float, track_id: Int64, position_um: Float64, counts: Bool, trail: Float64
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
        """
        settings = self._settings
        near = set()
        for i, j in near_pairs(position_um, counts, settings.meet_um):
            key = (int(track_id[i]), int(track_id[j]))
            near.add(key)
            meeting = self._open.get(key)
            if meeting is None:
                since = time_s - settings.recall_s
                before = tuple(piece(trail[k], since, time_s - _MOMENT_S) for k in (i, j))
                self._open[key] = Meeting((before[0], before[1]), time_s)
            else:
                meeting.near_s = time_s
        self._look_back(time_s, track_id, position_um, counts, trail)
        if len(near) == len(self._open):
            return []
        row = {int(one): k for k, one in enumerate(track_id)}
        verdicts = []
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
        for c in fresh:
            apart = np.hypot(*(position_um - position_um[c]).T)
            for a in np.flatnonzero(counts & (apart < self._settings.lost_um)):
                key = (int(track_id[a]), int(track_id[c]))
                before = self._before_trouble(time_s, key[0], trail[a])
                if before is not None:
                    nothing = piece(trail[c], np.inf, np.inf)
                    self._open[key] = Meeting((before, nothing), time_s - _MOMENT_S)

    def _before_trouble(self, time_s: float, track_id: int, trail: Float64) -> Piece | None:
        """Recall what a track had shown before it met another or was missed; None: neither."""
        settings = self._settings
        for key, meeting in self._open.items():
            if track_id in key and time_s - meeting.near_s < settings.decide_s:
                before = meeting.before[key.index(track_id)]
                if len(before) >= _LEAST:
                    return before
        seen = np.sort(trail[trail[:, 0] > time_s - settings.recall_s, 0])
        gap = np.diff(np.append(seen, time_s))
        since = seen >= time_s - settings.decide_s
        wide = np.flatnonzero((gap > settings.missed_s) & since)
        if len(wide) == 0:
            return None
        return piece(trail, time_s - settings.recall_s, float(seen[wide[0]]))

    def _judge(
        self, time_s: float, meeting: Meeting, i: int, j: int, trail: Float64
    ) -> Verdict | None:
        """Weigh both ways to continue; None while too little was seen. A row of -1 has ended."""
        settings = self._settings
        after = [piece(trail[k], meeting.near_s, np.inf) if k >= 0 else None for k in (i, j)]
        seen = [0 if one is None else len(one) for one in after]
        waited_s = time_s - meeting.near_s
        late = waited_s > settings.decide_s
        enough = settings.decide_frames if not late else _LEAST
        if waited_s < settings.watch_s or max(seen) < enough or (min(seen) < enough and not late):
            return None
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
