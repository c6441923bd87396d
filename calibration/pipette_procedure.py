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
# Up only: whatever is below the tip is not to be touched. Above 6 um its walls are too faint.
HEIGHTS_UM = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
FRAMES = 5
_POLL_S = 0.05
_LIFT_UM = 2.0
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

    The tip must be free above the dish and a little below the focus, or in it: it is moved
    sideways by an eighth of the view, and upwards, never below where it stands by the
    manipulator's own axes. An axis that is mounted aslant lowers it on its way to one side: hence
    free above the dish.

    Raises
    ------
    CalibrationError
        No pipette in view, too few tips found, or tips that do not fit.
    DeviceError
        Camera or manipulator fail.
    """
    pipette = require_pipette(bench)
    yield Instruction(
        "Bring the tip to the middle of the view, clear of the dish. Focus it, then turn the focus "
        "up until its walls just begin to blur, and take your hands off the manipulator. It will "
        "move sideways by an eighth of the view, and upwards through the focus."
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
        way = [(x * step_um, y * step_um, lift * _LIFT_UM) for x, y, lift in _PLACES]
        way += [(0.0, 0.0, height) for height in HEIGHTS_UM]
        for number, (x, y, height) in enumerate(way):
            place = (home.x_um + x, home.y_um + y, home.z_um + bench.up * height)
            views.append(_view(bench, _drive(bench, pipette, place)))
            done = (number + 1) / len(way)
            yield Progress(f"position {number + 1} of {len(way)}", done, views[-1].image)
        _drive(bench, pipette, (home.x_um, home.y_um, home.z_um))
    sights = _sights(views, image_to_stage.um_per_px, tip)
    return fit_pipette(sights, *_map(image_to_stage), home_um=_xyz(home))


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
    """Find the tips. What the places share is the specimen: only the pipette has moved."""
    middle = np.median(np.stack([view.image for view in views[: len(_PLACES)]]), axis=0)
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
