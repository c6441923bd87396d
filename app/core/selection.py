"""Which sperm is meant: the target as the servo sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.tracking.settings import TrackerSettings
from models.types import Float64, Tracks, TrackState

ALONE_UM = 6.0  # closer than this, two heads touch and an identity may be swapped
# Below: a track may be on another sperm since it met one.
SURE_IDENTITY = TrackerSettings().doubtful_identity


@dataclass(frozen=True, slots=True)
class Target:
    """One track at one frame. Stage frame.

    Attributes
    ----------
    track_id : int
    time_s : float
        Mid exposure.
    position_um, velocity_um_s : (2,) float64
        Filtered.
    seen : bool
        A detection was associated in this frame, a weak one included.
    alone : bool
        No other track is near enough to be taken for it.
    identity : float
        Probability that the track has not been taken over by another sperm of late.
    measured_um : (2,) float64 or None
        Where its head was found in this frame: the box, which is of the whole exposure; None where
        it was not.
    shared_um : (2,) float64 or None
        Where a head was found that may be its own and another's as one; None where it was found by
        itself, or nothing is near.
    covariance : (4, 4) float64 or None
        Of position and velocity together, as filtered.
    """

    track_id: int
    time_s: float
    position_um: Float64
    velocity_um_s: Float64
    seen: bool
    alone: bool
    identity: float = 1.0
    measured_um: Float64 | None = None
    shared_um: Float64 | None = None
    covariance: Float64 | None = None


def find_target(tracks: Tracks, track_id: int) -> Target | None:
    """Return the track as a target; None when it is not among ``tracks``."""
    rows = np.flatnonzero(tracks.track_id == track_id)
    if rows.size == 0:
        return None
    row = int(rows[0])
    position_um = tracks.position_um[row]
    distance_um = np.linalg.norm(tracks.position_um - position_um, axis=1)
    distance_um[row] = np.inf
    box_um, shared_um = tracks.box_um[row], tracks.shared_um[row]
    return Target(
        track_id,
        tracks.time_s,
        position_um,
        tracks.velocity_um_s[row],
        seen=bool(tracks.state[row] != TrackState.COASTING and np.isfinite(box_um).all()),
        alone=bool(distance_um.min(initial=np.inf) > ALONE_UM),
        identity=float(tracks.identity[row]),
        measured_um=box_um if np.isfinite(box_um).all() else None,
        shared_um=shared_um if np.isfinite(shared_um).all() else None,
        covariance=tracks.covariance[row],
    )


def name_of(tracks: Tracks, row: int) -> str:
    """Return the number to show for a track; with '?' while its identity is in doubt."""
    return f"{tracks.track_id[row]}" + ("?" if tracks.identity[row] < SURE_IDENTITY else "")


def may_be_chosen(tracks: Tracks, track_id: int) -> str:
    """Say why ``track_id`` cannot be followed now; empty when it can."""
    rows = np.flatnonzero(tracks.track_id == track_id)
    if rows.size == 0:
        return f"track {track_id} is not in view"
    if tracks.state[rows[0]] == TrackState.TENTATIVE:
        return f"track {track_id} is not confirmed yet"
    return ""
