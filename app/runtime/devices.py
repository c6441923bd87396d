"""A rig as the engine sees it: open protocols, no vendor and no simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from app.config import RigConfig
from app.core.injection import Injection
from app.runtime.census import Kinds
from calibration.store import CalibrationRecord
from calibration.transform import ImageToStage
from drivers.pose import Pose
from drivers.protocols import Camera, Manipulator, Stage
from models.detector import Detector
from models.types import Float64


@runtime_checkable
class Kept(Protocol):
    """An instrument behind a guardian that may refuse motion, stop by itself, or die."""

    def reconnect(self, *, new_frame: bool = False) -> Pose:
        """After a fault: open and identify anew. Moves nothing.

        Raises DeviceError; FrameLost where positions mean another place than before, unless
        ``new_frame`` says that this place has been found again.
        """
        ...

    def events(self) -> list[tuple[str, str]]:
        """Take what happened unasked: (kind, why), kind 'deadman', 'hand', 'fault' or 'died'."""
        ...


class Truth(Protocol):
    """What only a simulated rig can know: how well the chosen sperm really is centred."""

    def centre_um(self, time_s: float) -> Float64:
        """Say where the picture's centre truly was, (2,), stage frame. Known for some seconds."""
        ...

    def nearest(self, position_um: Float64, time_s: float) -> int:
        """Name the true sperm nearest to ``position_um`` (2,), stage frame."""
        ...

    def mean_path_um(self, sperm_id: int, time_s: float, near_um: Float64) -> Float64:
        """Position (2,) of a sperm without its head's yawing. Times in ascending order."""
        ...


def _nothing() -> None:
    """Nothing to end."""


def _never(since_s: float) -> bool:
    """Nothing is ever measured again."""
    return False


@dataclass(frozen=True, slots=True)
class Rig:
    """The instruments of one microscope, ready to be used.

    Attributes
    ----------
    config : RigConfig
    camera : Camera
        Not open yet: the grab thread opens it.
    stage : Stage or None
        None where nothing follows: a recording.
    pipette : Manipulator or None
    detectors : tuple of Detector
        One for each lane: none is called by two threads.
    image_to_stage : ImageToStage
    command_to_motion_s : float
        From a velocity command until the stage moves with it.
    calibration : CalibrationRecord or None
        Where the two above come from; None for a recording.
    refuse_calibration : callable
        From the confirmed objective to why the calibration does not allow motion; empty if it does.
    recalibrated : callable
        Whether stage and limits have been measured again since a wall time.
    injection : Injection or None
    injection_refusal : str
        Why there is none.
    truth : Truth or None
    kinds : Kinds or None
        Of the simulated rig.
    close : callable
        Ends everything that was started for the rig; safe to call twice.
    """

    config: RigConfig
    camera: Camera
    stage: Stage | None
    pipette: Manipulator | None
    detectors: tuple[Detector, ...]
    image_to_stage: ImageToStage
    command_to_motion_s: float
    calibration: CalibrationRecord | None
    refuse_calibration: Callable[[str], str]
    recalibrated: Callable[[float], bool] = _never
    injection: Injection | None = None
    injection_refusal: str = "the rig file has no [injection]"
    truth: Truth | None = None
    kinds: Kinds | None = None
    close: Callable[[], None] = field(default=_nothing)
