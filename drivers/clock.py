"""Monotonic time: the machine's, or one that a closed loop winds by itself."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits for it."""

    def now_s(self) -> float:
        """Monotonic time."""
        ...

    def wait_until(self, time_s: float) -> None:
        """Return at ``time_s``, or at once when it has passed."""
        ...


class HostClock:
    """The machine's monotonic clock.

    ``time.perf_counter`` and ``time.monotonic`` are one clock on Linux. On Windows, before
    Python 3.13, ``time.monotonic`` ticks only every 15.6 ms: half a frame.
    """

    def now_s(self) -> float:
        """Monotonic time, the same in every process of this machine."""
        return time.perf_counter()

    def wait_until(self, time_s: float) -> None:
        """Sleep until ``time_s``; overshoots by the scheduler's latency, never undershoots."""
        while (left_s := time_s - time.perf_counter()) > 0:
            time.sleep(left_s)


class VirtualClock:
    """Time that stands still until somebody waits: a closed loop runs as fast as it computes."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        """Virtual time."""
        return self._now_s

    def wait_until(self, time_s: float) -> None:
        """Jump to ``time_s``; never back."""
        self._now_s = max(self._now_s, time_s)
