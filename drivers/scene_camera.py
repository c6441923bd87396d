"""A camera that looks at a scene: exposure, transfer, drops and jitter of a real one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.clock import Clock, HostClock
from drivers.errors import CameraError
from drivers.types import Frame, Image

Float64 = NDArray[np.float64]
Trajectory = Callable[[Float64], Float64]
"""Positions (n, d) um at times (n,) s: d is 2 for the stage, 3 for the pipette's tip."""


class Scene(Protocol):
    """What can be looked at."""

    @property
    def width_px(self) -> int:
        """Columns of the picture."""
        ...

    @property
    def height_px(self) -> int:
        """Rows of the picture."""
        ...

    def render(
        self,
        time_s: float,
        exposure_s: float,
        stage_um: Trajectory,
        pipette_um: Trajectory | None,
    ) -> Image:
        """Picture (H, W) uint8 exposed for ``exposure_s`` around ``time_s``, a new array each time.

        The trajectories are asked for times within the exposure (an interlaced picture: up to
        half the gap between its fields beyond). ``stage_um`` is in the stage frame,
        ``pipette_um`` relative to the picture's centre.
        """
        ...


@dataclass(frozen=True, slots=True)
class SceneCameraSettings:
    """How the camera behaves.

    Attributes
    ----------
    frame_rate_hz : float
        Nominal rate.
    exposure_s : float
        At most one frame period.
    transfer_s : float
        From the end of the exposure until the host has the frame. A picture takes about 6 ms to
        compute; a shorter transfer is only as short as that in real time.
    drop_probability : float
        Chance that a frame is lost on its way: a gap in ``Frame.number``.
    jitter_s : float
        Standard deviation of the instant of exposure about the frame grid, cut at 3 deviations.
    vanish_after_s : float or None
        The camera is unplugged this long after ``open``.
    seed : int
        Of drops and jitter. The same seed drops the same frame numbers, whoever reads them.
    """

    frame_rate_hz: float = 30.0
    exposure_s: float = 0.005
    transfer_s: float = 0.008
    drop_probability: float = 0.0
    jitter_s: float = 0.0
    vanish_after_s: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "frame_rate_hz": (self.frame_rate_hz > 0, "above 0"),
            "exposure_s": (0 <= self.exposure_s * self.frame_rate_hz <= 1, "0 to 1/frame_rate_hz"),
            "transfer_s": (self.transfer_s >= 0, "0 or more"),
            "drop_probability": (0 <= self.drop_probability < 1, "0 to below 1"),
            "jitter_s": (0 <= self.jitter_s * self.frame_rate_hz <= 0.1, "0 to 0.1/frame_rate_hz"),
        }
        for name, (ok, what) in allowed.items():
            if not ok:
                value = getattr(self, name)
                raise CameraError("scene camera", f"{name} = {value}", f"allowed is {what}")


class SceneCamera:
    """Renders a scene at the true position of stage and pipette, and delivers it in real time.

    Only frames that are taken are rendered: a reader that comes late gets the newest frame whose
    transfer has ended, and the frames in between are gaps, as from a camera that keeps only its
    latest image.

    Parameters
    ----------
    scene : Scene
    stage_um, pipette_um : Trajectory
        True positions. They are called after the exposure has ended, for times within it.
    settings : SceneCameraSettings
    clock : Clock
        A ``VirtualClock`` makes ``read`` jump to the instant of delivery instead of waiting.
    """

    def __init__(
        self,
        scene: Scene,
        stage_um: Trajectory,
        pipette_um: Trajectory | None = None,
        settings: SceneCameraSettings | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self._scene = scene
        self._stage_um = stage_um
        self._pipette_um = pipette_um
        self._settings = settings or SceneCameraSettings()
        self._clock = clock or HostClock()
        self._opened_s: float | None = None
        self._next = 0

    @property
    def name(self) -> str:
        """What the user knows it as."""
        return "scene camera"

    @property
    def width_px(self) -> int:
        """Columns of each frame."""
        return self._scene.width_px

    @property
    def height_px(self) -> int:
        """Rows of each frame."""
        return self._scene.height_px

    @property
    def frame_rate_hz(self) -> float:
        """Nominal frame rate."""
        return self._settings.frame_rate_hz

    def open(self) -> None:
        """Start to expose: frame 0 begins now. Frame numbers start anew."""
        self._opened_s = self._clock.now_s()
        self._next = 0

    def read(self, timeout_s: float) -> Frame | None:
        """Wait for the newest frame, at most ``timeout_s``; None when none came.

        Returns
        -------
        Frame or None
            ``time_s`` is the true middle of the exposure.

        Raises
        ------
        CameraError
            The camera is not open, has been unplugged, or the scene's picture has a wrong shape.
        """
        opened_s = self._opened_s
        if opened_s is None:
            raise CameraError(self.name, "is not open", "call open first")
        now_s = self._clock.now_s()
        deadline_s = now_s + timeout_s
        number = self._newest_ready(opened_s, now_s)
        if number is None:
            number = self._next
            while self._is_dropped(number):
                number += 1
        ready_s = self._ready_s(opened_s, number)
        self._check_plugged(opened_s, ready_s, deadline_s)
        if ready_s > deadline_s:
            self._clock.wait_until(deadline_s)
            return None
        self._next = number + 1
        return self._expose(opened_s, number, ready_s)

    def close(self) -> None:
        """Stop. Safe to call twice."""
        self._opened_s = None

    def _expose(self, opened_s: float, number: int, ready_s: float) -> Frame:
        settings = self._settings
        middle_s = self._middle_s(opened_s, number)
        self._clock.wait_until(middle_s + settings.exposure_s / 2)
        image = self._scene.render(middle_s, settings.exposure_s, self._stage_um, self._pipette_um)
        if image.shape != (self.height_px, self.width_px) or image.dtype != np.uint8:
            raise CameraError(
                self.name,
                f"the scene gave {image.shape} {image.dtype}",
                f"({self.height_px}, {self.width_px}) uint8 was promised",
            )
        image.setflags(write=False)
        self._clock.wait_until(ready_s)
        return Frame(image, number, middle_s, settings.exposure_s, self._clock.now_s())

    def _newest_ready(self, opened_s: float, now_s: float) -> int | None:
        """Newest frame that lies ready at ``now_s`` and was not taken, or None."""
        number = math.floor((now_s - opened_s) * self._settings.frame_rate_hz) + 1
        while number >= self._next:
            if self._ready_s(opened_s, number) <= now_s and not self._is_dropped(number):
                return number
            number -= 1
        return None

    def _middle_s(self, opened_s: float, number: int) -> float:
        settings = self._settings
        jitter = max(-3.0, min(3.0, self._random("jitter", number).gauss(0.0, 1.0)))
        grid_s = opened_s + settings.exposure_s / 2 + 3 * settings.jitter_s
        return grid_s + number / settings.frame_rate_hz + settings.jitter_s * jitter

    def _ready_s(self, opened_s: float, number: int) -> float:
        settings = self._settings
        return self._middle_s(opened_s, number) + settings.exposure_s / 2 + settings.transfer_s

    def _is_dropped(self, number: int) -> bool:
        chance = self._settings.drop_probability
        return chance > 0 and self._random("drop", number).random() < chance

    def _random(self, purpose: str, number: int) -> random.Random:
        # One generator per frame: what happens to a frame does not depend on who was read before.
        return random.Random(f"{self._settings.seed} {purpose} {number}")

    def _check_plugged(self, opened_s: float, ready_s: float, deadline_s: float) -> None:
        after_s = self._settings.vanish_after_s
        if after_s is not None and opened_s + after_s < min(ready_s, deadline_s):
            self._clock.wait_until(opened_s + after_s)
            raise CameraError(self.name, "was unplugged", "plug it in and open it again")
