"""The whole closed loop in virtual time: sperm, stage, serial line and pilot, without a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from app.config import ServoConfig
from app.core.interlocks import Health
from app.core.messages import Arm, Follow, Mode
from app.core.pilot import Halt, Pilot
from app.core.pipeline import Pipeline
from app.core.pose_history import PoseHistory
from app.core.servo import Move, Velocity
from calibration.transform import ImageToStage
from drivers.emulators.plant import Plant, PlantSettings
from drivers.types import Pose
from models.tracking.tracker import Tracker
from models.types import Detections, Float64, Measurements, Tracks

WIDTH_PX, HEIGHT_PX, UM_PER_PX = 640, 480, 0.495
LOST = Mode.HOLD


@dataclass
class Swimmer:
    """Mean path with heading diffusion, and a head that wobbles across it."""

    rng: np.random.Generator
    position_um: Float64
    speed_um_s: float
    diffusion_rad2_s: float = 0.05
    wobble_um: float = 1.5
    wobble_hz: float = 12.0
    heading: float = 0.0
    phase: float = 0.0

    def __post_init__(self) -> None:
        self.heading = self.rng.uniform(0, 2 * np.pi)
        self.phase = self.rng.uniform(0, 2 * np.pi)

    def swim(self, step_s: float) -> None:
        self.heading += self.rng.normal(0.0, np.sqrt(2 * self.diffusion_rad2_s * step_s))
        along = np.array((np.cos(self.heading), np.sin(self.heading)))
        self.position_um = self.position_um + along * self.speed_um_s * step_s

    def head_um(self, time_s: float) -> Float64:
        across = np.array((-np.sin(self.heading), np.cos(self.heading)))
        swing = np.sin(2 * np.pi * self.wobble_hz * time_s + self.phase)
        return self.position_um + across * self.wobble_um * swing


@dataclass
class VirtualLoop:
    """30 frames a second, 12 ms a command, and a stage that answers 30 ms after it.

    ``miss`` tells for a frame number whether the target is not detected.
    """

    speed_um_s: float = 50.0
    seed: int = 0
    others: int = 20
    detect_delay_s: float = 0.055
    exchange_s: float = 0.012
    stage_lag_s: float = 0.030
    detection_probability: float = 0.95
    noise_um: float = 0.35
    resolution_um: float = 0.1
    frame_rate_hz: float = 30.0
    start_um: tuple[float, float] = (60.0, -30.0)
    diffusion_rad2_s: float = 0.05
    settings: ServoConfig = field(default_factory=ServoConfig)
    believed_lag_s: float | None = None
    missing: frozenset[int] = frozenset()
    merge_um: float = 0.0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        mechanics = PlantSettings(dead_time_s=self.stage_lag_s)
        self.plant = Plant(mechanics)
        lag_s = self.exchange_s / 2 + self.stage_lag_s
        believed_s = lag_s if self.believed_lag_s is None else self.believed_lag_s
        self.poses = PoseHistory(believed_s)
        self.pilot = Pilot(self.settings, self.poses, self.frame_rate_hz)
        affine = ImageToStage.nominal(UM_PER_PX, WIDTH_PX, HEIGHT_PX)
        self.affine = affine
        self.pipeline = Pipeline(affine, WIDTH_PX, HEIGHT_PX, Tracker(), NoMeasurer())
        self.target = Swimmer(
            self.rng, np.array(self.start_um), self.speed_um_s, self.diffusion_rad2_s
        )
        self.swimmers = [self.target] + [
            Swimmer(self.rng, self.rng.uniform(-150, 150, 2), self.rng.uniform(0, 60))
            for _ in range(self.others)
        ]
        self.errors_um: list[float] = []
        self.error_times_s: list[float] = []
        self.modes: list[Mode] = []
        self.velocities_um_s: list[Float64] = []
        self.planned_um: list[Float64] = []
        self.swaps = 0
        self.tracks = Tracks.empty(0.0)
        self.chosen_s: float | None = None
        self._frame = 0
        self._time_s = 0.0

    def pose_um(self, time_s: float) -> Float64:
        return np.array(self.plant.load_um(time_s)[:2])

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * self.frame_rate_hz)):
            self.step()

    def step(self) -> None:
        """One frame: expose, detect, track, decide, send, now and then read back."""
        period_s = 1.0 / self.frame_rate_hz
        self._frame += 1
        frame_s = self._frame * period_s
        for swimmer in self.swimmers:
            swimmer.swim(period_s)
        true_um = self.pose_um(frame_s)
        detections = self.detect(frame_s, true_um)
        self.errors_um.append(float(np.linalg.norm(self.target.position_um - true_um)))
        self.error_times_s.append(frame_s)
        now_s = frame_s + self.detect_delay_s + self.rng.uniform(0.0, 0.005)
        self._read_when_idle(frame_s)
        pose_um = self.poses.at(frame_s)
        if pose_um is not None:
            tracks = self.pipeline.follow(frame_s, pose_um, detections)
            self.tracks = tracks
            self.pilot.see(tracks, now_s)
            self._choose(tracks, now_s)
            self._check_identity(tracks)
            self.send(now_s, frame_s)
        self.modes.append(self.pilot.state.mode)

    def detect(self, frame_s: float, pose_um: Float64) -> Detections:
        heads_um: list[Float64] = []
        for number, swimmer in enumerate(self.swimmers):
            head_um = swimmer.head_um(frame_s)
            touched = [
                k for k, h in enumerate(heads_um) if np.hypot(*(h - head_um)) < self.merge_um
            ]
            if touched:  # two heads that overlap are seen as one
                heads_um[touched[0]] = (heads_um[touched[0]] + head_um) / 2
            elif not (number == 0 and self._frame in self.missing):
                heads_um.append(head_um)
        boxes = []
        for head_um in heads_um:
            if self.rng.uniform() > self.detection_probability:
                continue
            seen_um = head_um + self.rng.normal(0, self.noise_um, 2)
            x_px, y_px = self.affine.stage_to_image(seen_um, pose_um)
            if 4 < x_px < WIDTH_PX - 5 and 4 < y_px < HEIGHT_PX - 5:
                boxes.append((x_px, y_px, 10.0, 8.0))
        for _ in range(self.rng.poisson(1.0)):
            x_px, y_px = self.rng.uniform((0, 0), (WIDTH_PX, HEIGHT_PX))
            boxes.append((x_px, y_px, 10.0, 8.0))
        count = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(count, 0.9, np.float32),
            np.zeros(count, np.int8),
        )

    def send(self, now_s: float, frame_s: float) -> None:
        action = self.pilot.act(now_s, Health(now_s - frame_s, 0.15, 0.0))
        arrival_s = now_s + self.exchange_s / 2
        if isinstance(action, Velocity):
            self.velocities_um_s.append(action.um_s)
            self.plant.set_velocity((*action.um_s.tolist(), None), arrival_s)
        elif isinstance(action, Move):
            self.planned_um.append(action.to_um)
            self.plant.move((*action.to_um.tolist(), None), arrival_s)
        elif isinstance(action, Halt):
            self.plant.halt(arrival_s)
        if self._frame % 3 == 0 or self.pilot.moving_by_plan:
            self.read(now_s + 1.5 * self.exchange_s)

    def read(self, time_s: float) -> None:
        x_um, y_um = np.round(self.plant.motor_um(time_s)[:2] / np.float64(self.resolution_um))
        x_um, y_um = x_um * self.resolution_um, y_um * self.resolution_um
        moving = any(self.plant.moving(time_s))
        pose = Pose(time_s, float(x_um), float(y_um), np.nan, moving)
        self.pilot.read(pose, time_s + self.exchange_s / 2)

    def rms_um(self, settling_s: float = 3.0) -> float:
        """From 3 s after the choice."""
        if self.chosen_s is None:
            raise ValueError("nothing was chosen")
        counted = np.array(self.error_times_s) >= self.chosen_s + settling_s
        return float(np.sqrt(np.mean(np.array(self.errors_um)[counted] ** 2)))

    def _read_when_idle(self, frame_s: float) -> None:
        if self._frame == 1:
            self.read(0.0)

    def _choose(self, tracks: Tracks, now_s: float) -> None:
        if self.chosen_s is not None or self._frame < 15:
            return
        away_um = np.linalg.norm(tracks.position_um - self.target.position_um, axis=1)
        nearest = int(away_um.argmin())
        health = Health(0.0, 0.15, 0.0)
        if away_um[nearest] < 4.0 and tracks.state[nearest] == 1:
            refusal = self.pilot.obey(Arm("20x"), now_s, health, "")
            refusal = refusal or self.pilot.obey(
                Follow(int(tracks.track_id[nearest])), now_s, health, ""
            )
            assert refusal == ""
            self.chosen_s = now_s

    def _check_identity(self, tracks: Tracks) -> None:
        target = self.pilot.state.target
        rows = np.flatnonzero(tracks.track_id == (-1 if target is None else target))
        if rows.size and tracks.detection[rows[0]] >= 0:
            away_um = np.linalg.norm(tracks.position_um[rows[0]] - self.target.position_um)
            self.swaps += int(away_um > 8.0)


class NoMeasurer:
    """Measures nothing."""

    def update(self, tracks: Tracks) -> Measurements:
        return Measurements(tracks.track_id, {}, ("ok",) * len(tracks))
