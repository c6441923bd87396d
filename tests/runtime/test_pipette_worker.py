"""The pipette thread with a guardian, a port and an emulated MP-285; the sequence decides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from emulated import served, wait_until
from notice_board import Board

from app.config import InjectionConfig
from app.core.contact import TipSight
from app.core.injection import Injection
from app.core.injection_values import Heights, Step
from app.core.messages import (
    Abort,
    Align,
    Descend,
    LetGo,
    Mode,
    MotionState,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
)
from app.rig.dish import Dish
from app.runtime.helm import Helm
from app.runtime.manipulator import PipetteWorker
from calibration.pipette_affine import PipetteAffine
from drivers.emulators.mp285 import MP285Emulator
from drivers.errors import GuardianError
from drivers.guarded import GuardedManipulator
from drivers.limits import SoftLimits
from models.types import Tracks, TrackState

SAFE_UM, DISH_UM = -40.0, -80.0
PARK_UM = (60.0, 40.0, 0.0)
REACH = SoftLimits((-900.0, -900.0, -95.0), (900.0, 900.0, 100.0), 1_000.0)
MAP = PipetteAffine(
    np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), np.zeros(2), 0.1, DISH_UM, 0.0, (0.0, 0.0, 0.0)
)


class Bench:
    def __init__(self, pipette: GuardedManipulator, box: MP285Emulator) -> None:
        self.box = box
        self.board = Board()
        self.mode = Mode.FOLLOWING
        self.injection = Injection(
            InjectionConfig(park_um=PARK_UM, beside_um=80.0), Heights(SAFE_UM, DISH_UM), MAP,
            800.0, 30.0,
        )  # fmt: skip
        self.dish = Dish(DISH_UM, 0.0)
        helm = Helm(
            self.injection, lambda: MotionState(self.mode, "", 1), lambda time_s: np.zeros(2),
            lambda: True, self.tip, lambda to_um: None, lambda: None,
        )  # fmt: skip
        self.worker = PipetteWorker(pipette, self.board, helm)

    def place_um(self) -> np.ndarray:
        return np.array(self.box.plant.load_um(time.perf_counter()))

    def tip(self) -> TipSight:
        return TipSight(time.perf_counter(), self.dish.met(self.place_um()[None])[0, :2])

    def until(self, *steps: Step) -> None:
        try:
            wait_until(lambda: self.injection.step in steps, 30.0)
        except AssertionError:
            pytest.fail(f"{self.injection.step}: {self.injection.reason}; {self.board.told[-6:]}")

    def press(self, command: PipetteCommand) -> None:
        self.see()
        self.worker.submit(command)

    def go(self, command: PipetteCommand, step: Step) -> None:
        told = len(self.board.told)
        self.press(command)
        wait_until(lambda: f"pipette: {step.value}" in self.board.told[told:], 30.0)

    def see(self) -> None:
        here_um, one = np.array([[5.0, -3.0]]), np.ones(1)
        self.worker.sightings.put(
            Tracks(
                time.perf_counter(),
                np.array([1]),
                here_um,
                np.array([[0.0, 0.0]]),
                np.eye(4)[None],
                here_um,
                np.array([[10.0, 8.0]]),
                one,
                one,
                np.array([TrackState.CONFIRMED], np.int8),
                np.zeros(1, np.int8),
                np.array([0]),
            )
        )

    def hold_until(self, *steps: Step, below_um: float = -np.inf) -> None:
        def done() -> bool:
            self.press(Descend())
            return self.injection.step in steps or self.place_um()[2] < below_um

        wait_until(done, 40.0)


@contextmanager
def running() -> Iterator[Bench]:
    now_s = time.perf_counter()
    box = MP285Emulator("mp285a", baud=115200, time_s=now_s, stands_at_um=(0.0, 0.0, 50.0))
    with (
        served(box) as url,
        GuardedManipulator(
            url, REACH, baud=115200, deadman_s=20.0, safe_z_um=SAFE_UM, options={"poll_s": 0.0}
        ) as pipette,
    ):
        pipette.permit_descent()  # no stage here
        bench = Bench(pipette, box)
        bench.worker.start()
        try:
            yield bench
        finally:
            bench.worker.halt()
            bench.worker.join(10.0)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with running() as one:
        yield one


@pytest.fixture
def aligned(bench: Bench) -> Bench:
    bench.mode = Mode.FOLLOWING
    bench.go(Park(), Step.PARKED)
    bench.go(StandBy(), Step.STANDBY)
    bench.go(Align("head"), Step.ALIGNED)
    assert bench.place_um() == pytest.approx((5.0, -3.0, SAFE_UM), abs=0.1)
    return bench


def test_down_to_contact_and_up_again(aligned: Bench) -> None:
    aligned.hold_until(Step.CONTACT)
    assert -5.5 < aligned.place_um()[2] - DISH_UM < 0.5
    assert aligned.place_um()[:2] == pytest.approx((5.0, -3.0), abs=2.0)
    aligned.press(Retract())
    aligned.until(Step.RAISED)
    assert aligned.place_um()[2] == pytest.approx(SAFE_UM, abs=0.1)
    assert aligned.board.faults == {}
    assert any("contact: the tip has slid" in text for text in aligned.board.told)


def test_let_go_it_rests_within_a_tenth_of_a_second(aligned: Bench) -> None:
    bench, worst_s = aligned, 0.0
    for height_um in (-45.0, -55.0, -62.0):
        bench.hold_until(below_um=height_um)
        bench.worker.submit(LetGo())
        let_go_s = time.perf_counter()
        wait_until(lambda: bench.injection.step is Step.PAUSED)
        wait_until(lambda: bench.box.plant.rest_s < time.perf_counter())
        worst_s = max(worst_s, bench.box.plant.rest_s - let_go_s)
        at_um = bench.place_um()[2]
        quiet_s = time.perf_counter() + 0.4
        wait_until(lambda until_s=quiet_s: time.perf_counter() > until_s)
        assert bench.place_um()[2] == at_um
    assert worst_s < 0.25  # 0.1 on a machine that is not busy
    assert bench.board.faults == {}


def test_stop_freezes_and_abort_goes_up_and_away(aligned: Bench) -> None:
    bench = aligned
    bench.hold_until(below_um=-50.0)
    bench.worker.stop_now()
    bench.until(Step.FROZEN)
    wait_until(lambda: bench.box.plant.rest_s < time.perf_counter())
    at_um = bench.place_um()
    bench.mode = Mode.DISARMED
    bench.press(Descend())
    bench.press(Park())
    wait_until(lambda: any("park: not now: arm first" in text for text in bench.board.told))
    assert bench.place_um() == pytest.approx(at_um)
    bench.press(Abort())
    bench.until(Step.PARKED)
    assert bench.place_um() == pytest.approx(PARK_UM, abs=0.1)
    assert bench.board.faults == {}


def test_a_target_outside_the_limits_freezes_with_the_reason(aligned: Bench) -> None:
    bench = aligned
    there = bench.injection._settings
    bench.injection._settings = there.model_copy(update={"park_um": (5_000.0, 0.0, 0.0)})
    bench.press(Park())
    bench.until(Step.FROZEN)
    assert "outside the soft limits" in bench.injection.reason
    bench.injection._settings = there
    assert bench.board.faults == {}


def test_knobs_that_are_turned_are_no_fault(aligned: Bench) -> None:
    bench = aligned
    bench.box.turn_roe((3.0, 0.0, 0.0), time.perf_counter())
    wait_until(lambda: bench.worker.pose is None or bench.worker.pose.x_um > 7.0)
    assert bench.board.faults == {}
    assert bench.worker.is_alive()


def test_a_hanging_controller_is_a_fault_and_nothing_is_sent_blindly() -> None:
    with running() as bench:
        bench.press(StandBy())
        wait_until(lambda: bench.injection.step is Step.GOING)
        bench.box._hang()
        wait_until(lambda: "pipette" in bench.board.faults, 20.0)
        assert bench.injection.step is Step.FROZEN
        bench.press(Abort())
        refusal = "abort: not now: the pipette's position is not known"
        wait_until(lambda: refusal in bench.board.told)


def test_a_rig_without_the_section_says_so() -> None:
    board = Board()
    worker = PipetteWorker(object(), board)  # type: ignore[arg-type]
    worker.submit(Park())
    worker._steer()
    assert board.told == ["the rig file has no [injection]"]


class Deaf:
    """A manipulator that answers nothing."""

    def __init__(self) -> None:
        self.asked = 0

    def read_pose(self) -> object:
        self.asked += 1
        raise GuardianError("pipette", "no answer", "check the cable")

    def move_to(self, *_: float) -> None:
        raise AssertionError("it moved")

    def stop(self) -> None:
        """Nothing moves."""


def test_a_look_at_the_sequence_alone_clears_no_fault() -> None:
    deaf, board = Deaf(), Board()
    worker = PipetteWorker(deaf, board)  # type: ignore[arg-type]
    for _ in range(4):
        worker.step()  # a tenth of a second each; the position is asked for twice a second
        assert board.faults == {"pipette": "pipette: no answer; check the cable"}
    assert deaf.asked == 1


def test_who_presses_what_a_dead_thread_would_do_is_told() -> None:
    board = Board()
    worker = PipetteWorker(object(), board)  # type: ignore[arg-type]
    worker.failure = RuntimeError("odd")
    worker.submit(Park())
    assert board.told == ["Park: the pipette thread has died; end the program, and start it again"]
