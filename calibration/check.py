"""Quality control: a square driven with the accepted calibration, compared with the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from calibration.errors import CalibrationError
from calibration.procedure import (
    SETTLE_S,
    Bench,
    Instruction,
    Procedure,
    Progress,
    at_rest_after,
    go,
    look,
    opened,
    require_stage,
    without_swimmers,
)
from calibration.shift import measure_shift, still_pattern, texture
from calibration.stage_affine import MIN_LIKENESS
from calibration.transform import ImageToStage

SIDE = 0.35  # of the shorter side of the field
ROUNDS = 2
MAX_ERROR_UM = 1.0
MAX_SCALE_ERROR = 0.01
_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


@dataclass(frozen=True, slots=True)
class Check:
    """How well the calibration still holds.

    Attributes
    ----------
    passed : bool
    error_um : float
        Root mean square distance of where the picture went from where it should.
    scale : float
        Size of the square in the picture over its size by the stage.
    why : str
        What is wrong; empty when it passed.
    """

    passed: bool
    error_um: float
    scale: float
    why: str


def check_square(
    bench: Bench, image_to_stage: ImageToStage, backlash_um: tuple[float, float] = (0.0, 0.0)
) -> Procedure[Check]:
    """Drive a square twice and compare every side with the picture.

    Raises
    ------
    CalibrationError
        A picture that cannot be followed; see also calibration.procedure.
    DeviceError
        Camera or stage fail.
    """
    stage = require_stage(bench)
    yield Instruction(
        "Lay a specimen or a slide with visible texture under the objective, focus it, and raise "
        "the pipette. The stage will drive a square of a third of the view, twice."
    )
    images, poses, times_s = [], [], []
    with opened(bench.camera), at_rest_after(stage):
        here = stage.read_pose()
        start_um = np.array((here.x_um, here.y_um))
        side_um = SIDE * bench.field_um
        places = [start_um - 0.2 * side_um, *[start_um + side_um * np.array(corner)
                  for corner in _CORNERS * ROUNDS], start_um]  # fmt: skip
        for number, place in enumerate(places):
            pose = go(bench, stage, (float(place[0]), float(place[1])))
            frames = look(bench, bench.clock.now_s() + SETTLE_S, 5)
            images.append(without_swimmers(frames))
            poses.append((pose.x_um, pose.y_um))
            times_s.append(frames[len(frames) // 2].time_s)
            yield Progress(
                f"corner {number + 1} of {len(places)}", (number + 1) / len(places), images[-1]
            )
    return _judge(np.array(poses), np.array(times_s), images, image_to_stage, np.array(backlash_um))


def _judge(
    poses: np.ndarray,
    times_s: np.ndarray,
    images: list[np.ndarray],
    image_to_stage: ImageToStage,
    backlash_um: np.ndarray,
) -> Check:
    pattern = still_pattern(images)
    textures = [texture(image, pattern) for image in images]
    move = np.diff(poses, axis=0)
    way = np.sign(np.where(np.abs(move) < 0.05, 0.0, move))
    for row in range(1, len(way)):
        way[row] = np.where(way[row] == 0, way[row - 1], way[row])
    load = move[1:] - np.diff(way, axis=0) * backlash_um / 2
    seen, alike = [], []
    for before, after in pairwise(textures[1:]):
        shift = measure_shift(before, after)
        seen.append(-image_to_stage.matrix_um_per_px @ (shift.x_px, shift.y_px))
        alike.append(shift.likeness > MIN_LIKENESS)
    if np.mean(alike) < 0.7:
        raise CalibrationError(
            "the picture cannot be followed from corner to corner; focus, and find a place with "
            "more texture in it"
        )
    good = np.array(alike)
    told, found, span_s = load[good], np.array(seen)[good], np.diff(times_s)[1:][good]
    # A specimen that flows steadily is no fault of the calibration.
    drift = np.linalg.lstsq(span_s[:, None], found - told, rcond=None)[0]
    found = found - span_s[:, None] * drift
    error_um = math.sqrt(float(((found - told) ** 2).sum(axis=1).mean()))
    scale = float((found * told).sum() / (told**2).sum())
    why = ""
    if abs(scale - 1) > MAX_SCALE_ERROR:
        why = (
            f"the picture moves {scale:.2f} times as far as it should: another objective, or the "
            "calibration is wrong; confirm the objective and calibrate the stage again"
        )
    elif error_um > MAX_ERROR_UM:
        why = (
            f"the picture is {error_um:.1f} um from where it should be, {MAX_ERROR_UM:.1f} um are "
            "allowed; see that nothing slips, and calibrate the stage again"
        )
    return Check(not why, error_um, scale, why)
