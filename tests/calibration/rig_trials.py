"""Every procedure on the simulated rig, one after the other, by the wall clock."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from app.config import RigConfig, simulated_rig
from app.rig.build import true_map
from app.rig.calibration_bench import calibration_bench
from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_run import accept, measure
from calibration.store import ImageValues, PipetteValues, load_calibration
from tests.calibration.trials import Found, angle_deg, field_error_um

BACKLASH_UM = 0.4  # of both axes of the emulated stage


def rig(seed: int) -> Found:
    """Calibrate a simulated rig from nothing, and check it; seconds are those of the procedures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.toml"
        config = simulated_rig()
        camera = config.camera.model_copy(update={"seed": seed})
        config = config.model_copy(update={"camera": camera, "calibration": str(path)})
        seconds: Found = {}
        found: dict[str, Outcome] = {}
        for procedure in ("pixel", "stage", "latency", "pipette", "check", "drift"):
            found[procedure] = _measured(config, procedure, path, seconds)
        values = load_calibration(path)
    true = true_map(config.camera, config.objective, None).matrix_um_per_px
    image, needle = found["stage"].section, found["pipette"].section
    assert isinstance(image, ImageValues)
    assert isinstance(needle, PipetteValues)
    assert image.backlash_um is not None
    assert values.latency is not None
    matrix = np.array(image.matrix_um_per_px)
    there = np.random.default_rng(seed).uniform((-60, -40, 0), (60, 40, 4), (50, 3))
    told = np.array(needle.origin_um) + there @ np.array(needle.matrix).T
    start_um = np.array(config.camera.pipette_tip_um)
    off = told - (start_um[:2] + there[:, :2])
    return {
        "pixel_percent": 100 * abs(found["pixel"].value / np.sqrt(abs(np.linalg.det(true))) - 1),
        "stage_position_um": field_error_um(matrix, true),
        "stage_angle_deg": angle_deg(matrix, true),
        "stage_backlash_um": float(np.abs(np.array(image.backlash_um) - BACKLASH_UM).max()),
        "command_ms": 1e3 * values.latency.command_to_motion_s,
        "exposure_ms": 1e3 * values.latency.exposure_to_host_s,
        "pipette_position_um": float(np.sqrt((off**2).sum(axis=1).mean())),
        "check_um": found["check"].residual_um,
        "drift_um": found["drift"].value,
        **seconds,
    }


def _measured(config: RigConfig, procedure: str, path: Path, seconds: Found) -> Outcome:
    with calibration_bench(config, procedure) as bench:
        began_s = time.perf_counter()
        outcome = measure(bench, procedure, 10.0, lambda step: None)
        seconds[f"{procedure}_seconds"] = time.perf_counter() - began_s
        accept(outcome, bench.set_up, bench.record, path, "many seeds")
    return outcome
