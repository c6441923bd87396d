"""Frames side by side: each lane works on one frame alone, and all come out in their order."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from app.runtime.mailbox import Latest
from app.runtime.worker import Board, Worker
from drivers.types import Frame
from models.detector import Detector
from models.types import Perception

WAIT_S = 0.25


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame and what the detector says of it. ``inferred_s`` is when it was said."""

    frame: Frame
    perception: Perception
    inferred_s: float


@dataclass(slots=True)
class Ticket:
    """A place in the order."""

    done: bool = False
    seen: Seen | None = None


class InOrder:
    """Gives back what several threads finish in the order in which they began.

    Parameters
    ----------
    room : int
        How many may be under way or waiting to be taken.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._change = threading.Condition()
        self._tickets: deque[Ticket] = deque()

    def has_room(self, timeout_s: float) -> bool:
        """Wait until another frame may begin."""
        with self._change:
            return self._change.wait_for(lambda: len(self._tickets) < self._room, timeout_s)

    def begin(self) -> Ticket:
        """Take the next place."""
        ticket = Ticket()
        with self._change:
            self._tickets.append(ticket)
        return ticket

    def finish(self, ticket: Ticket, seen: Seen | None) -> None:
        """Leave the result at its place; None gives the place up."""
        with self._change:
            ticket.done, ticket.seen = True, seen
            self._change.notify_all()

    def take(self, timeout_s: float) -> Seen | None:
        """Take the next result, in order; None when it did not come in time."""
        deadline_s = time.perf_counter() + timeout_s
        with self._change:
            while True:
                while self._tickets and self._tickets[0].done:
                    seen = self._tickets.popleft().seen
                    self._change.notify_all()
                    if seen is not None:
                        return seen
                left_s = deadline_s - time.perf_counter()
                if left_s <= 0 or not self._change.wait(left_s):
                    return None

    def clear(self) -> None:
        """Forget what is finished."""
        while self.take(0.0) is not None:
            pass


class Lane(Worker):
    """Takes the newest frame, detects, leaves the result in order.

    Parameters
    ----------
    number : int
        From 1.
    detector : Detector
        Its own.
    frames : Latest[Frame]
        From the grab thread.
    turn : threading.Lock
        Shared by all lanes: taking a frame and a place in the order is one act.
    results : InOrder
    """

    def __init__(
        self,
        number: int,
        detector: Detector,
        frames: Latest[Frame],
        turn: threading.Lock,
        results: InOrder,
        board: Board,
    ) -> None:
        super().__init__(f"detect {number}", board)
        self._detector = detector
        self._computes_as = detector.name
        self._frames = frames
        self._turn = turn
        self._results = results

    def open(self) -> None:
        """Warm up at the size of the frames; what comes meanwhile is too early, not lost."""
        frame = None
        while frame is None and not self.stopping.is_set():
            frame = self._frames.take(WAIT_S)
        if frame is not None:
            self._detector.warm_up(*frame.image.shape)
            self._told()

    def step(self) -> None:
        """Detect in one frame."""
        if not self._turn.acquire(timeout=WAIT_S):
            return
        try:
            frame = self._frames.take(WAIT_S) if self._results.has_room(WAIT_S) else None
            if frame is None:
                return
            ticket = self._results.begin()
        finally:
            self._turn.release()
        seen = None
        try:
            seen = Seen(frame, self._detector.detect(frame.image), time.perf_counter())
        finally:
            self._results.finish(ticket, seen)
        self._told()

    def _told(self) -> None:
        """Tell the operator when the detector goes on as another: a GPU's memory may be full."""
        if self._detector.name == self._computes_as:
            return
        before, self._computes_as = self._computes_as, self._detector.name
        self.board.tell(
            f"{self.role}: {before} had no room left and goes on as {self._computes_as}; "
            "expect fewer frames a second",
            "warning",
        )
