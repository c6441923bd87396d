"""The injection sequence of a rig: from its file and its calibration."""

from __future__ import annotations

import math

import numpy as np

from app.config import RigConfig, SceneCameraConfig
from app.core.injection import Injection
from app.core.injection_values import Heights
from calibration.pipette_affine import PipetteAffine
from calibration.store import CalibrationRecord
from calibration.transform import ImageToStage


def make_injection(
    config: RigConfig, record: CalibrationRecord | None, frame_rate_hz: float
) -> tuple[Injection | None, str]:
    """Make the sequence, or say in one sentence why this rig has none."""
    pipette, settings = config.pipette, config.injection
    if settings is None or pipette is None or pipette.safe_z_um is None:
        simulated = isinstance(config.camera, SceneCameraConfig)
        example = "app/rig/example_injection.toml"
        hint = (
            f"try it: 'sfcscope live --rig {example}'" if simulated else f"copy that of {example}"
        )
        return None, f"the rig file has no [injection]; {hint}"
    if record is None:
        return None, "the rig is not calibrated"
    camera = config.camera
    if record.origin == "construction" and isinstance(camera, SceneCameraConfig):
        built = _built(camera, record.image_to_stage)
        if built is None:
            return None, "the simulated picture shows no pipette: name pipette_tip_um"
        affine, dish_um = built
    elif record.pipette is None or record.pipette.touch_down_z_um is None:
        return None, "the pipette is not calibrated: run 'sfcscope calibrate pipette', 'touch-down'"
    else:
        affine, dish_um = _measured(record), record.pipette.touch_down_z_um
    heights = Heights(pipette.safe_z_um, dish_um, pipette.up)
    if heights.above_dish_um(pipette.safe_z_um) <= settings.near_um:
        return None, "the safe height is not above the dish; teach touch-down again"
    return Injection(settings, heights, affine, pipette.speed_um_s, frame_rate_hz), ""


def _measured(record: CalibrationRecord) -> PipetteAffine:
    values = record.pipette
    if values is None:
        raise ValueError("a record without a pipette")
    return PipetteAffine(
        np.array(values.matrix), np.array(values.origin_um), values.residual_um,
        math.nan if values.focus_z_um is None else values.focus_z_um, values.direction_deg,
        values.reference_um,
    )  # fmt: skip


def um_to_stage(image_to_stage: ImageToStage) -> np.ndarray:
    """Return (2, 2): micrometres along the image axes to micrometres along the stage's."""
    return np.asarray(image_to_stage.matrix_um_per_px / image_to_stage.um_per_px)


def _built(camera: SceneCameraConfig, image: ImageToStage) -> tuple[PipetteAffine, float] | None:
    """Return what the simulated rig is built from: the map, and the manipulator's z at the dish."""
    if camera.pipette_tip_um is None:
        return None
    *start_um, start_z_um = camera.pipette_tip_um
    turn = um_to_stage(image)
    matrix = np.hstack([turn, np.zeros((2, 1))])
    affine = PipetteAffine(
        matrix, turn @ np.array(start_um), 0.0, -start_z_um, 0.0, (0.0, 0.0, -start_z_um)
    )
    return affine, camera.dish_z_um - start_z_um
