"""RigConfig to Rig: opens what can be opened without moving anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.config import (
    NOMINAL,
    BaslerCameraConfig,
    Mp285Config,
    NetworkConfig,
    ProScanConfig,
    RigConfig,
    SceneCameraConfig,
    VideoCameraConfig,
)
from app.rig.emulators import EmulatorProcess
from app.rig.injection import make_injection
from app.runtime.census import Kinds
from app.runtime.devices import Rig, Truth
from calibration.errors import CalibrationError
from calibration.store import (
    SIMULATED,
    CalibrationRecord,
    SetUp,
    load_calibration,
    nominal_calibration,
)
from calibration.transform import ImageToStage
from drivers.descent import Descent
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.limits import SoftLimits
from drivers.protocols import Camera, Manipulator, Stage
from models.detector import Detector
from models.resampled import at_known_size

BEFORE_S = 1.0  # the specimen lives a little longer than the camera looks at it
UM_PER_PX_AT_1X = 9.9  # pixel pitch of the usual camera, micrometres: 0.495 at 20x


@dataclass(frozen=True, slots=True)
class Sight:
    """What sees the specimen, and how what it sees maps to the stage."""

    camera: Camera
    image_to_stage: ImageToStage
    calibration: CalibrationRecord | None
    truth: Truth | None = None
    kinds: Kinds | None = None


def build_rig(config: RigConfig) -> Rig:
    """Connect the instruments of ``config`` and load its detector. Nothing moves.

    Raises
    ------
    DeviceError
        A camera, port or instrument that is not there, or is another one.
    ModelError
        Weights that are missing or not in their manifest.
    CalibrationError
        A calibration file that is missing or broken.
    """
    with ExitStack() as started:
        detectors = make_detectors(config.network)
        stage_end = emulate(config.stage, started)
        pipette_end = emulate(config.pipette, started)
        sight = open_sight(config, stage_end, pipette_end, started)
        if config.network.weights is None:  # somebody's own know their own objective
            um_per_px = sight.image_to_stage.um_per_px
            detectors = tuple(at_known_size(one, um_per_px) for one in detectors)
        stage = connect_stage(config, stage_end, started)
        pipette = connect_pipette(config, pipette_end, started, stage)
        close = started.pop_all().close
    record = sight.calibration
    injection, injection_refusal = make_injection(config, record, _frame_rate_hz(config))
    return Rig(
        config=config,
        camera=sight.camera,
        stage=stage,
        pipette=pipette,
        detectors=detectors,
        image_to_stage=sight.image_to_stage,
        command_to_motion_s=0.0 if record is None else record.command_to_motion_s,
        calibration=record,
        refuse_calibration=calibration_check(config, record),
        recalibrated=lambda since_s: recalibrated(config, since_s),
        injection=injection,
        injection_refusal=injection_refusal,
        truth=sight.truth,
        kinds=sight.kinds,
        close=close,
    )


def _frame_rate_hz(config: RigConfig) -> float:
    camera = config.camera
    return 30.0 if isinstance(camera, VideoCameraConfig) else camera.frame_rate_hz


def open_sight(
    config: RigConfig,
    stage_end: EmulatorProcess | None,
    pipette_end: EmulatorProcess | None,
    started: ExitStack,
) -> Sight:
    """Make the camera, with the calibration that belongs to it."""
    camera = config.camera
    if isinstance(camera, VideoCameraConfig):
        return _recording(camera, config.objective)
    record = read_calibration(config)
    affine = record.image_to_stage
    if isinstance(camera, BaslerCameraConfig):
        return Sight(basler_camera(camera), affine, record)
    true = true_map(camera, config.objective, record)
    from app.rig.simulated import SimulatedTruth, make_camera, make_dish, make_specimen, tip_path
    from app.rig.simulated_kinds import SimulatedKinds

    epoch_s = time.perf_counter() - BEFORE_S
    specimen = make_specimen(camera, config.objective, true)
    # Twins of the camera's specimen: two threads never share one.
    count = 0 if stage_end is None else 2
    twins = [make_specimen(camera, config.objective, true) for _ in range(count)]
    scene = make_camera(camera, specimen, epoch_s, stage_end, pipette_end, twins)
    if stage_end is None:
        return Sight(scene, affine, record)
    truth = SimulatedTruth(twins[0], epoch_s, stage_end.reader())
    started.callback(truth.close)
    needle = None if pipette_end is None else pipette_end.reader()
    tip = tip_path(camera, needle, make_dish(camera, specimen))
    kinds = SimulatedKinds(twins[1], epoch_s, stage_end.reader(), tip)
    started.callback(kinds.close)
    return Sight(scene, affine, record, truth, kinds)


def true_map(
    camera: SceneCameraConfig, objective: str, record: CalibrationRecord | None
) -> ImageToStage:
    """Return the map that the simulated picture is made from: never one that was measured."""
    if record is not None and record.origin == "construction":
        return record.image_to_stage
    return nominal_calibration(objective, camera.width_px, camera.height_px).image_to_stage


def make_detectors(config: NetworkConfig) -> tuple[Detector, ...]:
    """Load a detector for each lane; torch is imported only where a network is wanted.

    A GPU works on one frame at a time, and the classical detector is fast: one lane each.
    """
    if config.detector == "threshold":
        from models.threshold import ThresholdDetector

        return (ThresholdDetector(),)
    from models.sfcnet.runtime import use_threads

    use_threads(config.threads)
    lanes = config.lanes if config.device == "cpu" else 1
    return tuple(_network(config) for _ in range(lanes))


def _network(config: NetworkConfig) -> Detector:
    from models.sfcnet.runtime import SFCNetDetector, load_shipped

    if config.weights is not None:
        return SFCNetDetector(config.weights, device=config.device)
    return load_shipped(config.variant, config.device)


def read_calibration(config: RigConfig) -> CalibrationRecord:
    """Read the calibration that ``config`` names.

    Raises
    ------
    CalibrationError
        Missing, broken, or nominal for an objective that the simulated rig does not have.
    """
    camera = config.camera
    if config.calibration != NOMINAL:
        path = Path(config.calibration)
        if not path.exists():
            raise CalibrationError(
                f"{path}: no such file; check the path, or calibrate: 'sfcscope calibrate stage', "
                "or 'sfcscope live' in a window, which begins with it"
            )
        return load_calibration(path)
    if not isinstance(camera, SceneCameraConfig):
        raise CalibrationError(f"{config.name}: {NOMINAL} is for the simulated rig; calibrate")
    return nominal_calibration(config.objective, camera.width_px, camera.height_px)


def calibration_check(config: RigConfig, record: CalibrationRecord | None) -> Callable[[str], str]:
    """Return what says, for a confirmed objective, why nothing may move; empty when it may."""

    def refuse(objective: str) -> str:
        if record is None:
            return "there is no calibration; calibrate first"
        if objective != config.objective:
            return f"{objective} was confirmed, but the rig file says {config.objective}"
        return record.refusal(set_up_of(config, objective), datetime.now(UTC).date())

    return refuse


def recalibrated(config: RigConfig, since_s: float) -> bool:
    """Whether the calibration file that ``config`` names was written after a wall time."""
    if config.calibration == NOMINAL:
        return False
    path = Path(config.calibration)
    return path.is_file() and path.stat().st_mtime > since_s


def set_up_of(config: RigConfig, objective: str) -> SetUp:
    """State what is mounted: what a calibration has to be for."""
    camera, stage = config.camera, config.stage
    basler = camera if isinstance(camera, BaslerCameraConfig) else None
    return SetUp(
        camera_serial=SIMULATED if basler is None else basler.serial or "any",
        objective=objective,
        binning=1 if basler is None else basler.binning,
        stage=SIMULATED if stage is None or stage.emulated else stage.name,
    )


def stage_limits(port: ProScanConfig, max_speed_um_s: float) -> SoftLimits:
    """Soft limits of the rig file, stage frame, with a speed limit for velocities."""
    low_um, high_um = zip(port.x_limits_um, port.y_limits_um, strict=True)
    return SoftLimits(low_um, high_um, max_speed_um_s)


def stage_options(port: ProScanConfig) -> dict[str, float | bool | str]:
    """Arguments of the driver (drivers.prior.driver.ProScan) that the rig file states."""
    options = {
        "resolution_um": port.resolution_um,
        "velocity_in_user_units": port.velocity_in_user_units,
        "acceleration_percent": port.acceleration_percent,
        "s_curve_percent": port.s_curve_percent,
        "joystick_live": port.joystick == "live",
    }
    return {key: value for key, value in options.items() if value is not None}


def pipette_limits(port: Mp285Config) -> SoftLimits:
    """Soft limits of the rig file, pipette frame."""
    low_um, high_um = zip(port.x_limits_um, port.y_limits_um, port.z_limits_um, strict=True)
    return SoftLimits(low_um, high_um, port.speed_um_s)


def pipette_options(port: Mp285Config) -> dict[str, float | bool | str]:
    """Arguments of the driver (drivers.mp285.driver.MP285) that the rig file states."""
    options = {
        "microsteps_per_um": port.microsteps_per_um,
        "speed_scale": port.speed_scale,
        "poll_s": port.poll_s,
        "verify_speed": port.verify_speed,
    }
    return {key: value for key, value in options.items() if value is not None}


def connect_stage(
    config: RigConfig, emulator: EmulatorProcess | None, started: ExitStack
) -> Stage | None:
    """Connect the stage through its guardian; closed with ``started``."""
    port = config.stage
    if port is None:
        return None
    stage = GuardedStage(
        port.url if emulator is None else emulator.url,
        stage_limits(port, config.servo.top_speed_um_s),
        baud=port.baud,
        move_speed_um_s=port.move_speed_um_s,
        acceleration_um_s2=port.acceleration_um_s2,
        options=stage_options(port),
    )
    started.callback(stage.close)
    return stage


def connect_pipette(
    config: RigConfig,
    emulator: EmulatorProcess | None,
    started: ExitStack,
    stage: Stage | None = None,
) -> Manipulator | None:
    """Connect the manipulator through its guardian; closed with ``started``.

    Where the rig file states its safe height, it goes below only with ``stage`` confined.
    """
    port = config.pipette
    if port is None:
        return None
    pipette = GuardedManipulator(
        port.url if emulator is None else emulator.url,
        pipette_limits(port),
        baud=port.baud,
        rtscts=port.rtscts,
        safe_z_um=port.safe_z_um,
        up=port.up,
        options=pipette_options(port),
    )
    started.callback(pipette.close)
    if port.safe_z_um is None or not isinstance(stage, GuardedStage):
        return pipette
    return Descent(
        pipette,
        stage,
        port.safe_z_um,
        up=port.up,
        half_um=port.window_um,
        max_speed_um_s=port.window_speed_um_s,
    )


def emulate(
    config: ProScanConfig | Mp285Config | None, started: ExitStack
) -> EmulatorProcess | None:
    """Start the emulator of a port that has one; ended with ``started``."""
    if config is None or not config.emulated:
        return None
    stands_at = ""
    if isinstance(config, Mp285Config) and any(config.stands_at_um):
        stands_at = ",".join(f"{um:g}" for um in config.stands_at_um)
    emulator = EmulatorProcess(config.kind, config.variant, config.fault, stands_at)
    started.callback(emulator.close)
    return emulator


def _recording(config: VideoCameraConfig, objective: str) -> Sight:
    """Look into a recording for its size. Without a stated pixel size, the objective's is taken."""
    from drivers.video_file import VideoFile

    camera = VideoFile(config.path, realtime=True, loop=config.loop)
    camera.open()
    width_px, height_px = camera.width_px, camera.height_px
    camera.close()
    um_per_px = config.um_per_px or UM_PER_PX_AT_1X / float(objective.removesuffix("x"))
    return Sight(camera, ImageToStage.nominal(um_per_px, width_px, height_px), None)


def basler_camera(config: BaslerCameraConfig) -> Camera:
    """Make the camera of a rig file; it is not opened."""
    from drivers.basler import BaslerCamera
    from drivers.basler_nodes import BaslerSettings

    settings = BaslerSettings(
        width_px=config.width_px,
        height_px=config.height_px,
        binning=config.binning,
        exposure_s=config.exposure_s,
        gain=config.gain_db,
        frame_rate_hz=config.frame_rate_hz,
    )
    return BaslerCamera(config.serial, settings)
