"""The order of the sperm in view, best first."""

from __future__ import annotations

import numpy as np

from models.types import Float64, Measurements, Tracks, TrackState

BORDER_PX = 60.0  # a tail's length: nearer to the border a sperm is about to leave
FASTEST_UM_S = 150.0  # faster is a mistaken association, not a sperm


def rank(
    tracks: Tracks,
    track_px: Float64,
    measurements: Measurements,
    width_px: int,
    height_px: int,
) -> tuple[int, ...]:
    """Rank by average-path velocity over the live window, fastest first.

    Only confirmed tracks, seen in this frame, measured over the whole window, and away from the
    border can be ranked.

    Parameters
    ----------
    track_px : (N, 2) float64
        Tracks' positions in the picture, image frame.
    """
    if len(tracks) == 0 or "vap_um_s" not in measurements.values:
        return ()
    vap_um_s = measurements.values["vap_um_s"]
    upper_px = np.array((width_px - 1 - BORDER_PX, height_px - 1 - BORDER_PX))
    inside = np.all((track_px >= BORDER_PX) & (track_px <= upper_px), axis=1)
    usable = (
        (tracks.state == TrackState.CONFIRMED)
        & (tracks.detection >= 0)
        & inside
        & np.isfinite(vap_um_s)
        & (vap_um_s < FASTEST_UM_S)
        & np.array([quality == "ok" for quality in measurements.quality], bool)
    )
    rows = np.flatnonzero(usable)
    order = rows[np.argsort(-vap_um_s[rows], kind="stable")]
    return tuple(int(track_id) for track_id in tracks.track_id[order])
