"""How a sperm swims: VSL, VCL, VAP, ALH, MAD, BCF, LIN, WOB, STR of one path.

The measures are taken from raw associated head positions; a filtered path has lost the yawing
that VCL, ALH, BCF and MAD are about. The average path is a centred moving average whose window
shrinks symmetrically at the ends, so that it starts and ends where the raw path does: then
VSL <= VAP <= VCL always holds. ALH and BCF are read where the window has its full width; VAP is the
length of that path averaged twice more, at last over a quarter longer, for one average leaves a
rest of the yawing that is several per cent of VAP, and of a slow sperm's more.

Sources: WHO laboratory manual for the examination and processing of human semen, 6th edition
(2021), section on computer-aided sperm analysis; Mortimer, Reproduction, Fertility and
Development (2000), for the usual conventions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measure.settings import MotilitySettings
from models.types import Float64

RATIOS = ("lin", "wob", "str")
COLUMNS = (
    "vsl_um_s", "vcl_um_s", "vap_um_s", "alh_um", "alh_max_um", "mad_deg", "bcf_hz", *RATIOS,
)  # fmt: skip
OK = "ok"
INSUFFICIENT = "insufficient track"
# Of the average's window: the last of those that VAP is taken after.
_WIDER = 1.25
SLOWEST_RATE_HZ = 24.0
"""Least frames a second for ALH, MAD and BCF: twice a common beat, 12 Hz. Below, a beat looks
slower than it is: of 8 to 12 Hz, BCF is right from 24 on; at 9 it is a fifth, and so is ALH."""
_RATE_TOLERANCE = 0.97  # a camera of 24 frames a second gives 23.976, and not evenly
_LEAST_FRAMES = 5  # in which a sperm was seen
_LEAST_SHARE = 0.5  # of the frames: else the path is that of another frame rate, and mostly bridged
_SWING_PIECE_S = 1.0
# Of the noise's own scatter: so far above it lateral motion is a beat, not chance.
_SWING_CHANCE = 2.0
# Boxes alone place a head within this, per axis: scatter along the course beyond it is motion.
_MOST_LOCALISATION_UM = 0.28


@dataclass(frozen=True, slots=True)
class Motility:
    """Measures of one path.

    Attributes
    ----------
    values : dict of str to float
        By column of sperm.csv: VSL, VCL, VAP (um/s); ALH as twice the mean and twice the largest
        lateral excursion (um); MAD (degrees); BCF as crossings of the average path (Hz); LIN,
        WOB, STR (0 to 1). NaN is unknown.
    quality : str
        'ok', or why nothing is known.
    frames : int
        Frames in which the sperm was seen within the piece that was measured, the longest one
        without a gap that is not bridged: not those of the whole path.
    duration_s : float
        Of that piece.
    frame_rate_hz : float
        At which it was seen; VCL, ALH and BCF depend on it. NaN with fewer than two frames.
        Below SLOWEST_RATE_HZ, ALH, MAD and BCF are NaN.
    swing : float
        Motion across the course over what localisation explains; at most 1 where no beating is
        seen, NaN where nothing is known.
    """

    values: dict[str, float]
    quality: str
    frames: int
    duration_s: float
    frame_rate_hz: float
    swing: float


def measure_path(
    time_s: Float64, raw_um: Float64, settings: MotilitySettings | None = None
) -> Motility:
    """Measure the longest unbroken piece of a path.

    Parameters
    ----------
    time_s : (N,)
        Time of each frame, increasing.
    raw_um : (N, 2)
        Associated head position, any frame that rests; NaN where there is none.

    Raises
    ------
    ValueError
        Columns differ in length, or time does not increase.
    """
    settings = settings or MotilitySettings()
    if raw_um.shape != (len(time_s), 2):
        raise ValueError(f"measure_path: {len(time_s)} times, {raw_um.shape} positions")
    if len(time_s) > 1 and not (np.diff(time_s) > 0.0).all():
        raise ValueError("measure_path: time does not increase")
    time_s = np.ascontiguousarray(time_s, dtype=np.float64)
    raw_um = np.ascontiguousarray(raw_um, dtype=np.float64)
    numbers = path_measures(time_s, raw_um, False, *convention(settings))
    values = dict(zip(COLUMNS, numbers[:10].tolist(), strict=True))
    known = bool(np.isfinite(numbers[0]))
    quality = OK if known else INSUFFICIENT
    duration_s, swing, frames = float(numbers[10]), float(numbers[11]), int(numbers[12])
    return Motility(values, quality, frames, duration_s, frame_rate_hz(time_s), swing)


def shows_the_beat(frame_rate_hz: float) -> bool:
    """Whether ALH, MAD and BCF mean something at a frame rate."""
    return frame_rate_hz >= _RATE_TOLERANCE * SLOWEST_RATE_HZ


def frame_rate_hz(time_s: Float64) -> float:
    """Return the rate of frames at increasing times; NaN of fewer than two.

    Dropped frames do not count, and times rounded to milliseconds do no harm.
    """
    if len(time_s) < 2:
        return float("nan")
    steps_s = np.diff(time_s)
    whole = steps_s[steps_s < 1.5 * np.median(steps_s)]
    return 1.0 / float(whole.mean()) if len(whole) and whole.mean() > 0.0 else float("nan")


def vcl_of_jitter(frame_rate_hz: float, settings: MotilitySettings | None = None) -> float:
    """VCL (um/s) of a cell at rest, from the localisation alone: sqrt(pi) sigma x frame rate."""
    sigma_um = (settings or MotilitySettings()).localisation_um
    return float(np.sqrt(np.pi) * sigma_um * frame_rate_hz)


def convention(settings: MotilitySettings) -> tuple[float, ...]:
    """Pass the settings on to the compiled kernels."""
    return (
        settings.average_s, settings.minimum_s, float(settings.gap_frames),
        settings.minimum_step_um, settings.localisation_um, settings.still_um,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _pieces(
    time_s: Float64, real: NDArray[np.bool_], longest_gap_s: float, newest: bool
) -> tuple[int, int]:
    """First and last frame of the longest unbroken piece, or of the newest; -1 without any."""
    first, last = -1, -1
    begin, previous = -1, -1
    for k in range(time_s.shape[0]):
        if not real[k]:
            continue
        if previous < 0 or time_s[k] - time_s[previous] > longest_gap_s:
            begin = k
        previous = k
        if newest or first < 0 or time_s[k] - time_s[begin] > time_s[last] - time_s[first]:
            first, last = begin, k
    return first, last


@njit(cache=True, nogil=True)
def _average(path: Float64, half: int) -> Float64:
    """Centred moving average of 2 half + 1 points, symmetrically less at the ends."""
    n = path.shape[0]
    sums = np.zeros((n + 1, 2))
    for k in range(n):
        sums[k + 1, 0] = sums[k, 0] + (path[k, 0] - path[0, 0])
        sums[k + 1, 1] = sums[k, 1] + (path[k, 1] - path[0, 1])
    average = np.empty((n, 2))
    for k in range(n):
        reach = min(half, k, n - 1 - k)
        for a in range(2):
            total = sums[k + reach + 1, a] - sums[k - reach, a]
            average[k, a] = path[0, a] + total / (2 * reach + 1)
    return average


@njit(cache=True, nogil=True)
def _length(path: Float64) -> float:
    total = 0.0
    for k in range(path.shape[0] - 1):
        total += np.hypot(path[k + 1, 0] - path[k, 0], path[k + 1, 1] - path[k, 1])
    return total


@njit(cache=True, nogil=True)
def _lateral(
    time_s: Float64, path: Float64, average: Float64, half: int
) -> tuple[float, float, float]:
    """ALH mean, ALH max (um) and BCF (Hz), where the average has its full width."""
    n = path.shape[0]
    low, high = max(half, 1), n - 1 - max(half, 1)
    if high - low < 2:
        return np.nan, np.nan, np.nan
    crossings, lobes, total, largest, peak, before = 0, 0, 0.0, 0.0, 0.0, 0.0
    for k in range(low, high + 1):
        tx = average[k + 1, 0] - average[k - 1, 0]
        ty = average[k + 1, 1] - average[k - 1, 1]
        dx, dy = path[k, 0] - average[k, 0], path[k, 1] - average[k, 1]
        along = np.hypot(tx, ty)
        side = (tx * dy - ty * dx) / along if along > 0.0 else np.hypot(dx, dy)
        if side * before < 0.0:
            # The lobe before the first crossing was cut off by the beginning.
            if crossings > 0:
                lobes += 1
                total += peak
                largest = max(largest, peak)
            crossings += 1
            peak = 0.0
        peak = max(peak, abs(side))
        if side != 0.0:
            before = side
    frequency = crossings / (time_s[high] - time_s[low])
    if lobes == 0:
        return 2.0 * peak, 2.0 * peak, frequency
    return 2.0 * total / lobes, 2.0 * largest, frequency


@njit(cache=True, nogil=True)
def _turning(path: Float64, real: NDArray[np.bool_], least_um: float) -> float:
    """MAD: mean absolute angle between successive steps, degrees."""
    total, count = 0.0, 0
    for k in range(1, path.shape[0] - 1):
        ax, ay = path[k, 0] - path[k - 1, 0], path[k, 1] - path[k - 1, 1]
        bx, by = path[k + 1, 0] - path[k, 0], path[k + 1, 1] - path[k, 1]
        if not (real[k - 1] and real[k] and real[k + 1]):
            continue
        if np.hypot(ax, ay) < least_um or np.hypot(bx, by) < least_um:
            continue
        total += abs(np.arctan2(ax * by - ay * bx, ax * bx + ay * by))
        count += 1
    return np.degrees(total / count) if count > 0 else np.nan


@njit(cache=True, nogil=True)
def _without(values: Float64, shape: Float64) -> Float64:
    """Take off the share of ``shape`` that fits best; (N,), both without mean."""
    share = (values * shape).sum() / (shape**2).sum()
    left: Float64 = values - share * shape
    return left


@njit(cache=True, nogil=True)
def swing_of(
    time_s: Float64, path: Float64, real: NDArray[np.bool_], localisation_um: float
) -> float:
    """Motion across the course over what localisation explains; at most 1: no beating is seen.

    A cubic is taken off each second of the path, so that a curved way or a slowly changing flow
    is no beat, and a small circle (along the course it bends twice) no noise. What is left across
    the course is held against what is left along it, where a beat shows little; that is taken to be
    ``localisation_um`` at least.

    Parameters
    ----------
    time_s : (N,)
    path : (N, 2)
        Micrometres; rows that are not ``real`` (N,) do not count.
    localisation_um : float
        Standard deviation of a position, per axis.
    """
    n = time_s.shape[0]
    pieces = max(1, int((time_s[n - 1] - time_s[0]) / _SWING_PIECE_S + 0.5))
    across, along, free = 0.0, 0.0, 0
    for piece in range(pieces):
        rows = np.flatnonzero(real[n * piece // pieces : n * (piece + 1) // pieces])
        rows = rows + n * piece // pieces
        if rows.shape[0] < 6:
            continue
        x = time_s[rows] - time_s[rows].mean()
        square = _without(x**2 - (x**2).mean(), x)
        cube = _without(_without(x**3 - (x**3).mean(), x), square)
        left = np.empty((2, rows.shape[0]))
        course = np.empty(2)
        for a in range(2):
            p = path[rows, a] - path[rows, a].mean()
            course[a] = (x * p).sum() / (x**2).sum()
            left[a] = _without(_without(p - course[a] * x, square), cube)
        speed = np.hypot(course[0], course[1])
        ux, uy = (course[0] / speed, course[1] / speed) if speed > 0.0 else (1.0, 0.0)
        across += ((ux * left[1] - uy * left[0]) ** 2).sum()
        along += ((ux * left[0] + uy * left[1]) ** 2).sum()
        free += rows.shape[0] - 4
    if free == 0:
        return np.nan
    noise = min(max(np.sqrt(along / free), localisation_um), _MOST_LOCALISATION_UM)
    noise = max(noise, localisation_um)
    limit = noise * (1.0 + _SWING_CHANCE / np.sqrt(free))
    return float(np.sqrt(across / free) / limit) if limit > 0.0 else np.nan


@njit(cache=True, nogil=True)
def path_measures(
    time_s: Float64,
    raw_um: Float64,
    newest: bool,
    average_s: float,
    minimum_s: float,
    gap_frames: float,
    least_step_um: float,
    localisation_um: float,
    still_um: float,
) -> Float64:
    """Measures in the order of COLUMNS, then duration, swing, frames seen; NaN where unknown."""
    out = np.full(13, np.nan)
    out[10], out[12] = 0.0, 0.0
    if time_s.shape[0] < 3:
        return out
    step_s = np.median(np.diff(time_s))
    real = np.isfinite(raw_um[:, 0]) & np.isfinite(raw_um[:, 1])
    first, last = _pieces(time_s, real, (gap_frames + 1.5) * step_s, newest)
    if first < 0:
        return out
    out[10], out[12] = time_s[last] - time_s[first], real[first : last + 1].sum()
    # Fifteen frames at 30 a second span 14 steps: they are the half second that is asked for.
    # What is bridged is no sight: two places and a line between them have a LIN of 1.
    least = max(_LEAST_FRAMES, _LEAST_SHARE * (last - first + 1))
    if out[10] < minimum_s - 1.25 * step_s or out[12] < least:
        return out
    time_s, real = time_s[first : last + 1], real[first : last + 1]
    path = raw_um[first : last + 1].copy()
    n = path.shape[0]
    before = 0
    for k in range(1, n):
        if real[k]:
            for m in range(before + 1, k):
                part = (time_s[m] - time_s[before]) / (time_s[k] - time_s[before])
                for a in range(2):
                    path[m, a] = path[before, a] + part * (path[k, a] - path[before, a])
            before = k
    out[11] = swing_of(time_s, path, real, localisation_um)
    half = max(1, int(average_s / (2.0 * step_s) + 0.4))
    average = _average(path, half)
    duration = out[10]
    vsl = np.hypot(path[n - 1, 0] - path[0, 0], path[n - 1, 1] - path[0, 1]) / duration
    # Rounding alone must not break VSL <= VAP <= VCL.
    # What is left of the yawing in the average would lengthen it: it is averaged twice more.
    wider = max(half, int(_WIDER * average_s / (2.0 * step_s) + 0.4))
    smooth = _average(_average(average, half), wider)
    vap = max(_length(smooth) / duration, vsl)
    vcl = max(_length(path) / duration, vap)
    out[0], out[1], out[2] = vsl, vcl, vap
    farthest = 0.0
    cx, cy = average[:, 0].mean(), average[:, 1].mean()
    for k in range(n):
        farthest = max(farthest, np.hypot(average[k, 0] - cx, average[k, 1] - cy))
    if vcl <= np.sqrt(np.pi) * localisation_um / step_s or farthest <= still_um:
        return out
    if 1.0 / step_s >= _RATE_TOLERANCE * SLOWEST_RATE_HZ:
        out[3], out[4], out[6] = _lateral(time_s, path, average, half)
        out[5] = _turning(path, real, least_step_um)
    out[7], out[8], out[9] = vsl / vcl, vap / vcl, vsl / vap
    return out
