"""Requests that wait for the guardian. A stop does not wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from drivers.guardian_messages import Json

MOTION = ("move", "velocity")


class Inbox:
    """Filled by the thread that reads the pipe, emptied by the one that owns the port.

    Parameters
    ----------
    interrupt : callable
        Called, from the filling thread, when the emptying one must not wait any longer for a
        reply on the wire: a stop has come, or the host has gone.
    beat : callable
        Called with the time of arrival of each message: every message is a sign of life.
    """

    def __init__(self, interrupt: Callable[[], None], beat: Callable[[float], None]) -> None:
        self._interrupt = interrupt
        self._beat = beat
        self._ready = threading.Condition()
        self._waiting: deque[Json] = deque()
        self._stops: list[Json] = []
        self._superseded: list[Json] = []
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether the host has closed its end."""
        with self._ready:
            return self._ended

    def put(self, message: Json) -> None:
        """Add a request; a stop overtakes all of them and cancels the motions among them."""
        now_s = time.perf_counter()
        with self._ready:
            self._beat(now_s)
            if message.get("do") == "beat":
                return
            if message.get("do") == "stop":
                self._stops.append(message)
                self._superseded += [m for m in self._waiting if m.get("do") in MOTION]
                self._waiting = deque(m for m in self._waiting if m.get("do") not in MOTION)
                self._interrupt()
            else:
                self._waiting.append(message)
            self._ready.notify()

    def end(self) -> None:
        """Note that nothing more will come; what waits is void."""
        with self._ready:
            self._ended = True
            self._waiting.clear()
            self._interrupt()
            self._ready.notify()

    def take(self, until_s: float) -> Json | None:
        """Next request, waiting until ``until_s`` at most; at once with None for a stop or the end.

        Look at ``take_stops`` and ``ended`` before acting on the result.
        """
        with self._ready:
            while not (self._waiting or self._stops or self._ended):
                left_s = until_s - time.perf_counter()
                if left_s <= 0:
                    return None
                self._ready.wait(min(left_s, 3600.0))
            if self._stops or self._ended:
                return None
            return self._waiting.popleft()

    def take_stops(self) -> tuple[list[Json], list[Json]]:
        """Take the stops that have come, and the motions that they cancelled."""
        with self._ready:
            stops, superseded = self._stops, self._superseded
            self._stops, self._superseded = [], []
            return stops, superseded
