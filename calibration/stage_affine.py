"""Stage to image: an affine map, backlash, drift and repeatability from a star of moves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

SPOKES = 8
ROUNDS = (1.0, 0.3, 1.0)  # of the radius: short moves tell backlash from scale
MIN_LIKENESS = 0.20
MAX_RESIDUAL_UM = 0.3
MAX_RESIDUAL_PX = 0.6
MAX_DRIFT_UM_S = 15.0
MAX_SHEAR_DEG = 1.0
MAX_SCALE_SD = 0.005


@dataclass(frozen=True, slots=True)
class Step:
    """One move of the star, and how the picture's content answered.

    Attributes
    ----------
    from_um, to_um : (x, y) as read back before and after, stage frame
    approach_before, approach_after : (x, y), each -1, 0 or +1
        In which direction each axis last travelled; 0 is not known.
    seconds : float
        Between the two pictures.
    shift_px : (x, y) of the content, image frame
    likeness : float
        Of the two pictures (calibration.shift).
    """

    from_um: tuple[float, float]
    to_um: tuple[float, float]
    approach_before: tuple[int, int]
    approach_after: tuple[int, int]
    seconds: float
    shift_px: tuple[float, float]
    likeness: float


@dataclass(frozen=True, slots=True)
class StageAffine:
    """What was measured.

    Attributes
    ----------
    matrix_um_per_px : (2, 2) float64
        Image to stage: see calibration.transform.
    matrix_sd_um_per_px : (2, 2) float64
    residual_um : float
        Root mean square of what is left, per position and axis.
    backlash_um : (x, y)
    backlash_sd_um : (x, y)
    repeatability_um : float
        Root mean square scatter of positions approached alike.
    drift_um_s : (x, y) of the content, while the stage stood
    used : (n,) bool
        Steps that the fit believes.
    place_um, off_um : (n, 2) float64
        Where each step ended, stage frame, and what is left of it; 0 where it was not recognised.
    """

    matrix_um_per_px: Float64
    matrix_sd_um_per_px: Float64
    residual_um: float
    backlash_um: tuple[float, float]
    backlash_sd_um: tuple[float, float]
    repeatability_um: float
    drift_um_s: tuple[float, float]
    used: NDArray[np.bool_]
    place_um: Float64
    off_um: Float64

    @property
    def um_per_px(self) -> float:
        """Side of the square that one pixel covers."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix_um_per_px))))

    @property
    def um_per_px_sd(self) -> float:
        """Standard deviation of ``um_per_px``."""
        return float(np.sqrt((self.matrix_sd_um_per_px**2).mean())) / math.sqrt(2)

    @property
    def mirrored(self) -> bool:
        """Whether the picture is a mirror image of the stage."""
        return bool(np.linalg.det(self.matrix_um_per_px) < 0)

    @property
    def rotation_deg(self) -> float:
        """How the camera is turned against the stage, after the mirror (x inverted) is undone."""
        return math.degrees(_polar(self.matrix_um_per_px)[0])

    @property
    def shear_deg(self) -> float:
        """How far the picture of the stage's axes is from a right angle."""
        x, y = self.matrix_um_per_px.T
        cosine = float(x @ y) / float(np.linalg.norm(x) * np.linalg.norm(y))
        return abs(90.0 - math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))


def star_um(radius_um: float) -> Float64:
    """Positions (n, 2) to visit, relative to the start: out along each spoke, and back.

    Every spoke leads both axes into new combinations of directions, so that backlash tells
    itself apart from scale.
    """
    angles = math.pi / 8 + np.arange(SPOKES * len(ROUNDS)) * (3 * 2 * math.pi / SPOKES)
    reach_um = radius_um * np.repeat(ROUNDS, SPOKES)
    tips = reach_um[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.stack([tips, np.zeros_like(tips)], axis=1).reshape(-1, 2)


def fit_stage(steps: Sequence[Step]) -> StageAffine:
    """Fit ``shift = -A (move) + A (play) + drift * seconds`` to the steps; ``A`` is px per um.

    The play of each axis is half its backlash, in the direction in which the axis last travelled.
    Steps far off lose their weight (Tukey's biweight): a sperm that was followed instead of the
    slide spoils nothing.

    Raises
    ------
    CalibrationError
        No texture, a picture that does not follow the stage or that flows away, or a residual
        above the limit. The message says which, and what to do.
    """
    if len(steps) < SPOKES:
        raise CalibrationError(f"{len(steps)} moves are too few; {SPOKES} are needed")
    likeness = np.array([step.likeness for step in steps])
    alike = likeness >= MIN_LIKENESS
    if alike.mean() < 0.7:
        raise CalibrationError(
            f"the picture cannot be followed from move to move ({(~alike).mean():.0%} of the moves "
            "lost): too little texture; focus, find a place with more in it, and repeat"
        )
    kept = [step for step, good in zip(steps, alike, strict=True) if good]
    move = np.array([step.to_um for step in kept]) - np.array([step.from_um for step in kept])
    turn = np.array([step.approach_after for step in kept], np.float64)
    turn -= np.array([step.approach_before for step in kept])
    seconds = np.array([step.seconds for step in kept])
    shift = np.array([step.shift_px for step in kept])
    _require_motion(move, shift)
    design = np.column_stack([-move, turn / 2, seconds])
    solution, off_px, weight, covariance = _robust(design, shift)
    direct = solution[:2].T  # A, px per um
    if abs(np.linalg.det(direct)) < 1e-6:
        raise CalibrationError("the picture follows only one axis; check the stage's other axis")
    matrix: Float64 = np.asarray(np.linalg.inv(direct), np.float64)
    backlash = matrix @ solution[2:4].T
    off_um = off_px @ matrix.T
    # A step is the difference of two positions: each bears half its variance.
    residual_um = math.sqrt(float((weight * (off_um**2).mean(axis=1)).sum() / weight.sum()) / 2)
    variance_px = (weight[:, None] * off_px**2).sum(axis=0) / max(
        weight.sum() - design.shape[1], 1.0
    )
    # d(A^-1) = -A^-1 dA A^-1
    column_variance = np.outer(variance_px, np.diag(covariance)[:2])
    matrix_sd = np.sqrt((matrix**2) @ column_variance @ (matrix**2))
    backlash_sd = np.sqrt(np.diag(covariance)[2:4] * float((variance_px * (matrix**2)).sum() / 2))
    result = StageAffine(
        matrix_um_per_px=matrix,
        matrix_sd_um_per_px=matrix_sd,
        residual_um=residual_um,
        backlash_um=(float(backlash[0, 0]), float(backlash[1, 1])),
        backlash_sd_um=(float(backlash_sd[0]), float(backlash_sd[1])),
        repeatability_um=_repeatability(move, turn, off_um, weight),
        drift_um_s=tuple((matrix @ solution[4]).tolist()),
        used=_scatter(alike, weight > 0.1),
        place_um=np.array([step.to_um for step in steps]),
        off_um=_scattered(alike, off_um),
    )
    _require_sense(result)
    return result


def _require_motion(move_um: Float64, shift_px: Float64) -> None:
    """Raise CalibrationError where the picture does not answer to the stage at all."""
    if float(np.median(np.linalg.norm(move_um, axis=1))) < 1e-3:
        raise CalibrationError(
            "the stage did not move though it was told to; check its cable, its joystick and limits"
        )
    if float(np.median(np.linalg.norm(shift_px, axis=1))) < 1.0:
        raise CalibrationError(
            "the stage moves but the picture stands still; check that the camera looks at the slide"
        )


def _require_sense(result: StageAffine) -> None:
    """Raise CalibrationError where the fit is not to be believed."""
    drift = math.hypot(*result.drift_um_s)
    if drift > MAX_DRIFT_UM_S:
        raise CalibrationError(
            f"the sample flows at {drift:.0f} um/s; wait until it rests, or use a dry slide"
        )
    limit_um = max(MAX_RESIDUAL_UM, MAX_RESIDUAL_PX * result.um_per_px)
    if result.used.mean() < 0.6 or result.residual_um > limit_um:
        raise CalibrationError(
            f"moves and pictures do not agree: {result.residual_um:.2f} um rms where "
            f"{limit_um:.2f} um is allowed, {int((~result.used).sum())} of {len(result.used)} "
            "moves left out; see that nothing slips, drifts or vibrates, and repeat"
        )
    if result.um_per_px_sd > MAX_SCALE_SD * result.um_per_px:
        raise CalibrationError(
            f"the pixel size is known to {result.um_per_px_sd / result.um_per_px:.1%} only: too "
            "much in the picture moves by itself; use a slide on which nothing swims"
        )
    if result.shear_deg > MAX_SHEAR_DEG:
        raise CalibrationError(
            f"the stage's axes seem {result.shear_deg:.1f} degrees off a right angle; "
            "repeat, and if it stays, have the stage looked at"
        )


def _robust(design: Float64, shift_px: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Solve both axes with common weights: solution (k, 2), residuals, weights, (X'WX)^-1."""
    weight = np.ones(len(design))
    solution: Float64 = np.zeros((design.shape[1], 2))
    off: Float64 = shift_px
    for turn in range(30):
        root = np.sqrt(weight)[:, None]
        found = np.linalg.lstsq(design * root, shift_px * root, rcond=None)[0]
        solution = np.asarray(found, np.float64)
        off = shift_px - design @ solution
        distance = np.linalg.norm(off, axis=1)
        scale = max(float(np.median(distance)) / 1.177, 0.02)  # of a Rayleigh distribution
        if turn == 0:
            # Least squares is drawn to the wild ones: begin with weights of the first power.
            weight = 1 / np.maximum(distance, scale)
            continue
        if turn < 8:
            weight = scale / np.maximum(distance, scale)
            continue
        weight = np.maximum(1 - (distance / (5.0 * scale)) ** 2, 0.0) ** 2
    inverse = np.asarray(np.linalg.pinv(design.T @ (design * weight[:, None])), np.float64)
    return solution, off, weight, inverse


def _repeatability(move: Float64, turn: Float64, off_um: Float64, weight: Float64) -> float:
    """Scatter (um, rms per axis and position) of steps that were told the same."""
    keys = np.round(np.column_stack([move / 2.0, turn]))
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.ravel()
    squares, freedom = 0.0, 0
    for number in range(int(group.max()) + 1):
        alike = off_um[(group == number) & (weight > 0.1)]
        if len(alike) > 1:
            squares += float(((alike - alike.mean(axis=0)) ** 2).sum())
            freedom += 2 * (len(alike) - 1)
    return math.sqrt(squares / freedom / 2) if freedom else math.nan


def _polar(matrix: Float64) -> tuple[float, Float64]:
    """Angle of the rotation nearest to the matrix once its mirror is undone, and that rotation."""
    proper = matrix @ np.diag((-1.0, 1.0)) if np.linalg.det(matrix) < 0 else matrix
    u, _, vt = np.linalg.svd(proper)
    rotation = np.asarray(u @ vt)
    return math.atan2(rotation[1, 0], rotation[0, 0]), rotation


def _scatter(where: NDArray[np.bool_], values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    out = np.zeros(len(where), bool)
    out[where] = values
    return out


def _scattered(where: NDArray[np.bool_], values: Float64) -> Float64:
    out = np.zeros((len(where), 2))
    out[where] = values
    return out
