"""What every procedure shares: its steps, its bench, and how it looks, goes and waits.

A procedure is a generator of steps. Whoever runs it (command line, window, test) takes the next
step when the person is ready, and closes the generator to cancel: the stage is at rest then, and
nothing has been saved, because a procedure only returns what it measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

import numpy as np

from calibration.errors import CalibrationError
from drivers.clock import Clock, HostClock
from drivers.errors import LimitError
from drivers.protocols import Camera, Manipulator, Stage
from drivers.types import Frame, Image, Pose

SETTLE_S = 0.20  # after the controller says that it has arrived
ARRIVE_S = 20.0
FRAME_S = 2.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Instruction:
    """Something that a person does before the next step is taken."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done.

    Attributes
    ----------
    text : str
    done : float
        0 to 1.
    picture : (H, W) uint8, the camera's newest, or None
    """

    text: str
    done: float
    picture: Image | None = None


Result = TypeVar("Result")
Procedure = Generator[Instruction | Progress, None, Result]


@dataclass(frozen=True, slots=True)
class Bench:
    """The instruments that are calibrated.

    Attributes
    ----------
    camera : Camera
        Not open yet: a procedure opens and closes it.
    stage, pipette : or None where the rig has none
    expected_um_per_px : float
        Of camera and objective by their data sheets: sets the size of moves, never a result.
    clock : Clock
    up : int
        Sign of the manipulator's z that leads away from the dish.
    """

    camera: Camera
    stage: Stage | None
    pipette: Manipulator | None
    expected_um_per_px: float
    clock: Clock = field(default_factory=HostClock)
    up: Literal[1, -1] = 1

    @property
    def field_um(self) -> float:
        """Shorter side of the field of view, about. The camera is open."""
        return min(self.camera.width_px, self.camera.height_px) * self.expected_um_per_px


def require_stage(bench: Bench) -> Stage:
    """Return the stage. Raises CalibrationError where there is none."""
    if bench.stage is None:
        raise CalibrationError("the rig has no stage; name it in the rig file")
    return bench.stage


def require_pipette(bench: Bench) -> Manipulator:
    """Return the manipulator. Raises CalibrationError where there is none."""
    if bench.pipette is None:
        raise CalibrationError("the rig has no manipulator; name it in the rig file")
    return bench.pipette


@contextmanager
def opened(camera: Camera) -> Iterator[None]:
    """Open the camera for as long as it is looked through. Raises CameraError."""
    camera.open()
    try:
        yield
    finally:
        camera.close()


class Moves(Protocol):
    """A stage or a manipulator."""

    def stop(self) -> object:
        """Freeze where it is."""
        ...


@contextmanager
def at_rest_after(device: Moves) -> Iterator[None]:
    """Stop what moves however the procedure ends: result, error or cancelled."""
    try:
        yield
    finally:
        device.stop()


def look(bench: Bench, after_s: float, count: int) -> list[Frame]:
    """Take ``count`` frames whose exposure began after ``after_s``.

    Raises
    ------
    CalibrationError
        None came for two seconds.
    CameraError
        The camera is gone.
    """
    frames: list[Frame] = []
    deadline_s = max(after_s, bench.clock.now_s()) + FRAME_S
    while len(frames) < count:
        frame = bench.camera.read(0.25)
        now_s = bench.clock.now_s()
        if frame is not None and frame.time_s - frame.exposure_s / 2 >= after_s:
            frames.append(frame)
            deadline_s = now_s + FRAME_S
        elif now_s > deadline_s:
            raise CalibrationError(
                f"{bench.camera.name} delivers no frames; check its cable and its light"
            )
    return frames


def without_swimmers(frames: list[Frame]) -> Image:
    """Median of the frames (H, W): what swims is gone, what lies there stays."""
    stack = np.stack([frame.image for frame in frames])
    middle = np.partition(stack, len(frames) // 2, axis=0)[len(frames) // 2]
    return np.asarray(middle, dtype=np.uint8)


def go(bench: Bench, stage: Stage, to_um: tuple[float, float]) -> Pose:
    """Drive the stage there, wait until it rests, and return what it reads back.

    Raises
    ------
    CalibrationError
        Too near a limit (nothing was sent), or it did not arrive in time.
    DeviceError
        The stage does not answer.
    """
    try:
        stage.move_to(*to_um)
    except LimitError as error:
        raise CalibrationError(
            f"{error}: the stage is too near a limit for this; drive it further in and repeat"
        ) from error
    clock = bench.clock
    deadline_s = clock.now_s() + ARRIVE_S
    rested = False
    while True:
        clock.wait_until(clock.now_s() + _POLL_S)
        pose = stage.read_pose()
        if pose.moving is False and rested:
            break
        # A position is read before the word that it rests: the first may still be on its way.
        rested = pose.moving is False
        if clock.now_s() > deadline_s:
            raise CalibrationError(
                f"the stage did not arrive at {to_um[0]:.1f}, {to_um[1]:.1f} um within "
                f"{ARRIVE_S:.0f} s; look for an obstacle"
            )
    away_um = math.hypot(pose.x_um - to_um[0], pose.y_um - to_um[1])
    if away_um > 3.0:
        raise CalibrationError(
            f"the stage rests {away_um:.1f} um from where it was sent; check joystick and limits"
        )
    return pose


def follow(procedure: Procedure[Result], show: Callable[[Instruction | Progress], None]) -> Result:
    """Take the steps of a procedure; ``show`` returns when the person is ready to go on.

    Whatever ``show`` raises cancels the procedure: what moves is at rest when this returns.
    """
    try:
        while True:
            show(next(procedure))
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        procedure.close()


def run(procedure: Procedure[Result]) -> Result:
    """Take every step at once: for tests, and where nobody needs to be asked."""
    return follow(procedure, lambda _: None)
