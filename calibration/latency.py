"""Delays of the loop, from a chirp of the stage that the picture and the readback both follow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from calibration.errors import CalibrationError

Float64 = NDArray[np.float64]

LONGEST_S = 0.400
MAX_SD_S = 0.003
MAX_READBACK_SD_S = 0.008
_STEP_S = 0.008
_GAIN = (0.85, 1.15)


@dataclass(frozen=True, slots=True)
class Streamed:
    """Velocities that were handed to the port.

    Attributes
    ----------
    time_s : (n,) float64
        Host time at which each was handed over; it held until the next.
    velocity_um_s : (n, 2) float64
    """

    time_s: Float64
    velocity_um_s: Float64

    def way_um(self, time_s: Float64) -> Float64:
        """Path (m, 2) that would have been travelled at (m,) times without any delay."""
        held_s = np.diff(self.time_s)
        legs = np.cumsum(self.velocity_um_s[:-1] * held_s[:, None], axis=0)
        corner = np.concatenate([np.zeros((1, 2)), legs])
        row = np.clip(np.searchsorted(self.time_s, time_s, side="right") - 1, 0, len(corner) - 1)
        since_s = np.maximum(time_s - self.time_s[row], 0.0)
        return np.asarray(corner[row] + self.velocity_um_s[row] * since_s[:, None])


@dataclass(frozen=True, slots=True)
class Delay:
    """By how much one thing follows another.

    Attributes
    ----------
    seconds, sd_s : float
    gain : float
        Of the motion seen over the motion commanded.
    residual_um : float
        Root mean square per interval and axis.
    trace : (n, 3) float64
        Of each interval that counted: its middle, s; the speed commanded, later by the delay, and
        the speed seen along it, um/s.
    """

    seconds: float
    sd_s: float
    gain: float
    residual_um: float
    trace: Float64 = field(default_factory=lambda: np.zeros((0, 3)))


@dataclass(frozen=True, slots=True)
class Latency:
    """What was measured.

    Attributes
    ----------
    sum_s : float
        From the hand-over of a command until a frame that shows its motion is in the host.
    command_to_motion_s, exposure_to_host_s : float
        The two parts of it.
    sum_sd_s, split_sd_s : float
        Standard deviations of the sum, and of where it is divided.
    stamp_error_s : float
        By how much the camera's time stamps run ahead of the readback's: near zero when both
        are right.
    residual_um : float
        What the picture did otherwise than commanded, root mean square.
    trace : (n, 3) float64
        As of the picture's ``Delay``.
    """

    sum_s: float
    command_to_motion_s: float
    exposure_to_host_s: float
    sum_sd_s: float
    split_sd_s: float
    stamp_error_s: float
    residual_um: float
    trace: Float64


def chirp_um_s(time_s: float, duration_s: float, mean_um_s: float) -> float:
    """Speed at ``time_s`` of a sweep from 0.5 to 3 Hz that never turns back.

    It swings about ``mean_um_s`` by 0.9 of it: without a reversal there is no backlash in it.
    """
    low_hz, high_hz = 0.5, 3.0
    turns = low_hz * time_s + (high_hz - low_hz) * time_s**2 / (2 * duration_s)
    return mean_um_s * (1 + 0.9 * math.sin(2 * math.pi * turns))


def fit_delay(
    streamed: Streamed, time_s: Float64, moved_um: Float64, believed: NDArray[np.bool_]
) -> Delay:
    """Find by how much motion follows the commands.

    For each delay the moves between neighbouring samples are compared with those commanded, up
    to a gain and a drift that are solved for (Huber's weights); the delay with the least loss wins.

    Parameters
    ----------
    streamed : commands
    time_s : (n,) when each sample was taken
    moved_um : (n - 1, 2) motion of the stage from each sample to the next
    believed : (n - 1,) which of them count

    Raises
    ------
    CalibrationError
        Too few samples, or none that follow the commands.
    """
    if believed.sum() < 20:
        raise CalibrationError(
            f"only {int(believed.sum())} samples show the motion; see that the picture has texture "
            "and that the camera delivers its frames, and repeat"
        )
    span_s = np.diff(time_s)[believed]
    moved = moved_um[believed]

    def loss(delay_s: float) -> float:
        return _solve(streamed, time_s, moved, span_s, believed, delay_s)[0]

    grid = np.arange(-0.05, LONGEST_S, _STEP_S)
    losses = np.array([loss(float(delay_s)) for delay_s in grid])
    best = int(losses.argmin())
    if best in (0, len(grid) - 1) or not losses[best] < 0.5 * float(np.median(losses)):
        raise CalibrationError(
            "the picture does not follow the commands; check that nothing slips and that the "
            "specimen has texture, and repeat"
        )
    bounds = (float(grid[best - 1]), float(grid[best + 1]))
    delay_s = float(minimize_scalar(loss, bounds=bounds, method="bounded").x)
    _, gain, off, weight = _solve(streamed, time_s, moved, span_s, believed, delay_s)
    step_s = 0.002
    ahead = _between(streamed, time_s, believed, delay_s + step_s)
    behind = _between(streamed, time_s, believed, delay_s - step_s)
    slope = gain * (ahead - behind) / (2 * step_s)
    information = float((weight[:, None] * slope**2).sum())
    variance = float((weight[:, None] * off**2).sum()) / max(2 * float(weight.sum()) - 4, 1.0)
    return Delay(
        seconds=delay_s,
        sd_s=math.sqrt(variance / max(information, 1e-12)),
        gain=gain,
        residual_um=math.sqrt(float((weight[:, None] * off**2).sum() / weight.sum()) / 2),
        trace=_trace(streamed, time_s, moved, believed, delay_s),
    )


def split(
    picture: Delay, readback: Delay, stamp_to_host_s: float, stamp_to_host_sd_s: float
) -> Latency:
    """Put the two delays together.

    Parameters
    ----------
    picture : of the picture's content, by the frames' own time stamps
    readback : of the positions read back
    stamp_to_host_s, stamp_to_host_sd_s : from a frame's time stamp until the host has it

    Raises
    ------
    CalibrationError
        A delay that is not known well enough, or cannot be.
    """
    if not _GAIN[0] <= picture.gain <= _GAIN[1]:
        raise CalibrationError(
            f"the picture moves {picture.gain:.2f} times as far as the stage was told to; "
            "calibrate the stage first, and check the objective"
        )
    sum_sd_s = math.hypot(picture.sd_s, stamp_to_host_sd_s)
    for what, sd_s, limit_s in (
        ("sum of the delays", sum_sd_s, MAX_SD_S),
        ("command to motion", readback.sd_s, MAX_READBACK_SD_S),
    ):
        if sd_s > limit_s:
            raise CalibrationError(
                f"the {what} is known to {1000 * sd_s:.1f} ms only, {1000 * limit_s:.0f} ms are "
                "allowed; close other programs, see that the picture is sharp, and repeat"
            )
    total_s = picture.seconds + stamp_to_host_s
    if not 0 <= readback.seconds <= total_s:
        raise CalibrationError(
            f"a command to motion of {1000 * readback.seconds:.0f} ms within a sum of "
            f"{1000 * total_s:.0f} ms is not possible; close other programs and repeat"
        )
    return Latency(
        sum_s=total_s,
        command_to_motion_s=readback.seconds,
        exposure_to_host_s=total_s - readback.seconds,
        sum_sd_s=sum_sd_s,
        split_sd_s=math.hypot(readback.sd_s, sum_sd_s),
        stamp_error_s=picture.seconds - readback.seconds,
        residual_um=picture.residual_um,
        trace=picture.trace,
    )


def _between(
    streamed: Streamed, time_s: Float64, believed: NDArray[np.bool_], delay_s: float
) -> Float64:
    return np.asarray(np.diff(streamed.way_um(time_s - delay_s), axis=0)[believed])


def _trace(
    streamed: Streamed,
    time_s: Float64,
    moved: Float64,
    believed: NDArray[np.bool_],
    delay_s: float,
) -> Float64:
    told = _between(streamed, time_s, believed, delay_s)
    way = np.linalg.norm(told, axis=1)
    along = (moved * told).sum(axis=1) / np.maximum(way, 1e-9)
    span_s = np.diff(time_s)[believed]
    middle_s = (time_s[:-1] + np.diff(time_s) / 2)[believed]
    return np.column_stack([middle_s, way / span_s, along / span_s])


def _solve(
    streamed: Streamed,
    time_s: Float64,
    moved: Float64,
    span_s: Float64,
    believed: NDArray[np.bool_],
    delay_s: float,
) -> tuple[float, float, Float64, Float64]:
    """Loss, gain, residuals (n, 2) and weights (n,) for one delay."""
    told = _between(streamed, time_s, believed, delay_s)
    count = len(told)
    design = np.zeros((2 * count, 3))
    design[:count, 0], design[count:, 0] = told[:, 0], told[:, 1]
    design[:count, 1], design[count:, 2] = span_s, span_s
    seen = np.concatenate([moved[:, 0], moved[:, 1]])
    weight = np.ones(count)
    solution = np.zeros(3)
    off = moved
    for _ in range(3):
        weighed = design * np.concatenate([weight, weight])[:, None]
        solution = np.asarray(np.linalg.pinv(weighed.T @ design) @ (weighed.T @ seen))
        off = (seen - design @ solution).reshape(2, -1).T
        distance = np.linalg.norm(off, axis=1)
        scale = max(1.5 * float(np.median(distance)), 1e-4)
        weight = np.minimum(1.0, scale / np.maximum(distance, 1e-9))
    loss = float(np.minimum(distance, 3 * scale).sum())
    return loss, float(solution[0]), off, weight
