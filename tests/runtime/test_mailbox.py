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


def test_the_inbox_loses_nothing_and_lets_the_urgent_pass() -> None:
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
        taken += inbox.take_all()
    assert sorted(taken) == [*range(1000), *range(10_000, 11_000)]
    assert [k for k in taken if k < 10_000] == list(range(1000))
    inbox.put(1)
    inbox.put(2)
    inbox.put(99, urgent=True)
    assert inbox.take_all() == [99, 1, 2]
