"""Stream a chirp, watch the picture and the readback, fit the delays."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.latency import Latency, Streamed, chirp_um_s, fit_delay, split
from calibration.procedure import (
    Bench,
    Instruction,
    Procedure,
    Progress,
    at_rest_after,
    go,
    opened,
    require_stage,
)
from calibration.shift import measure_shift, still_pattern, texture
from calibration.stage_affine import MIN_LIKENESS
from calibration.transform import ImageToStage
from drivers.protocols import Stage
from drivers.types import Frame, Image, Pose

Float64 = NDArray[np.float64]

DURATION_S = 7.0
LEAD_S = 0.6
MEAN_PX_S = 120.0
SLOWEST_UM_S = 30.0  # velocities are whole user units: slower ones are stepped too coarsely
READ_EVERY = 2
SIDE_PX = 400  # of the part of the picture that is compared
_DIRECTION = np.array((0.8, 0.6))
_WAITED_S = 0.001
SILENT_S = 0.5


@dataclass(slots=True)
class _Record:
    """What happened: commands, frames (cut to their middle), poses."""

    sent_s: list[float] = field(default_factory=list)
    velocity_um_s: list[Float64] = field(default_factory=list)
    frame_s: list[float] = field(default_factory=list)
    cut: list[Image] = field(default_factory=list)
    to_host_s: list[float] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)


def calibrate_latency(bench: Bench, image_to_stage: ImageToStage) -> Procedure[Latency]:
    """Measure how long commands and frames take. The stage's calibration comes first.

    Raises
    ------
    CalibrationError
        See calibration.latency.
    DeviceError
        Camera or stage fail.
    """
    stage = require_stage(bench)
    yield Instruction(
        "Lay a specimen or a slide with visible texture under the objective, focus it, and raise "
        "the pipette. The stage will move by about two views, never turning back, and return."
    )
    record = _Record()
    mean_um_s = max(MEAN_PX_S * image_to_stage.um_per_px, SLOWEST_UM_S)
    with opened(bench.camera), at_rest_after(stage):
        here = stage.read_pose()
        begin_s = bench.clock.now_s()
        shown = 0
        while (since_s := bench.clock.now_s() - begin_s) < LEAD_S + DURATION_S:
            speed = mean_um_s
            if since_s > LEAD_S:
                speed = chirp_um_s(since_s - LEAD_S, DURATION_S, mean_um_s)
            _exchange(bench, stage, record, speed * _DIRECTION)
            frame = _next_frame(bench, record)
            if frame is not None and since_s * 2 > shown:
                shown += 1
                done = since_s / (LEAD_S + DURATION_S)
                yield Progress("the stage swings, always onward", done, frame.image)
        stage.stop()
        go(bench, stage, (here.x_um, here.y_um))
    return evaluate(record, begin_s + LEAD_S, image_to_stage)


def _exchange(bench: Bench, stage: Stage, record: _Record, velocity_um_s: Float64) -> None:
    """Send a velocity and, now and then, read where the stage is."""
    record.sent_s.append(bench.clock.now_s())
    record.velocity_um_s.append(velocity_um_s)
    stage.set_velocity(float(velocity_um_s[0]), float(velocity_um_s[1]))
    if len(record.sent_s) % READ_EVERY == 0:
        record.poses.append(stage.read_pose())


def _next_frame(bench: Bench, record: _Record) -> Frame | None:
    """Take a frame; None when one was lost. Raises CalibrationError when all seem to be."""
    asked_s = bench.clock.now_s()
    frame = bench.camera.read(0.05)  # the velocity, which lives 150 ms, must be renewed
    if frame is None:
        if asked_s - (record.frame_s or record.sent_s)[-1] > SILENT_S:
            raise CalibrationError(
                f"{bench.camera.name} delivers no frames; check its cable and its light"
            )
        return None
    height, width = frame.image.shape
    top, left = max(0, (height - SIDE_PX) // 2), max(0, (width - SIDE_PX) // 2)
    record.cut.append(frame.image[top : top + SIDE_PX, left : left + SIDE_PX])
    record.frame_s.append(frame.time_s)
    # A frame that lay ready when it was asked for was in the host at an unknown time before.
    waited = frame.received_s - asked_s > _WAITED_S
    record.to_host_s.append(frame.received_s - frame.time_s if waited else np.nan)
    return frame


def evaluate(record: _Record, from_s: float, image_to_stage: ImageToStage) -> Latency:
    """Fit what was recorded from ``from_s`` on. Raises CalibrationError."""
    streamed = Streamed(np.array(record.sent_s), np.array(record.velocity_um_s))
    pattern = still_pattern(record.cut)
    textures = [texture(cut, pattern) for cut in record.cut]
    shifts = [measure_shift(before, after) for before, after in pairwise(textures)]
    frame_s = np.array(record.frame_s)
    shift_px = np.array([(shift.x_px, shift.y_px) for shift in shifts])
    likeness = np.array([shift.likeness for shift in shifts])
    picture = fit_delay(
        streamed,
        frame_s,
        -shift_px @ image_to_stage.matrix_um_per_px.T,
        (likeness > MIN_LIKENESS) & (frame_s[:-1] > from_s),
    )
    pose_s = np.array([pose.time_s for pose in record.poses])
    pose_um = np.array([(pose.x_um, pose.y_um) for pose in record.poses])
    readback = fit_delay(streamed, pose_s, np.diff(pose_um, axis=0), pose_s[:-1] > from_s)
    to_host_s = np.array(record.to_host_s)[frame_s > from_s]
    to_host_s = to_host_s[np.isfinite(to_host_s)]
    if len(to_host_s) < 10:
        raise CalibrationError(
            "frames come faster than they can be taken; lower the frame rate and repeat"
        )
    usual_s = float(np.median(to_host_s))
    spread_s = 1.4826 * float(np.median(np.abs(to_host_s - usual_s))) / np.sqrt(len(to_host_s))
    return split(picture, readback, usual_s, float(spread_s))
