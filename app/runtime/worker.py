"""A thread that cannot die unseen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

NAME = "sfcscope"


class Board(Protocol):
    """Where workers report: told once per fault, shown until it is cleared."""

    def fault(self, source: str, error: Exception | str) -> None:
        """Show a fault of ``source``; all motion stops."""
        ...

    def clear(self, source: str) -> None:
        """Take the fault of ``source`` away: its cause is gone."""
        ...

    def tell(self, text: str, severity: str = "info", **details: str) -> None:
        """Tell the operator something."""
        ...


class Worker(threading.Thread):
    """One loop in a thread of its own: ``open`` once, ``step`` until stopped, ``close`` always.

    An exception in any of them ends the thread, is named, and reported to the board as a fault.

    Parameters
    ----------
    name : str
        What the operator knows it as.
    board : Board
    """

    def __init__(self, name: str, board: Board) -> None:
        super().__init__(name=f"{NAME}-{name}", daemon=True)
        self.role = name
        self.board = board
        self.failure: Exception | None = None
        self.beat_s = time.perf_counter()
        self.ready = threading.Event()
        self.stopping = threading.Event()
        self.finished = False

    @property
    def obituary(self) -> str:
        """What a person is told who presses what this thread would do, once it has died."""
        return f"the {self.role} thread has died; end the program, and start it again"

    def open(self) -> None:
        """Get what the loop needs; runs in the thread."""

    def step(self) -> None:
        """One turn of the loop; returns within 250 ms."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of everything; runs in the thread, after an error as well."""

    def finish(self) -> None:
        """End the loop from within: nothing more to do."""
        self.finished = True

    def halt(self) -> None:
        """Ask the loop to end; ``join`` waits for it."""
        self.stopping.set()

    def run(self) -> None:
        """Run the loop; called by ``start``."""
        try:
            self._guarded(self._loop)
        finally:
            self._guarded(self.close)
            self.ready.set()

    def _loop(self) -> None:
        self.open()
        self.ready.set()
        while not (self.stopping.is_set() or self.finished):
            self.beat_s = time.perf_counter()
            self.step()

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # shown to the operator as a fault of this thread
            self.failure = self.failure or error
            self.board.fault(self.role, error)
