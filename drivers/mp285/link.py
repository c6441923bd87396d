"""One question and its answer at a time, with the pauses that an MP-285 needs."""

from __future__ import annotations

import time

from drivers.errors import BadReply, RefusedCommand, ReplyTimeout, WrongDevice
from drivers.mp285 import codec
from drivers.wire import Wire

Microsteps = tuple[int, int, int]

OFF_AND_ON = "switch the MP-285 off and on, then reconnect; its origin is lost by that"

_REPLY_S = 0.3
_STATUSES = 4
_PATIENCE_S = 5.0
_GAP_S = 0.003  # between a reply and the next command; shorter ones gave over-run errors
_BEST_CABLE = "check cable and baud rate"


class Link:
    """The conversation. Knows nothing of moves, states and scales."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._free_s = 0.0
        self._patient_until_s = 0.0
        self._hangs = False

    @property
    def device(self) -> str:
        """What messages call it."""
        return self.wire.device

    def send(self, command: bytes) -> float:
        """Write a command, no sooner than the controller can take it; return when.

        A reply that came late, to a question that was asked again, answers nothing any more.
        """
        while (wait_s := self._free_s + _GAP_S - time.perf_counter()) > 0:
            time.sleep(wait_s)
        self.wire.clear()
        self.wire.write(command)
        return time.perf_counter()

    def command(self, command: bytes) -> None:
        """Send a command that is answered by CR. Raises DeviceError."""
        with self.wire:
            self.send(command)
            self.acknowledge(command, _REPLY_S)

    def acknowledge(self, command: bytes, timeout_s: float) -> None:
        """Wait for the CR that ends ``command``.

        Raises
        ------
        ReplyTimeout, RefusedCommand, BadReply
        """
        reply = self.wire.read_exactly(1, timeout_s, request=command)
        self._free_s = time.perf_counter()
        if reply == codec.CR:
            return
        reply += self._drain(0.03, 0.3)
        if len(reply) <= 3 and codec.error_code(reply[0]) is not None:
            raise self._refusal(command, reply)
        raise BadReply(
            self.device, f"answered {reply!r} to {command!r}", _BEST_CABLE,
            request=command, reply=reply,
        )  # fmt: skip

    def position(self) -> tuple[float, Microsteps]:
        """Ask where it is: the middle of the exchange, and microsteps. Only at rest.

        Raises
        ------
        ReplyTimeout, RefusedCommand, BadReply
        """
        with self.wire:
            sent_s = self.send(codec.POSITION)
            try:
                reply = self.wire.read_exactly(
                    codec.POSITION_LENGTH, _REPLY_S, request=codec.POSITION
                )
            except ReplyTimeout as error:
                self._free_s = time.perf_counter()
                # An error is shorter than a position, whose first byte may look like one.
                if error.partial[1:] == codec.CR and codec.error_code(error.partial[0]) is not None:
                    raise self._refusal(codec.POSITION, error.partial) from None
                raise
            self._free_s = time.perf_counter()
            try:
                return (sent_s + self._free_s) / 2, codec.decode_position(reply)
            except ValueError as error:
                self._drain(0.05, 0.3)
                raise BadReply(
                    self.device, str(error), _BEST_CABLE, request=codec.POSITION, reply=reply
                ) from error

    def identify(self) -> codec.Status:
        """Make sure that an MP-285 answers.

        Begins with an interrupt: a controller that still carries out somebody's move is stopped
        by it, where a question would hang it. The status block tells the scale of all positions:
        two have to agree.

        Raises
        ------
        WrongDevice
            Something else answers.
        ReplyTimeout
            Nothing answers.
        """
        with self.wire:
            heard = self._drain(0.03, 0.5) + self._interrupt(first_s=0.06)
            seen: set[tuple[int, int]] = set()
            late = False
            for _ in range(_STATUSES):
                self.send(codec.STATUS)
                try:
                    reply = self.wire.read_exactly(codec.STATUS_LENGTH, _REPLY_S)
                    self._free_s = time.perf_counter()
                    status = codec.decode_status(reply)
                except ReplyTimeout as error:
                    reply, late = error.partial, True
                except ValueError:
                    pass
                else:
                    if 100 <= status.version <= 999 and 10 <= status.microsteps_per_um <= 100:
                        if (status.step_div, status.version) in seen:
                            if late:  # the answer to what was asked once more
                                self._drain(_REPLY_S, 3 * _REPLY_S)
                            return status
                        seen.add((status.step_div, status.version))
                        continue
                heard += reply + self._drain(0.05, 0.5)
        if heard:
            raise WrongDevice(
                self.device, f"is no MP-285: it answered {heard[:60]!r}",
                "check port and baud rate (9600 unless set otherwise on the controller)",
            )  # fmt: skip
        raise ReplyTimeout(self.device, "nothing answers", "check power, cable, port, baud rate")

    def status(self) -> codec.Status:
        """Ask for the status block. Only at rest.

        Raises
        ------
        ReplyTimeout, BadReply
        """
        with self.wire:
            self.send(codec.STATUS)
            reply = self.wire.read_exactly(codec.STATUS_LENGTH, _REPLY_S, request=codec.STATUS)
            self._free_s = time.perf_counter()
            try:
                return codec.decode_status(reply)
            except ValueError as error:
                self._drain(0.05, 0.3)
                raise BadReply(
                    self.device, str(error), _BEST_CABLE, request=codec.STATUS, reply=reply
                ) from error

    def interrupt(self) -> None:
        """Send 0x03 until it is answered. Raises ReplyTimeout.

        A controller that has lost its host amid ``m`` takes the byte for part of a coordinate:
        after at most 13 more the command is complete, wrong, and refused. No other byte is safe:
        one CR in the last place would make a move of it.
        """
        with self.wire:
            if not self._interrupt(first_s=0.2):
                raise ReplyTimeout(self.device, "does not answer to the interrupt", OFF_AND_ON)

    def _interrupt(self, first_s: float) -> bytes:
        """Send 0x03 until something comes; return it. One that hangs hears one in 5 s."""
        if time.perf_counter() < self._patient_until_s:
            return self._drain(first_s, 1.0)
        self.wire.write(codec.INTERRUPT)
        heard = self._drain(first_s, 1.0)
        for _ in range(0 if self._hangs else 15):
            if heard:
                break
            self.wire.write(codec.INTERRUPT)
            heard = self._drain(0.05, 0.5)
        self._hangs = not heard
        if self._hangs:
            self._patient_until_s = time.perf_counter() + _PATIENCE_S
        return heard

    def _drain(self, quiet_s: float, limit_s: float) -> bytes:
        heard = self.wire.discard(quiet_s, limit_s)
        self._free_s = time.perf_counter()
        return heard

    def _refusal(self, command: bytes, reply: bytes) -> RefusedCommand:
        code = codec.error_code(reply[0]) or 0
        return RefusedCommand(
            self.device, f"refused {command!r}: {codec.error_text(code)}", "reconnect",
            code=code, request=command, reply=reply,
        )  # fmt: skip
