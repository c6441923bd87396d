"""One question and its answer at a time, as a ProScan gives them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from drivers.errors import BadReply, RefusedCommand, ReplyTimeout
from drivers.prior import codec
from drivers.wire import Wire

T = TypeVar("T")

REPLY_S = 0.3
"""Deadline of a query: 25 times the usual round trip."""

QUIET_S = 0.05
"""A line that is silent for this long has nothing under way: the longest reply takes 15 ms."""

_NOISY_S = 10.0
"""How long a line counts as noisy after a question had to be asked again: some 400 exchanges, of
which several are spoilt even at one byte in a thousand."""

_LONGEST_REPORT = 40

_GARBLED = frozenset((4, 5, 8, 10, 11, 12, 13, 14, 15, 21))
"""Refusals that a byte garbled on its way to the controller can cause: worth a second try."""


class Line:
    """The conversation. Knows nothing of motion and units.

    Attributes
    ----------
    wire : Wire
    stale_replies : int
        Replies that came when nothing was asked, or answered something else: all discarded.
    asked_s : float
        When the question was sent that the last answer belongs to: the second one, if it had to
        be asked twice.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.stale_replies = 0
        self.asked_s = 0.0
        self._spoilt_s = -math.inf

    @property
    def noisy(self) -> bool:
        """Whether a question was asked again of late: what is understood may be garbled too."""
        return time.perf_counter() - self._spoilt_s < _NOISY_S

    def ask(
        self,
        verb: str,
        *values: float | str,
        decode: Callable[[bytes], T],
        tries: int = 2,
        timeout_s: float = REPLY_S,
    ) -> T:
        """One exchange; after a timeout or a reply of the wrong shape, drain and ask once more."""
        request = codec.encode(verb, *values)
        with self.wire as wire:
            while True:
                tries -= 1
                self.stale_replies += bool(wire.clear())
                self.asked_s = time.perf_counter()
                wire.write(request)
                try:
                    return self.reply(request, decode, timeout_s)
                except (ReplyTimeout, BadReply) as error:
                    if tries <= 0 or not _may_be_noise(error):
                        raise
                    self._spoilt_s = time.perf_counter()
                    wire.discard(QUIET_S)

    def reply(self, request: bytes, decode: Callable[[bytes], T], timeout_s: float) -> T:
        """Wait for the line that answers; an ``R`` that came late answers nothing."""
        deadline_s = time.perf_counter() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.perf_counter())
            line = self.wire.read_until(codec.END, left_s, request=request)[:-1]
            code = codec.decode_error(line)
            if code is not None:
                raise RefusedCommand(
                    self.wire.device,
                    f"refuses {request!r}: {codec.error_name(code)} (E,{code})",
                    code=code,
                    request=request,
                    reply=line,
                )
            try:
                return decode(line)
            except ValueError as error:
                if line != b"R":
                    raise BadReply(
                        self.wire.device,
                        f"{line!r} is no answer to {request!r}",
                        "check the cable",
                        request=request,
                        reply=line,
                    ) from error
                self.stale_replies += 1

    def agreed(self, verb: str, *values: float | str, decode: Callable[[bytes], T]) -> T:
        """Ask until two answers in a row are the same: for what must never be misread.

        Raises BadReply when four answers bring no agreement.
        """
        answer = self.ask(verb, *values, decode=decode, tries=3)
        for _ in range(3):
            before, answer = answer, self.ask(verb, *values, decode=decode, tries=3)
            if before == answer:
                return answer
        raise BadReply(
            self.wire.device,
            f"the answers to {codec.encode(verb, *values)!r} differ",
            "check the cable",
        )

    def report(self, verb: str, *, tries: int = 3) -> list[bytes]:
        """Ask for a report that ends with ``END``; lines without it.

        After power-up the first report may come cut. Raises ReplyTimeout when nothing came,
        BadReply when what came is no report.
        """
        request = codec.encode(verb)
        with self.wire as wire:
            while True:
                tries -= 1
                wire.clear()
                wire.write(request)
                lines: list[bytes] = []
                try:
                    while not lines or lines[-1] != b"END":
                        if len(lines) > _LONGEST_REPORT:
                            raise BadReply(wire.device, "a report without an end", reply=lines[0])
                        lines.append(wire.read_until(codec.END, REPLY_S, request=request)[:-1])
                except (ReplyTimeout, BadReply) as error:
                    got = error.partial if isinstance(error, ReplyTimeout) else error.reply
                    got = codec.END.join([*lines, got])
                    if tries <= 0 and got:
                        raise BadReply(
                            wire.device,
                            f"{got[:60]!r} is no answer to {request!r}",
                            "check the cable",
                            request=request,
                            reply=got,
                        ) from error
                    if tries <= 0:
                        raise
                    wire.discard(QUIET_S)
                else:
                    return lines[:-1]


def _may_be_noise(error: ReplyTimeout | BadReply) -> bool:
    return not isinstance(error, RefusedCommand) or error.code in _GARBLED
