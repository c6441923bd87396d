"""How a sperm's mean path moves: constant velocity with random acceleration, in several modes.

A still cell, a straight swimmer and a hyperactive one differ in how fast their path turns and in
how far the head yaws from it. Each track carries one Kalman filter per mode, and how probable the
mode is (interacting multiple models). The matrices are filterpy's (Q_continuous_white_noise,
KalmanFilter); the arithmetic is compiled and runs on all tracks and modes at once. State: x, y
(um), vx, vy (um/s), stage frame.

Sources: Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation
(2001), sections 6.2 and 11.6; Blom and Bloem, IEEE Trans. Automatic Control (2000), for the data
association; filterpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import KalmanFilter
from numba import njit
from numpy.typing import NDArray

from models.tracking.gating import Candidates
from models.tracking.population import Records
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

# Numbers of one mode while modes are mixed: mean, covariance, probability.
SCRATCH = 21


@dataclass(slots=True)
class Motion:
    """Estimates of N tracks in K modes.

    Attributes
    ----------
    mean : (N, K, 4) float64
    covariance : (N, K, 4, 4) float64
    mode : (N, K) float64
        Probability of each mode.
    """

    mean: Float64
    covariance: Float64
    mode: Float64

    def copy(self) -> Motion:
        """Make one that can be changed."""
        return Motion(self.mean.copy(), self.covariance.copy(), self.mode.copy())

    def combined(self) -> tuple[Float64, Float64]:
        """Mean (N, 4) and covariance (N, 4, 4) over the modes."""
        mean, covariance = _combine(self.mean, self.covariance, self.mode)
        return mean, covariance


class MotionModel:
    """Batched filter of N tracks that share modes and time step.

    Attributes
    ----------
    variance, speed_variance, prior : (K,) float64
        Of each mode: variance of a measurement about the mean path (um^2 per axis), of the speed
        of a sperm seen once ((um/s)^2 per axis), and how probable the mode is then.
    swing_share : (K,) float64
        How much of a measurement's distance from the mean path is the head's own.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        modes = settings.modes
        self._count = len(modes)
        self._density = tuple(
            mode.acceleration_um_s2**2 * settings.acceleration_hold_s for mode in modes
        )
        self._decay_s = settings.coast_decay_s
        self._stay_s = settings.mode_s
        self.variance = np.array(
            [settings.localisation_um**2 + mode.yaw_um**2 / 2.0 for mode in modes]
        )
        self.swing_share = 1.0 - settings.localisation_um**2 / self.variance
        self.prior = np.array([float(mode.prior) for mode in modes])
        self.prior /= self.prior.sum()
        self.speed_variance = np.array([mode.speed_um_s**2 for mode in modes])
        self._noise_r = np.eye(2) * self.variance[:, None, None]
        self._step_s = -1.0
        self._matrices: tuple[Float64, Float64, Float64, Float64] | None = None

    def transition(self, step_s: float, *, coasting: bool = False) -> Float64:
        """State transition F (4, 4) over ``step_s``; a coasting track loses its speed."""
        kept = float(np.exp(-step_s / self._decay_s)) if coasting else 1.0
        reach = self._decay_s * (1.0 - kept) if coasting else step_s
        f = np.diag([1.0, 1.0, kept, kept])
        f[0, 2] = f[1, 3] = reach
        return f

    def parameters(self) -> list[tuple[float, float, float]]:
        """Process noise density (um^2/s^3), measurement and birth speed variance of each mode."""
        return list(
            zip(self._density, self.variance.tolist(), self.speed_variance.tolist(), strict=True)
        )

    def switching(self, step_s: float) -> Float64:
        """Mode transition probabilities (K, K) over ``step_s``, from row to column."""
        if self._count == 1:
            return np.ones((1, 1))
        leave = -np.expm1(-step_s / self._stay_s)
        switch: Float64 = np.eye(self._count) * (1.0 - leave) + self.prior * leave
        return switch

    def noise(self, step_s: float) -> Float64:
        """Process noise Q (K, 4, 4) of ``step_s``; two steps add up to one of their sum."""
        noise: Float64 = np.array(self._density)[:, None, None] * _unit_noise(step_s)
        return noise

    def filter(self, mode: int, step_s: float) -> KalmanFilter:
        """Build the same model as a filterpy filter of one track in one mode."""
        model = KalmanFilter(dim_x=4, dim_z=2)
        model.F = self.transition(step_s)
        model.Q = self.noise(step_s)[mode].copy()
        model.H = np.eye(2, 4)
        model.R = self._noise_r[mode].copy()
        return model

    def birth(self, position_um: Float64) -> Motion:
        """Estimate of sperm seen once, at (N, 2)."""
        n, k = len(position_um), self._count
        mean = np.zeros((n, k, 4))
        mean[:, :, :2] = position_um[:, None, :]
        covariance = np.zeros((n, k, 4, 4))
        covariance[:, :, 0, 0] = covariance[:, :, 1, 1] = self.variance
        covariance[:, :, 2, 2] = covariance[:, :, 3, 3] = self.speed_variance
        return Motion(mean, covariance, np.tile(self.prior, (n, 1)))

    def matrices(self, step_s: float) -> tuple[Float64, Float64, Float64, Float64]:
        """Switching, transition, that of a coasting track, and noise over ``step_s``."""
        if self._matrices is None or step_s != self._step_s:
            self._step_s = step_s
            self._matrices = (
                self.switching(step_s), self.transition(step_s),
                self.transition(step_s, coasting=True), self.noise(step_s),
            )  # fmt: skip
        return self._matrices

    def predict(self, motion: Motion, step_s: float, coasting: NDArray[np.bool_]) -> Motion:
        """Move all tracks ``step_s`` ahead, each mode from what the modes that lead to it say."""
        moved = motion.copy()
        _predict(moved.mean, moved.covariance, moved.mode, *self.matrices(step_s), coasting)
        return moved

    def innovation_covariance(self, covariance: Float64) -> Float64:
        """S = H P H' + R (N, K, 2, 2), um^2."""
        s: Float64 = covariance[..., :2, :2] + self._noise_r
        return s

    def correct(self, motion: Motion, pairs: Candidates, share: Float64, seen: Float64) -> Motion:
        """Probabilistic data association update of predicted tracks.

        Each mode is corrected with its own part of the evidence, and weighed by it.

        Parameters
        ----------
        motion : Motion
            Predicted.
        pairs : Candidates
        share : (E,)
            Probability that the pair belongs together, given that the sperm exists.
        seen : (N,)
            The sum of these over each track.
        """
        corrected = motion.copy()
        _correct(
            corrected.mean, corrected.covariance, corrected.mode, self.variance, pairs.start,
            pairs.innovation_um, pairs.density, share, seen,
        )  # fmt: skip
        return corrected


@lru_cache(maxsize=64)
def _unit_noise(step_s: float) -> Float64:
    """Process noise (4, 4) of density 1."""
    noise = np.asarray(
        Q_continuous_white_noise(
            dim=2, dt=step_s, spectral_density=1.0, block_size=2, order_by_dim=False
        ),
        dtype=np.float64,
    )
    noise.flags.writeable = False
    return noise


@njit(cache=True, nogil=True)
def combine_one(
    mean: Float64, covariance: Float64, mode: Float64, total: Float64, spread: Float64
) -> None:
    """Write mean (4,) and covariance (4, 4) over the modes of one track."""
    for a in range(4):
        total[a] = 0.0
        for k in range(mode.shape[0]):
            total[a] += mode[k] * mean[k, a]
    for a in range(4):
        for b in range(a + 1):
            value = 0.0
            for k in range(mode.shape[0]):
                away = (mean[k, a] - total[a]) * (mean[k, b] - total[b])
                value += mode[k] * (covariance[k, a, b] + away)
            spread[a, b] = spread[b, a] = value


@njit(cache=True, nogil=True)
def predict_one(
    mean: Float64,
    covariance: Float64,
    mode: Float64,
    switching: Float64,
    transition: Float64,
    noise: Float64,
    scratch: Float64,
) -> None:
    """Mix and move one track in place; ``scratch`` is (K, 21).

    The transition is that of constant velocity: (0, 2) is how far a speed reaches, (2, 2) what
    is left of it.
    """
    modes = mode.shape[0]
    reach, kept = transition[0, 2], transition[2, 2]
    for k in range(modes):
        mixed = scratch[k]
        total = 0.0
        for q in range(modes):
            total += mode[q] * switching[q, k]
        mixed[:20] = 0.0
        mixed[20] = total
        for q in range(modes):
            part = mode[q] * switching[q, k] / total
            for a in range(4):
                mixed[a] += part * mean[q, a]
        for q in range(modes):
            part = mode[q] * switching[q, k] / total
            for a in range(4):
                da = mean[q, a] - mixed[a]
                for b in range(4):
                    away = da * (mean[q, b] - mixed[b])
                    mixed[4 + 4 * a + b] += part * (covariance[q, a, b] + away)
    for k in range(modes):
        mixed, p = scratch[k], covariance[k]
        mode[k] = mixed[20]
        for a in range(2):
            mean[k, a] = mixed[a] + reach * mixed[a + 2]
            mean[k, a + 2] = kept * mixed[a + 2]
        for a in range(2):
            for b in range(2):
                # Places, speeds, and what they have to do with each other.
                pp = mixed[4 + 4 * a + b]
                pv, vp = mixed[4 + 4 * a + b + 2], mixed[4 + 4 * (a + 2) + b]
                vv = mixed[4 + 4 * (a + 2) + b + 2]
                p[a, b] = noise[k, a, b] + (pp + reach * vp) + (pv + reach * vv) * reach
                p[a, b + 2] = noise[k, a, b + 2] + (pv + reach * vv) * kept
                p[a + 2, b] = noise[k, a + 2, b] + kept * vp + kept * vv * reach
                p[a + 2, b + 2] = noise[k, a + 2, b + 2] + kept * vv * kept


@njit(cache=True, nogil=True)
def correct_one(
    mean: Float64,
    covariance: Float64,
    mode: Float64,
    variance: Float64,
    innovation: Float64,
    density: Float64,
    share: Float64,
    seen: float,
) -> None:
    """Correct one track in place with its pairs: ``innovation`` (e, K, 2), ``share`` (e,)."""
    norm = 0.0
    gain, spread = np.empty((4, 2)), np.empty((2, 2))
    mixed = np.zeros(share.shape[0])
    for e in range(share.shape[0]):
        for q in range(mode.shape[0]):
            mixed[e] += mode[q] * density[e, q]
    for k in range(mode.shape[0]):
        # How much likelier than over all modes each measurement is in this one.
        found, dx, dy, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for e in range(share.shape[0]):
            if share[e] == 0.0:
                continue
            part = share[e] * density[e, k] / mixed[e]
            x, y = innovation[e, k, 0], innovation[e, k, 1]
            found += part
            dx += part * x
            dy += part * y
            xx += part * x * x
            xy += part * x * y
            yy += part * y * y
        total = max(found + 1.0 - seen, 1e-30)
        p = covariance[k]
        sxx, sxy, syy = p[0, 0] + variance[k], p[0, 1], p[1, 1] + variance[k]
        found, dx, dy = found / total, dx / total, dy / total
        determinant = sxx * syy - sxy * sxy
        spread[0, 0] = xx / total - dx * dx - found * sxx
        spread[1, 1] = yy / total - dy * dy - found * syy
        spread[0, 1] = spread[1, 0] = xy / total - dx * dy - found * sxy
        for a in range(4):
            px, py = p[a, 0], p[a, 1]
            gain[a, 0] = (px * syy - py * sxy) / determinant
            gain[a, 1] = (py * sxx - px * sxy) / determinant
            mean[k, a] += gain[a, 0] * dx + gain[a, 1] * dy
        for a in range(4):
            for b in range(a + 1):
                value = p[a, b]
                for c in range(2):
                    for d in range(2):
                        value += gain[a, c] * spread[c, d] * gain[b, d]
                p[a, b] = p[b, a] = value
        mode[k] *= total
        norm += mode[k]
    for k in range(mode.shape[0]):
        mode[k] /= norm


@njit(cache=True, nogil=True)
def _predict(
    mean: Float64,
    covariance: Float64,
    mode: Float64,
    switching: Float64,
    transition: Float64,
    coasting_transition: Float64,
    noise: Float64,
    coasting: NDArray[np.bool_],
) -> None:
    scratch = np.empty((mode.shape[1], SCRATCH))
    for i in range(mode.shape[0]):
        f = coasting_transition if coasting[i] else transition
        predict_one(mean[i], covariance[i], mode[i], switching, f, noise, scratch)


@njit(cache=True, nogil=True)
def _correct(
    mean: Float64,
    covariance: Float64,
    mode: Float64,
    variance: Float64,
    start: Int64,
    innovation: Float64,
    density: Float64,
    share: Float64,
    seen: Float64,
) -> None:
    for i in range(mode.shape[0]):
        own = slice(start[i], start[i + 1])
        correct_one(
            mean[i], covariance[i], mode[i], variance, innovation[own], density[own], share[own],
            seen[i],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _combine(mean: Float64, covariance: Float64, mode: Float64) -> tuple[Float64, Float64]:
    n = mode.shape[0]
    total, spread = np.empty((n, 4)), np.empty((n, 4, 4))
    for i in range(n):
        combine_one(mean[i], covariance[i], mode[i], total[i], spread[i])
    return total, spread


@njit(cache=True, nogil=True)
def advance(
    records: Records,
    switching: Float64,
    transition: Float64,
    coasting_transition: Float64,
    noise: Float64,
) -> None:
    """Move all tracks ahead, in place: each mode, and the mean over the modes."""
    scratch = np.empty((switching.shape[0], SCRATCH))
    for i in range(records.shape[0]):
        one = records[i]
        f = coasting_transition if one.coasting else transition
        predict_one(one.mode_mean, one.mode_covariance, one.mode, switching, f, noise, scratch)
        combine_one(one.mode_mean, one.mode_covariance, one.mode, one.mean, one.covariance)
