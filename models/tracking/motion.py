"""How a sperm's mean path moves: constant velocity with random acceleration, in several modes.

A still cell, a straight swimmer and a hyperactive one differ in how fast their path turns and in
how far the head yaws from it. Each track carries one Kalman filter per mode, and how probable the
mode is (interacting multiple models). The matrices are filterpy's (Q_continuous_white_noise,
KalmanFilter); the arithmetic runs on all tracks and modes at once. State: x, y (um), vx, vy
(um/s), stage frame.

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
from numpy.typing import NDArray

from models.tracking.settings import TrackerSettings
from models.types import Float64


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
        mean = np.einsum("nk,nki->ni", self.mode, self.mean)
        apart = self.mean - mean[:, None, :]
        weighted = self.mode[:, :, None] * apart
        covariance = np.einsum("nk,nkij->nij", self.mode, self.covariance)
        return mean, covariance + weighted.transpose(0, 2, 1) @ apart

    def rows(self, rows: NDArray[np.bool_]) -> Motion:
        """Only these tracks."""
        return Motion(self.mean[rows], self.covariance[rows], self.mode[rows])

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

    def transition(self, step_s: float, *, coasting: bool = False) -> Float64:
        """State transition F (4, 4) over ``step_s``; a coasting track loses its speed."""
        kept = float(np.exp(-step_s / self._decay_s)) if coasting else 1.0
        reach = self._decay_s * (1.0 - kept) if coasting else step_s
        f = np.diag([1.0, 1.0, kept, kept])
        f[0, 2] = f[1, 3] = reach
        return f

    def switching(self, step_s: float) -> Float64:
        """Mode transition probabilities (K, K) over ``step_s``, from row to column."""
        if self._count == 1:
            return np.ones((1, 1))
        leave = -np.expm1(-step_s / self._stay_s)
        switch: Float64 = np.eye(self._count) * (1.0 - leave) + self._prior * leave
        return switch

    def noise(self, step_s: float) -> Float64:
        """Process noise Q (K, 4, 4) of ``step_s``; two steps add up to one of their sum."""
        return _process_noise(step_s, self._density)

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
        """Move all tracks ``step_s`` ahead."""
        if self._count > 1:
            motion = self._mix(motion, step_s)
        f: Float64 = np.where(
            coasting[:, None, None],
            self.transition(step_s, coasting=True),
            self.transition(step_s),
        )[:, None]
        mean = (f @ motion.mean[..., None])[..., 0]
        covariance = f @ motion.covariance @ f.swapaxes(-1, -2) + self.noise(step_s)
        return Motion(mean, covariance, motion.mode)

    def innovation_covariance(self, covariance: Float64) -> Float64:
        """S = H P H' + R (N, K, 2, 2), um^2."""
        s: Float64 = covariance[..., :2, :2] + self._noise_r
        return s

    def update(
        self, motion: Motion, seen: Float64, innovation_um: Float64, spread_um2: Float64
    ) -> Motion:
        """Probabilistic data association update of predicted tracks.

        Parameters
        ----------
        motion : Motion
            Predicted, its mode probabilities already those after the frame.
        seen : (N, K)
            Probability that one of the measurements is the track's own.
        innovation_um : (N, K, 2)
            Sum of the innovations, each weighted with its association probability.
        spread_um2 : (N, K, 2, 2)
            Weighted sum of the innovations' outer products, less that of ``innovation_um``.
        """
        s = self.innovation_covariance(motion.covariance)
        determinant = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] * s[..., 1, 0]
        inverse = np.empty_like(s)
        inverse[..., 0, 0] = s[..., 1, 1]
        inverse[..., 1, 1] = s[..., 0, 0]
        inverse[..., 0, 1] = inverse[..., 1, 0] = -s[..., 0, 1]
        inverse /= determinant[..., None, None]
        gain = motion.covariance[..., :2] @ inverse
        mean = motion.mean + (gain @ innovation_um[..., None])[..., 0]
        shrink = spread_um2 - seen[..., None, None] * s
        covariance = motion.covariance + gain @ shrink @ gain.swapaxes(-1, -2)
        return Motion(mean, (covariance + covariance.swapaxes(-1, -2)) / 2.0, motion.mode)

    def _mix(self, motion: Motion, step_s: float) -> Motion:
        """Let each mode start from what the modes that lead to it say."""
        joint = motion.mode[:, :, None] * self.switching(step_s)
        mode = joint.sum(axis=1)
        share = joint / mode[:, None, :]
        mean = np.einsum("nij,nia->nja", share, motion.mean)
        apart = motion.mean[:, :, None, :] - mean[:, None, :, :]
        covariance = np.einsum("nij,niab->njab", share, motion.covariance)
        covariance += np.einsum("nij,nija,nijb->njab", share, apart, apart)
        return Motion(mean, covariance, mode)


@lru_cache(maxsize=256)
def _process_noise(step_s: float, densities: tuple[float, ...]) -> Float64:
    noise = np.stack(
        [
            Q_continuous_white_noise(
                dim=2, dt=step_s, spectral_density=density, block_size=2, order_by_dim=False
            )
            for density in densities
        ]
    ).astype(np.float64)
    noise.flags.writeable = False
    return noise
