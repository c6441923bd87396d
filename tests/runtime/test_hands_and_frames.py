"""A person who takes the stage, and a stage whose positions have lost their meaning."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from emulated import served
from notice_board import Board
from small_rig import PlantStage

from app.config import ServoConfig
from app.core.interlocks import Health
from app.core.messages import Arm, Follow, Mode, MoveBy
from app.core.pilot import Halt, Pilot
from app.core.pose_history import PoseHistory
from app.runtime.motion import StagePoses, StageWorker
from drivers.emulators.plant import Plant, PlantSettings
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import DeviceError, FrameLost, GuardianError, NotNow
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits
from drivers.pose import Pose
from drivers.protocols import Stage
from models.types import Tracks, TrackState

FRESH = Health(0.0, 0.15, 0.0)


class Kept:
    """A stage behind a guardian, as far as the stage thread sees it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.log: list[str] = []
        self.news: list[tuple[str, str]] = []
        self.broken: DeviceError | None = None
        self.lost = False

    def _do(self, what: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.log.append(what)

    def read_pose(self) -> Pose:
        self._do("pose")
        return Pose(self.clock(), 0.0, 0.0, np.nan, False)

    def move_to(self, x_um: float, y_um: float) -> None:
        self._do("move")

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        self._do("velocity")

    def stop(self) -> None:
        self.log.append("stop")

    def reconnect(self, *, new_frame: bool = False) -> Pose:
        self.log.append(f"reconnect {new_frame}")
        if self.lost and not new_frame:
            raise FrameLost("stage", "says that it is at the origin", "find its place again")
        self.broken, self.lost = None, False
        return self.read_pose()

    def events(self) -> list[tuple[str, str]]:
        news, self.news = self.news, []
        return news


class Bench:
    """A stage worker whose steps are taken by the test."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.board = Board()
        self.stage = Kept(time.perf_counter)
        self.calibrated = False
        self.worker = StageWorker(
            stage or self.stage, StagePoses(0.03), ServoConfig(), 30.0, 2000.0, lambda _: "",
            lambda: next(iter(self.board.faults.values()), ""), self.board,
            lambda since_s: self.calibrated,
        )  # fmt: skip
        self.now = time.perf_counter

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.see()
            self.worker._wake.set()
            self.worker.step()

    def see(self) -> None:
        self.worker.sightings.put(one_sperm(self.now()))

    def follow(self) -> None:
        self.step(2)
        self.worker.submit(Arm("20x"))
        self.step()
        self.worker.submit(Follow(1))
        self.step(2)
        assert self.worker.state.mode in (Mode.CENTERING, Mode.FOLLOWING), self.worker.state


def one_sperm(time_s: float) -> Tracks:
    here_um, one = np.array([[10.0, 0.0]]), np.ones(1)
    return Tracks(
        time_s, np.array([1]), here_um, np.array([[20.0, 0.0]]), np.eye(4)[None], here_um,
        np.array([[10.0, 8.0]]), one, one, np.array([TrackState.CONFIRMED], np.int8),
        np.zeros(1, np.int8), np.array([0]),
    )  # fmt: skip


def test_m8_a_camera_that_dies_in_a_planned_move_stops_it() -> None:
    stage = PlantStage()
    stage.plant = Plant(PlantSettings(max_speed_um_s=100.0), time_s=time.perf_counter())
    bench = Bench(stage)
    bench.step(2)
    bench.worker.submit(Arm("20x"))
    bench.step()
    bench.worker.submit(MoveBy(190.0, 0.0))
    bench.step()
    assert stage.log[-1][0] == "move"
    end_s = time.perf_counter() + 5.0
    while not bench.worker.state.reason:  # steps without a frame: each waits for one in vain
        bench.worker.step()
        assert time.perf_counter() < end_s
    assert bench.worker.state.mode is Mode.ARMED
    assert bench.worker.state.reason == "the move was stopped: the camera's frames are stale"
    assert stage.log[-1][0] == "stop"
    move_s, stop_s = stage.log[-2][1], stage.log[-1][1]
    assert stop_s - move_s < 0.5
    assert stage.plant.motor_um(stop_s + 1.0)[0] < 100.0
    assert bench.board.faults == {}
    bench.worker.submit(MoveBy(10.0, 0.0))
    bench.worker._wake.set()
    bench.worker.step()
    assert "not moved: the camera's frames are stale" in bench.board.told
    assert stage.log[-1][0] == "stop"
    assert any("armed: the move was stopped" in text for text in bench.board.told)


def test_a_hand_on_the_joystick_holds_and_nothing_more_is_sent() -> None:
    bench = Bench()
    bench.follow()
    bench.stage.news = [("hand", "somebody has the joystick")]
    bench.step()
    assert bench.worker.state.mode is Mode.HOLD
    assert bench.worker.state.reason == "somebody has the joystick"
    assert bench.board.faults == {}
    sent = len(bench.stage.log)
    bench.step(5)
    assert set(bench.stage.log[sent:]) <= {"pose"}  # not even a stop: the person drives


def test_a_joystick_that_is_pushed_while_the_stage_follows_holds_it() -> None:
    # everything but the camera is real here: guardian, port, and the controller's other end
    box = ProScanEmulator(time_s=time.perf_counter())
    limits = SoftLimits((-5_000.0,) * 2, (5_000.0,) * 2, 1_000.0)
    with (
        served(box) as url,
        GuardedStage(url, limits, deadman_s=2.0, options={"joystick_live": True}) as stage,
    ):
        bench = Bench(stage)
        bench.follow()
        bench.step(3)
        end_s = time.perf_counter() + 20.0
        while bench.worker.state.mode is not Mode.HOLD and time.perf_counter() < end_s:
            box.touch(-400.0, time.perf_counter())
            bench.step()
        assert bench.worker.state.mode is Mode.HOLD
        assert "somebody has the joystick" in bench.worker.state.reason
        assert bench.board.faults == {}
        box.touch(500.0, time.perf_counter())  # and it is the person's
        pushed_um = box.plant.motor_um(box.plant.rest_s)[0]
        while box.plant.rest_s > time.perf_counter() - 0.1:
            bench.step()
        assert box.plant.motor_um(time.perf_counter())[0] == pytest.approx(pushed_um, abs=1.0)


def test_a_command_that_is_refused_because_of_a_person_holds_too() -> None:
    bench = Bench()
    bench.follow()
    bench.stage.broken = NotNow("stage", "somebody has the joystick", "let go, wait a second")
    bench.step()
    assert bench.worker.state.mode is Mode.HOLD
    assert "somebody has the joystick" in bench.worker.state.reason
    assert bench.board.faults == {}
    assert "stop" not in bench.stage.log
    bench.stage.broken = None
    bench.step(3)
    assert bench.worker.state.mode is Mode.HOLD
    assert not any(word.startswith("reconnect") for word in bench.stage.log)


def test_a_planned_move_that_a_person_or_the_guardian_ends_is_told() -> None:
    bench = Bench()
    bench.step(2)
    bench.worker.submit(Arm("20x"))
    bench.step()
    bench.stage.broken = NotNow("stage", "somebody has the joystick", "let go, wait a second")
    bench.worker.submit(MoveBy(50.0, 0.0))
    bench.step()
    why = "the move has ended: stage: somebody has the joystick; let go, wait a second"
    assert bench.board.told.count(why) == 1
    bench.stage.broken = None
    for kind in ("hand", "deadman"):
        bench.worker.submit(MoveBy(50.0, 0.0))
        bench.worker.sightings.put(one_sperm(time.perf_counter()))
        bench.stage.news = [(kind, f"because of {kind}")]
        bench.step()
        assert any(
            "the move has ended" in t and f"because of {kind}" in t for t in bench.board.told
        )
    assert bench.worker.state.mode is Mode.ARMED


def test_positions_that_are_lost_come_back_only_with_a_new_calibration() -> None:
    bench = Bench()
    bench.follow()
    bench.stage.lost = True
    bench.stage.broken = FrameLost("stage", "says that it is at the origin", "find its place again")
    bench.step()
    assert bench.worker.state.mode is Mode.FAULT
    for _ in range(2):
        bench.worker.submit(Arm("20x"))
        bench.step()
        assert bench.worker.state.mode is Mode.FAULT
    assert "reconnect False" in bench.stage.log
    assert "reconnect True" not in bench.stage.log
    bench.calibrated = True
    bench.worker.submit(Arm("20x"))
    bench.step()
    assert bench.stage.log.count("reconnect True") == 1
    bench.stage.broken = GuardianError("stage", "no reply", "")
    bench.step()
    bench.worker.submit(Arm("20x"))
    bench.step()
    assert bench.stage.log.count("reconnect True") == 1  # another fault needs no new frame


@pytest.mark.parametrize("hand", [True, False])
def test_a_pilot_that_hands_over_is_silent_one_that_gives_up_halts(hand: bool) -> None:
    poses = PoseHistory(0.03)
    pilot = Pilot(ServoConfig(), poses, 30.0)
    pilot.read(Pose(0.0, 0.0, 0.0, np.nan, False), 0.0)
    pilot.see(one_sperm(0.0), 0.05)
    assert pilot.obey(Arm("20x"), 0.05, FRESH, "") == ""
    assert pilot.obey(Follow(1), 0.05, FRESH, "") == ""
    assert pilot.act(0.06, FRESH) is not None
    (pilot.hand_over if hand else pilot.give_up)(0.07, "why")
    assert pilot.state.mode is Mode.HOLD
    action = pilot.act(0.08, FRESH)
    assert action is None if hand else isinstance(action, Halt)
    assert pilot.act(0.09, FRESH) is None
