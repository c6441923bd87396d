"""Sperm, stage, pipette, dish and an operator in virtual time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from virtual_loop import VirtualLoop

from app.config import InjectionConfig
from app.core.contact import TipSight
from app.core.injection import Injection
from app.core.injection_values import DriveStage, Freeze, Go, Heights, Sense, Step
from app.core.interlocks import Health
from app.core.messages import (
    Align,
    Carry,
    Descend,
    Follow,
    LetGo,
    Mode,
    MoveBy,
    Park,
    PipetteCommand,
    Release,
    Retract,
    StandBy,
    Tap,
    Teach,
)
from app.core.selection import find_target
from app.rig.dish import Dish
from calibration.pipette_affine import PipetteAffine
from drivers.emulators.plant import Plant, PlantSettings
from drivers.limits import SoftLimits
from drivers.pose import Pose
from models.types import Float64

SAFE_UM, DISH_UM = -100.0, -220.0  # pipette frame
FOCUS_UM = DISH_UM + 6.0
PARK_UM = (400.0, 300.0, 0.0)
LIMITS = SoftLimits((-1500.0, -1500.0, DISH_UM - 12.0), (1500.0, 1500.0, 50.0), 2000.0)
TICKS = 3  # looks of the pipette thread for each frame
EXCHANGE_S = 0.050  # position, speed and move on a wire of 9600 baud
SETTLE_S = 0.060  # after arrival, until the position has been read
IN_SIGHT_UM = 12.0
TAIL_UM = (4.0, 40.0)


class Mounting:
    """How the manipulator truly stands to the picture; what was calibrated is a little off."""

    def __init__(self, rng: np.random.Generator) -> None:
        angle = rng.uniform(-0.3, 0.3)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        tilt = rng.normal(0.0, 0.02, (2, 1))
        self.matrix = np.hstack([turn, tilt])
        self.origin_um = rng.uniform(-30, 30, 2) - self.matrix[:, 2] * DISH_UM
        self.map = PipetteAffine(
            self.matrix + rng.normal(0.0, 0.003, (2, 3)) * [1, 1, 0.3],
            self.origin_um + rng.normal(0.0, 1.5, 2), 0.3, FOCUS_UM, 0.0, (0.0, 0.0, FOCUS_UM),
        )  # fmt: skip
        self.dish = Dish(DISH_UM, math.pi - angle)

    def tip(self, pose_um: Float64) -> Float64:
        """True tip (3,): view um, and height in the pipette frame."""
        free = np.array([*(self.origin_um + self.matrix @ pose_um), pose_um[2]])
        return self.dish.met(free[None])[0]


@dataclass
class Descended:
    """One descent, as it truly was."""

    off_um: float
    below_um: float


class VirtualInjection(VirtualLoop):
    """A loop with a pipette. ``run_all`` is the whole sequence."""

    def __init__(self, seed: int, speed_um_s: float, **more: object) -> None:
        super().__init__(
            speed_um_s=speed_um_s, seed=seed, diffusion_rad2_s=0.001 * speed_um_s,
            start_um=(30.0, -20.0), others=6, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        self.target.wobble_um = 0.6  # in a viscous medium
        self.dice = np.random.default_rng([seed, 7])
        self.mounting = Mounting(self.dice)
        self.needle = Plant(PlantSettings(max_speed_um_s=2000.0, dead_time_s=0.010), PARK_UM)
        self.machine = Injection(
            InjectionConfig(park_um=PARK_UM),
            Heights(SAFE_UM, DISH_UM + self.dice.normal(0.0, 1.5)),
            self.mounting.map, 500.0, self.frame_rate_hz,
        )  # fmt: skip
        self.now_s = 0.0
        self.pressed = False
        self.pressed_s = -math.inf
        self.tip: TipSight | None = None
        self.sent_s = -math.inf
        self.window_um: Float64 | None = None
        self.orders: list[tuple[float, Go, bool]] = []
        self.frozen_s: list[float] = []
        self.violations: list[str] = []
        self.descents: list[Descended] = []
        self.below_um = math.nan
        self.taps: list[float] = []
        self.notes: list[str] = []
        self.killed_s = math.inf
        self.helps = False  # an operator who chooses the sperm again where the stage holds

    # What is true

    def needle_um(self, time_s: float) -> Float64:
        return np.array(self.needle.load_um(time_s))

    def tail_um(self, behind_um: float) -> Float64:
        along = np.array((math.cos(self.target.heading), math.sin(self.target.heading)))
        return self.target.position_um - behind_um * along

    def tip_stage_um(self, time_s: float) -> Float64:
        return self.mounting.tip(self.needle_um(time_s))[:2] + self.pose_um(time_s)

    # The loop

    def step(self) -> None:
        super().step()
        frame_s = self._frame / self.frame_rate_hz
        self._touch(frame_s)
        self._see_tip(frame_s)
        for k in range(TICKS):
            self.now_s = frame_s + self.detect_delay_s + k / self.frame_rate_hz / TICKS
            if self.pressed and self.now_s - self.pressed_s >= 0.04:
                self.pressed_s = self.now_s
                self.machine.obey(Descend(), self.now_s, self.sense())
            self.obey_order()
        self._look_at_window()
        if self.helps and self.pilot.state.mode is Mode.HOLD:
            away_um = np.linalg.norm(self.tracks.position_um - self.target.position_um, axis=1)
            if len(away_um) and away_um.min() < 4.0:
                track_id = int(self.tracks.track_id[away_um.argmin()])
                self.pilot.obey(Follow(track_id), self.now_s, Health(0.0, 0.15, 0.0), "")

    def sense(self) -> Sense:
        now_s = self.now_s
        state = self.pilot.state
        target = None if state.target is None else find_target(self.tracks, state.target)
        rows = np.flatnonzero(self.tracks.track_id == (state.target or -1))
        head_um = self.tracks.raw_um[rows[0]] if rows.size else None
        follows = state.mode in (Mode.CENTERING, Mode.FOLLOWING)
        return Sense(
            self.needle_pose(), state.mode not in (Mode.DISARMED, Mode.FAULT),
            self.poses.at(now_s), not any(self.plant.moving(now_s)), target if follows else None,
            head_um, self.tip,
        )  # fmt: skip

    def needle_pose(self) -> Pose:
        """As the controller tells it: nothing while it moves, and a little late."""
        settled_s = max(self.needle.rest_s, self.sent_s + EXCHANGE_S) + SETTLE_S
        if self.now_s < settled_s:
            return Pose(self.sent_s, math.nan, math.nan, math.nan, True)
        return Pose(settled_s, *self.needle_um(self.now_s).tolist(), moving=False)

    def obey_order(self) -> None:
        before = self.machine.step
        order = self.machine.act(self.now_s, self.sense())
        self.notes += self.machine.notes()
        if isinstance(order, Go):
            self._go(order)
        elif isinstance(order, Freeze):
            self.frozen_s.append(self.now_s)
            self.needle.halt(self.now_s)
        elif isinstance(order, DriveStage):
            self._drive_stage(order)
        if before is Step.DESCENDING and self.machine.bound_for is Step.CONTACT:
            self.below_um = DISH_UM - self.needle_um(self.now_s)[2]
        if before is Step.GOING and self.machine.step is Step.CONTACT:
            self._note_descent()

    def press(self, command: PipetteCommand) -> None:
        refusal = self.machine.obey(command, self.now_s, self.sense())
        assert refusal == "", refusal

    def until(self, *steps: Step, timeout_s: float = 40.0) -> Step:
        end_s = self.now_s + timeout_s
        while self.machine.step not in steps:
            assert self.now_s < end_s, (self.machine.step, self.machine.reason, self.notes[-8:])
            self.step()
        return self.machine.step

    # What the operator does

    def descend(self, point: Literal["tail", "head"] | None = None) -> None:
        """Align, and hold the control to contact; now and then it slips out of the fingers."""
        while self.machine.step is not Step.CONTACT:
            if point is not None and self.machine.step is not Step.PAUSED:
                self.align(point)
            elif self.machine.step is Step.PAUSED and self.machine.reason == "the sperm is lost":
                self.press(Retract())
                self.until(Step.RAISED)
                continue
            self.pressed, self.pressed_s = True, -math.inf
            slips_s = self.now_s + self.dice.exponential(6.0) + 0.3
            while self.machine.step is not Step.CONTACT and self.now_s < slips_s:
                self.step()
                if self.machine.step is Step.PAUSED:
                    self.pressed_s = -math.inf
                assert self.now_s < 150.0, (self.machine.reason, self.notes[-8:])
            self.pressed = False
            self.machine.obey(LetGo(), self.now_s, self.sense())
            for _ in range(6):
                self.step()
            if self.machine.bound_for is Step.CONTACT:
                self.until(Step.CONTACT)

    def align(self, point: Literal["tail", "head"]) -> None:
        """As soon as the stage follows."""
        while self.pilot.state.mode not in (Mode.CENTERING, Mode.FOLLOWING):
            self.step()
        self.press(Align(point))
        self.until(Step.ALIGNED)

    def run_all(self) -> None:
        """From the park position to the oocyte and back."""
        self.helps = True
        while self.pilot.state.mode is not Mode.FOLLOWING:
            self.step()
            assert self.now_s < 20.0, self.pilot.state
        self.machine.oocyte_um = (900.0, -400.0)
        self.press(StandBy())
        self.until(Step.STANDBY)
        self.run(1.0)
        for _ in range(6):
            self.descend("tail")
            if self.tap():
                break
            self.press(Retract())
            self.until(Step.RAISED)
        self.press(Retract())
        self.until(Step.RAISED)
        self.descend("head")
        self.press(Retract())
        self.until(Step.RAISED)
        self.press(Carry())
        self.until(Step.AT_OOCYTE)
        self.press(Teach())
        self.descend()
        self.press(Retract())
        self.until(Step.RAISED)
        self.press(Park())
        self.until(Step.PARKED)

    def tap(self) -> bool:
        """Tap, and say whether it was seen to stop."""
        if self.machine.obey(Tap(), self.now_s, self.sense()):
            return False
        self.taps.append(self.now_s)
        return self.until(Step.IMMOBILE, Step.CONTACT) is Step.IMMOBILE

    # What happens

    def _go(self, order: Go) -> None:
        held = self.pressed and self.now_s - self.pressed_s <= 0.1
        self.orders.append((self.now_s, order, held))
        here = self.needle_um(self.now_s)
        try:
            LIMITS.check_target("pipette", order.to_um, here)
        except Exception as error:  # counted, and the test fails
            self.violations.append(str(error))
        if order.to_um[2] < SAFE_UM and self.window_um is None:
            self.window_um = self.pose_um(self.now_s)
        self.sent_s = self.now_s
        self.needle.move(order.to_um, self.now_s + EXCHANGE_S, speed_um_s=order.speed_um_s)

    def _drive_stage(self, order: DriveStage) -> None:
        health = Health(0.0, 0.15, 0.0)
        self.pilot.obey(Release(), self.now_s, health, "")
        way = np.array(order.to_um) - self.pose_um(self.now_s)
        if self.window_um is not None:
            self.violations.append("the stage was sent away with the pipette down")
        self.pilot.obey(MoveBy(*way.tolist()), self.now_s, health, "")

    def _look_at_window(self) -> None:
        if self.window_um is None:
            return
        if self.needle_um(self.now_s)[2] >= SAFE_UM and self.needle.rest_s <= self.now_s:
            self.window_um = None
        elif np.abs(self.pose_um(self.now_s) - self.window_um).max() > 200.0:
            self.violations.append("the stage left its window")

    def _see_tip(self, frame_s: float) -> None:
        pose_um = self.needle_um(frame_s)
        tip = self.mounting.tip(pose_um)
        if abs(tip[2] - FOCUS_UM) > IN_SIGHT_UM or self.dice.uniform() < 0.05:
            return
        noise_um = 0.15 if self.dice.uniform() < 0.93 else 1.0
        self.tip = TipSight(frame_s, tip[:2] + self.dice.normal(0.0, noise_um, 2))

    def _touch(self, frame_s: float) -> None:
        """A tip on the dish that crosses the tail ends all motion of it."""
        if self.machine.bound_for is not Step.CONFIRMING or self.machine.step is not Step.GOING:
            return
        for time_s in np.linspace(frame_s - 1 / self.frame_rate_hz, frame_s, 8):
            if self.needle_um(time_s)[2] > DISH_UM + 1.0:
                continue
            away_um = min(
                float(np.linalg.norm(self.tail_um(b) - self.tip_stage_um(time_s)))
                for b in np.linspace(*TAIL_UM, 40)
            )
            if away_um < 1.5:
                self.target.speed_um_s = self.target.wobble_um = 0.0
                self.killed_s = min(self.killed_s, time_s)

    def _note_descent(self) -> None:
        point = {"tail": 10.0, "head": 0.0}
        aimed = self.machine.point
        off_um = math.nan
        if aimed is not None:
            goal_um = self.tail_um(point[aimed.value])
            off_um = float(np.linalg.norm(self.tip_stage_um(self.now_s) - goal_um))
        self.descents.append(Descended(off_um, self.below_um))


def sequences(count: int) -> Iterator[VirtualInjection]:
    """Seeded runs: sperm of 5 to 20 um/s, a mounting each."""
    for seed in range(count):
        speed_um_s = float(np.random.default_rng([seed, 3]).uniform(5.0, 20.0))
        run = VirtualInjection(seed, speed_um_s)
        run.run_all()
        yield run
