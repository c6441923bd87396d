"""Who is who, told afterwards: encounters in a whole recording are judged again.

On line an encounter is judged a fifth of a second after it; of a recording the seconds before
and after are known. Tracks that exchanged their sperm get them back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.tracking.linkage import Piece, link
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

Bool = NDArray[np.bool_]
# How much of a track before and after is compared, and the least of it.
_LONG_S, _LEAST = 2.0, 6
# Tracks this near each other may have exchanged their sperm.
_MEET_UM = 6.0
# Contacts less than this apart are one.
_APART_S = 0.3
# Detections that count as independent; the rest of a long piece tells of the same.
_INDEPENDENT = 100.0
# Log odds for an exchange, at least.
_EXCHANGE = 2.0


@dataclass(frozen=True, slots=True)
class Rows:
    """All tracks of a recording, one row for each track and frame, ordered by time.

    Attributes
    ----------
    track_id : (N,) int64
    time_s : (N,) float64
    place_um : (N, 2) float64
        Its own detection, stage frame; NaN without one.
    look : (N, 3) float64
        As in ``linkage.Piece``.
    """

    track_id: Int64
    time_s: Float64
    place_um: Float64
    look: Float64


def relink(rows: Rows, settings: TrackerSettings | None = None) -> Int64:
    """Tell of each row (N,) which sperm it is; names are those of the tracks.

    Raises
    ------
    ValueError
        The rows are not ordered by time.
    """
    if (np.diff(rows.time_s) < 0.0).any():
        raise ValueError("relink: rows must be ordered by time")
    settings = settings or TrackerSettings()
    name = rows.track_id.copy()
    for first, second, begun_s, ended_s in _contacts(rows):
        _restore(rows, name, first, second, begun_s, ended_s, settings)
    return name


def _contacts(rows: Rows) -> list[tuple[int, int, float, float]]:
    """Encounters of two tracks, in the order of their begin: rows' names, begin, end."""
    open_since: dict[tuple[int, int], list[list[float]]] = {}
    seen = np.flatnonzero(np.isfinite(rows.place_um[:, 0]))
    cuts = np.flatnonzero(np.diff(rows.time_s[seen])) + 1
    for at in np.split(seen, cuts):
        place = rows.place_um[at]
        apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
        now = float(rows.time_s[at[0]]) if len(at) else 0.0
        for i, j in np.argwhere(np.triu(apart < _MEET_UM, 1)).tolist():
            a, b = sorted((int(rows.track_id[at[i]]), int(rows.track_id[at[j]])))
            spans = open_since.setdefault((a, b), [])
            if spans and now - spans[-1][1] < _APART_S:
                spans[-1][1] = now
            else:
                spans.append([now, now])
    found = [(a, b, s[0], s[1]) for (a, b), spans in open_since.items() for s in spans]
    return sorted(found, key=lambda one: one[2])


def _piece(rows: Rows, mine: Bool, since_s: float, until_s: float) -> Piece:
    at = np.flatnonzero(mine & np.isfinite(rows.place_um[:, 0]))
    at = at[(rows.time_s[at] > since_s) & (rows.time_s[at] < until_s)]
    return Piece(rows.time_s[at], rows.place_um[at], rows.look[at])


def _score(before: Piece, after: Piece, settings: TrackerSettings) -> float:
    path, look = link(before, after)
    path *= min(1.0, _INDEPENDENT / len(after))
    return settings.path_trust * path + settings.look_trust * look


def _restore(
    rows: Rows, name: Int64, first: int, second: int, begun_s: float, ended_s: float,
    settings: TrackerSettings,
) -> None:  # fmt: skip
    """Exchange the names of two tracks after their encounter, if they exchanged their sperm."""
    # Names as they were given so far: earlier encounters may have been put right.
    ids = []
    for one in (first, second):
        mine = np.flatnonzero((rows.track_id == one) & (rows.time_s >= begun_s))
        ids.append(int(name[mine[0]]) if len(mine) else one)
    before = [_piece(rows, name == one, begun_s - _LONG_S, begun_s) for one in ids]
    after = [_piece(rows, name == one, ended_s, ended_s + _LONG_S) for one in ids]
    if min(map(len, after)) < _LEAST or min(map(len, before)) < _LEAST:
        return
    kept = sum(_score(before[k], after[k], settings) for k in (0, 1))
    exchanged = sum(_score(before[k], after[1 - k], settings) for k in (0, 1))
    if exchanged - kept > _EXCHANGE:
        later = rows.time_s >= 0.5 * (begun_s + ended_s)
        mine, other = later & (name == ids[0]), later & (name == ids[1])
        name[mine], name[other] = ids[1], ids[0]
