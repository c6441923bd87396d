"""Frames side by side come out in their order, and nothing piles up."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notice_board import Board

from app.runtime.lanes import InOrder, Lane, Seen
from app.runtime.mailbox import Latest
from drivers.types import Frame
from models.types import Detections, Perception

IMAGE = np.full((64, 64), 150, np.uint8)


def seen(number: int) -> Seen:
    frame = Frame(IMAGE, number, number / 30, 0.005, number / 30)
    return Seen(frame, Perception(Detections.empty()), 0.0)


@settings(deadline=None)
@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_results_come_in_the_order_of_beginning(order: list[int], failed: set[int]) -> None:
    results = InOrder(10)
    tickets = [results.begin() for _ in range(6)]
    taken: list[int] = []
    for number in order:
        results.finish(tickets[number], None if number in failed else seen(number))
        while (item := results.take(0.0)) is not None:
            taken.append(item.frame.number)
    assert taken == [number for number in range(6) if number not in failed]


def test_there_is_room_for_so_many_and_not_more() -> None:
    results = InOrder(2)
    first, second = results.begin(), results.begin()
    assert not results.has_room(0.0)
    results.finish(second, seen(2))
    assert results.take(0.0) is None
    results.finish(first, seen(1))
    assert [item.frame.number for item in (results.take(0.0), results.take(0.0)) if item] == [1, 2]
    assert results.has_room(0.0)
    assert results.take(0.01) is None


class Slow:
    """Takes longer for even frames; may fail."""

    name = "slow"

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.gate = threading.Event()

    def warm_up(self, height_px: int, width_px: int) -> None:
        pass

    def detect(self, image: np.ndarray) -> Perception:
        if self.fails:
            raise RuntimeError("no")
        self.gate.wait(0.004 if image[0, 0] % 2 else 0.02)
        return Perception(Detections.empty())


def run_lanes(detectors: list[Slow], board: Board) -> tuple[Latest[Frame], InOrder, list[Lane]]:
    frames: Latest[Frame] = Latest()
    results, turn = InOrder(4), threading.Lock()
    lanes = [Lane(k, d, frames, turn, results, board) for k, d in enumerate(detectors, start=1)]
    for lane in lanes:
        lane.start()
        while not lane.ready.is_set():
            frames.put(seen(0).frame)
            lane.ready.wait(0.01)
    return frames, results, lanes


def end(lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.halt()
    for lane in lanes:
        lane.join(3.0)
        assert not lane.is_alive()


def test_two_lanes_keep_the_order_of_the_frames() -> None:
    frames, results, lanes = run_lanes([Slow(), Slow()], Board())
    taken: list[int] = []
    for number in range(1, 60):
        image = np.full((64, 64), number, np.uint8)
        frames.put(Frame(image, number, number / 30, 0.005, number / 30))
        item = results.take(0.01)
        if item is not None:
            taken.append(item.frame.number)
    deadline_s = time.perf_counter() + 2.0
    while (not taken or taken[-1] != 59) and time.perf_counter() < deadline_s:
        item = results.take(0.1)
        if item is not None:
            taken.append(item.frame.number)
    end(lanes)
    assert taken == sorted(taken)
    assert taken[-1] == 59


def test_a_lane_that_fails_is_named_and_gives_its_place_up() -> None:
    board = Board()
    frames, results, lanes = run_lanes([Slow(fails=True)], board)
    frames.put(seen(7).frame)
    lanes[0].join(5.0)
    end(lanes)
    assert board.faults == {"detect 1": "no"}
    assert results.take(0.0) is None
    assert results.has_room(0.0)


@pytest.mark.parametrize("count", [1, 2])
def test_lanes_end_without_frames(count: int) -> None:
    _, _, lanes = run_lanes([Slow() for _ in range(count)], Board())
    end(lanes)


def test_a_detector_that_leaves_its_gpu_is_told_once() -> None:
    class Moves(Slow):
        """Computes on the processor from its first frame on, as SFCNet on a full GPU does."""

        name = "network (cuda)"

        def detect(self, image: np.ndarray) -> Perception:
            self.name = "network (cpu)"
            return super().detect(image)

    board = Board()
    frames, results, lanes = run_lanes([Moves()], board)
    assert not board.told
    for number in (1, 3, 5):
        frames.put(Frame(IMAGE, number, number / 30, 0.005, number / 30))
        assert results.take(3.0) is not None
    end(lanes)
    (line,) = board.told
    assert "detect 1: network (cuda) had no room left and goes on as network (cpu)" in line
