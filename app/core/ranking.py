"""The order of the sperm in view, best first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.core.standing import Candidate, Standing
from models.types import Float64, Measurements, Tracks, TrackState

BORDER_PX = 60.0  # a tail's length: nearer to the border a sperm is about to leave
LEAVING_PX = 20.0  # the first keeps its place so far out: no change for each turn at the border
MOST_OF_UNKNOWN = 0.5  # what is not known counts as the worst, and the least is half of a score
FASTEST_UM_S = 150.0  # faster is a mistaken association, not a sperm


class Ranking:
    """Ranks by score, steadily. Until one is first by its score there is no rank, only an order.

    That order, by average-path velocity, is for having somebody to follow; ``judged`` tells the two
    apart, and whoever shows or uses the order says which it is.

    A sperm has a score once its head and speed are known, and one that has had it for a second may
    be first; one that fails a limit, or of which something is not known, only if there was nobody
    else for a while (see Standing). From then on one without is not ranked.
    The first keeps its place nearer to the border, and while an encounter hides it, than others
    are ranked at all.

    Parameters
    ----------
    width_px, height_px : int
        Of the frames.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self._width_px, self._height_px = width_px, height_px
        self._standing = Standing()

    @property
    def judged(self) -> bool:
        """Whether the order is by score; else it is by speed, and no sperm is judged yet."""
        return self._standing.first is not None

    @property
    def change(self) -> str:
        """Why the first place changed last; empty before."""
        return self._standing.change

    @property
    def changes(self) -> int:
        """How often the first place changed."""
        return self._standing.changes

    def update(
        self, tracks: Tracks, track_px: Float64, measurements: Measurements
    ) -> tuple[int, ...]:
        """Order the tracks of a frame, see ``judged``; see ``rank`` for who can be in it."""
        score = measurements.values.get("score")
        if score is None or len(tracks) == 0:
            return rank(tracks, track_px, measurements, self._width_px, self._height_px)
        usable = can_be_ranked(tracks, track_px, measurements, self._width_px, self._height_px)
        first = tracks.track_id == (-1 if self._standing.first is None else self._standing.first)
        staying = _within(track_px, self._width_px, self._height_px, LEAVING_PX)
        usable |= first & staying & (tracks.state != TrackState.TENTATIVE)
        rows = np.flatnonzero(usable)
        score_sd = np.nan_to_num(measurements.values.get("score_sd", np.zeros(len(tracks))))
        wants = wanting(measurements)
        order = self._standing.update(
            tracks.time_s,
            {
                int(tracks.track_id[k]): Candidate(
                    float(score[k]), float(score_sd[k]), bool(wants[k])
                )
                for k in rows
            },
            "is lost" if not first.any() else "has no score" if staying[first].all() else "leaves",
        )
        if self._standing.first is None:
            return rank(tracks, track_px, measurements, self._width_px, self._height_px)
        return order


def wanting(measurements: Measurements) -> NDArray[np.bool_]:
    """Say who fails a limit, or is not known in all that is judged; nobody where nothing is."""
    healthy = measurements.values.get("healthy")
    if healthy is None:
        return np.zeros(len(measurements.track_id), np.bool_)
    return np.asarray((healthy != 1.0) | ~(measurements.values["score"] > MOST_OF_UNKNOWN))


def can_be_ranked(
    tracks: Tracks, track_px: Float64, measurements: Measurements, width_px: int, height_px: int
) -> NDArray[np.bool_]:
    """Say which tracks are confirmed, seen, measured over the window, and off the border."""
    vap_um_s = measurements.values["vap_um_s"]
    inside = _within(track_px, width_px, height_px, BORDER_PX)
    return np.asarray(
        (tracks.state == TrackState.CONFIRMED)
        & np.isfinite(tracks.box_um).all(axis=1)
        & inside
        & np.isfinite(vap_um_s)
        & (vap_um_s < FASTEST_UM_S)
        & np.array([quality == "ok" for quality in measurements.quality], bool)
    )


def _within(
    track_px: Float64, width_px: int, height_px: int, border_px: float
) -> NDArray[np.bool_]:
    upper_px = np.array((width_px - 1 - border_px, height_px - 1 - border_px))
    return np.asarray(np.all((track_px >= border_px) & (track_px <= upper_px), axis=1))


def rank(
    tracks: Tracks,
    track_px: Float64,
    measurements: Measurements,
    width_px: int,
    height_px: int,
) -> tuple[int, ...]:
    """Order by average-path velocity over the live window, fastest first.

    What moves without beating comes last: it may be dead, and carried by the medium.
    Only confirmed tracks, seen in this frame, measured over the whole window, and away from the
    border are in it.

    Parameters
    ----------
    track_px : (N, 2) float64
        Tracks' positions in the picture, image frame.
    """
    if len(tracks) == 0 or "vap_um_s" not in measurements.values:
        return ()
    vap_um_s = measurements.values["vap_um_s"]
    rows = np.flatnonzero(can_be_ranked(tracks, track_px, measurements, width_px, height_px))
    swing = measurements.values.get("swing", np.full(len(tracks), np.nan))
    order = rows[np.lexsort([-vap_um_s[rows], swing[rows] <= 1.0])]
    return tuple(int(track_id) for track_id in tracks.track_id[order])
