"""Flow of the medium: what all cells at rest share is no swimming, and is taken off every path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.types import Float64

LEAST_CELLS = 3
# A slower flow is told, not taken off: it is within what cells at rest can be trusted to say.
LEAST_FLOW_UM_S = 3.0
_LEAST_S = 1.0
_LEAST_SHARE = 0.7  # of a cell's frames in which it was found
_MOST_SPEED_UM_S = 15.0
# Scatter about its own straight course: a cell that swims yaws more.
_MOST_SCATTER_UM = 0.35
# Cells that drift alike do so within this.
_AGREE_UM_S = 1.5
_SMOOTH_S = 1.0


@dataclass(frozen=True, slots=True)
class Drift:
    """How the medium moved.

    Attributes
    ----------
    time_s : (T,) float64
    offset_um : (T, 2) float64
        Where the medium is, relative to the first time.
    cells : int
        At rest in it; fewer than LEAST_CELLS say nothing, and the offset is zero.
    """

    time_s: Float64
    offset_um: Float64
    cells: int

    @property
    def speed_um_s(self) -> float:
        """Mean speed of the medium; NaN where it is not known."""
        if self.cells < LEAST_CELLS or len(self.time_s) < 2:
            return float("nan")
        path_um = float(np.hypot(*np.diff(self.offset_um, axis=0).T).sum())
        return path_um / float(self.time_s[-1] - self.time_s[0])

    @property
    def corrected(self) -> bool:
        """Whether the flow is known, and fast enough to be taken off."""
        return self.speed_um_s >= LEAST_FLOW_UM_S

    def without(self, time_s: Float64, place_um: Float64) -> Float64:
        """Take the drift off positions (N, 2) at times (N,); the first keeps its place."""
        if not self.corrected or not len(time_s):
            return place_um
        moved = np.stack([np.interp(time_s, self.time_s, c) for c in self.offset_um.T], axis=1)
        return np.asarray(place_um - (moved - moved[0]), dtype=np.float64)


def find_drift(paths: Sequence[tuple[Float64, Float64]]) -> Drift:
    """Find what the cells at rest share.

    A cell counts that was followed for a second, keeps to a straight slow course with hardly any
    scatter, and moves as the middle one of all such cells does. The drift of each frame is the
    median of their steps, smoothed over a second.

    Parameters
    ----------
    paths : sequence of (time_s (N,), raw_um (N, 2))
        Of each track; NaN where it was not found.
    """
    times = np.unique(np.concatenate([t for t, _ in paths])) if paths else np.zeros(0)
    still = [(t, p, v) for t, p in paths if (v := _course(t, p)) is not None]
    if still:
        middle = np.median([v for _, _, v in still], axis=0)
        still = [one for one in still if float(np.hypot(*(one[2] - middle))) <= _AGREE_UM_S]
    none = Drift(times, np.zeros((len(times), 2)), len(still))
    if len(still) < LEAST_CELLS or len(times) < 3:
        return none
    velocity = np.full((len(still), len(times) - 1, 2), np.nan)
    for k, (t, p, v) in enumerate(still):
        at = np.searchsorted(times, t)
        steps = np.flatnonzero(np.diff(at) == 1)
        velocity[k, at[steps]] = np.diff(p, axis=0)[steps] / np.diff(t)[steps, None]
        # Where it was not found it is taken to have kept its course, so that one does not count.
        inside = slice(int(at[0]), int(at[-1]))
        piece = velocity[k, inside]
        velocity[k, inside] = np.where(np.isfinite(piece), piece, v)
    step_s = np.diff(times)
    shared = _median(velocity, middle)
    window = max(1, round(_SMOOTH_S / float(np.median(step_s))))
    kernel = np.ones(window)
    weight = np.convolve(np.ones(len(shared)), kernel, "same")
    smooth = np.stack([np.convolve(c, kernel, "same") / weight for c in shared.T], axis=1)
    offset = np.concatenate([np.zeros((1, 2)), np.cumsum(smooth * step_s[:, None], axis=0)])
    return Drift(times, offset, len(still))


def _median(velocity: Float64, middle: Float64) -> Float64:
    """Median over cells of each step; where there is none, the middle of all courses."""
    known = np.isfinite(velocity[:, :, 0]).any(axis=0)
    shared = np.tile(middle, (velocity.shape[1], 1))
    if known.any():
        shared[known] = np.nanmedian(velocity[:, known], axis=0)
    return shared


def _course(time_s: Float64, place_um: Float64) -> Float64 | None:
    """Velocity of a cell that may be at rest in the medium; None of one that swims."""
    real = np.isfinite(place_um[:, 0])
    if real.sum() < 5 or real.mean() < _LEAST_SHARE:
        return None
    t, p = time_s[real], place_um[real]
    if t[-1] - t[0] < _LEAST_S:
        return None
    t0 = t - t.mean()
    velocity = (t0[:, None] * (p - p.mean(axis=0))).sum(axis=0) / (t0**2).sum()
    scatter = p - p.mean(axis=0) - t0[:, None] * velocity
    if float(np.hypot(*velocity)) > _MOST_SPEED_UM_S:
        return None
    if float(np.sqrt((scatter**2).mean())) > _MOST_SCATTER_UM:
        return None
    return np.asarray(velocity)
