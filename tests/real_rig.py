"""Real instruments for the tests that are marked ``hardware``: at a tenth, and asked first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from emulated import wait_until
from rig_consent import consent

from app.config import Mp285Config, ProScanConfig, RigConfig, load_rig
from app.rig.build import pipette_limits, pipette_options, stage_limits, stage_options
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.limits import SoftLimits
from drivers.pose import Pose

TENTH = 0.1
MARGIN_UM = 20.0

Um = tuple[float, ...]


def rig_config(config: pytest.Config) -> RigConfig:
    """The rig file of the command line."""
    return load_rig(Path(str(config.getoption("--rig"))))


def require_pipette_up(rig: RigConfig) -> None:
    """Skip where the rig has a pipette that is below its safe height, or nobody knows."""
    if rig.pipette is not None:
        with guarded_pipette(rig.pipette, pipette_limits(rig.pipette)) as pipette:
            require_height(rig.pipette, pipette.read_pose())


def require_height(port: Mp285Config, pose: Pose) -> None:
    """Skip unless a pipette that is at ``pose`` is known to clear everything."""
    if port.safe_z_um is None:
        pytest.skip("the pipette's height is unknown: safe_z_um is not in the rig file")
    if pose.moving is not False or not np.isfinite(pose.z_um):
        pytest.skip("the pipette's height is unknown: it does not rest")
    if port.up * (pose.z_um - port.safe_z_um) < 0:
        pytest.skip(
            f"the pipette is below its safe height, {pose.z_um:.0f} um instead of"
            f" {port.safe_z_um:.0f}: raise it first"
        )


def window(limits: SoftLimits, here_um: Sequence[float], low_um: Um, high_um: Um,
           speed_um_s: float) -> SoftLimits:  # fmt: skip
    """A window about a place, within the limits of the rig; skips where it does not fit."""
    names = "xyz"[: len(here_um)]
    for axis, low, here, high in zip(names, limits.low_um, here_um, limits.high_um, strict=True):
        if not low <= here <= high:
            pytest.skip(f"it stands at {axis} = {here:.0f} um, outside its soft limits")
    box = SoftLimits(
        tuple(at + um for at, um in zip(here_um, low_um, strict=True)),
        tuple(at + um for at, um in zip(here_um, high_um, strict=True)),
        speed_um_s,
    )
    ends = zip(limits.low_um, box.low_um, box.high_um, limits.high_um, strict=True)
    for axis, (least, low, high, most) in zip(names, ends, strict=True):
        if low < least or high > most:
            pytest.skip(
                f"not enough room along {axis}: {low:.0f} to {high:.0f} um are needed, the soft"
                f" limits of the rig are {least:.0f} .. {most:.0f} um"
            )
    return box


def room_um(
    limits: SoftLimits, here_um: Sequence[float], wanted_um: float, least_um: float
) -> float:
    """Way along x, signed, that the limits of the rig leave: the wanted one, or less; or skips."""
    right_um, left_um = limits.high_um[0] - here_um[0], here_um[0] - limits.low_um[0]
    sign = 1.0 if right_um >= min(left_um, wanted_um) else -1.0
    way_um = min(wanted_um, max(right_um, left_um) - MARGIN_UM)
    if way_um < least_um or min(right_um, left_um) < 0:
        pytest.skip(
            f"not enough room about x = {here_um[0]:.0f} um: {least_um + MARGIN_UM:.0f} um are"
            f" needed to one side, the soft limits of the rig are {limits.low_um[0]:.0f} .."
            f" {limits.high_um[0]:.0f} um"
        )
    return sign * way_um


def along_x(
    limits: SoftLimits, here_um: Sequence[float], way_um: float, speed_um_s: float
) -> SoftLimits:
    """A box as narrow as a way along x, and a margin, within the limits of the rig."""
    ends = sorted((here_um[0], here_um[0] + way_um))
    low_um = [ends[0] - MARGIN_UM, *(at - 1.0 for at in here_um[1:])]
    high_um = [ends[1] + MARGIN_UM, *(at + 1.0 for at in here_um[1:])]
    return SoftLimits(
        tuple(max(a, b) for a, b in zip(low_um, limits.low_um, strict=True)),
        tuple(min(a, b) for a, b in zip(high_um, limits.high_um, strict=True)),
        speed_um_s,
    )


def stage_port(rig: RigConfig) -> ProScanConfig:
    """The stage of the rig file; skips without one, or with the pipette down."""
    if rig.stage is None:
        pytest.skip("the rig file names no stage")
    require_pipette_up(rig)
    return rig.stage


def guarded_stage(port: ProScanConfig, limits: SoftLimits, move_speed_um_s: float) -> GuardedStage:
    """The stage as the rig file sets it, in limits and at a speed of one's own, joystick off."""
    return GuardedStage(
        port.url, limits, baud=port.baud, move_speed_um_s=move_speed_um_s, deadman_s=1.0,
        acceleration_um_s2=port.acceleration_um_s2,
        options={**stage_options(port), "joystick_live": False},
    )  # fmt: skip


def stage_stands_um(port: ProScanConfig, limits: SoftLimits) -> tuple[float, float]:
    """Where it is, looked at without moving it."""
    with guarded_stage(port, limits, TENTH * port.move_speed_um_s) as stage:
        pose = stage.read_pose()
    return pose.x_um, pose.y_um


@contextmanager
def real_stage(config: pytest.Config, low_um: Um, high_um: Um) -> Iterator[GuardedStage]:
    """The stage of the rig file at a tenth of its speeds, in a window about where it stands."""
    rig = rig_config(config)
    port = stage_port(rig)
    speed_um_s, move_um_s = TENTH * rig.servo.top_speed_um_s, TENTH * port.move_speed_um_s
    limits = stage_limits(port, speed_um_s)
    box = window(limits, stage_stands_um(port, limits), low_um, high_um, speed_um_s)
    reach_um = max(map(abs, (*low_um, *high_um)))
    consent(config).to_move(f"The stage at {port.url}", reach_um, max(speed_um_s, move_um_s))
    with guarded_stage(port, box, move_um_s) as stage:
        yield stage
        stage.stop()


def guarded_pipette(port: Mp285Config, limits: SoftLimits) -> GuardedManipulator:
    """The manipulator as the rig file sets it, in limits of one's own."""
    return GuardedManipulator(
        port.url, limits, baud=port.baud, rtscts=port.rtscts, deadman_s=1.0,
        safe_z_um=port.safe_z_um, up=port.up, options=pipette_options(port),
    )  # fmt: skip


def pipette_port(rig: RigConfig) -> tuple[Mp285Config, tuple[float, float, float]]:
    """The manipulator of the rig file, and where it stands; skips unless that is high enough."""
    port = rig.pipette
    if port is None:
        pytest.skip("the rig file names no manipulator")
    with guarded_pipette(port, pipette_limits(port)) as pipette:
        pose = pipette.read_pose()
    require_height(port, pose)
    return port, (pose.x_um, pose.y_um, pose.z_um)


@contextmanager
def real_tenth_pipette(config: pytest.Config, box: SoftLimits) -> Iterator[TenthPipette]:
    """The manipulator of the rig file, in a tenth of a window that begins where it stands.

    ``box`` is that window in the micrometres of a TenthPipette.
    """
    port, here_um = pipette_port(rig_config(config))
    speed_um_s = TENTH * port.speed_um_s
    scale = Scale(here_um, box.low_um[2], port.up)
    corners = np.sort([scale.real(end) for end in (box.low_um, box.high_um)], axis=0)
    low_um, high_um = (tuple((corner - here_um).tolist()) for corner in corners)
    there = window(pipette_limits(port), here_um, low_um, high_um, speed_um_s)
    reach_um = TENTH * max(map(abs, (*box.low_um, *box.high_um)))
    consent(config).to_move(
        f"The manipulator at {port.url} (never lower than it stands)", reach_um, speed_um_s
    )
    with guarded_pipette(port, there) as pipette:
        yield TenthPipette(pipette, scale, speed_um_s)
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
    top_um_s: float

    def __getattr__(self, name: str) -> object:
        return getattr(self.pipette, name)

    def read_pose(self) -> Pose:
        return self.scale.far(self.pipette.read_pose())

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        real_um_s = TENTH * speed_um_s
        if np.isfinite(real_um_s):  # what is no number is passed on, to be refused
            real_um_s = min(real_um_s, self.top_um_s)
        self.pipette.move_to(*self.scale.real((x_um, y_um, z_um)), real_um_s)

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
