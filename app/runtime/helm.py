"""What the injection sequence sees and steers beside the pipette."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.core.contact import TipSight
from app.core.injection import Injection
from app.core.messages import MotionState, MoveBy, Release
from app.runtime.motion import StagePoses, StageWorker
from models.types import Float64


@dataclass(frozen=True, slots=True)
class Helm:
    """The injection sequence, and all that it needs of the rest of the loop.

    Attributes
    ----------
    injection : Injection
    motion : callable
        The interlocks as of now.
    stage_at : callable
        Stage position (2,) um at a time; None where it is not known.
    stage_rests : callable
    tip : callable
        Newest sight of the tip.
    drive_stage : callable
        Takes a place (x, y) um, stage frame, to bring under the objective.
    at_work : callable
        Told whenever a person steers, or the sequence is under way: the rig is not idle then.
    """

    injection: Injection
    motion: Callable[[], MotionState]
    stage_at: Callable[[float], Float64 | None]
    stage_rests: Callable[[], bool]
    tip: Callable[[], TipSight | None]
    drive_stage: Callable[[tuple[float, float]], None]
    at_work: Callable[[], None]


def make_helm(
    injection: Injection,
    stage: StageWorker,
    poses: StagePoses,
    tip: Callable[[], TipSight | None],
) -> Helm:
    """Tie the sequence to the stage's thread; ``tip`` gives the newest sight of the tip."""

    def drive_stage(to_um: tuple[float, float]) -> None:
        here_um = poses.at(time.perf_counter())
        if here_um is not None:
            stage.submit(Release())
            stage.submit(MoveBy(to_um[0] - here_um[0], to_um[1] - here_um[1]))

    return Helm(
        injection,
        motion=lambda: stage.state,
        stage_at=poses.at,
        stage_rests=lambda: stage.rests,
        tip=tip,
        drive_stage=drive_stage,
        at_work=stage.touch,
    )
