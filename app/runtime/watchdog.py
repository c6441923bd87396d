"""The watchdog thread: looks at the others' heartbeats and stops the stage where one is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from app.runtime.worker import Board, Worker
from drivers.errors import DeviceError

TICK_S = 0.020
SILENT_S = 3.0
STOP_SEEN_S = 0.050


class Watchdog(Worker):
    """Reports a thread that hangs, and stops the stage over the head of a hung stage thread.

    A stale frame or pose is the stage thread's own business; this is for the case that a thread
    itself is stuck. The guardian of the port stops the stage in any case 150 ms after the last
    velocity.

    Parameters
    ----------
    workers : sequence of Worker
        Those to look at, once they are ready.
    stop_pending_s : callable
        When a Stop was asked for that the stage thread has not seen; infinity when none.
    stop : callable
        Stops the stage from this thread.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        stop_pending_s: Callable[[], float],
        stop: Callable[[], None],
        board: Board,
    ) -> None:
        super().__init__("watchdog", board)
        self._workers = workers
        self._stop_pending_s = stop_pending_s
        self._stop_stage = stop
        self._hung: set[str] = set()
        self._told = ""

    def step(self) -> None:
        """Look once."""
        now_s = time.perf_counter()
        if now_s - self._stop_pending_s() > STOP_SEEN_S:
            self._stop_now()
        for worker in self._workers:
            hung = worker.ready.is_set() and worker.is_alive() and now_s - worker.beat_s > SILENT_S
            if hung and worker.role not in self._hung:
                self._hung.add(worker.role)
                self.board.fault(
                    f"{worker.role} thread",
                    f"the {worker.role} thread has not moved for {SILENT_S:.0f} s; "
                    "if this stays, end the program",
                )
                self._stop_now()
            elif not hung and worker.role in self._hung:
                self._hung.discard(worker.role)
                self.board.clear(f"{worker.role} thread")
        self.stopping.wait(TICK_S)

    def _stop_now(self) -> None:
        """Stop the stage; what cannot be confirmed is told, and looking goes on.

        The guardian tries on by itself, and the stage thread has the fault, which ends with its
        cause.
        """
        try:
            self._stop_stage()
        except DeviceError as error:
            text = f"the stop was not confirmed: {error}"
            if text != self._told:  # tried again fifty times a second
                self.board.tell(text, "fault")
            self._told = text
        else:
            self._told = ""
