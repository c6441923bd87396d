"""A camera whose clock goes back neither ends the loop nor reaches the tracker."""

from __future__ import annotations

import itertools
import math

import numpy as np

from app.core.messages import MotionState, Snapshot
from app.core.pipeline import Pipeline
from app.runtime.inference import Inference
from app.runtime.lanes import InOrder, Seen
from calibration.transform import ImageToStage
from drivers.types import Frame
from models.measure.live import LiveMotility
from models.tracking.tracker import Tracker
from models.types import Detections, Perception

TIMES_S = (1.0, 2.0, 1.5, 2.0, math.nan, 2.1)


class _Told:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def fault(self, source: str, error: Exception | str) -> None:
        raise AssertionError(f"{source}: {error}")

    def clear(self, source: str) -> None:
        pass

    def tell(self, text: str, severity: str = "info", **details: str) -> None:
        self.texts.append(text)


def _worker(told: _Told, shown: list[Snapshot]) -> Inference:
    return Inference(
        InOrder(4),
        lambda width, height: Pipeline(
            ImageToStage.nominal(0.5, width, height), width, height, Tracker(), LiveMotility()
        ),
        pose_at=lambda time_s: np.zeros(2), sight=lambda tracks: None, rank=lambda order: None,
        publish=shown.append, motion=lambda: MotionState(), faults=lambda: (),
        pipette=lambda: None, scoring=None, census=None, board=told,
    )  # fmt: skip


def test_an_order_by_speed_is_told_once_and_never_as_a_rank() -> None:
    told, shown = _Told(), list[Snapshot]()
    worker = _worker(told, shown)
    pipeline = worker._make_pipeline(640, 480)
    worker._shape = (480, 640)
    image = np.zeros((480, 640), np.uint8)
    for number in range(60):
        time_s = 1.0 + number / 30.0
        box = np.array([[250.0 + number, 240.0, 10.0, 10.0]], np.float32)
        seen = Detections(box, np.ones(1, np.float32), np.ones(1, np.int8))
        frame = Frame(image, number, time_s, 0.01, time_s)
        worker._follow(Seen(frame, Perception(seen), time_s), pipeline)
    assert shown[-1].ranking == (1,)
    assert not shown[-1].judged
    assert told.texts == ["order of the sperm: by speed, not judged yet"]


def test_a_frame_that_is_not_later_is_left_out_and_said() -> None:
    told, shown = _Told(), list[Snapshot]()
    worker = _worker(told, shown)
    image = np.zeros((48, 64), np.uint8)
    pipeline = worker._make_pipeline(64, 48)
    worker._shape = (48, 64)
    for number, time_s in enumerate(TIMES_S):
        frame = Frame(image, number, time_s, 0.01, time_s)
        worker._follow(Seen(frame, Perception(Detections.empty()), time_s), pipeline)
    assert [snapshot.frame.time_s for snapshot in shown] == [1.0, 2.0, 2.1]
    assert len(told.texts) == 3
    assert all("left out" in text and "clock" in text for text in told.texts)
    assert all(a < b for a, b in itertools.pairwise(s.tracks.time_s for s in shown))
