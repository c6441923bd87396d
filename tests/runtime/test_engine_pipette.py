"""The pipette in the whole loop: commands reach it, Stop freezes both, Abort retracts."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from small_rig import CONFIG, SmallRig
from test_engine import follow_best, press, wait

from app.config import InjectionConfig
from app.core.injection import Injection
from app.core.injection_values import Heights, Step
from app.core.messages import (
    Abort,
    Align,
    Arm,
    Carry,
    Descend,
    LetGo,
    Mode,
    Retract,
    Snapshot,
    StandBy,
    Stop,
    Tap,
)  # fmt: skip
from app.runtime.engine import Engine
from calibration.pipette_affine import PipetteAffine
from drivers.emulators.plant import Plant, PlantSettings
from drivers.pose import Pose

PARK_UM = (50.0, 50.0, 100.0)
SAFE_UM, DISH_UM = 40.0, -20.0


@pytest.fixture(autouse=True)
def no_tip(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pipette is in these pictures, and to look everywhere for one takes seconds."""
    monkeypatch.setattr("app.runtime.tip_finder.find_tip", lambda *_: None)


class PlantPipette:
    """A manipulator without a wire."""

    def __init__(self) -> None:
        self.plant = Plant(PlantSettings(dead_time_s=0.01), PARK_UM, time.perf_counter())

    def read_pose(self) -> Pose:
        now_s = time.perf_counter()
        return Pose(now_s, *self.plant.motor_um(now_s), moving=any(self.plant.moving(now_s)))

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        self.plant.move((x_um, y_um, z_um), time.perf_counter(), speed_um_s=speed_um_s)

    def stop(self) -> None:
        self.plant.halt(time.perf_counter())

    def z_um(self) -> float:
        return self.plant.motor_um(time.perf_counter())[2]


def loop_of(
    parts: SmallRig, needle: PlantPipette, settings: InjectionConfig
) -> tuple[Engine, Injection]:
    affine = PipetteAffine(np.eye(2, 3), np.zeros(2), 0.1, DISH_UM, 0.0, PARK_UM)
    injection = Injection(settings, Heights(SAFE_UM, DISH_UM), affine, 800.0, 30.0)
    return Engine(replace(parts.build(), pipette=needle, injection=injection)), injection


def test_a_held_descent_outlasts_the_patience_with_who_is_idle_and_retract_needs_no_arming() -> (
    None
):
    servo = CONFIG.servo.model_copy(update={"idle_s": 2.0})
    parts, needle = SmallRig(config=CONFIG.model_copy(update={"servo": servo})), PlantPipette()
    settings = InjectionConfig(park_um=PARK_UM, oocyte_um=(0.0, 0.0), fast_um_s=8.0)
    engine, injection = loop_of(parts, needle, settings)
    engine.start()
    try:
        wait(engine, lambda s: s.pose is not None)
        press(engine, Arm("20x"), {Mode.ARMED})
        engine.submit(Carry())
        wait(engine, lambda s: injection.step is Step.AT_OOCYTE)
        began_s, before_um = time.perf_counter(), needle.z_um()

        def descended(snapshot: Snapshot) -> bool:
            engine.submit(Descend())
            assert snapshot.motion.mode is Mode.ARMED
            return needle.z_um() < before_um - 30.0

        wait(engine, descended, 20.0)
        assert time.perf_counter() - began_s > servo.idle_s
        engine.submit(LetGo())
        wait(engine, lambda s: s.motion.mode is Mode.DISARMED)
        assert "idle" in engine.motion.reason
        assert injection.step is Step.PAUSED
        low_um = needle.z_um()
        engine.submit(Retract())
        wait(engine, lambda s: injection.step is Step.RAISED)
        assert low_um < SAFE_UM
        assert needle.z_um() == SAFE_UM
        assert engine.motion.mode is Mode.DISARMED
    finally:
        engine.stop()


def test_the_sequence_in_the_whole_loop() -> None:
    parts, needle = SmallRig(), PlantPipette()
    engine, injection = loop_of(parts, needle, InjectionConfig(park_um=PARK_UM))
    engine.start()
    try:
        follow_best(engine)
        engine.submit(Tap())
        engine.submit(StandBy())
        wait(engine, lambda s: injection.step is Step.STANDBY)
        engine.submit(Align("tail"))

        def aligned(_: object) -> bool:
            if injection.step is Step.STANDBY:
                engine.submit(Align("tail"))  # its heading takes a second
            return injection.step is Step.ALIGNED

        wait(engine, aligned)
        low_um: list[float] = []

        def descended(_: object) -> bool:
            engine.submit(Descend())
            low_um.append(needle.z_um())
            return low_um[-1] < DISH_UM + 30.0

        wait(engine, descended, 20.0)
        engine.submit(LetGo())
        wait(engine, lambda s: injection.step is Step.PAUSED)
        wait(engine, lambda s: needle.read_pose().moving is False)
        at_um = needle.z_um()
        assert at_um > DISH_UM
        engine.submit(Stop())
        wait(engine, lambda s: injection.step is Step.FROZEN and s.motion.mode is Mode.DISARMED)
        engine.submit(StandBy())
        wait(engine, lambda s: any("arm first" in e.text for e in engine.events()))
        assert needle.z_um() == at_um
        engine.submit(Abort())
        wait(engine, lambda s: injection.step is Step.PARKED)
        assert needle.z_um() == PARK_UM[2]
    finally:
        engine.stop()
    assert parts.closed
