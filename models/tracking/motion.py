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
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64


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

    def combined(self) -> tuple[Float64, Float64]:
        """Mean (N, 4) and covariance (N, 4, 4) over the modes."""
        mean, covariance = _combine(self.mean, self.covariance, self.mode)
        return mean, covariance

    def rows(self, rows: NDArray[np.bool_]) -> Motion:
        """Only these tracks."""
        return Motion(self.mean[rows], self.covariance[rows], self.mode[rows])

    def exchange(self, i: int, j: int) -> None:
        """Exchange two rows."""
        for column in (self.mean, self.covariance, self.mode):
            column[[i, j]] = column[[j, i]]

    def joined(self, other: Motion) -> Motion:
        """Put the other's tracks after these."""
        return Motion(
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.covariance, other.covariance]),
            np.concatenate([self.mode, other.mode]),
        )


class MotionModel:
    """Batched filter of N tracks that share modes and time step."""

    def __init__(self, settings: TrackerSettings) -> None:
        modes = settings.modes
        self._count = len(modes)
        self._density = tuple(
            mode.acceleration_um_s2**2 * settings.acceleration_hold_s for mode in modes
        )
        self._decay_s = settings.coast_decay_s
        self._stay_s = settings.mode_s
        self._variance = np.array(
            [settings.localisation_um**2 + mode.yaw_um**2 / 2.0 for mode in modes]
        )
        self._prior = np.array([float(mode.prior) for mode in modes])
        self._prior /= self._prior.sum()
        self._speed_variance = np.array([mode.speed_um_s**2 for mode in modes])
        self._noise_r = np.eye(2) * self._variance[:, None, None]
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
            zip(self._density, self._variance.tolist(), self._speed_variance.tolist(), strict=True)
        )

    def switching(self, step_s: float) -> Float64:
        """Mode transition probabilities (K, K) over ``step_s``, from row to column."""
        if self._count == 1:
            return np.ones((1, 1))
        leave = -np.expm1(-step_s / self._stay_s)
        switch: Float64 = np.eye(self._count) * (1.0 - leave) + self._prior * leave
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
        covariance[:, :, 0, 0] = covariance[:, :, 1, 1] = self._variance
        covariance[:, :, 2, 2] = covariance[:, :, 3, 3] = self._speed_variance
        return Motion(mean, covariance, np.tile(self._prior, (n, 1)))

    def predict(self, motion: Motion, step_s: float, coasting: NDArray[np.bool_]) -> Motion:
        """Move all tracks ``step_s`` ahead, each mode from what the modes that lead to it say."""
        if self._matrices is None or step_s != self._step_s:
            self._step_s = step_s
            self._matrices = (
                self.switching(step_s), self.transition(step_s),
                self.transition(step_s, coasting=True), self.noise(step_s),
            )  # fmt: skip
        return Motion(
            *_predict(motion.mean, motion.covariance, motion.mode, *self._matrices, coasting)
        )

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
        return Motion(
            *_correct(
                motion.mean,
                motion.covariance,
                motion.mode,
                self.innovation_covariance(motion.covariance),
                pairs.start,
                pairs.innovation_um,
                pairs.density,
                share,
                seen,
            )
        )


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
def _combine(mean: Float64, covariance: Float64, mode: Float64) -> tuple[Float64, Float64]:
    n, modes = mode.shape
    total, spread = np.zeros((n, 4)), np.zeros((n, 4, 4))
    for i in range(n):
        for k in range(modes):
            for a in range(4):
                total[i, a] += mode[i, k] * mean[i, k, a]
        for k in range(modes):
            for a in range(4):
                da = mean[i, k, a] - total[i, a]
                for b in range(4):
                    db = mean[i, k, b] - total[i, b]
                    spread[i, a, b] += mode[i, k] * (covariance[i, k, a, b] + da * db)
    return total, spread


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
) -> tuple[Float64, Float64, Float64]:
    n, modes = mode.shape
    out_mean, out_covariance = np.zeros_like(mean), np.empty_like(covariance)
    out_mode = np.zeros_like(mode)
    mixed, spread, moved = np.empty(4), np.empty((4, 4)), np.empty((4, 4))
    for i in range(n):
        f = coasting_transition if coasting[i] else transition
        for k in range(modes):
            total = 0.0
            mixed[:] = 0.0
            spread[:] = 0.0
            for q in range(modes):
                total += mode[i, q] * switching[q, k]
            for q in range(modes):
                part = mode[i, q] * switching[q, k] / total
                for a in range(4):
                    mixed[a] += part * mean[i, q, a]
            for q in range(modes):
                part = mode[i, q] * switching[q, k] / total
                for a in range(4):
                    da = mean[i, q, a] - mixed[a]
                    for b in range(4):
                        db = mean[i, q, b] - mixed[b]
                        spread[a, b] += part * (covariance[i, q, a, b] + da * db)
            out_mode[i, k] = total
            for a in range(4):
                for b in range(4):
                    out_mean[i, k, a] += f[a, b] * mixed[b]
                    moved[a, b] = 0.0
                    for c in range(4):
                        moved[a, b] += f[a, c] * spread[c, b]
            for a in range(4):
                for b in range(4):
                    value = noise[k, a, b]
                    for c in range(4):
                        value += moved[a, c] * f[b, c]
                    out_covariance[i, k, a, b] = value
    return out_mean, out_covariance, out_mode


@njit(cache=True, nogil=True)
def _correct(
    mean: Float64,
    covariance: Float64,
    mode: Float64,
    innovation_covariance: Float64,
    start: Int64,
    innovation: Float64,
    density: Float64,
    share: Float64,
    seen: Float64,
) -> tuple[Float64, Float64, Float64]:
    n, modes = mode.shape
    out_mean, out_covariance = mean.copy(), covariance.copy()
    out_mode = mode.copy()
    gain, spread = np.empty((4, 2)), np.empty((2, 2))
    for i in range(n):
        norm = 0.0
        for k in range(modes):
            # How much likelier than over all modes each measurement is in this one.
            found, dx, dy, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for e in range(start[i], start[i + 1]):
                if share[e] == 0.0:
                    continue
                mixed = 0.0
                for q in range(modes):
                    mixed += mode[i, q] * density[e, q]
                part = share[e] * density[e, k] / mixed
                x, y = innovation[e, k, 0], innovation[e, k, 1]
                found += part
                dx += part * x
                dy += part * y
                xx += part * x * x
                xy += part * x * y
                yy += part * y * y
            total = max(found + 1.0 - seen[i], 1e-30)
            out_mode[i, k] = mode[i, k] * total
            norm += out_mode[i, k]
            found, dx, dy = found / total, dx / total, dy / total
            s = innovation_covariance[i, k]
            determinant = s[0, 0] * s[1, 1] - s[0, 1] * s[1, 0]
            spread[0, 0] = xx / total - dx * dx - found * s[0, 0]
            spread[1, 1] = yy / total - dy * dy - found * s[1, 1]
            spread[0, 1] = spread[1, 0] = xy / total - dx * dy - found * s[0, 1]
            for a in range(4):
                px, py = covariance[i, k, a, 0], covariance[i, k, a, 1]
                gain[a, 0] = (px * s[1, 1] - py * s[1, 0]) / determinant
                gain[a, 1] = (py * s[0, 0] - px * s[0, 1]) / determinant
                out_mean[i, k, a] += gain[a, 0] * dx + gain[a, 1] * dy
            for a in range(4):
                for b in range(a + 1):
                    value = covariance[i, k, a, b]
                    for c in range(2):
                        for d in range(2):
                            value += gain[a, c] * spread[c, d] * gain[b, d]
                    out_covariance[i, k, a, b] = out_covariance[i, k, b, a] = value
        for k in range(modes):
            out_mode[i, k] /= norm
    return out_mean, out_covariance, out_mode
