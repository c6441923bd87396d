"""What to look at in the rig of a RigConfig."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from app.config import BaslerCameraConfig, RigConfig, VideoCameraConfig
from app.records.store import RUNS
from app.rig.build import (
    BEFORE_S,
    basler_camera,
    connect_pipette,
    connect_stage,
    emulate,
    make_detectors,
    open_sight,
    read_calibration,
    set_up_of,
    true_map,
)
from app.runtime.doctor import Check, Probe, run_probes
from calibration.errors import CalibrationError
from drivers.errors import CameraError, DeviceError
from drivers.protocols import Camera, Manipulator, Stage

FREE_BYTES = 2 * 2**30
FRAME_S = 3.0


def doctor(config: RigConfig, out: Path = RUNS) -> dict[str, list[Check]]:
    """Check camera, ports, device, weights, calibration and disk. Nothing moves.

    Parameters
    ----------
    config : RigConfig
    out : Path
        Folder that sessions are going to be kept in; it need not be there yet.

    Returns
    -------
    dict
        ``checks``: name, ok, detail and hint of each.
    """
    with ExitStack() as started:
        return {"checks": run_probes(_probes(config, out, started))}


def _probes(config: RigConfig, out: Path, started: ExitStack) -> list[Probe]:
    probes = [Probe("camera", lambda: _camera(config, started))]
    if config.stage is not None:
        probes.append(Probe("stage port", lambda: _stage(config, started)))
    if config.pipette is not None:
        probes.append(Probe("pipette port", lambda: _pipette(config, started)))
    probes += [
        Probe("detector", lambda: _detector(config), "check device and weights in the rig file"),
        Probe("calibration", lambda: _calibration(config), "calibrate again"),
        Probe("disk", lambda: _disk(out), "make room, or choose another folder with --out"),
    ]
    return probes


def _camera(config: RigConfig, started: ExitStack) -> str:
    camera = _without_calibration(config, started)
    camera.open()
    try:
        deadline_s = time.perf_counter() + FRAME_S
        frame = None
        while frame is None and time.perf_counter() < deadline_s:
            frame = camera.read(0.25)
        if frame is None:
            raise CameraError(camera.name, f"no frame for {FRAME_S:.0f} s", "check its cable")
        height_px, width_px = frame.image.shape
        return f"{camera.name}: {width_px}x{height_px} at {camera.frame_rate_hz:g} Hz"
    finally:
        camera.close()


def _without_calibration(config: RigConfig, started: ExitStack) -> Camera:
    """Make the camera whatever the calibration file is like: that is looked at by itself."""
    camera = config.camera
    if isinstance(camera, BaslerCameraConfig):
        return basler_camera(camera)
    if isinstance(camera, VideoCameraConfig):
        return open_sight(config, None, None, started).camera
    from app.rig.simulated import make_camera, make_specimen

    specimen = make_specimen(camera, config.objective, true_map(camera, config.objective, None))
    return make_camera(camera, specimen, time.perf_counter() - BEFORE_S, None, None)


def _stage(config: RigConfig, started: ExitStack) -> str:
    stage = connect_stage(config, emulate(config.stage, started), started)
    return _answer("stage", stage)


def _pipette(config: RigConfig, started: ExitStack) -> str:
    pipette = connect_pipette(config, emulate(config.pipette, started), started)
    return _answer("pipette", pipette)


def _answer(name: str, instrument: Stage | Manipulator | None) -> str:
    if instrument is None:
        raise DeviceError(name, "is not in the rig file", "add it")
    pose = instrument.read_pose()
    return f"answers, at {pose.x_um:.1f}, {pose.y_um:.1f} um"


def _detector(config: RigConfig) -> str:
    detector = make_detectors(config.network.model_copy(update={"lanes": 1}))[0]
    return f"{detector.name} on {config.network.device}"


def _calibration(config: RigConfig) -> str:
    if isinstance(config.camera, VideoCameraConfig):
        return "none: nothing moves in a recording"
    record = read_calibration(config)
    refusal = record.refusal(set_up_of(config, config.objective), datetime.now(UTC).date())
    if refusal:
        raise CalibrationError(refusal)
    until = record.valid_until
    validity = "does not expire" if until is None else f"valid until {until}"
    return f"{config.objective}, {record.image_to_stage.um_per_px:.4f} um per pixel, {validity}"


def _disk(out: Path) -> str:
    folder = out.absolute()
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if there is None:
        raise OSError(f"{folder}: there is no such drive; choose another folder with --out")
    if not there.is_dir():
        raise OSError(f"{there} is a file; choose a folder with --out")
    if not os.access(there, os.W_OK):
        raise OSError(f"{there} cannot be written to; choose another folder with --out")
    free = shutil.disk_usage(there).free
    if free < FREE_BYTES:
        raise OSError(f"{free / 2**30:.1f} GB free for {folder}; 2 GB are needed")
    return f"{free / 2**30:.1f} GB free for {folder}"
