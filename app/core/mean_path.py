"""Where the target's mean path leads: its head's yawing told apart from its way.

The head of a swimming sperm swings about its mean path with the beat, 5 to 20 times a second and by
more than the path moves in a frame. A filter that counts the swing as noise has to be slow, and a
slow filter is late in every turn. Here the swing is part of the state: an oscillator, as in the
structural models of time series (Harvey, Forecasting, Structural Time Series Models and the Kalman
Filter, 1989, section 2.3.4). How fast it beats, and how sharply the path turns, is not known: one
Kalman filter for each pair runs beside the others, and each counts as much as it foretold the
last second (Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation,
2001, section 11.6.2, with fading memory).
"""

from __future__ import annotations

import math

import numpy as np

from models.types import Float64

LOCALISATION_UM = 0.28  # standard deviation of a head found by the network, per axis
YAW_UM = 0.8  # lateral amplitude where no beat is told apart: counts as noise, A^2 / 2
SWING_UM = 1.0  # standard deviation of the oscillator at the beginning, per axis
SWING_CHANGE_UM2_S = 0.25  # variance per second by which amplitude and phase wander
SLOWEST_HZ, FASTEST_HZ, STEP_HZ = 5.0, 20.0, 1.0
TURNS_RAD2_S = (0.1, 1.0)  # heading diffusion: straight swimmers, and those that turn
DRIFT_UM2_S3 = 20.0  # random acceleration of what swims slowly
STILL_UM2_S3 = 1.0  # of what does not swim
MEMORY_S = 1.0


class MeanPath:
    """Filters the target's measured places. No clock: times are arguments, monotonic seconds.

    Both axes have the same gains, so a hypothesis is a mean of (2, 4), position, velocity and the
    two phases of the swing, and one covariance (4, 4). The first is of a sperm that lies still.
    Stage frame.

    Parameters
    ----------
    frame_rate_hz : float
        Beats above half of it look slower than they are and are told apart all the same; those
        that would look alike are left out.
    """

    def __init__(self, frame_rate_hz: float) -> None:
        beats_hz = np.arange(SLOWEST_HZ, min(FASTEST_HZ, frame_rate_hz / 2) + STEP_HZ / 2, STEP_HZ)
        beat = np.concatenate([[0.0], beats_hz])  # for each turn, one has no swing
        turns = np.repeat(TURNS_RAD2_S, len(beat))
        self._beat_rad_s = 2 * np.pi * np.concatenate([[0.0], np.tile(beat, len(TURNS_RAD2_S))])
        self._turn_rad2_s = np.concatenate([[0.0], turns])
        self._rest_um2_s3 = np.where(self._turn_rad2_s > 0, DRIFT_UM2_S3, STILL_UM2_S3)
        self._swings = self._beat_rad_s > 0
        yaws = ~self._swings & (self._turn_rad2_s > 0)
        self._noise_um2 = LOCALISATION_UM**2 + yaws * YAW_UM**2 / 2
        count = len(self._beat_rad_s)
        self._mean = np.zeros((count, 2, 4))
        self._covariance = np.zeros((count, 4, 4))
        self._log_weight = np.zeros(count)
        self._time_s = -math.inf

    @property
    def time_s(self) -> float:
        """As of when ``state`` is."""
        return self._time_s

    @property
    def weights(self) -> Float64:
        """Probability of each hypothesis (K,)."""
        weight = np.exp(self._log_weight - self._log_weight.max())
        return np.asarray(weight / weight.sum())

    @property
    def beat_hz(self) -> float:
        """Likeliest beat frequency, as it appears at this frame rate; 0 where there is no swing."""
        return float(self._beat_rad_s[int(self._log_weight.argmax())] / (2 * np.pi))

    def begin(
        self, time_s: float, position_um: Float64, velocity_um_s: Float64, covariance: Float64
    ) -> None:
        """Start from what a tracker knows: means (2,) and (2,), covariance (4, 4) of both."""
        self._time_s = time_s
        self._mean[:] = 0.0
        self._mean[:, :, 0], self._mean[:, :, 1] = position_um, velocity_um_s
        self._covariance[:] = 0.0
        own = np.asarray(covariance)
        for row in range(2):
            for column in range(2):
                both = own[2 * row, 2 * column] + own[2 * row + 1, 2 * column + 1]
                self._covariance[:, row, column] = both / 2
        self._covariance[:, 2, 2] = self._covariance[:, 3, 3] = self._swings * SWING_UM**2
        self._log_weight[:] = 0.0

    def follow(self, time_s: float, measured_um: Float64 | None) -> None:
        """Go on to a frame; ``measured_um`` (2,) is where the head was found, None where not."""
        step_s = time_s - self._time_s
        if step_s <= 0.0:
            return
        self._time_s = time_s
        self._predict(step_s)
        if measured_um is not None:
            self._correct(np.asarray(measured_um, np.float64))
        self._log_weight *= math.exp(-step_s / MEMORY_S)

    def state(self) -> tuple[Float64, Float64]:
        """Position (2,) and velocity (2,) of the mean path as of the last frame."""
        mean = np.tensordot(self.weights, self._mean, axes=1)
        return mean[:, 0], mean[:, 1]

    def _predict(self, step_s: float) -> None:
        count = len(self._beat_rad_s)
        move = np.zeros((count, 4, 4))
        turn = self._beat_rad_s * step_s
        move[:, 0, 0] = move[:, 1, 1] = 1.0
        move[:, 0, 1] = step_s
        move[:, 2, 2] = move[:, 3, 3] = np.cos(turn)
        move[:, 2, 3], move[:, 3, 2] = np.sin(turn), -np.sin(turn)
        speed2 = (self._mean[:, :, 1] ** 2).sum(axis=1)
        density = self._rest_um2_s3 + self._turn_rad2_s * speed2  # half of 2 D v^2 on either axis
        self._mean = self._mean @ move.transpose(0, 2, 1)
        spread = move @ self._covariance @ move.transpose(0, 2, 1)
        spread[:, 0, 0] += density * step_s**3 / 3
        spread[:, 0, 1] += density * step_s**2 / 2
        spread[:, 1, 0] += density * step_s**2 / 2
        spread[:, 1, 1] += density * step_s
        for phase in (2, 3):
            spread[:, phase, phase] += self._swings * SWING_CHANGE_UM2_S * step_s
        self._covariance = spread

    def _correct(self, measured_um: Float64) -> None:
        # What is measured is position and the first phase of the swing together.
        seen = self._covariance[:, :, 0] + self._covariance[:, :, 2]
        variance = seen[:, 0] + seen[:, 2] + self._noise_um2
        innovation = measured_um - self._mean[:, :, 0] - self._mean[:, :, 2]
        gain = seen / variance[:, None]
        self._mean = self._mean + innovation[:, :, None] * gain[:, None, :]
        self._covariance = self._covariance - gain[:, :, None] * seen[:, None, :]
        self._log_weight += -np.log(variance) - (innovation**2).sum(axis=1) / (2 * variance)
