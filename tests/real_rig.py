"""Real instruments for the tests that are marked ``hardware``: at a tenth, and asked first."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from emulated import wait_until

from app.config import RigConfig, load_rig
from app.rig.build import connect_pipette
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.limits import SoftLimits
from drivers.pose import Pose

TENTH = 0.1
SPEED_UM_S = 200.0  # a tenth of the usual

_confirmed: list[str] = []


def rig_config(config: pytest.Config) -> RigConfig:
    """The rig file of the command line."""
    return load_rig(Path(str(config.getoption("--rig"))))


def confirm(config: pytest.Config, what: str) -> str:
    """Ask before the first move; the operator's name. Skips where nobody answers."""
    given = config.getoption("--confirm")
    if given:
        return str(given)
    if not _confirmed:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{what}\nIs the way free, and the pipette up? Your name to go on: ", end="")
            sys.stdout.flush()
            _confirmed.append(sys.stdin.readline().strip())
    if not _confirmed[0]:
        pytest.skip("nobody has confirmed that the stage may move")
    return _confirmed[0]


@contextmanager
def real_stage(
    config: pytest.Config, low_um: tuple[float, float], high_um: tuple[float, float],
    **options: float,
) -> Iterator[GuardedStage]:  # fmt: skip
    """The stage of the rig file, confined to a window about where it stands."""
    port = rig_config(config).stage
    if port is None:
        pytest.skip("the rig file names no stage")
    confirm(config, f"The stage at {port.url} will move by at most {max(high_um):.0f} um.")
    wide = SoftLimits(
        (port.x_limits_um[0], port.y_limits_um[0]), (port.x_limits_um[1], port.y_limits_um[1]), 1e3
    )
    with GuardedStage(port.url, wide, baud=port.baud) as stage:
        pose = stage.read_pose()
    here = (pose.x_um, pose.y_um)
    box = SoftLimits(
        tuple(max(a, at + low) for a, at, low in zip(wide.low_um, here, low_um, strict=True)),
        tuple(min(b, at + high) for b, at, high in zip(wide.high_um, here, high_um, strict=True)),
        SPEED_UM_S,
    )
    with GuardedStage(
        port.url, box, baud=port.baud, move_speed_um_s=SPEED_UM_S * 2.5, deadman_s=1.0,
        options={"joystick_live": False, **options},
    ) as stage:  # fmt: skip
        yield stage
        stage.stop()


@contextmanager
def real_pipette(config: pytest.Config) -> Iterator[GuardedManipulator]:
    """The manipulator of the rig file."""
    from contextlib import ExitStack

    with ExitStack() as started:
        pipette = connect_pipette(rig_config(config), None, started)
        if not isinstance(pipette, GuardedManipulator):
            pytest.skip("the rig file names no manipulator")
        confirm(config, "The manipulator will move by at most 100 um, sideways.")
        yield pipette


@contextmanager
def real_tenth_pipette(config: pytest.Config, box: SoftLimits) -> Iterator[TenthPipette]:
    """The manipulator of the rig file, in a tenth of a window that begins where it stands.

    ``box`` is that window in the micrometres of a TenthPipette.
    """
    port = rig_config(config).pipette
    if port is None:
        pytest.skip("the rig file names no manipulator")
    reach_um = TENTH * max(map(abs, (*box.low_um, *box.high_um)))
    confirm(config, f"The manipulator at {port.url} will move by at most {reach_um:.0f} um, never"
            " lower than it stands.")  # fmt: skip
    ranges = (port.x_limits_um, port.y_limits_um, port.z_limits_um)
    wide = SoftLimits(*zip(*ranges, strict=True), port.speed_um_s)
    with GuardedManipulator(port.url, wide, baud=port.baud, rtscts=port.rtscts) as pipette:
        pose = pipette.read_pose()
    if port.safe_z_um is not None and port.up * (pose.z_um - port.safe_z_um) < 0:
        pytest.skip("the pipette is below its safe height: raise it first")
    scale = Scale((pose.x_um, pose.y_um, pose.z_um), box.low_um[2], port.up)
    corners = np.sort([scale.real(end) for end in (box.low_um, box.high_um)], axis=0)
    window = SoftLimits(
        tuple(np.maximum(wide.low_um, corners[0]).tolist()),
        tuple(np.minimum(wide.high_um, corners[1]).tolist()),
        wide.max_speed_um_s,
    )
    with GuardedManipulator(
        port.url, window, baud=port.baud, rtscts=port.rtscts, deadman_s=1.0
    ) as pipette:
        yield TenthPipette(pipette, scale)
        pipette.stop()


@dataclass(frozen=True)
class Scale:
    """From micrometres that are ten to one of the real ones. The lowest z is where it stood."""

    home_um: tuple[float, float, float]
    lowest_um: float
    up: int

    def real(self, um: Sequence[float]) -> tuple[float, float, float]:
        x_um, y_um, z_um = (TENTH * value for value in um)
        z_um = self.up * (z_um - TENTH * self.lowest_um)
        return self.home_um[0] + x_um, self.home_um[1] + y_um, self.home_um[2] + z_um

    def far(self, pose: Pose) -> Pose:
        x_um = (pose.x_um - self.home_um[0]) / TENTH
        y_um = (pose.y_um - self.home_um[1]) / TENTH
        z_um = self.up * (pose.z_um - self.home_um[2]) / TENTH + self.lowest_um
        return Pose(pose.time_s, x_um, y_um, z_um, pose.moving)


@dataclass
class TenthPipette:
    """A manipulator whose micrometres are ten to one of the real ones."""

    pipette: GuardedManipulator
    scale: Scale

    def __getattr__(self, name: str) -> object:
        return getattr(self.pipette, name)

    def read_pose(self) -> Pose:
        return self.scale.far(self.pipette.read_pose())

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        self.pipette.move_to(*self.scale.real((x_um, y_um, z_um)), TENTH * speed_um_s)

    def stop(self) -> None:
        self.pipette.stop()


@dataclass
class Tenth:
    """A stage whose micrometres are ten to one of the real ones, counted from where it stood."""

    stage: GuardedStage

    def __post_init__(self) -> None:
        pose = self.stage.read_pose()
        self._home = pose.x_um, pose.y_um

    def __getattr__(self, name: str) -> object:
        return getattr(self.stage, name)

    def _far(self, pose: Pose) -> Pose:
        x_um, y_um = ((at - home) / TENTH for at, home in zip(
            (pose.x_um, pose.y_um), self._home, strict=True))  # fmt: skip
        return Pose(pose.time_s, x_um, y_um, pose.z_um, pose.moving)

    def read_pose(self) -> Pose:
        return self._far(self.stage.read_pose())

    def move_to(self, x_um: float, y_um: float) -> None:
        self.stage.move_to(self._home[0] + TENTH * x_um, self._home[1] + TENTH * y_um)

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        self.stage.set_velocity(TENTH * vx_um_s, TENTH * vy_um_s)

    def set_velocity_and_read_pose(self, vx_um_s: float, vy_um_s: float) -> Pose:
        return self._far(self.stage.set_velocity_and_read_pose(TENTH * vx_um_s, TENTH * vy_um_s))

    def stop(self) -> None:
        self.stage.stop()


class ToldByItself:
    """Stands in for the truth where there is none but what the instrument reads back."""

    def __init__(self, stage: Tenth | TenthPipette) -> None:
        self._stage = stage

    def position_um(self) -> np.ndarray:
        pose = self._stage.read_pose()
        return np.nan_to_num((pose.x_um, pose.y_um, pose.z_um))

    def velocity_um_s(self) -> np.ndarray:
        one, two = self._stage.read_pose(), self._stage.read_pose()
        way = np.array((two.x_um - one.x_um, two.y_um - one.y_um, 0.0))
        return way / (two.time_s - one.time_s)

    def moves(self) -> bool:
        return self._stage.read_pose().moving is not False

    def rest_s(self, timeout_s: float = 10.0) -> float:
        wait_until(lambda: not self.moves(), timeout_s)
        return time.perf_counter()
