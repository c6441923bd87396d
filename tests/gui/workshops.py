"""Rigs to be calibrated that cost next to nothing: a slide and a micrometer in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from app.config import RigConfig, simulated_rig
from app.runtime.calibration_run import RigBench
from app.ui.calibration_workshop import Workshop
from calibration.procedure import Bench
from calibration.store import CalibrationRecord, SetUp, load_calibration, nominal_calibration
from drivers.clock import VirtualClock
from drivers.scene_camera import SceneCamera, Trajectory
from models.specimen.micrometer import Micrometer, MicrometerLook
from tests.calibration.virtual_bench import VirtualStage, make_bench

SET_UP = SetUp(camera_serial="simulated", objective="20x", stage="simulated")


def measured(**changes: object) -> CalibrationRecord:
    nominal = nominal_calibration("20x", 640, 480)
    return nominal.model_copy(
        update={"origin": "measured", "date": date(2026, 1, 5), "operator": "mk", **changes}
    )


class Slide:
    """A slide of specks that costs next to nothing to look at."""

    width_px, height_px = 640, 480

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self._specks = cv2.GaussianBlur(rng.normal(0, 1, (960, 1280)), (0, 0), 2.0)

    def render(
        self, time_s: float, exposure_s: float, stage_um: Trajectory, pipette_um: Trajectory | None
    ) -> np.ndarray:
        x, y = np.round(stage_um(np.array([time_s]))[0] / 0.495).astype(int).tolist()
        seen = np.roll(self._specks, (-y, -x), (0, 1))[:480, :640]
        return np.clip(128 + 300 * seen, 0, 255).astype(np.uint8)


class Ruler:
    """A stage micrometer at rest, drawn once."""

    width_px, height_px = 640, 480

    def __init__(self) -> None:
        slide = Micrometer(MicrometerLook(angle_rad=0.2), np.eye(2) * 0.495)
        self._picture = slide.render(0.0, 0.008, lambda times_s: np.zeros((len(times_s), 2)))

    def render(
        self, time_s: float, exposure_s: float, stage_um: Trajectory, pipette_um: Trajectory | None
    ) -> np.ndarray:
        return self._picture.copy()


def ruler_workshop(path: Path | None) -> Workshop:
    """A rig under whose objective a micrometer lies, in virtual time."""
    workshop, _, bench = stage_workshop(path)
    camera = SceneCamera(
        Ruler(), lambda times_s: np.zeros((len(times_s), 2)), None, clock=bench.clock
    )

    @contextmanager
    def opening(procedure: str) -> Iterator[RigBench]:
        where, record = workshop.known()
        yield RigBench(replace(bench, camera=camera), SET_UP, where, record)

    return replace(workshop, open_bench=opening)


def stage_workshop(path: Path | None = None) -> tuple[Workshop, VirtualStage, Bench]:
    """A rig in virtual time, whose file is ``path``."""
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock)
    bench = make_bench(Slide(), stage, clock)

    def known() -> tuple[Path | None, CalibrationRecord | None]:
        if path is None:
            return None, nominal_calibration("20x", 640, 480)
        return path, load_calibration(path) if path.exists() else None

    @contextmanager
    def opening(procedure: str) -> Iterator[RigBench]:
        where, record = known()
        yield RigBench(bench, SET_UP, where, record)

    return Workshop("test rig", "20x", opening, 0.495, known), stage, bench


def file_rig(path: Path) -> RigConfig:
    return simulated_rig().model_copy(update={"calibration": str(path)})
