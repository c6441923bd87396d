"""The simulated rig: a specimen that swims, seen where the emulated instruments truly are."""

from __future__ import annotations

import numpy as np

from app.config import SceneCameraConfig
from app.rig.emulators import EmulatorProcess
from calibration.transform import ImageToStage
from drivers.emulators.shared_pose import PoseReader
from drivers.scene_camera import SceneCamera, SceneCameraSettings, Trajectory
from drivers.types import Image
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Float64

_FIRST_S = 0.1  # of the specimen's own time, for the picture that nobody sees


def make_specimen(
    config: SceneCameraConfig, objective: str, image_to_stage: ImageToStage
) -> Specimen:
    """Build the specimen of a scene camera. Equal settings give equal specimens."""
    chosen = profile(
        config.profile,
        modality=config.modality,
        density=config.sperm_in_view,
        objective=int(objective.removesuffix("x")),
    )
    return Specimen(
        chosen,
        config.seed,
        width_px=config.width_px,
        height_px=config.height_px,
        matrix_um_per_px=image_to_stage.matrix_um_per_px,
    )


def make_camera(
    config: SceneCameraConfig,
    specimen: Specimen,
    epoch_s: float,
    stage: EmulatorProcess | None,
    pipette: EmulatorProcess | None,
) -> SceneCamera:
    """Let a camera look at ``specimen`` where the stage and the pipette truly are.

    The specimen begins to live at host time ``epoch_s``.
    """
    _compile(specimen, config)
    return SceneCamera(
        HostTimeScene(specimen, epoch_s),
        _resting if stage is None else _stage(stage.reader()),
        tip_path(config, None if pipette is None else pipette.reader()),
        SceneCameraSettings(
            frame_rate_hz=config.frame_rate_hz,
            exposure_s=config.exposure_s,
            drop_probability=config.drop_rate,
            jitter_s=config.jitter_s,
            vanish_after_s=config.vanish_after_s,
            seed=config.seed,
        ),
    )


class HostTimeScene:
    """A specimen whose own time began at ``epoch_s`` of the host's clock.

    Parameters
    ----------
    specimen : Specimen
    epoch_s : float
    """

    def __init__(self, specimen: Specimen, epoch_s: float) -> None:
        self._specimen = specimen
        self._epoch_s = epoch_s

    @property
    def width_px(self) -> int:
        """Columns of the picture."""
        return self._specimen.width_px

    @property
    def height_px(self) -> int:
        """Rows of the picture."""
        return self._specimen.height_px

    def render(
        self,
        time_s: float,
        exposure_s: float,
        stage_um: Trajectory,
        pipette_um: Trajectory | None,
    ) -> Image:
        """Picture exposed around host time ``time_s``."""
        epoch_s = self._epoch_s
        tip = pipette_um
        return self._specimen.render(
            time_s - epoch_s,
            exposure_s,
            lambda times_s: stage_um(times_s + epoch_s),
            None if tip is None else lambda times_s: tip(times_s + epoch_s),
        )


def _resting(times_s: Float64) -> Float64:
    return np.zeros((len(times_s), 2))


def _compile(specimen: Specimen, config: SceneCameraConfig) -> None:
    """Draw one picture that nobody sees.

    On a new machine the first one compiles for seconds; a camera that is silent for so long while
    the rig runs would rightly be a fault.
    """
    specimen.render(_FIRST_S, config.exposure_s, _resting, tip_path(config, None))


def _stage(reader: PoseReader) -> Trajectory:
    return lambda times_s: reader.at(times_s)[:, :2]


def tip_path(config: SceneCameraConfig, reader: PoseReader | None) -> Trajectory | None:
    """Where the tip is in the picture: it starts where it is set and goes where it is driven."""
    if config.pipette_tip_um is None:
        return None
    start_um = np.array(config.pipette_tip_um)

    def at(times_s: Float64) -> Float64:
        moved_um = np.zeros((len(times_s), 3)) if reader is None else reader.at(times_s)
        return np.asarray(start_um + moved_um)

    return at


class SimulatedTruth:
    """What the simulator knows and no camera shows.

    Parameters
    ----------
    specimen : Specimen
        One of its own, equal to the camera's: two threads never share one.
    epoch_s : float
        Host time at which the specimen began to live.
    reader : PoseReader
        Of the stage's true path.
    """

    def __init__(self, specimen: Specimen, epoch_s: float, reader: PoseReader) -> None:
        self._specimen = specimen
        self._epoch_s = epoch_s
        self._reader = reader

    def centre_um(self, time_s: float) -> Float64:
        """Say where the picture's centre truly was, (2,), stage frame."""
        return self._reader.at(np.array([time_s]))[0, :2]

    def nearest(self, position_um: Float64, time_s: float) -> int:
        """Name the sperm nearest to ``position_um`` (2,), stage frame."""
        return self._specimen.nearest(position_um, time_s - self._epoch_s)

    def mean_path_um(self, sperm_id: int, time_s: float, near_um: Float64) -> Float64:
        """Position (2,) of a sperm without its head's yawing: the copy nearest to ``near_um``."""
        return self._specimen.mean_path_um(sperm_id, time_s - self._epoch_s, near_um)

    def close(self) -> None:
        """Detach."""
        self._reader.close()
