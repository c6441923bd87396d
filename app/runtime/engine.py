"""The whole loop as one object: start, submit, latest, events, stop. No Qt."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.core.injection_values import Outlook
from app.core.messages import (
    Arm,
    Command,
    Descend,
    Event,
    LetGo,
    MotionState,
    PipetteCommand,
    Snapshot,
    Stop,
)
from app.core.pipeline import Pipeline
from app.records.criteria import load_criteria
from app.records.store import Session
from app.runtime.census import Census
from app.runtime.devices import Rig
from app.runtime.digest import Digest
from app.runtime.grabber import Grabber
from app.runtime.helm import Helm, make_helm
from app.runtime.inference import Inference
from app.runtime.lanes import InOrder, Lane
from app.runtime.mailbox import Latest
from app.runtime.manipulator import PipetteWorker
from app.runtime.motion import StagePoses, StageWorker
from app.runtime.recorder import Recorder
from app.runtime.scoring import Scoring
from app.runtime.timing import Delays
from app.runtime.tip_finder import TipFinder
from app.runtime.watchdog import Watchdog
from app.runtime.worker import Worker
from drivers.errors import CameraError, DeviceError
from drivers.types import Frame, Pose
from models.errors import ModelError
from models.measure.live import LiveMotility
from models.measure.live_verdict import LiveVerdict
from models.tracking.tracker import Tracker
from models.types import Float64, Tracks

SWITCH_INTERVAL_S = 0.0001  # a busy Python thread gives way fifty times sooner than by default
OPEN_TIMEOUT_S = 15.0
JOIN_S = 1.0
RECORD_JOIN_S = 60.0  # what waits to be recorded is written first
SPARE_RESULTS = 2  # beyond one for each lane: what piles up is old
MOVE_SPEED_UM_S = 2000.0  # of a stage that the rig file does not describe
EVENTS_KEPT = 1000
FILM = "film"  # of a session, in its folder


class Engine:
    """Runs a rig. Every method may be called from any thread; none but start and stop blocks.

    Parameters
    ----------
    rig : Rig
        Closed by ``stop``.
    out : Path or None
        Folder for the session's record; nothing is recorded without.
    record : bool
        Whether the record holds what the camera saw, too; needs ``out``.

    Attributes
    ----------
    folder : Path or None
        This session's own folder in ``out``.
    """

    def __init__(self, rig: Rig, *, out: Path | None = None, record: bool = False) -> None:
        self.rig = rig
        self._criteria = load_criteria(rig.config.criteria)
        self._session = Session(out, rig.config, _about(rig)) if out is not None else None
        self.folder = None if self._session is None else self._session.folder
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._faults: dict[str, str] = {}
        self._first_failure: Exception | None = None
        self._latest: Snapshot | None = None
        self._drawn = -1
        self.changed = threading.Event()  # set on every new snapshot and event; for those who wait
        self._stopped = False
        self._overlay = Delays()
        self._scoring = None if rig.truth is None else Scoring(rig.truth)
        self._census = None if rig.kinds is None else Census(rig.kinds)
        frames: Latest[Frame] = Latest()
        self._recorder: Recorder | None = None
        if record and self.folder is not None:
            self._recorder = Recorder(
                self.folder / FILM,
                lambda: rig.camera.frame_rate_hz,
                lambda time_s: None if rig.stage is None else self._poses.at(time_s),
                self._pipette_pose,
                self,
            )
        keep = None if self._recorder is None else self._recorder.put
        self._grabber = Grabber(rig.camera, frames, self, keep)
        self._poses = StagePoses(rig.command_to_motion_s)
        self._stage: StageWorker | None = None
        self._pipette: PipetteWorker | None = None
        self._tip: TipFinder | None = None
        if rig.injection is not None:
            self._tip = TipFinder(rig.image_to_stage, lambda: self._looks_for_tip, self)
        turn, results = threading.Lock(), InOrder(len(rig.detectors) + SPARE_RESULTS)
        self._lanes = [
            Lane(number, detector, frames, turn, results, self)
            for number, detector in enumerate(rig.detectors, start=1)
        ]
        self._inference = Inference(
            results,
            self._make_pipeline,
            pose_at=self._pose_at,
            sight=self._sight,
            rank=self._rank,
            publish=self._publish,
            motion=lambda: self.motion,
            faults=lambda: self.faults,
            pipette=self._pipette_pose,
            scoring=self._scoring,
            census=self._census,
            board=self,
        )
        self._workers: list[Worker] = []

    # What the window and the command line use

    def start(self) -> None:
        """Open the camera and start all threads.

        Raises
        ------
        DeviceError
            The camera cannot be opened; everything is ended again.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._record("start", {})
        if self._recorder is not None:
            self._recorder.start()
        self._grabber.start()
        if not self._grabber.ready.wait(OPEN_TIMEOUT_S):
            self.stop()
            camera = self.rig.camera.name
            raise CameraError(camera, "does not open", "unplug it, plug it in, try again")
        if self._grabber.failure is not None:
            failure = self._grabber.failure
            self.stop()
            raise failure
        self._workers = [self._grabber, *self._lanes, self._inference]
        rig = self.rig
        if rig.stage is not None:
            self._stage = StageWorker(
                rig.stage,
                self._poses,
                rig.config.servo,
                rig.camera.frame_rate_hz,
                MOVE_SPEED_UM_S if rig.config.stage is None else rig.config.stage.move_speed_um_s,
                rig.refuse_calibration,
                self._fault_elsewhere,
                self,
                rig.recalibrated,
            )
            self._workers.append(self._stage)
        if rig.pipette is not None:
            self._pipette = PipetteWorker(rig.pipette, self, self._helm(), rig.injection_refusal)
            self._workers.append(self._pipette)
            if self._tip is not None:
                self._workers.append(self._tip)
        stage = self._stage
        if stage is not None and rig.stage is not None:
            watchdog = Watchdog(
                [*self._workers[: len(self._lanes) + 2], stage],
                lambda: stage.stop_asked_s,
                rig.stage.stop,
                self,
            )
            self._workers.append(watchdog)
        if self._scoring is not None:
            self._workers.append(Digest("score", self._scoring.result, self))
        if self._census is not None:
            self._workers.append(Digest("census", self._census.digest, self))
        for worker in self._workers[1:]:
            worker.start()

    def submit(self, command: Command) -> None:
        """Hand a command over; Stop overtakes everything that waits.

        What ends a motion is handed over before it is written down: a disk may be slow.
        """
        ends = isinstance(command, Stop | LetGo)
        if ends:
            self._hand_over(command)
        if not isinstance(command, Descend):  # it comes twenty times a second
            self._record("command", {"command": repr(command)})
        if not ends:
            self._hand_over(command)

    def _hand_over(self, command: Command) -> None:
        if isinstance(command, PipetteCommand):
            self._steer(command)
            return
        if self._stage is not None:
            self._stage.submit(command)
        if self._pipette is not None and isinstance(command, Stop):
            self._pipette.stop_now(command.why)
        if self._pipette is not None and isinstance(command, Arm):
            self._pipette.reconnect()
        if self._stage is None and not isinstance(command, Stop):
            self.tell("this rig has no stage: nothing can move", "warning")

    def latest(self) -> Snapshot | None:
        """Newest snapshot, the same object until there is a newer one; None before the first."""
        return self._latest

    def events(self) -> list[Event]:
        """Events since the last call, oldest first."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
        return events

    def sequence(self) -> Outlook | None:
        """Return the injection sequence as of now; None where nothing steers the pipette."""
        return None if self._pipette is None else self._pipette.outlook

    def overlay_drawn(self, snapshot: Snapshot, time_s: float) -> None:
        """Take note of when this snapshot's picture and marks were drawn (monotonic)."""
        if snapshot.frame.number != self._drawn:
            self._drawn = snapshot.frame.number
            self._overlay.add(time_s - snapshot.timing.exposed_s)

    @property
    def motion(self) -> MotionState:
        """The interlocks as of now, fresher than in the newest snapshot."""
        return MotionState() if self._stage is None else self._stage.state

    @property
    def faults(self) -> tuple[str, ...]:
        """What is broken, newest first."""
        with self._lock:
            return tuple(reversed(self._faults.values()))

    @property
    def failure(self) -> Exception | None:
        """The first error that ended a thread or a device; what the command line reports."""
        return self._first_failure

    @property
    def ended(self) -> bool:
        """Whether a recording has come to its end and its last frame has been seen."""
        return self._grabber.ended

    def statistics(self) -> dict[str, object]:
        """Return the figures of the verb ``live``."""
        count, stage, scoring = self._inference.count, self._stage, self._scoring
        command = Delays() if stage is None else stage.frame_to_command
        snapshot = self._latest
        rms_um, worst_um, counted = (None, None, 0) if scoring is None else scoring.result()
        return {
            "frames": count.frames,
            "fps_mean": _rounded(count.mean_fps(), 2),
            "fps_p5": _rounded(count.p5_fps(), 2),
            "dropped": count.dropped,
            "frame_to_overlay_ms": self._overlay.percentiles_ms(),
            "frame_to_command_ms": command.percentiles_ms(),
            "tracks": 0 if snapshot is None else len(snapshot.tracks),
            "target": self.motion.target,
            "centring_rms_um": _rounded(rms_um, 3),
            "centring_worst_um": _rounded(worst_um, 3),
            "centring_frames": counted,
            "choices": 0 if scoring is None else scoring.choices,
            **({} if self._census is None else self._census.result()),
            **self._recorded(),
        }

    def stop(self) -> None:
        """Bring the stage to rest, end all threads in order, close the rig. Safe to call twice."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        order: list[Worker] = [w for w in (self._stage, self._pipette) if w is not None]
        order += [w for w in self._workers if w not in order]
        if self._grabber not in order:
            order.append(self._grabber)
        for worker in order:
            worker.halt()
        for worker in order:
            if worker.ident is not None:
                worker.join(JOIN_S)
                if worker.is_alive():
                    self.tell(f"the {worker.role} thread does not end", "fault")
        if self._recorder is not None and self._recorder.ident is not None:
            self._recorder.halt()  # last: nobody leaves a frame any more
            self._recorder.join(RECORD_JOIN_S)
        figures = self.statistics()  # the truth is gone once the rig is closed
        self.rig.close()
        self._record("stop", {})
        if self._session is not None:
            self._session.close(figures)

    # What the workers report

    def fault(self, source: str, error: Exception | str) -> None:
        """Show a fault until it is cleared; the stage stops and nothing moves."""
        known = isinstance(error, DeviceError | ModelError | str)
        text = str(error) if known else f"{source}: {type(error).__name__}: {error}"
        with self._lock:
            news = self._faults.get(source) != text
            self._faults[source] = text
            if self._first_failure is None and isinstance(error, Exception):
                self._first_failure = error
        if news:
            self.tell(text, "fault", source=source)
        self._refresh()

    def clear(self, source: str) -> None:
        """Take a fault away: its cause is gone. Arming is possible again, and needed."""
        with self._lock:
            gone = self._faults.pop(source, None)
        if gone is not None:
            self.tell(f"{source}: works again", "info", source=source)
            self._refresh()

    def tell(self, text: str, severity: str = "info", **details: str) -> None:
        """Tell the operator something, and write it down."""
        now_s = time.perf_counter()
        with self._lock:
            self._events.append(Event(now_s, text, severity, dict(details)))
        self._record("event", {"text": text, "severity": severity, **details})
        self._refresh()

    def _refresh(self) -> None:
        """Bring mode and faults of the newest snapshot up to date, between two frames."""
        faults = self.faults
        with self._lock:
            if self._latest is not None:
                self._latest = replace(self._latest, motion=self.motion, faults=faults)
        self.changed.set()

    def _publish(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._latest = snapshot
        self.changed.set()
        if self._tip is not None:
            self._tip.frames.put(snapshot.frame)

    def _sight(self, tracks: Tracks) -> None:
        if self._stage is not None:
            self._stage.sightings.put(tracks)
        if self._pipette is not None:
            self._pipette.sightings.put(tracks)

    def _helm(self) -> Helm | None:
        injection, stage, tip = self.rig.injection, self._stage, self._tip
        if injection is None or stage is None or tip is None:
            return None
        return make_helm(injection, stage, self._poses, lambda: tip.sight)

    @property
    def _looks_for_tip(self) -> bool:
        return self._pipette is not None and self._pipette.looks_for_tip

    def _steer(self, command: PipetteCommand) -> None:
        if self._pipette is None:
            self.tell("this rig has no pipette", "warning")
        else:
            self._pipette.submit(command)

    def _rank(self, ranking: tuple[int, ...]) -> None:
        if self._stage is not None:
            self._stage.rank(ranking)

    def _pose_at(self, time_s: float) -> Float64 | None:
        return np.zeros(2) if self.rig.stage is None else self._poses.at(time_s)

    def _pipette_pose(self) -> Pose | None:
        return None if self._pipette is None else self._pipette.pose

    def _recorded(self) -> dict[str, object]:
        recorder = self._recorder
        if recorder is None:
            return {}
        return {"recorded": recorder.frames, "recorded_lost": recorder.lost}

    def _fault_elsewhere(self) -> str:
        with self._lock:
            return next(iter(self._faults.values()), "")

    def _make_pipeline(self, width_px: int, height_px: int) -> Pipeline:
        affine = self.rig.image_to_stage
        verdict = LiveVerdict(affine.um_per_px, height_px, width_px, self._criteria)
        return Pipeline(affine, width_px, height_px, Tracker(), LiveMotility(), verdict)

    def _record(self, kind: str, data: dict[str, str]) -> None:
        session = self._session
        if session is None:
            return
        try:
            session.journal.write(kind, time.perf_counter(), dict(data))
        except OSError as error:  # following goes on; the operator is told once
            self._session = None
            self.tell(f"{session.folder}: the record has ended: {error}; check the disk", "fault")


def _about(rig: Rig) -> dict[str, object]:
    return {
        "detector": rig.detectors[0].name,
        "camera": rig.camera.name,
        "criteria": rig.config.criteria,
        "calibration": None if rig.calibration is None else rig.calibration.model_dump(mode="json"),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
