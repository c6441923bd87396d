"""Where the results of calibrating the simulated rig are kept: a file for practice."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path

from app.config import NOMINAL, RigConfig, SceneCameraConfig

NOTE = "for practice; this rig goes on with what it is built from"


def practices(config: RigConfig) -> bool:
    """Whether the rig is a simulated one without a calibration file of its own."""
    return config.calibration == NOMINAL and isinstance(config.camera, SceneCameraConfig)


def with_practice_file(config: RigConfig, folder: Path | None = None) -> RigConfig:
    """Let a rig that ``practices`` be calibrated into a file of this user's; others as they are.

    Nothing reads that file by itself: a run without a rig file is the same on every machine. A rig
    file that names it believes it.

    Parameters
    ----------
    config : the rig
    folder : instead of the user's data folder
    """
    if not practices(config):
        return config
    kept = user_data_path("sfcscope", appauthor=False) if folder is None else folder
    path = kept / f"practice-{config.objective}.toml"
    return config.model_copy(update={"calibration": str(path)})
