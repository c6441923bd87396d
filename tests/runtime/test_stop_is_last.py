"""What was pressed before Stop, and is still waiting, is not done after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from emulated import wait_until
from notice_board import Board
from test_hands_and_frames import Bench

from app.config import InjectionConfig
from app.core.injection import Injection
from app.core.injection_values import Heights, Step
from app.core.messages import Abort, Arm, Mode, MotionState, MoveBy, Park, PipetteCommand, Stop
from app.runtime.helm import Helm
from app.runtime.manipulator import PipetteWorker
from calibration.pipette_affine import PipetteAffine
from drivers.errors import GuardianError
from drivers.pose import Pose

MAP = PipetteAffine(np.eye(2, 3), np.zeros(2), 0.1, -80.0, 0.0, (0.0, 0.0, 0.0))


def test_m3_what_was_pressed_before_a_stop_is_void_and_is_told() -> None:
    bench = Bench()
    bench.step(2)
    bench.stage.log.clear()
    for command in (Arm("20x"), MoveBy(50.0, 0.0), Stop()):
        bench.worker.submit(command)
    bench.step(3)
    assert bench.worker.state.mode is Mode.DISARMED
    assert set(bench.stage.log) <= {"stop", "pose"}
    assert "arm: void, Stop was pressed after it" in bench.board.told
    assert "move by: void, Stop was pressed after it" in bench.board.told


def test_m3_a_stop_that_comes_while_another_command_is_obeyed_lets_nothing_out() -> None:
    bench = Bench()
    bench.step(2)
    bench.worker.submit(Arm("20x"))
    bench.step()
    assert bench.worker.state.mode is Mode.ARMED
    told = bench.board.tell

    def pressed_meanwhile(text: str, severity: str = "info", **details: str) -> None:
        told(text, severity, **details)
        if text == "move by":
            bench.worker.submit(Stop())

    bench.board.tell = pressed_meanwhile  # type: ignore[method-assign]
    bench.worker.submit(MoveBy(50.0, 0.0))
    bench.step(3)
    assert bench.worker.state.mode is Mode.DISARMED
    assert "move" not in bench.stage.log


def test_who_arms_after_a_stop_is_armed() -> None:
    bench = Bench()
    bench.stage.broken = GuardianError("stage", "no reply", "reconnect")
    bench.step()
    for command in (MoveBy(50.0, 0.0), Stop(), Arm("20x")):
        bench.worker.submit(command)
    bench.step(2)
    assert "reconnect False" in bench.stage.log
    assert "move" not in bench.stage.log


class SlowPipette:
    """A manipulator that answers only when the test lets it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.at_um = (0.0, 0.0, -70.0)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def read_pose(self) -> Pose:
        self.asked.set()
        self.answers.wait(5.0)
        return Pose(time.perf_counter(), *self.at_um, False)

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        self.log.append("move")
        self.at_um = (x_um, y_um, z_um)

    def stop(self) -> None:
        self.log.append("stop")


@contextmanager
def steered(pipette: SlowPipette) -> Iterator[tuple[PipetteWorker, Board]]:
    board = Board()
    injection = Injection(
        InjectionConfig(park_um=(60.0, 40.0, 0.0)), Heights(-40.0, -80.0), MAP, 800.0, 30.0
    )
    helm = Helm(
        injection, lambda: MotionState(Mode.FOLLOWING, "", 1), lambda time_s: np.zeros(2),
        lambda: True, lambda: None, lambda to_um: None, lambda: None,
    )  # fmt: skip
    worker = PipetteWorker(pipette, board, helm)
    worker.start()
    try:
        yield worker, board
    finally:
        worker.halt()
        worker.join(5.0)


@pytest.mark.parametrize("command", [Abort(), Park()])
def test_m12_a_stop_pressed_after_an_abort_that_still_waits_is_the_last_word(
    command: PipetteCommand,
) -> None:
    pipette = SlowPipette()
    with steered(pipette) as (worker, board):
        wait_until(lambda: worker.pose is not None)
        pipette.answers.clear()
        pipette.asked.clear()
        worker._wake.set()
        assert pipette.asked.wait(5.0)  # its thread waits for a reply
        worker.submit(command)
        worker.stop_now()
        pipette.answers.set()
        wait_until(lambda: worker.outlook is not None and worker.outlook.step is Step.FROZEN)
        name = type(command).__name__
        wait_until(lambda: f"{name}: void, Stop was pressed after it" in board.told)
        assert "move" not in pipette.log
        worker.submit(Abort())  # pressed after it: that counts
        wait_until(lambda: "move" in pipette.log)
