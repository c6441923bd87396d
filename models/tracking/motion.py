"""How a sperm's mean path moves: constant velocity with random acceleration.

The model's matrices are filterpy's (Q_continuous_white_noise, KalmanFilter); the arithmetic runs
on all tracks at once. State: x, y (um), vx, vy (um/s), stage frame.

Sources: Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation
(2001), sections 6.2 and 8.3; filterpy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from filterpy.common import Q_continuous_white_noise
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

from models.tracking.settings import TrackerSettings
from models.types import Float64


class ConstantVelocity:
    """Batched Kalman filter of N tracks that share model and time step."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._density = settings.acceleration_um_s2**2 * settings.acceleration_hold_s
        self._decay_s = settings.coast_decay_s
        self._variance = settings.measurement_sigma_um**2
        self._speed_variance = settings.birth_speed_um_s**2

    def transition(self, step_s: float, *, coasting: bool = False) -> Float64:
        """State transition F (4, 4) over ``step_s``; a coasting track loses its speed."""
        kept = float(np.exp(-step_s / self._decay_s)) if coasting else 1.0
        reach = self._decay_s * (1.0 - kept) if coasting else step_s
        f = np.diag([1.0, 1.0, kept, kept])
        f[0, 2] = f[1, 3] = reach
        return f

    def noise(self, step_s: float) -> Float64:
        """Process noise Q (4, 4) of ``step_s``; two steps add up to one of their sum."""
        return _process_noise(step_s, self._density)

    def filter(self, step_s: float) -> KalmanFilter:
        """Build the same model as a filterpy filter of one track."""
        model = KalmanFilter(dim_x=4, dim_z=2)
        model.F = self.transition(step_s)
        model.Q = self.noise(step_s)
        model.H = np.eye(2, 4)
        model.R = np.eye(2) * self._variance
        return model

    def birth(self, position_um: Float64) -> tuple[Float64, Float64]:
        """Mean (N, 4) and covariance (N, 4, 4) of sperm seen once, at (N, 2)."""
        mean = np.concatenate([position_um, np.zeros_like(position_um)], axis=1)
        one = np.diag([self._variance, self._variance, self._speed_variance, self._speed_variance])
        return mean, np.broadcast_to(one, (len(mean), 4, 4)).copy()

    def predict(
        self, mean: Float64, covariance: Float64, step_s: float, coasting: NDArray[np.bool_]
    ) -> tuple[Float64, Float64]:
        """Move (N, 4) means and (N, 4, 4) covariances ``step_s`` ahead."""
        f: Float64 = np.where(
            coasting[:, None, None],
            self.transition(step_s, coasting=True),
            self.transition(step_s),
        )
        moved = (f @ mean[:, :, None])[:, :, 0]
        return moved, f @ covariance @ f.transpose(0, 2, 1) + self.noise(step_s)

    def innovation_covariance(self, covariance: Float64) -> Float64:
        """S = H P H' + R (N, 2, 2), um^2."""
        return covariance[:, :2, :2] + np.eye(2) * self._variance

    def update(
        self,
        mean: Float64,
        covariance: Float64,
        seen: Float64,
        innovation_um: Float64,
        spread_um2: Float64,
    ) -> tuple[Float64, Float64]:
        """Probabilistic data association update of N predicted tracks.

        Parameters
        ----------
        mean, covariance : (N, 4), (N, 4, 4)
            Predicted.
        seen : (N,)
            Probability that one of the measurements is the track's own.
        innovation_um : (N, 2)
            Sum of the innovations, each weighted with its association probability.
        spread_um2 : (N, 2, 2)
            Weighted sum of the innovations' outer products, less that of ``innovation_um``.
        """
        s = self.innovation_covariance(covariance)
        determinant = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] * s[:, 1, 0]
        inverse = np.empty_like(s)
        inverse[:, 0, 0] = s[:, 1, 1]
        inverse[:, 1, 1] = s[:, 0, 0]
        inverse[:, 0, 1] = -s[:, 0, 1]
        inverse[:, 1, 0] = -s[:, 1, 0]
        inverse /= determinant[:, None, None]
        gain = covariance[:, :, :2] @ inverse
        corrected = mean + (gain @ innovation_um[:, :, None])[:, :, 0]
        shrink = spread_um2 - seen[:, None, None] * s
        updated = covariance + gain @ shrink @ gain.transpose(0, 2, 1)
        return corrected, (updated + updated.transpose(0, 2, 1)) / 2.0


@lru_cache(maxsize=256)
def _process_noise(step_s: float, density: float) -> Float64:
    q = Q_continuous_white_noise(
        dim=2, dt=step_s, spectral_density=density, block_size=2, order_by_dim=False
    )
    noise = np.asarray(q, dtype=np.float64)
    noise.flags.writeable = False
    return noise
