"""The simulated rig: a specimen that swims, seen where the emulated instruments truly are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.config import SceneCameraConfig
from app.rig.dish import Dish
from app.rig.emulators import EmulatorProcess
from app.rig.touch import Touch
from calibration.transform import ImageToStage
from drivers.emulators.shared_pose import PoseReader
from drivers.scene_camera import SceneCamera, SceneCameraSettings, Trajectory
from drivers.types import Image
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Float64

OUT_OF_SIGHT_UM = 60.0  # farther from focus, a tip is a shade that no one sees
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
    twins: Sequence[Specimen] = (),
) -> SceneCamera:
    """Let a camera look at ``specimen`` where the stage and the pipette truly are.

    The specimen begins to live at host time ``epoch_s``. What the pipette does to it is done to
    its ``twins`` as well.
    """
    _compile(specimen, config)
    dish = make_dish(config, specimen)
    um_to_stage = specimen.matrix_um_per_px / specimen.look.um_per_px
    touch = None if pipette is None else Touch((specimen, *twins), dish, um_to_stage)
    return SceneCamera(
        HostTimeScene(specimen, epoch_s, touch),
        _resting if stage is None else _stage(stage.reader()),
        tip_path(config, None if pipette is None else pipette.reader(), dish),
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
    touch : Touch or None
        What the pipette does to it.
    """

    def __init__(self, specimen: Specimen, epoch_s: float, touch: Touch | None = None) -> None:
        self._specimen = specimen
        self._epoch_s = epoch_s
        self._touch = touch

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

        def stage(times_s: Float64) -> Float64:
            return stage_um(times_s + epoch_s)

        if pipette_um is None:
            return self._specimen.render(time_s - epoch_s, exposure_s, stage)
        tip_um = pipette_um

        def tip(times_s: Float64) -> Float64:
            return tip_um(times_s + epoch_s)

        if self._touch is not None:
            self._touch.follow(time_s - epoch_s, stage, tip)
        height_um = float(tip(np.array([time_s - epoch_s]))[0, 2])
        seen = abs(height_um) <= OUT_OF_SIGHT_UM
        return self._specimen.render(time_s - epoch_s, exposure_s, stage, tip if seen else None)


def _resting(times_s: Float64) -> Float64:
    return np.zeros((len(times_s), 2))


def _compile(specimen: Specimen, config: SceneCameraConfig) -> None:
    """Draw one picture that nobody sees, and ask for its truth.

    On a new machine the first one compiles for seconds; a camera that is silent for so long while
    the rig runs would rightly be a fault.
    """
    specimen.render(_FIRST_S, config.exposure_s, _resting, tip_path(config, None))
    specimen.truth(_FIRST_S, np.zeros(2))


def _stage(reader: PoseReader) -> Trajectory:
    return lambda times_s: reader.at(times_s)[:, :2]


def make_dish(config: SceneCameraConfig, specimen: Specimen) -> Dish:
    """Return the bottom on which the specimen lies, in micrometres along the image axes."""
    return Dish(config.dish_z_um, specimen.shaft_rad)


def tip_path(
    config: SceneCameraConfig, reader: PoseReader | None, dish: Dish | None = None
) -> Trajectory | None:
    """Where the tip is in the picture: it starts where it is set and goes where it is driven.

    It goes no deeper than the dish.
    """
    if config.pipette_tip_um is None:
        return None
    start_um = np.array(config.pipette_tip_um)

    def at(times_s: Float64) -> Float64:
        moved_um = np.zeros((len(times_s), 3)) if reader is None else reader.at(times_s)
        tip_um = np.asarray(start_um + moved_um)
        return tip_um if dish is None else dish.met(tip_um)

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
