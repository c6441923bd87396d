"""A rig in one process: discs that swim, a plant that moves them, a detector that finds them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from app.config import RigConfig, simulated_rig
from app.runtime.devices import Rig
from calibration.store import CalibrationRecord, nominal_calibration
from drivers.emulators.plant import Plant, PlantSettings
from drivers.errors import DeviceError, GuardianError, LimitError
from drivers.pose import Pose
from drivers.scene_camera import SceneCamera, SceneCameraSettings, Trajectory
from models.types import Detections, Float64, Perception

NOMINAL: CalibrationRecord = nominal_calibration("20x", 640, 480)
AFFINE = NOMINAL.image_to_stage
CONFIG: RigConfig = simulated_rig()


@dataclass
class Discs:
    """Dark discs on a grey field, far apart; number 0 is the fastest and starts off the centre."""

    width_px: int = 640
    height_px: int = 480
    hidden: int | None = None

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        self.start_s = time.perf_counter()
        rows, columns = np.meshgrid((-85.0, 85.0), (-110.0, -40.0, 40.0, 110.0))
        self.home_um = np.stack([columns.ravel(), rows.ravel()], 1)
        self.home_um[0] = (-60.0, 5.0)
        heading = rng.uniform(0, 2 * np.pi, 8)
        self.velocity_um_s = np.stack([np.cos(heading), np.sin(heading)], 1) * 5.0
        self.velocity_um_s[0] = (25.0, 2.0)

    def places_um(self, time_s: float) -> Float64:
        return np.asarray(self.home_um + self.velocity_um_s * (time_s - self.start_s))

    def render(
        self,
        time_s: float,
        exposure_s: float,
        stage_um: Trajectory,
        pipette_um: Trajectory | None,
    ) -> np.ndarray:
        image = np.full((self.height_px, self.width_px), 150, np.uint8)
        pose_um = stage_um(np.array([time_s]))[0]
        for k, (x_px, y_px) in enumerate(AFFINE.stage_to_image(self.places_um(time_s), pose_um)):
            if k != self.hidden:
                centre = (round(x_px * 16), round(y_px * 16))
                cv2.circle(image, centre, 5 * 16, 60, -1, cv2.LINE_AA, 4)
        return image

    # Truth

    centre: Callable[[float], Float64] = field(default=lambda time_s: np.zeros(2))

    def centre_um(self, time_s: float) -> Float64:
        return self.centre(time_s)

    def nearest(self, position_um: Float64, time_s: float) -> int:
        return int(np.linalg.norm(self.places_um(time_s) - position_um, axis=1).argmin())

    def mean_path_um(self, sperm_id: int, time_s: float, near_um: Float64) -> Float64:
        return np.asarray(self.places_um(time_s)[sperm_id])


class DiscDetector:
    """Finds dark blobs."""

    name = "discs"

    def __init__(self, fails: Callable[[], Exception | None] = lambda: None) -> None:
        self._fails = fails

    def warm_up(self, height_px: int, width_px: int) -> None:
        self.detect(np.full((height_px, width_px), 150, np.uint8))

    def detect(self, image: np.ndarray) -> Perception:
        error = self._fails()
        if error is not None:
            raise error
        weight = np.where(image < 140, 150 - image.astype(np.float32), 0)
        _, labels, stats, _ = cv2.connectedComponentsWithStats((image < 140).astype(np.uint8))
        boxes = []
        for k, (x, y, w, h, _) in enumerate(stats[1:], start=1):
            part = weight[y : y + h, x : x + w] * (labels[y : y + h, x : x + w] == k)
            total = part.sum()
            cx = x + (part.sum(0) @ np.arange(w)) / total
            cy = y + (part.sum(1) @ np.arange(h)) / total
            boxes.append((cx, cy, w, h))
        n = len(boxes)
        return Perception(
            Detections(
                np.array(boxes, np.float32).reshape(n, 4),
                np.full(n, 0.9, np.float32),
                np.zeros(n, np.int8),
            )
        )


class PlantStage:
    """A stage without a wire: a plant on the host's clock, and a log of what it was told."""

    def __init__(self) -> None:
        now_s = time.perf_counter()
        self.plant = Plant(PlantSettings(dead_time_s=0.030), (0.0, 0.0, 0.0), now_s)
        self.log: list[tuple[str, float]] = []
        self.broken: DeviceError | None = None
        self.streaming = False

    def _note(self, what: str) -> float:
        if self.broken is not None:
            raise self.broken
        now_s = time.perf_counter()
        self.log.append((what, now_s))
        return now_s

    def read_pose(self) -> Pose:
        if self.broken is not None:
            raise self.broken
        now_s = time.perf_counter()
        x_um, y_um, _ = self.plant.motor_um(now_s)
        return Pose(now_s, x_um, y_um, np.nan, any(self.plant.moving(now_s)))

    def move_to(self, x_um: float, y_um: float) -> None:
        """As the guardian: from rest only, and within the limits."""
        if self.streaming:
            raise GuardianError("stage", "is still moving", "stop it first")
        if abs(x_um) > 1000.0:
            raise LimitError(
                "stage", f"the target {x_um:.0f} um on axis x is outside", "sent: none"
            )
        self.plant.move((x_um, y_um, None), self._note("move"))

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        self.streaming = True
        self.plant.set_velocity((vx_um_s, vy_um_s, None), self._note("velocity"))

    def stop(self) -> None:
        now_s = time.perf_counter()
        self.streaming = False
        self.log.append(("stop", now_s))
        self.plant.halt(now_s)

    def pose_um(self, times_s: Float64) -> Float64:
        return np.array([self.plant.load_um(float(t))[:2] for t in times_s])


@dataclass
class SmallRig:
    """The parts, to be looked at, and the rig made of them."""

    stage: PlantStage = field(default_factory=PlantStage)
    scene: Discs = field(default_factory=Discs)
    detector: DiscDetector = field(default_factory=DiscDetector)
    camera_settings: SceneCameraSettings = field(default_factory=SceneCameraSettings)
    refusal: str = ""
    config: RigConfig = CONFIG
    closed: bool = False

    def build(self) -> Rig:
        self.scene.centre = lambda time_s: self.stage.pose_um(np.array([time_s]))[0]
        return Rig(
            config=self.config,
            camera=SceneCamera(self.scene, self.stage.pose_um, None, self.camera_settings),
            stage=self.stage,
            pipette=None,
            detectors=(self.detector, self.detector),
            image_to_stage=AFFINE,
            command_to_motion_s=0.030,
            calibration=NOMINAL,
            refuse_calibration=lambda objective: (
                self.refusal if objective == "20x" else f"{objective} is not 20x"
            ),
            truth=self.scene,
            close=self._close,
        )

    def _close(self) -> None:
        self.closed = True
