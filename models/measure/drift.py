"""Flow of the medium: what all cells at rest share is no swimming, and is taken off every path.

Whether a flow is taken off depends on how well it is known, not on its speed: a slow one matters as
much where the criteria judge slow sperm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.measure.motility import swing_of
from models.measure.settings import MotilitySettings
from models.types import Float64

LEAST_CELLS = 3
LEAST_FLOW_UM_S = 0.5
"""A slower flow is told, not taken off: speeds are not known better than that."""
# So many times its own uncertainty a flow must be: else the cells do not agree that there is one.
_SURE = 3.0
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
    uncertainty_um_s : float
        Standard uncertainty of the speed, from how far the cells differ; NaN where it is not known.
    """

    time_s: Float64
    offset_um: Float64
    cells: int
    uncertainty_um_s: float = float("nan")

    @property
    def speed_um_s(self) -> float:
        """Mean speed of the medium; NaN where it is not known."""
        if self.cells < LEAST_CELLS or len(self.time_s) < 2:
            return float("nan")
        path_um = float(np.hypot(*np.diff(self.offset_um, axis=0).T).sum())
        return path_um / float(self.time_s[-1] - self.time_s[0])

    @property
    def corrected(self) -> bool:
        """Whether the flow is known, and surely more than none: then it is taken off."""
        speed_um_s = self.speed_um_s
        return speed_um_s >= LEAST_FLOW_UM_S and speed_um_s >= _SURE * self.uncertainty_um_s

    def without(self, time_s: Float64, place_um: Float64) -> Float64:
        """Take the drift off positions (N, 2) at times (N,); the first keeps its place."""
        if not self.corrected or not len(time_s):
            return place_um
        moved = np.stack([np.interp(time_s, self.time_s, c) for c in self.offset_um.T], axis=1)
        return np.asarray(place_um - (moved - moved[0]), dtype=np.float64)


def find_drift(paths: Sequence[tuple[Float64, Float64]]) -> Drift:
    """Find what the cells at rest share.

    A cell counts that was followed for a second, keeps to a straight slow course without beating
    and with hardly any scatter, and moves as the middle one of all such cells does. The drift of
    each frame is the median of their velocities over the second about it: over single frames they
    would be jitter, and the speed of the flow would have jitter in it.

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
    step_s = np.diff(times)
    window = max(1, round(_SMOOTH_S / float(np.median(step_s))))
    velocity = np.full((len(still), len(times) - 1, 2), np.nan)
    for k, (t, p, _) in enumerate(still):
        real = np.isfinite(p[:, 0])
        first, last = np.searchsorted(times, t[real][[0, -1]])
        inside = times[first : last + 1]
        # A straight line over what is missing: then the steps of a second add up to its two ends.
        path = np.stack([np.interp(inside, t[real], p[real, a]) for a in range(2)], axis=1)
        velocity[k, first:last] = _over(np.diff(path, axis=0), np.diff(inside), window)
    shared = _median(velocity, middle)
    offset = np.concatenate([np.zeros((1, 2)), np.cumsum(shared * step_s[:, None], axis=0)])
    return Drift(times, offset, len(still), _uncertainty(np.array([v for _, _, v in still])))


def _over(steps_um: Float64, step_s: Float64, window: int) -> Float64:
    """Velocity (S, 2) over ``window`` steps about each; over fewer at the ends."""
    kernel = np.ones(window)
    kept = slice((window - 1) // 2, (window - 1) // 2 + len(steps_um))
    way_um = [np.convolve(column, kernel)[kept] for column in steps_um.T]
    return np.stack(way_um, axis=1) / np.convolve(step_s, kernel)[kept, None]


def _uncertainty(velocity: Float64) -> float:
    """Tell the standard uncertainty of the median of courses (N, 2), per axis."""
    spread = float(((velocity - velocity.mean(axis=0)) ** 2).sum()) / (2 * (len(velocity) - 1))
    return 1.2533 * float(np.sqrt(spread / len(velocity)))


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
    every = np.ones(len(t), np.bool_)
    if swing_of(t, p, every, MotilitySettings().localisation_um) > 1.0:
        return None
    return np.asarray(velocity)
