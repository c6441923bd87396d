"""A bench in virtual time: the plant of an emulated stage, a scene camera, no clock and no port."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.procedure import Bench
from drivers.clock import VirtualClock
from drivers.emulators.axis import AxisSettings
from drivers.emulators.plant import Plant, PlantSettings
from drivers.errors import LimitError
from drivers.scene_camera import Scene, SceneCamera, SceneCameraSettings
from drivers.types import Pose

WIRE_S = 0.004  # from the hand-over of a command to its last byte
EXCHANGE_S = 0.012


class VirtualStage:
    """A ProScan as its driver shows it: 0.1 um steps of readback, 12 ms an exchange."""

    def __init__(
        self,
        clock: VirtualClock,
        backlash_um: tuple[float, float] = (0.4, 0.4),
        dead_time_s: float = 0.020,
        limit_um: float = 20_000.0,
        slip: Callable[[], float] = lambda: 0.0,
    ) -> None:
        axes = tuple(AxisSettings(backlash_um=um) for um in backlash_um)
        settings = PlantSettings(axes=axes, dead_time_s=dead_time_s)
        self.plant = Plant(settings, time_s=clock.now_s())
        self.stops = 0
        self.offset_um = np.zeros(2)
        self._clock = clock
        self._limit_um = limit_um
        self._slip = slip

    def true_um(self, times_s: np.ndarray) -> np.ndarray:
        return np.array([self.plant.load_um(float(t)) for t in times_s]) + self.offset_um

    def read_pose(self) -> Pose:
        middle_s = self._exchange()
        x, y = np.round(np.array(self.plant.motor_um(middle_s)) / 0.1) * 0.1
        return Pose(middle_s, float(x), float(y), np.nan, any(self.plant.moving(middle_s)))

    def move_to(self, x_um: float, y_um: float) -> None:
        if max(abs(x_um), abs(y_um)) > self._limit_um:
            raise LimitError("stage", f"target {x_um:.0f}, {y_um:.0f} um is outside", "go back")
        self.offset_um = self.offset_um + np.array((self._slip(), self._slip()))
        self.plant.move((x_um, y_um), self._clock.now_s() + WIRE_S, speed_um_s=2000.0)
        self._exchange()

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        self.plant.set_velocity((vx_um_s, vy_um_s), self._clock.now_s() + WIRE_S)
        self._exchange()

    def stop(self) -> None:
        self.stops += 1
        self.plant.halt(self._clock.now_s())

    def _exchange(self) -> float:
        middle_s = self._clock.now_s() + EXCHANGE_S / 2
        self._clock.wait_until(middle_s + EXCHANGE_S / 2)
        return middle_s


class VirtualPipette:
    """An MP-285 as its driver shows it: positions at rest only, one move at a time."""

    def __init__(self, clock: VirtualClock, backlash_um: float = 0.0) -> None:
        axes = (AxisSettings(low_um=-12_500, high_um=12_500, backlash_um=backlash_um),) * 3
        self.plant = Plant(PlantSettings(axes=axes), time_s=clock.now_s())
        self.stops = 0
        self._clock = clock

    def read_pose(self) -> Pose:
        middle_s = self._clock.now_s() + 0.020
        self._clock.wait_until(middle_s + 0.020)
        x, y, z = np.round(np.array(self.plant.motor_um(middle_s)) / 0.04) * 0.04
        return Pose(middle_s, float(x), float(y), float(z), any(self.plant.moving(middle_s)))

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        self.plant.move((x_um, y_um, z_um), self._clock.now_s() + 0.014, speed_um_s=speed_um_s)
        self._clock.wait_until(self._clock.now_s() + 0.020)

    def stop(self) -> None:
        self.stops += 1
        self.plant.halt(self._clock.now_s())


def turned(um_per_px: float, degrees: float, mirror: bool, stretch: float = 1.0) -> np.ndarray:
    """Image to stage: mirrored in x, stretched in x, then turned."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    shape = np.diag((-stretch if mirror else stretch, 1 / stretch))
    return um_per_px * np.array([[c, -s], [s, c]]) @ shape


def make_bench(
    scene: Scene,
    stage: VirtualStage | None,
    clock: VirtualClock,
    *,
    um_per_px: float = 0.495,
    pipette: VirtualPipette | None = None,
    tip_um: Callable[[np.ndarray], np.ndarray] | None = None,
    camera: SceneCameraSettings | None = None,
) -> Bench:
    def resting(times_s: np.ndarray) -> np.ndarray:
        return np.zeros((len(times_s), 2))

    view = SceneCamera(
        scene, resting if stage is None else stage.true_um, tip_um, camera, clock=clock
    )
    return Bench(view, stage, pipette, um_per_px, clock)
