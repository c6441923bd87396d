"""A small loop that stands in for the engine: synthetic sperm, and their own truth as tracks."""

from __future__ import annotations

import time
from dataclasses import replace

import cv2
import numpy as np

from app.core.injection_values import Outlook
from app.core.messages import (
    Arm,
    Command,
    Disarm,
    Event,
    Follow,
    FollowBest,
    Mode,
    MotionState,
    Release,
    Resume,
    Snapshot,
    Stop,
    Timing,
)
from app.ui.loop import RigView
from calibration.transform import ImageToStage
from drivers.types import Frame, Pose
from models.measure.motility import INSUFFICIENT
from models.types import Detections, Measurements, Perception, Tracks, TrackState

WIDTH, HEIGHT, UM_PER_PX = 640, 480, 0.495
RIG = RigView("simulated rig", "20x", ImageToStage.nominal(UM_PER_PX, WIDTH, HEIGHT), True, True)


class Swimmers:
    """Sperm on gently curved paths, their pictures, masks and tracks at any time."""

    def __init__(self, count: int = 40, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.count = count
        self.start_um = rng.uniform((-150, -110), (150, 110), (count, 2))
        self.heading = rng.uniform(0, 2 * np.pi, count)
        self.speed_um_s = rng.uniform(0, 60, count)
        self.turn_rad_s = rng.normal(0, 0.3, count)
        self.label = rng.choice([1, 2], count, p=[0.6, 0.4]).astype(np.int8)
        noise = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH)), (0, 0), 1.0)
        self.background = 150 + 5 * noise / noise.std()
        self.state = np.where(rng.random(count) < 0.1, TrackState.COASTING, TrackState.CONFIRMED)

    def at(self, time_s: float, pose_um: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (stage frame) and headings."""
        heading = self.heading + self.turn_rad_s * time_s
        direction = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        wobble = 1.5 * np.sin(2 * np.pi * 12 * time_s + self.heading)[:, None]
        side = direction[:, ::-1] * (-1, 1)
        return self.start_um + direction * (self.speed_um_s * time_s)[
            :, None
        ] + wobble * side, heading

    def snapshot(
        self,
        time_s: float,
        number: int,
        motion: MotionState | None = None,
        now_s: float | None = None,
    ) -> Snapshot:
        pose_um = np.array([0.0, 0.0])
        position_um, heading = self.at(time_s, pose_um)
        track_px = RIG.image_to_stage.stage_to_image(position_um, pose_um)
        image, classes = self._draw(track_px, heading, time_s)
        n = self.count
        ids = np.arange(1, n + 1) * 3
        size_px = np.full((n, 2), 16.0)
        tracks = Tracks(
            time_s, ids, position_um, np.zeros((n, 2)), np.zeros((n, 4, 4)), position_um,
            size_px, np.full(n, 0.9), np.full(n, 0.99), self.state.astype(np.int8), self.label,
            np.arange(n),
        )  # fmt: skip
        boxes = np.concatenate([track_px, size_px], axis=1).astype(np.float32)
        vap = self.speed_um_s.copy()
        vap[-2:] = np.nan
        quality = tuple("ok" if np.isfinite(v) else INSUFFICIENT for v in vap)
        values = {"vap_um_s": vap, "vsl_um_s": vap * 0.9, "vcl_um_s": vap * 1.6}
        now_s = time.perf_counter() if now_s is None else now_s
        order = [int(i) for i in np.argsort(-np.nan_to_num(vap, nan=-1)) if np.isfinite(vap[i])]
        return Snapshot(
            frame=Frame(image, number, now_s - 0.045, 0.008, now_s - 0.040),
            pose=Pose(now_s, *pose_um, float("nan"), False),
            perception=Perception(
                Detections(boxes, np.full(n, 0.9, np.float32), self.label), classes
            ),
            tracks=tracks,
            track_px=track_px,
            measurements=Measurements(ids, values, quality),
            motion=motion or MotionState(),
            ranking=tuple(int(ids[k]) for k in order),
            timing=Timing(now_s - 0.045, now_s - 0.04, now_s - 0.01, now_s),
            frames=number,
            dropped=0,
            fps=30.0,
        )

    def _draw(
        self, track_px: np.ndarray, heading: np.ndarray, time_s: float
    ) -> tuple[np.ndarray, np.ndarray]:
        image = self.background.astype(np.float32).copy()
        classes = np.zeros((HEIGHT, WIDTH), np.uint8)
        along = np.linspace(0, 80, 40)
        for k, (point, angle) in enumerate(zip(track_px, heading, strict=True)):
            back = -np.array([np.cos(angle), np.sin(angle)])
            side = np.array([-back[1], back[0]])
            wave = along * 0.12 * np.sin(along / 9 - 40 * time_s + k)
            tail = point + along[:, None] * back + wave[:, None] * side
            fixed = np.round(tail * 8).astype(np.int32)
            cv2.polylines(image, [fixed], False, 118.0, 1, cv2.LINE_AA, 3)
            cv2.polylines(classes, [fixed], False, int(self.label[k]), 3, cv2.LINE_8, 3)
            centre = tuple(int(v) for v in np.round(point * 8))
            axes, degrees = (5 * 8, 3 * 8), float(np.degrees(angle))
            cv2.ellipse(image, centre, axes, degrees, 0, 360, 215.0, -1, cv2.LINE_AA, 3)
            cv2.ellipse(image, centre, axes, degrees, 0, 360, 80.0, 1, cv2.LINE_AA, 3)
            cv2.ellipse(classes, centre, axes, degrees, 0, 360, int(self.label[k]), -1, 8, 3)
        frame = np.clip(cv2.GaussianBlur(image, (0, 0), 0.8), 0, 255).astype(np.uint8)
        frame.flags.writeable = False
        return frame, classes


class StandIn:
    """Answers commands as the interlocks do, and remembers them."""

    def __init__(self, swimmers: Swimmers | None = None) -> None:
        self.swimmers = swimmers or Swimmers()
        self.commands: list[Command] = []
        self.drawn: list[tuple[Snapshot, float]] = []
        self.motion = MotionState()
        self.newest: Snapshot | None = None
        self.pending: list[Event] = []
        self.number = 0
        self.outlook: Outlook | None = None

    def sequence(self) -> Outlook | None:
        return self.outlook

    def advance(self, **changes: object) -> Snapshot:
        """Make the next snapshot."""
        self.number += 1
        snapshot = self.swimmers.snapshot(self.number / 30, self.number, self.motion)
        self.newest = replace(snapshot, **changes)
        return self.newest

    def submit(self, command: Command) -> None:
        self.commands.append(command)
        following = Mode.FOLLOWING
        match command:
            case Stop(why):
                self.motion = MotionState(Mode.DISARMED, why)
            case Arm() | Release():
                self.motion = MotionState(Mode.ARMED)
            case Disarm():
                self.motion = MotionState(Mode.DISARMED, "disarmed")
            case Follow(track):
                self.motion = MotionState(following, target=track)
            case FollowBest():
                best = self.newest.ranking[0] if self.newest else None
                self.motion = MotionState(following, target=best)
            case Resume():
                self.motion = MotionState(following, target=self.motion.target)

    def latest(self) -> Snapshot | None:
        return self.newest

    def events(self) -> list[Event]:
        pending, self.pending = self.pending, []
        return pending

    def overlay_drawn(self, snapshot: Snapshot, time_s: float) -> None:
        self.drawn.append((snapshot, time_s))
