"""Handing over between threads: the newest one, or every one."""

from __future__ import annotations

import threading
import time

from app.runtime.mailbox import Inbox, Latest


def test_the_newest_wins_and_the_lost_are_counted() -> None:
    box: Latest[int] = Latest()
    assert box.take() is None
    for k in range(5):
        box.put(k)
    assert box.take() == 4
    assert box.take() is None
    assert box.replaced == 4


def test_one_that_waits_is_woken_at_once() -> None:
    box: Latest[float] = Latest()
    waited: list[float] = []

    def reader() -> None:
        sent_s = box.take(5.0)
        assert sent_s is not None
        waited.append(time.perf_counter() - sent_s)

    thread = threading.Thread(target=reader)
    thread.start()
    box.put(time.perf_counter())
    thread.join()
    assert waited[0] < 0.5


def test_the_inbox_loses_nothing_and_keeps_the_order() -> None:
    wake = threading.Event()
    inbox: Inbox[int] = Inbox(wake)

    def writer(base: int) -> None:
        for k in range(1000):
            inbox.put(base + k)

    threads = [threading.Thread(target=writer, args=(base,)) for base in (0, 10_000)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while any(thread.is_alive() for thread in threads) or len(inbox):
        wake.wait(0.1)
        wake.clear()
        while (item := inbox.take()) is not None:
            taken.append(item)
    assert sorted(taken) == [*range(1000), *range(10_000, 11_000)]
    assert [k for k in taken if k < 10_000] == list(range(1000))


def test_what_was_left_before_a_stop_is_void_and_can_be_told() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    inbox.put(2)
    inbox.void()
    inbox.put(99)
    inbox.put(3)
    assert [inbox.take(), inbox.take(), inbox.take()] == [99, 3, None]
    assert inbox.take_void() == [1, 2]
    assert inbox.take_void() == []
