"""How fast the loop is: rates, delays and losses, kept in bounded memory."""

from __future__ import annotations

import math
import threading
from collections import deque

import numpy as np

KEPT = 36_000  # 20 minutes at 30 Hz
FPS_WINDOW_S = 2.0
P5_FRAMES = 30


class Delays:
    """Delays of many frames; percentiles on demand. Safe to use from any thread."""

    def __init__(self) -> None:
        self._values_s: deque[float] = deque(maxlen=KEPT)

    def add(self, delay_s: float) -> None:
        """Take in one delay."""
        self._values_s.append(delay_s)

    def percentiles_ms(self) -> dict[str, float | None]:
        """Return p50, p95 and p99 in milliseconds; None where nothing was measured."""
        values_s = list(self._values_s)
        if not values_s:
            return {"p50": None, "p95": None, "p99": None}
        found_ms = np.percentile(values_s, (50, 95, 99)) * 1e3
        return dict(zip(("p50", "p95", "p99"), (round(float(v), 2) for v in found_ms), strict=True))


class FrameCount:
    """Frames that were processed and frames that were lost, from the device's own counter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first_number = 0
        self._last_number = 0
        self._done_s: deque[float] = deque(maxlen=KEPT)
        self._first_s = math.nan
        self.frames = 0

    def add(self, number: int, done_s: float) -> None:
        """Take in a frame that was processed at ``done_s``."""
        with self._lock:
            if self.frames == 0:
                self._first_number, self._first_s = number, done_s
            self._last_number = number
            self._done_s.append(done_s)
            self.frames += 1

    @property
    def dropped(self) -> int:
        """Frames lost between the first and the last processed one, wherever they were lost."""
        with self._lock:
            if self.frames == 0:
                return 0
            return self._last_number - self._first_number + 1 - self.frames

    def fps(self, now_s: float) -> float:
        """Frames per second over the last two seconds, or since the first frame."""
        with self._lock:
            window_s = min(FPS_WINDOW_S, now_s - self._first_s)
            if not window_s > 0:
                return 0.0
            recent = 0
            for done_s in reversed(self._done_s):
                if done_s <= now_s - window_s:
                    break
                recent += 1
            return recent / window_s

    def mean_fps(self) -> float | None:
        """Frames per second from the first to the last frame."""
        with self._lock:
            if self.frames < 2:
                return None
            return (self.frames - 1) / (self._done_s[-1] - self._first_s)

    def p5_fps(self) -> float | None:
        """Rate that 95% of all runs of 30 frames exceed."""
        with self._lock:
            done_s = np.array(self._done_s)
        if len(done_s) <= P5_FRAMES:
            return None
        rates = P5_FRAMES / (done_s[P5_FRAMES:] - done_s[:-P5_FRAMES])
        return float(np.percentile(rates, 5))
