"""Which sperm is meant by a click."""

from __future__ import annotations

import numpy as np

from app.core.messages import Snapshot
from models.types import TrackState


def nearest_track(snapshot: Snapshot, x_px: float, y_px: float, radius_px: float) -> int | None:
    """Return the track nearest to a point of the image frame, None if none lies within the radius.

    A large box reaches further: a point inside a track's own box always counts as within.
    Tentative tracks cannot be chosen.
    """
    if not len(snapshot.tracks):
        return None
    offset = snapshot.track_px - (x_px, y_px)
    distance = np.hypot(offset[:, 0], offset[:, 1])
    inside = (np.abs(offset) <= snapshot.tracks.size_px / 2).all(axis=1)
    near = ((distance <= radius_px) | inside) & (snapshot.tracks.state != TrackState.TENTATIVE)
    distance = np.where(near, distance, np.inf)
    row = int(np.argmin(distance))
    return int(snapshot.tracks.track_id[row]) if np.isfinite(distance[row]) else None


def row_of(snapshot: Snapshot, track_id: int | None) -> int | None:
    """Return the row of a track in the snapshot, None if it is not in it."""
    if track_id is None:
        return None
    rows = np.flatnonzero(snapshot.tracks.track_id == track_id)
    return int(rows[0]) if len(rows) else None
