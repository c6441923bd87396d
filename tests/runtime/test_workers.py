"""Threads that cannot die or hang unseen; the operator of a run without a person; the doctor."""

from __future__ import annotations

import math
import threading
import time
from types import SimpleNamespace

import pytest
from emulated import wait_until
from notice_board import Board

from app.core.messages import Arm, Command, Follow, FollowBest, Mode, MotionState, Release, Snapshot
from app.runtime.doctor import Probe, run_probes
from app.runtime.operator import RETRY_S, ScriptedOperator
from app.runtime.watchdog import Watchdog
from app.runtime.worker import Worker
from calibration.errors import CalibrationError
from drivers.errors import PortError
from models.errors import WeightsError


class Fragile(Worker):
    """Fails where it is told to, or waits until it is freed."""

    def __init__(self, board: Board, fails_in: str = "") -> None:
        super().__init__("fragile", board)
        self.fails_in = fails_in
        self.free = threading.Event()
        self.closed = False

    def _perhaps(self, where: str) -> None:
        if where == self.fails_in:
            raise RuntimeError(f"in {where}")

    def open(self) -> None:
        self._perhaps("open")

    def step(self) -> None:
        self._perhaps("step")
        self.free.wait(10.0)

    def close(self) -> None:
        self.closed = True
        self._perhaps("close")


@pytest.mark.parametrize("where", ["open", "step", "close"])
def test_a_failure_is_named_and_everything_is_let_go(where: str) -> None:
    board = Board()
    worker = Fragile(board, where)
    worker.free.set()
    worker.start()
    assert worker.ready.wait(5.0)
    worker.halt()
    worker.join(5.0)
    assert worker.closed
    assert board.faults == {"fragile": f"in {where}"}
    assert isinstance(worker.failure, RuntimeError)
    assert worker.name == "sfcscope-fragile"


def test_the_watchdog_reports_who_hangs_and_stops_the_stage() -> None:
    board = Board()
    stops: list[float] = []
    worker = Fragile(board)
    worker.start()
    assert worker.ready.wait(5.0)
    watchdog = Watchdog([worker], lambda: math.inf, lambda: stops.append(0.0), board)
    watchdog.step()
    assert not stops
    worker.beat_s -= 10.0
    watchdog.step()
    watchdog.step()
    assert "fragile thread" in board.faults
    assert len(stops) == 1
    worker.free.set()
    board.news.clear()
    deadline_s = time.perf_counter() + 5.0
    while board.faults and time.perf_counter() < deadline_s:
        watchdog.step()
    assert board.faults == {}
    worker.halt()
    worker.join(5.0)


def test_a_stop_that_the_stage_thread_does_not_see_is_sent_by_the_watchdog() -> None:
    stops: list[float] = []
    asked_s = [time.perf_counter() - 0.2]
    watchdog = Watchdog([], lambda: asked_s[0], lambda: stops.append(0.0), Board())
    watchdog.start()
    watchdog.halt()
    watchdog.join(5.0)
    watchdog.step()
    assert stops


def test_a_stop_that_is_not_confirmed_is_told_and_the_watchdog_looks_on() -> None:
    board, tried = Board(), []

    def stop() -> None:
        tried.append(0.0)
        raise PortError("stage", "the port has vanished", "plug the cable in again")

    asked_s = time.perf_counter() - 0.2
    watchdog = Watchdog([], lambda: asked_s, stop, board)
    watchdog.start()
    wait_until(lambda: len(tried) > 1)
    watchdog.halt()
    watchdog.join(5.0)
    assert watchdog.failure is None
    assert board.faults == {}  # one that nothing could ever clear would forbid arming for good
    (told,) = board.told
    assert "the stop was not confirmed: stage: the port has vanished" in told


def test_the_watchdog_ends() -> None:
    watchdog = Watchdog([], lambda: math.inf, lambda: None, Board())
    watchdog.start()
    watchdog.halt()
    watchdog.join(2.0)
    assert not watchdog.is_alive()


class Pressed:
    """A loop that shows one state and notes what is pressed."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.mode = Mode.DISARMED
        self.ranking: tuple[int, ...] = ()
        self.track_id = [3]

    def submit(self, command: Command) -> None:
        self.commands.append(command)

    def latest(self) -> Snapshot:
        return SimpleNamespace(  # type: ignore[return-value]
            motion=MotionState(self.mode),
            ranking=self.ranking,
            pose=object(),
            tracks=SimpleNamespace(track_id=self.track_id),
        )


def test_the_scripted_operator_waits_arms_follows_and_chooses_anew() -> None:
    loop = Pressed()
    operator = ScriptedOperator(loop, "20x", "best")
    operator.tick(1.0)
    assert loop.commands == []
    loop.ranking = (3,)
    operator.tick(2.0)
    operator.tick(2.0 + RETRY_S / 2)
    assert loop.commands == [Arm("20x")]
    loop.mode = Mode.ARMED
    operator.tick(3.0)
    loop.mode = Mode.FOLLOWING
    operator.tick(4.0)
    loop.mode = Mode.HOLD
    operator.tick(5.0)
    assert loop.commands[1:] == [FollowBest(), FollowBest()]
    loop.mode = Mode.DISARMED  # somebody pressed Stop
    operator.tick(6.0)
    assert len(loop.commands) == 3


def test_a_named_track_is_never_replaced_by_another() -> None:
    loop = Pressed()
    loop.mode, loop.ranking = Mode.ARMED, (7,)
    operator = ScriptedOperator(loop, "20x", 3)
    operator.tick(1.0)
    loop.track_id = [7]
    loop.mode = Mode.HOLD
    operator.tick(2.0)
    assert loop.commands == [Follow(3)]
    none = ScriptedOperator(loop, "20x", "none")
    none.tick(9.0)
    assert loop.commands == [Follow(3)]
    assert Release() not in loop.commands


def test_the_doctor_looks_at_everything_and_says_what_to_do() -> None:
    def port() -> str:
        raise PortError("stage at COM9", "cannot be opened", "check its name")

    def weights() -> str:
        raise WeightsError("lite.pt: not in the manifest; export it again")

    def calibration() -> str:
        raise CalibrationError("expired on 2026-01-01")

    checks = run_probes(
        [
            Probe("stage port", port),
            Probe("detector", weights),
            Probe("calibration", calibration, "calibrate again"),
            Probe("disk", lambda: "8 GB free"),
        ]
    )
    assert [check["ok"] for check in checks] == [False, False, False, True]
    assert checks[0]["detail"] == "stage at COM9: cannot be opened"
    assert [check["hint"] for check in checks] == [
        "check its name", "export it again", "calibrate again", "",
    ]  # fmt: skip
