"""Birth, existence and end of tracks.

Existence is estimated jointly with association (JIPDA: Musicki and Evans, 2004) on a Markov
chain of two living states: a sperm is detectable, or hidden (out of focus, overlapped), or it is
no more. Misses come in rows; the hidden state lets an established track survive them, while a
young one, whose existence rests on few detections, ends.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.tracking.identity import COLUMNS
from models.tracking.motion import Motion
from models.tracking.proximity import shadows_senior
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

Bool = NDArray[np.bool_]
# Frames of a trail.
TRAIL = 48


@dataclass(slots=True)
class Population:
    """Live tracks, one row each; owned and changed by the tracker alone.

    Attributes
    ----------
    track_id : (N,) int64
    motion : Motion
        Estimates in each mode of motion.
    mean, covariance : (N, 4), (N, 4, 4) float64
        x, y (um), vx, vy (um/s), stage frame: ``motion`` over all modes.
    detectable, hidden : (N,) float64
        Probabilities; their sum is the existence probability.
    confirmed, coasting : (N,) bool
        ``coasting``: not seen in the newest frame.
    hits : (N,) int64
        One bit per frame, newest in bit 0: seen or not.
    steps : (N,) int64
        Frames since birth, that of the birth included.
    seen_s : (N,) float64
        When it was last seen.
    size_px : (N, 2) float64
    votes : (N, 3) float64
        Decaying count of each SpermClass.
    shadow_s : (N,) float64
        For how long it has shared one detection with a senior track at the same place.
    trail : (N, H, 6) float64
        Its own detections of late, in no order; see ``identity``.
    identity, doubt_until_s : (N,) float64
        Probability that it still follows the same sperm, and when that is forgotten.
    """

    track_id: Int64
    motion: Motion
    mean: Float64
    covariance: Float64
    detectable: Float64
    hidden: Float64
    confirmed: Bool
    coasting: Bool
    hits: Int64
    steps: Int64
    seen_s: Float64
    size_px: Float64
    votes: Float64
    shadow_s: Float64
    trail: Float64
    identity: Float64
    doubt_until_s: Float64

    def __len__(self) -> int:
        return len(self.track_id)

    @property
    def existence(self) -> Float64:
        """Existence probability (N,)."""
        return self.detectable + self.hidden

    def keep(self, rows: Bool) -> None:
        """Drop all other rows."""
        if not rows.all():
            self.motion = self.motion.rows(rows)
            for name in _COLUMNS:
                setattr(self, name, getattr(self, name)[rows])

    def append(self, other: Population) -> None:
        """Add rows at the end."""
        self.motion = self.motion.joined(other.motion)
        for name in _COLUMNS:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))

    def exchange(self, i: int, j: int, since_s: float) -> None:
        """Let two tracks exchange the bodies that they follow; what was before stays."""
        self.motion.exchange(i, j)
        for name in _BODY:
            column = getattr(self, name)
            column[[i, j]] = column[[j, i]]
        own = self.trail[[i, j], :, 0] <= since_s
        new = self.trail[[j, i]]
        # Each keeps what is older, in slots that the other's newer rows leave free.
        for row, source in ((0, i), (1, j)):
            old = self.trail[source][own[row]]
            new[row][new[row][:, 0] <= since_s] = np.nan
            free = np.flatnonzero(np.isnan(new[row][:, 0]))[: len(old)]
            new[row][free] = old[: len(free)]
        self.trail[[i, j]] = new

    @staticmethod
    def born(
        track_id: Int64,
        motion: Motion,
        time_s: float,
        size_px: Float64,
        label: NDArray[np.int8],
        settings: TrackerSettings,
    ) -> Population:
        """Make tentative tracks of sperm seen for the first time at ``time_s``."""
        n = len(track_id)
        mean, covariance = motion.combined()
        votes = np.zeros((n, 3))
        votes[np.arange(n), label] = 1.0
        return Population(
            track_id=track_id, motion=motion, mean=mean, covariance=covariance,
            detectable=np.full(n, settings.birth_existence), hidden=np.zeros(n),
            confirmed=np.zeros(n, np.bool_), coasting=np.zeros(n, np.bool_),
            hits=np.ones(n, np.int64), steps=np.ones(n, np.int64),
            seen_s=np.full(n, time_s), size_px=size_px, votes=votes, shadow_s=np.zeros(n),
            trail=np.full((n, TRAIL, COLUMNS), np.nan), identity=np.ones(n),
            doubt_until_s=np.full(n, -np.inf),
        )  # fmt: skip


_COLUMNS = tuple(column.name for column in fields(Population) if column.name != "motion")
# What belongs to the sperm that is followed, not to the track's name.
_BODY = (
    "mean", "covariance", "detectable", "hidden", "coasting", "hits", "seen_s", "size_px", "votes",
    "shadow_s",
)  # fmt: skip


def predict_existence(tracks: Population, step_s: float, settings: TrackerSettings) -> None:
    """Let ``step_s`` pass: sperm hide, come back, or vanish."""
    survive = np.exp(-step_s / settings.lifetime_s)
    hide = 1.0 - np.exp(-step_s / settings.hidden_after_s)
    show = 1.0 - np.exp(-step_s / settings.hidden_for_s)
    detectable = tracks.detectable * (1.0 - hide) + tracks.hidden * show
    hidden = tracks.detectable * hide + tracks.hidden * (1.0 - show)
    tracks.detectable, tracks.hidden = survive * detectable, survive * hidden


def update_existence(
    tracks: Population, missed: Float64, detection_probability: Float64, gate_probability: float
) -> Float64:
    """Weigh existence by what was seen; returns the (N,) chance that the sperm was detected.

    ``missed`` is the marginal probability that no measurement belongs to the track; the chance
    returned is conditional on existence.
    """
    escaped = 1.0 - detection_probability * gate_probability
    unseen = 1.0 - detection_probability * gate_probability * tracks.detectable
    found = 1.0 - missed
    tracks.detectable = missed * escaped * tracks.detectable / unseen + found
    tracks.hidden = missed * tracks.hidden / unseen
    seen: Float64 = found / np.maximum(tracks.existence, 1e-12)
    return np.minimum(seen, 1.0)


def confirm(tracks: Population, settings: TrackerSettings) -> None:
    """Confirm tentative tracks that exist beyond doubt and were seen often enough."""
    window = (1 << settings.confirm_steps) - 1
    hits = np.bitwise_count(tracks.hits & window)
    tracks.confirmed |= (tracks.existence > settings.confirm_existence) & (
        hits >= settings.confirm_hits
    )


def surviving(
    tracks: Population,
    time_s: float,
    step_s: float,
    gate_area_um2: Float64,
    depth_um: Float64,
    settings: TrackerSettings,
) -> Bool:
    """Rows that live on.

    Parameters
    ----------
    gate_area_um2 : (N,)
        Area of the gate that the next measurement would be searched in.
    depth_um : (N,)
        Distance from the border of the view, negative outside.
    """
    window = (1 << settings.confirm_steps) - 1
    hits = np.bitwise_count(tracks.hits & window)
    unseen_s = time_s - tracks.seen_s
    longest_s = max(settings.coast_s, settings.coast_steps * step_s)
    floor = np.where(tracks.confirmed, settings.delete_confirmed, settings.delete_tentative)
    hopeless = (
        ~tracks.confirmed
        & (tracks.steps >= settings.confirm_steps)
        & (hits < settings.confirm_hits)
    )
    alive: Bool = (
        (tracks.existence >= floor)
        & (unseen_s <= longest_s + 1e-9)
        & (gate_area_um2 <= settings.gate_side_um**2)
        & (depth_um >= -settings.outside_um)
        & (tracks.shadow_s < settings.merge_s)
        & ~hopeless
    )
    return alive


def clock_shadows(
    tracks: Population, own: Int64, time_s: float, step_s: float, settings: TrackerSettings
) -> None:
    """Clock for how long each track has had no detection that a senior one does not need."""
    shadow = shadows_senior(tracks.mean[:, :2], tracks.confirmed, own >= 0, settings.merge_um)
    for row in np.flatnonzero(shadow):
        # It was seen on its own often enough: it is no second track on one head.
        seen = np.count_nonzero(tracks.trail[row, :, 0] > time_s - settings.recall_s)
        shadow[row] = seen < settings.established_hits
    tracks.shadow_s = np.where(shadow, tracks.shadow_s + step_s, 0.0)
