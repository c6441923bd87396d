"""Stop overtakes, and cancels what it overtakes."""

from __future__ import annotations

import threading
import time

from drivers.inbox import Inbox


def inbox() -> tuple[Inbox, list[str], list[float]]:
    interrupts: list[str] = []
    beats: list[float] = []
    return Inbox(lambda: interrupts.append("now"), beats.append), interrupts, beats


def test_requests_keep_their_order_and_each_is_a_sign_of_life():
    box, interrupts, beats = inbox()
    for number in range(3):
        box.put({"n": number, "do": "pose"})
    box.put({"do": "beat"})
    assert [box.take(0.0)["n"] for _ in range(3)] == [0, 1, 2]
    assert box.take(0.0) is None
    assert len(beats) == 4
    assert not interrupts


def test_a_stop_overtakes_fifty_commands_and_cancels_the_motions():
    box, interrupts, _ = inbox()
    for number in range(50):
        box.put({"n": number, "do": "velocity" if number % 2 else "pose"})
    box.put({"n": 50, "do": "stop"})
    assert interrupts == ["now"]
    assert box.take(0.0) is None
    stops, superseded = box.take_stops()
    assert [m["n"] for m in stops] == [50]
    assert [m["n"] for m in superseded] == list(range(1, 50, 2))
    assert box.take_stops() == ([], [])
    assert [box.take(0.0)["n"] for _ in range(25)] == list(range(0, 50, 2))


def test_a_waiting_taker_is_woken_by_a_stop_and_by_the_end():
    for wake in (lambda box: box.put({"do": "stop"}), lambda box: box.end()):
        box, interrupts, _ = inbox()
        taken = []
        taker = threading.Thread(target=lambda box=box, taken=taken: taken.append(box.take(1e12)))
        taker.start()
        wake(box)
        taker.join(5.0)
        assert taken == [None]
        assert interrupts == ["now"]


def test_the_end_voids_what_waits():
    box, _, _ = inbox()
    box.put({"n": 1, "do": "move"})
    box.end()
    assert box.ended
    assert box.take(time.perf_counter() + 9.0) is None
