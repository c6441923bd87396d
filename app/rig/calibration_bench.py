"""The instruments of a rig on a bench, to be calibrated: nothing has to be calibrated before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from app.config import (
    NOMINAL,
    BaslerCameraConfig,
    RigConfig,
    SceneCameraConfig,
    VideoCameraConfig,
)
from app.rig.build import (
    BEFORE_S,
    UM_PER_PX_AT_1X,
    basler_camera,
    connect_pipette,
    connect_stage,
    emulate,
    set_up_of,
    true_map,
)
from app.rig.emulators import EmulatorProcess
from app.rig.raised import RaisedStage, pipette_unknown
from app.rig.simulated import make_camera, make_specimen
from app.runtime.calibration_run import RigBench
from calibration.errors import CalibrationError
from calibration.procedure import Bench
from calibration.store import CalibrationRecord, load_calibration, nominal_calibration
from calibration.transform import ImageToStage
from drivers.descent import Descent
from drivers.errors import DeviceError
from drivers.protocols import Camera, Stage
from drivers.scene_camera import SceneCamera, SceneCameraSettings
from models.specimen.bead_slide import BeadLook, BeadSlide
from models.specimen.micrometer import Micrometer, draw_micrometer
from models.specimen.slide import Slide

DIVISION_UM = 10.0  # of the micrometer that lies under the simulated microscope
BEAD_UM = 10.0  # of the beads there
RULED = ("pixel", "check-ruling")
AT_REST = (*RULED, "check-beads", "drift", "touch-down")


@contextmanager
def calibration_bench(config: RigConfig, procedure: str) -> Iterator[RigBench]:
    """Connect what ``procedure`` needs (see app.runtime.calibration_run.PROCEDURES).

    On the simulated rig 'pixel' and 'check-ruling' find a stage micrometer of 10 um under the
    objective, 'check-beads' beads of 10 um, the others the specimen; all as the rig is truly built,
    whatever its calibration file says.

    Raises
    ------
    CalibrationError
        A recording instead of a camera, a calibration file that is broken, or a procedure that
        drives the stage while the pipette is below its safe height, or at one that is not known.
    DeviceError
        An instrument that is not there.
    """
    if isinstance(config.camera, VideoCameraConfig):
        raise CalibrationError(
            f"{config.name}: a recording cannot be calibrated; give a picture of a micrometer "
            "with --image, or a rig with a camera"
        )
    path, record = known_calibration(config)
    with ExitStack() as started:
        moves = procedure not in AT_REST
        needle = procedure in ("pipette", "drift", "touch-down")
        stage_end = emulate(config.stage, started) if moves else None
        pipette_end = emulate(config.pipette, started) if needle else None
        camera = _camera(config, procedure, stage_end, pipette_end)
        stage = connect_stage(config, stage_end, started) if moves else None
        pipette = None
        if needle:
            pipette = connect_pipette(config, pipette_end, started, stage)
        elif stage is not None:
            stage = _raised(config, stage, started)
        yield RigBench(
            bench=Bench(
                camera=camera,
                stage=stage,
                pipette=pipette,
                expected_um_per_px=expected_um_per_px(config),
                up=1 if config.pipette is None else config.pipette.up,
            ),
            set_up=set_up_of(config, config.objective),
            path=path,
            record=record,
        )


def _raised(config: RigConfig, stage: Stage, started: ExitStack) -> Stage:
    """Let the stage drive only while the pipette is up, where the rig says what is up."""
    port = config.pipette
    if port is None or port.safe_z_um is None:
        return stage
    try:
        pipette = connect_pipette(config, emulate(port, started), started, stage)
    except DeviceError as error:
        raise pipette_unknown(error, port.safe_z_um) from error
    return RaisedStage(stage, pipette, port.safe_z_um) if isinstance(pipette, Descent) else stage


def expected_um_per_px(config: RigConfig) -> float:
    """Size of a pixel by the data sheets of camera and objective."""
    camera = config.camera
    binning = camera.binning if isinstance(camera, BaslerCameraConfig) else 1
    return binning * UM_PER_PX_AT_1X / float(config.objective.removesuffix("x"))


def known_calibration(config: RigConfig) -> tuple[Path | None, CalibrationRecord | None]:
    """Return the file that the rig names and what is in it, as far as there is one.

    Raises CalibrationError for a file that is broken: it is never replaced silently.
    """
    if config.calibration != NOMINAL:
        path = Path(config.calibration)
        return path, load_calibration(path) if path.exists() else None
    camera = config.camera
    if not isinstance(camera, SceneCameraConfig):
        return None, None
    return None, nominal_calibration(config.objective, camera.width_px, camera.height_px)


def _camera(
    config: RigConfig,
    procedure: str,
    stage: EmulatorProcess | None,
    pipette: EmulatorProcess | None,
) -> Camera:
    camera = config.camera
    if isinstance(camera, BaslerCameraConfig):
        return basler_camera(camera)
    if not isinstance(camera, SceneCameraConfig):
        raise CalibrationError(f"{config.name}: a recording cannot be calibrated")
    true = true_map(camera, config.objective, None)
    if procedure in RULED or procedure == "check-beads":
        slide = _slide(camera, procedure in RULED, true)
        settings = SceneCameraSettings(camera.frame_rate_hz, camera.exposure_s)
        return SceneCamera(slide, lambda times_s: np.zeros((len(times_s), 2)), None, settings)
    view = camera if pipette is not None else camera.model_copy(update={"pipette_tip_um": None})
    specimen = make_specimen(view, config.objective, true)
    return make_camera(view, specimen, time.perf_counter() - BEFORE_S, stage, pipette)


def _slide(camera: SceneCameraConfig, ruled: bool, true: ImageToStage) -> Slide:
    """Lay a micrometer under the simulated microscope, or beads."""
    size_px = {"width_px": camera.width_px, "height_px": camera.height_px}
    matrix = true.matrix_um_per_px
    if not ruled:
        return BeadSlide(BeadLook(BEAD_UM), matrix, camera.seed, **size_px)
    look = draw_micrometer(np.random.default_rng(camera.seed), DIVISION_UM, true.um_per_px)
    return Micrometer(look, matrix, camera.seed, **size_px)
