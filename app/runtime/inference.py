"""The infer thread: owns the tracks; one snapshot per frame."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from app.core.messages import MotionState, Snapshot, Timing
from app.core.pipeline import Findings, Pipeline
from app.runtime.census import Census
from app.runtime.lanes import InOrder, Seen
from app.runtime.scoring import Scoring
from app.runtime.timing import FrameCount
from app.runtime.worker import Board, Worker
from drivers.types import Pose
from models.tracking.tracker import warm_up as warm_up_tracker
from models.types import Float64, Tracks

TAKE_TIMEOUT_S = 0.25
WARM_UP_FRAMES = 40  # longer than the live window: nothing is first any more


class Inference(Worker):
    """Turns what the lanes see into snapshots.

    Parameters
    ----------
    results : InOrder
        From the lanes.
    make_pipeline : callable
        From width and height of the frames to the pipeline.
    pose_at : callable
        Stage position (2,) um at a time; None where it is not known.
    sight : callable
        Takes the tracks for the stage thread, before anything else is computed.
    rank : callable
        Takes the ranking, best first.
    publish : callable
        Takes the snapshot.
    motion : callable
        The interlocks as of now.
    faults : callable
        What is broken, newest first.
    pipette : callable
        The manipulator's last pose.
    scoring : Scoring or None
    census : Census or None
        Of the simulated rig.
    """

    def __init__(
        self,
        results: InOrder,
        make_pipeline: Callable[[int, int], Pipeline],
        *,
        pose_at: Callable[[float], Float64 | None],
        sight: Callable[[Tracks], None],
        rank: Callable[[tuple[int, ...]], None],
        publish: Callable[[Snapshot], None],
        motion: Callable[[], MotionState],
        faults: Callable[[], tuple[str, ...]],
        pipette: Callable[[], Pose | None],
        scoring: Scoring | None,
        census: Census | None,
        board: Board,
    ) -> None:
        super().__init__("infer", board)
        self._results = results
        self._make_pipeline = make_pipeline
        self._pose_at = pose_at
        self._sight = sight
        self._rank = rank
        self._publish = publish
        self._motion = motion
        self._faults = faults
        self._pipette = pipette
        self._scoring = scoring
        self._census = census
        self._pipeline: Pipeline | None = None
        self._shape = (0, 0)
        self._newest_s = -math.inf
        self._pose_um = np.zeros(2)
        self._first_changes = 0
        self._order_by = ""
        self.count = FrameCount()

    def open(self) -> None:
        """Warm up on the first result; what comes meanwhile is too early, not lost."""
        seen = None
        while seen is None and not self.stopping.is_set():
            seen = self._results.take(TAKE_TIMEOUT_S)
        if seen is None:
            return
        warm_up_tracker()
        height_px, width_px = seen.frame.image.shape
        scratch = self._make_pipeline(width_px, height_px)
        for k in range(WARM_UP_FRAMES):  # compiles what is compiled on first use
            tracks = scratch.follow(
                k / 30.0, np.zeros(2), seen.perception.detections, seen.frame.image
            )
            scratch.learn(scratch.measure(tracks, np.zeros(2)), seen.perception, seen.frame.image)
        self._pipeline = self._make_pipeline(width_px, height_px)
        self._shape = (height_px, width_px)
        self._results.clear()

    def step(self) -> None:
        """Take the next result and say everything about its frame."""
        seen = self._results.take(TAKE_TIMEOUT_S)
        if seen is not None and self._pipeline is not None:
            self._follow(seen, self._pipeline)

    def _follow(self, seen: Seen, pipeline: Pipeline) -> None:
        frame, perception = seen.frame, seen.perception
        if frame.image.shape != self._shape:
            self.board.tell(
                f"frame {frame.number} is {frame.image.shape}, not {self._shape}: left out",
                "warning",
            )
            return
        if not frame.time_s > self._newest_s:  # also where it is no number
            self.board.tell(
                f"frame {frame.number} is of {frame.time_s:.3f} s, after one of "
                f"{self._newest_s:.3f} s: left out; the camera's clock went back",
                "warning",
            )
            return
        self._newest_s = frame.time_s
        pose_um = self._pose_at(frame.time_s)
        known = pose_um is not None
        if pose_um is None:
            pose_um = self._pose_um  # nothing is driven by it: a stale pose holds the stage
        self._pose_um = pose_um
        tracks = pipeline.follow(
            frame.time_s, pose_um, perception.detections, frame.image, perception.weak,
            self._motion().target,
        )  # fmt: skip
        self._sight(tracks)
        findings = pipeline.measure(tracks, pose_um)
        self._rank(findings.ranking)
        self._tell_order(findings)
        if findings.first_changes > self._first_changes:
            self._first_changes = findings.first_changes
            self.board.tell(f"best sperm: {findings.first_change}")
        motion = self._motion()
        published_s = time.perf_counter()
        self.count.add(frame.number, published_s)
        x_um, y_um = float(pose_um[0]), float(pose_um[1])
        self._publish(
            Snapshot(
                frame=frame,
                pose=Pose(frame.time_s, x_um, y_um, math.nan, None) if known else None,
                perception=perception,
                tracks=tracks,
                track_px=findings.track_px,
                measurements=findings.measurements,
                motion=motion,
                ranking=findings.ranking,
                timing=Timing(frame.time_s, frame.received_s, seen.inferred_s, published_s),
                frames=self.count.frames,
                dropped=self.count.dropped,
                fps=self.count.fps(published_s),
                faults=self._faults(),
                pipette=self._pipette(),
                overloads=findings.overloads,
                judged=findings.judged,
            )
        )
        if self._scoring is not None:
            self._scoring.add(tracks, motion)
        if self._census is not None:
            self._census.add(tracks)
        pipeline.learn(findings, perception, frame.image)

    def _tell_order(self, findings: Findings) -> None:
        """Tell, once each, that the order is by speed and that it is by score from now on."""
        by = "by score" if findings.judged else "by speed, not judged yet"
        if findings.ranking and by != self._order_by:
            self._order_by = by
            self.board.tell(f"order of the sperm: {by}")
