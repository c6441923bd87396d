"""Move the pipette along its axes, find its tip in the picture, fit the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.errors import CalibrationError
from calibration.pipette_affine import PipetteAffine, Sight, fit_pipette
from calibration.procedure import (
    ARRIVE_S,
    SETTLE_S,
    Bench,
    Instruction,
    Procedure,
    Progress,
    at_rest_after,
    look,
    opened,
    require_pipette,
    without_swimmers,
)
from calibration.tip import Tip, find_tip
from calibration.transform import ImageToStage
from drivers.errors import LimitError
from drivers.protocols import Manipulator
from drivers.types import Image, Pose

SPEED_UM_S = 200.0
STEP = 0.12  # of the shorter side of the field
HEIGHT_UM = 4.0  # up only: whatever is below the tip is not to be touched
FRAMES = 5
_POLL_S = 0.05
# No line along the shaft holds more than half of the places: the median shows none of it.
_PLACES = (
    (0, 0, 0), (1, 1, 0), (0, 1, 0), (-1, 1, 0), (-1, -1, 0), (0, -1, 0), (1, -1, 0), (1, 0, 0),
    (-1, 0, 0), (0.3, 0.5, 0.5), (0.6, -0.5, 1), (-0.6, 0.5, 1), (0.6, 1, 0.5), (-0.3, -0.5, 0),
    (0, 0, 0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _View:
    pose: Pose
    image: Image


def calibrate_pipette(bench: Bench, image_to_stage: ImageToStage) -> Procedure[PipetteAffine]:
    """Measure how the tip moves in the picture. The stage's calibration comes first.

    The tip must be in focus and free above the dish: it is moved sideways by an eighth of the
    view, and upwards, never below where it stands. Which way is up is the manipulator's: its z
    grows upwards.

    Raises
    ------
    CalibrationError
        No pipette in view, too few tips found, or tips that do not fit.
    DeviceError
        Camera or manipulator fail.
    """
    pipette = require_pipette(bench)
    yield Instruction(
        "Bring the tip to the middle of the view, in focus and clear of the dish, and take your "
        "hands off the manipulator. It will move sideways by an eighth of the view, and upwards."
    )
    views: list[_View] = []
    with opened(bench.camera), at_rest_after(pipette):
        home = pipette.read_pose()
        first = _view(bench, home)
        tip = find_tip(first.image, image_to_stage.um_per_px)
        if tip is None:
            raise CalibrationError(
                "no pipette is seen; bring its tip to the middle of the view, focus it, and repeat"
            )
        step_um = STEP * bench.field_um
        for number, (x, y, z) in enumerate(_PLACES):
            place = (home.x_um + x * step_um, home.y_um + y * step_um, home.z_um + z * HEIGHT_UM)
            views.append(_view(bench, _drive(bench, pipette, place)))
            done = (number + 1) / len(_PLACES)
            yield Progress(f"position {number + 1} of {len(_PLACES)}", done, views[-1].image)
    return fit_pipette(_sights(views, image_to_stage.um_per_px, tip), *_map(image_to_stage))


def see_tip(bench: Bench, image_to_stage: ImageToStage) -> Sight:
    """Find the tip where it is now, for a check of drift. Raises CalibrationError, DeviceError."""
    pipette = require_pipette(bench)
    with opened(bench.camera):
        view = _view(bench, pipette.read_pose())
    tip = find_tip(view.image, image_to_stage.um_per_px)
    if tip is None:
        raise CalibrationError("no pipette is seen; bring its tip into view and focus it")
    return Sight(_xyz(view.pose), tip)


def _map(image_to_stage: ImageToStage) -> tuple[np.ndarray, np.ndarray]:
    return image_to_stage.matrix_um_per_px, image_to_stage.centre_px


def _xyz(pose: Pose) -> tuple[float, float, float]:
    return pose.x_um, pose.y_um, pose.z_um


def _view(bench: Bench, pose: Pose) -> _View:
    frames = look(bench, bench.clock.now_s() + SETTLE_S, FRAMES)
    return _View(pose, without_swimmers(frames))


def _sights(views: list[_View], um_per_px: float, like: Tip) -> list[Sight]:
    """Find the tips. What all views share is the specimen: only the pipette has moved."""
    middle = np.median(np.stack([view.image for view in views]), axis=0)
    background = np.asarray(middle, dtype=np.uint8)
    found: list[tuple[_View, Tip | None]] = [
        (view, find_tip(view.image, um_per_px, background, like)) for view in views
    ]
    return [Sight(_xyz(view.pose), tip) for view, tip in found if tip is not None]


def _drive(bench: Bench, pipette: Manipulator, to_um: tuple[float, float, float]) -> Pose:
    """Drive the pipette there and wait until it rests. Raises CalibrationError, DeviceError."""
    try:
        pipette.move_to(*to_um, SPEED_UM_S)
    except LimitError as error:
        raise CalibrationError(
            f"{error}: the pipette is too near a limit for this; mount it further in and repeat"
        ) from error
    clock = bench.clock
    deadline_s = clock.now_s() + ARRIVE_S
    while True:
        clock.wait_until(clock.now_s() + _POLL_S)
        pose = pipette.read_pose()
        if pose.moving is False:
            return pose
        if clock.now_s() > deadline_s:
            raise CalibrationError(
                f"the pipette did not arrive within {ARRIVE_S:.0f} s; look for an obstacle"
            )
