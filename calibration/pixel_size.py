"""The size of a pixel, from a ruling of known division or a line of known length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.ruling import TickPoints, line_directions, tick_points

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

MIN_LINES = 3
MAX_RESIDUAL = 0.01  # of a division, and 0.3 px: ticks that miss by more are no ruling
MAX_UNCERTAINTY = 0.005
# Over the whole ruling, not seen in the scatter: resampling, uneven blur and uneven light. The last
# two shift a line by a share of its width: 0.2 to 0.5 px where lines are 30 px wide.
SYSTEMATIC_PX = 0.05
SYSTEMATIC_OF_SCALE = 0.02
POINTING_PX = 1.0  # standard deviation of an end of a line drawn by hand
PLAUSIBLE = 0.20


@dataclass(frozen=True, slots=True)
class PixelSize:
    """What was measured.

    Attributes
    ----------
    um_per_px : float
    uncertainty_um_per_px : float
        Standard deviation.
    residual_um : float
        Root mean square of the ticks about an even ruling.
    direction_rad : float
        In which the divisions are counted, image frame; modulo pi.
    ends_px : (n, 2, 2) float64
        First and last point x, y of each tick that was used, image frame.
    index : (n,) int64
        Division at which each tick stands.
    """

    um_per_px: float
    uncertainty_um_per_px: float
    residual_um: float
    direction_rad: float
    ends_px: Float64
    index: Int64


def measure_ruling(image: UInt8, division_um: float) -> PixelSize:
    """Measure a picture (H, W) of a stage micrometer whose ticks are ``division_um`` apart.

    The positions of all ticks are fitted by ``u = u0 + pitch * index`` with integer indices; ticks
    that dust or glare has displaced lose their weight (Tukey's biweight).

    Raises
    ------
    CalibrationError
        No ruling, fewer than three ticks, or ticks that are not evenly spaced.
    """
    if not (math.isfinite(division_um) and division_um > 0):
        raise CalibrationError(f"a division of {division_um} um is not possible; state it in um")
    if image.ndim != 2 or min(image.shape) < 64:
        raise CalibrationError(
            f"a picture of shape {image.shape} is too small; take one of 64x64 pixels or more"
        )
    best: _Lattice | None = None
    refusal = CalibrationError("no lines are seen in the picture; focus on the ruling")
    for direction in line_directions(image):
        try:
            lattice = _fit(tick_points(image, direction))
        except CalibrationError as error:
            refusal = error
            continue
        if best is None or lattice.score > best.score:
            best = lattice
    if best is None:
        raise refusal
    pitch_px, points = best.pitch_px, best.points
    uneven = best.residual_px > 0.3 + MAX_RESIDUAL * pitch_px
    if uneven or best.pitch_sd_px > MAX_UNCERTAINTY * pitch_px:
        raise CalibrationError(
            f"the lines are not evenly spaced ({best.residual_px:.1f} px off at a spacing of "
            f"{pitch_px:.1f} px); clean and focus the ruling, or draw a line by hand"
        )
    um_per_px = division_um / pitch_px
    return PixelSize(
        um_per_px=um_per_px,
        uncertainty_um_per_px=um_per_px * best.pitch_sd_px / pitch_px,
        residual_um=best.residual_px * um_per_px,
        direction_rad=points.direction_rad,
        ends_px=_ends(points, best.used, image.shape),
        index=best.index,
    )


def measure_by_hand(
    from_px: tuple[float, float], to_px: tuple[float, float], length_um: float
) -> PixelSize:
    """Measure by a line that a person drew over something of known length.

    Raises
    ------
    CalibrationError
        A line of less than 20 px, or no length.
    """
    ends = np.array([from_px, to_px], np.float64)
    length_px = float(np.linalg.norm(ends[1] - ends[0]))
    if not (math.isfinite(length_um) and length_um > 0):
        raise CalibrationError(f"a length of {length_um} um is not possible; type it in um")
    if not length_px >= 20:
        raise CalibrationError(
            f"a line of {length_px:.0f} px is too short to measure by; draw one across the picture"
        )
    um_per_px = length_um / length_px
    across = ends[1] - ends[0]
    return PixelSize(
        um_per_px=um_per_px,
        uncertainty_um_per_px=um_per_px * math.sqrt(2) * POINTING_PX / length_px,
        residual_um=0.0,
        direction_rad=math.atan2(across[1], across[0]) % math.pi,
        ends_px=np.stack([ends[:1].repeat(2, 0), ends[1:].repeat(2, 0)]),
        index=np.array([0, 1]),
    )


def implausible(
    um_per_px: float, expected_um_per_px: float, division_um: float | None = None
) -> str:
    """Say why a pixel size cannot be right for camera and objective; empty when it may be.

    ``expected_um_per_px`` is the camera's pixel over the magnification (times the binning).
    """
    ratio = um_per_px / expected_um_per_px
    if abs(ratio - 1) <= PLAUSIBLE:
        return ""
    causes = {2.0: "another objective or binning", 5.0: "another objective, or only every fifth "
              "tick in view", 10.0: "the other ruling (10 or 100 um)"}  # fmt: skip
    near = [
        cause for factor, cause in causes.items()
        if min(abs(ratio * factor - 1), abs(ratio / factor - 1)) < PLAUSIBLE
    ]  # fmt: skip
    cause = near[0] if near else "objective, camera adapter or ruling"
    stated = "" if division_um is None else f" with a division of {division_um:g} um"
    return (
        f"{um_per_px:.4f} um per pixel{stated} is {ratio:.2g} times the {expected_um_per_px:.4f} "
        f"expected of camera and objective; check: {cause}"
    )


@dataclass(frozen=True, slots=True)
class _Lattice:
    points: TickPoints
    used: Int64  # lines that fit
    index: Int64  # of each
    pitch_px: float
    pitch_sd_px: float
    residual_px: float
    score: float


def _fit(points: TickPoints) -> _Lattice:
    """Fit an even ruling to the lines. Raises CalibrationError."""
    count = int(points.line.max()) + 1
    at_px = np.array([np.median(points.u_px[points.line == k]) for k in range(count)])
    if count < MIN_LINES:
        raise CalibrationError(
            f"only {count} lines are seen and {MIN_LINES} are needed; show more of the ruling, "
            "take the finer one, or draw a line by hand"
        )
    pitch, start = _guess(at_px)
    index = np.round((at_px - start) / pitch).astype(np.int64)
    used = np.flatnonzero(np.abs(at_px - start - index * pitch) < 0.12 * pitch)
    if len(used) < MIN_LINES:
        raise CalibrationError(
            f"fewer than {MIN_LINES} of {count} lines are evenly spaced; focus and clean the "
            "ruling, show more of it, or draw a line by hand"
        )
    index = index[used] - index[used[0]]
    on = np.isin(points.line, used)
    row = np.searchsorted(used, points.line[on])
    u, v = points.u_px[on], points.v_px[on]
    design = np.stack([np.ones(len(u)), index[row].astype(np.float64), v - v.mean()], axis=1)
    weight = np.ones(len(u))
    solution = np.zeros(3)
    for _ in range(12):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], u * root, rcond=None)[0]
        off = u - design @ solution
        scale = max(1.4826 * float(np.median(np.abs(off))), 0.02)
        weight = np.maximum(1 - (off / (5.0 * scale)) ** 2, 0.0) ** 2
    pitch = float(solution[1]) * math.cos(math.atan(solution[2]))
    total = np.bincount(row, weight, minlength=len(used))
    solid = total > 1e-3
    line_off = np.bincount(row, weight * off, minlength=len(used))[solid] / total[solid]
    chosen = index[solid]
    if len(chosen) < MIN_LINES:
        raise CalibrationError("the lines are not evenly spaced; clean and focus the ruling")
    # Points on one tick share its fault, so the ticks are what counts as independent.
    variance = float((line_off**2).sum()) / (len(chosen) - 2)
    spread = float(((chosen - chosen.mean()) ** 2).sum())
    sites = int(chosen.max() - chosen.min()) + 1
    systematic_px = max(SYSTEMATIC_PX, SYSTEMATIC_OF_SCALE * points.scale_px)
    strength = float(np.bincount(points.line)[used].sum()) / len(points.u_px)
    return _Lattice(
        points=points,
        used=used[solid],
        index=chosen,
        pitch_px=pitch,
        pitch_sd_px=math.hypot(math.sqrt(variance / spread), systematic_px / (sites - 1)),
        residual_px=math.sqrt(float((line_off**2).mean())),
        score=strength * len(np.unique(chosen)) * len(np.unique(chosen)) / sites,
    )


def _guess(at_px: Float64) -> tuple[float, float]:
    """Find the spacing on which most lines stand, and the fewest places are empty."""
    best = (-math.inf, 1.0, 0.0)
    gaps = {round(float(b - a), 1) for i, a in enumerate(at_px) for b in at_px[i + 1 : i + 4]}
    for gap in sorted(gaps):
        if gap < 5.0:
            continue
        for start in at_px:
            index = np.round((at_px - start) / gap)
            fits = np.abs(at_px - start - index * gap) < 0.1 * gap
            if fits.sum() < 2:
                continue
            # Refine: over many divisions a guess from one gap runs out of step.
            for _ in range(3):
                if len(np.unique(index[fits])) < 2:
                    break
                slope, offset = np.polyfit(index[fits], at_px[fits], 1)
                index = np.round((at_px - offset) / slope)
                fits = np.abs(at_px - offset - index * slope) < 0.1 * slope
            else:
                occupied = len(np.unique(index[fits]))
                sites = int(index[fits].max() - index[fits].min()) + 1
                score = 2.0 * occupied - sites - 1.0 * float((~fits).sum())
                if score > best[0]:
                    best = (score, float(slope), float(offset))
    if not math.isfinite(best[0]):
        raise CalibrationError("the lines are not evenly spaced; clean and focus the ruling")
    return best[1], best[2]


def _ends(points: TickPoints, used: Int64, shape: tuple[int, ...]) -> Float64:
    """Give the ends (n, 2, 2) of the lines ``used``, image frame."""
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    c, s = math.cos(points.direction_rad), math.sin(points.direction_rad)
    ends = []
    for line in used:
        on = points.line == line
        u = float(np.median(points.u_px[on]))
        for v in (float(points.v_px[on].min()), float(points.v_px[on].max())):
            ends.append(middle + np.array([c * u - s * v, s * u + c * v]))
    return np.array(ends).reshape(-1, 2, 2)
