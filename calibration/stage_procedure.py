"""Drive a star, watch the picture, fit the map from image to stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
from calibration.stage_affine import StageAffine, Step, fit_stage, star_um
from drivers.types import Image, Pose

RADIUS = 0.28  # of the shorter side of the field
FRAMES = 5
_TURNED_UM = 0.05  # a readback that differs by less has not travelled


@dataclass(frozen=True, slots=True)
class Stop:
    """One position of the star, and what was seen there."""

    pose: Pose
    approach: tuple[int, int]
    time_s: float
    image: Image


def calibrate_stage(bench: Bench) -> Procedure[StageAffine]:
    """Measure the map from image to stage, its backlash and repeatability, on any textured slide.

    Raises
    ------
    CalibrationError
        See calibration.stage_affine.fit_stage and calibration.procedure.
    DeviceError
        Camera or stage fail.
    """
    stage = require_stage(bench)
    yield Instruction(
        "Lay a specimen or a slide with visible texture under the objective, focus it, and raise "
        "the pipette. The stage will move by about a quarter of the view to all sides."
    )
    stops: list[Stop] = []
    with opened(bench.camera), at_rest_after(stage):
        here = stage.read_pose()
        start_um = np.array((here.x_um, here.y_um))
        places = start_um + star_um(RADIUS * bench.field_um)
        # The first stop only tells each axis in which direction it has travelled.
        lead_um = start_um - 0.1 * bench.field_um
        way = [lead_um, start_um, *places]
        for number, place in enumerate(way):
            before = stops[-1].pose if stops else here
            approach = stops[-1].approach if stops else (0, 0)
            stops.append(_stop(bench, (float(place[0]), float(place[1])), before, approach))
            yield Progress(
                f"move {number + 1} of {len(way)}", (number + 1) / len(way), stops[-1].image
            )
    return fit_stage(steps_between(stops[1:]))


def _stop(
    bench: Bench, place_um: tuple[float, float], before: Pose, approach: tuple[int, int]
) -> Stop:
    pose = go(bench, require_stage(bench), place_um)
    frames = look(bench, bench.clock.now_s() + SETTLE_S, FRAMES)
    middle_s = (frames[0].time_s + frames[-1].time_s) / 2
    travelled = (pose.x_um - before.x_um, pose.y_um - before.y_um)
    x, y = (
        was if abs(way) < _TURNED_UM else (1 if way > 0 else -1)
        for way, was in zip(travelled, approach, strict=True)
    )
    return Stop(pose, (x, y), middle_s, without_swimmers(frames))


def steps_between(stops: list[Stop]) -> list[Step]:
    """Measure the shift from each stop to the next: short in time, so that drift stays small."""
    # From the tips of the star alone: the centre, seen after every spoke, would stay in it.
    pattern = still_pattern([stop.image for stop in stops[1::2]])
    textures = [texture(stop.image, pattern) for stop in stops]
    steps = []
    for before, after, here, there in zip(
        stops[:-1], stops[1:], textures[:-1], textures[1:], strict=True
    ):
        shift = measure_shift(here, there)
        steps.append(
            Step(
                from_um=(before.pose.x_um, before.pose.y_um),
                to_um=(after.pose.x_um, after.pose.y_um),
                approach_before=before.approach,
                approach_after=after.approach,
                seconds=after.time_s - before.time_s,
                shift_px=(shift.x_px, shift.y_px),
                likeness=shift.likeness,
            )
        )
    return steps
