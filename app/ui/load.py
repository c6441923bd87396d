"""What the program costs: processor and memory, of itself and of what it started."""

from __future__ import annotations

from typing import Final

import psutil

MIB: Final = 2**20
SETTLING_S: Final = 20.0
"""Until then kernels are compiled and caches filled: growth counts from here."""


class Load:
    """Sampled once a second.

    Memory is that of this process alone; processor time includes guardians and emulators.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._busy_s: float | None = None
        self._begin_s = 0.0
        self._last_s = 0.0
        self._last_busy_s = 0.0
        self._first_rss = 0
        self._rss = 0

    def sample(self, elapsed_s: float, whole_s: float) -> None:
        """Take a sample ``elapsed_s`` after the start of a run of ``whole_s``."""
        self._rss = self._process.memory_info().rss
        self._last_s, self._last_busy_s = elapsed_s, self._cpu_s()
        if self._busy_s is None or elapsed_s <= min(SETTLING_S, whole_s / 3):
            self._begin_s, self._busy_s, self._first_rss = elapsed_s, self._last_busy_s, self._rss

    def result(self) -> dict[str, object]:
        """Return cpu_percent (100 is one core), rss_mb and rss_growth_mb."""
        span_s = self._last_s - self._begin_s
        cpu = None
        if self._busy_s is not None and span_s > 0:
            cpu = round((self._last_busy_s - self._busy_s) / span_s * 100, 1)
        return {
            "cpu_percent": cpu,
            "rss_mb": round(self._rss / MIB, 1),
            "rss_growth_mb": round((self._rss - self._first_rss) / MIB, 1),
        }

    def _cpu_s(self) -> float:
        """Processor time of this process and its children so far, seconds."""
        total = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total
