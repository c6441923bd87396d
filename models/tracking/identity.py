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
        Rows of the tracks.
    begun_s : float
        Trails after this time belong to the bodies that part.
    exchanged : float
        Probability that they have exchanged their sperm.
    final : bool
        Nothing more will be learned.
    """

    first: int
    second: int
    begun_s: float
    exchanged: float
    final: bool


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
                before = tuple(piece(trail[k], since, time_s - 1e-9) for k in (i, j))
                self._open[key] = Meeting((before[0], before[1]), time_s)
            else:
                meeting.near_s = time_s
        if len(near) == len(self._open):
            return []
        row = {int(one): k for k, one in enumerate(track_id)}
        verdicts = []
        for key in [key for key in self._open if key not in near]:
            if key[0] not in row or key[1] not in row:
                del self._open[key]
                continue
            verdict = self._judge(time_s, self._open[key], row[key[0]], row[key[1]], trail)
            if verdict is not None:
                verdicts.append(verdict)
            if verdict is not None and verdict.final:
                del self._open[key]
        return verdicts

    def _judge(
        self, time_s: float, meeting: Meeting, i: int, j: int, trail: Float64
    ) -> Verdict | None:
        settings = self._settings
        after = [piece(trail[k], meeting.near_s, np.inf) for k in (i, j)]
        least = min(len(a) for a in after)
        late = time_s - meeting.near_s > settings.decide_s
        if least < 3:
            return Verdict(i, j, meeting.near_s, 0.0, True) if late else None
        first, second = meeting.before
        if len(first) < 3 and len(second) < 3:
            return Verdict(i, j, meeting.near_s, 0.0, True)
        score = 0.0
        for before, own, other in ((first, 0, 1), (second, 1, 0)):
            if len(before) < 3:
                continue
            kept, exchanged = link(before, after[own]), link(before, after[other])
            score += settings.path_trust * (kept[0] - exchanged[0])
            score += settings.look_trust * (kept[1] - exchanged[1])
        score += settings.kept_prior
        chance = float(1.0 / (1.0 + np.exp(np.clip(score, -50.0, 50.0))))
        begun = meeting.before[0].time_s
        begun_s = float(begun[-1]) if len(begun) else meeting.near_s
        enough = least >= settings.decide_frames and (time_s - meeting.near_s >= settings.watch_s)
        return Verdict(i, j, begun_s, chance, late or enough)


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
