"""A ProScan as its serial port shows it: bytes in, bytes out, and the time that takes."""

from __future__ import annotations

import math
from collections import deque

from drivers.emulators.plant import Plant
from drivers.emulators.prior_commands import ProScanCommands
from drivers.emulators.prior_controller import VARIANTS, ProScanController
from drivers.errors import DeviceError

_BITS_PER_BYTE = 10

_ROUND_TRIP_S = 0.012
"""First byte of a command to last byte of its reply, measured on a ProScan II at 38400 baud for
P, PS, $, G, GR, VS and SMS alike: 12.0 +- 0.2 ms (MEBP project)."""

_PROCESSING_S = 0.004
"""Least time between a command's end and its reply's beginning; counts at low baud rates."""

_LINE_LIMIT = 256


class ProScanEmulator:
    """An Instrument. Commands are obeyed in order, each when its last byte is on the wire."""

    def __init__(
        self, variant: str = "proscan3", *, baud: int | None = None, time_s: float = 0.0
    ) -> None:
        if variant not in VARIANTS:
            raise DeviceError(
                f"--variant {variant}", "no such ProScan", f"known: {', '.join(VARIANTS)}"
            )
        self._controller = ProScanController(VARIANTS[variant], time_s)
        self._commands = ProScanCommands(self._controller)
        self._baud = baud or VARIANTS[variant].baud
        self._line = bytearray()
        self._line_began_s = time_s
        self._received_s = time_s
        self._replied_s = time_s
        self._out: deque[tuple[float, bytes]] = deque()

    @property
    def plant(self) -> Plant:
        """The stage."""
        return self._controller.plant

    @property
    def acknowledgement(self) -> bytes:
        """What it answers to a command that it obeys."""
        return b"R\r"

    @property
    def baud(self) -> int:
        """Symbols per second of its serial port."""
        return self._baud

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes that the host began to send at ``now_s``."""
        self._received_s = max(self._received_s, now_s)
        for byte in data:
            if not self._line:
                self._line_began_s = self._received_s
            self._received_s += _BITS_PER_BYTE / self._baud
            if self._received_s < self._controller.deaf_until_s:
                self._line.clear()
            elif byte == 0x0D:
                self._obey(self._line.decode("ascii", "replace"))
                self._line.clear()
            elif byte != 0x0A and len(self._line) < _LINE_LIMIT:
                self._line.append(byte)

    def take_output(self, now_s: float) -> bytes:
        """Give the next reply that is due, whole."""
        self._advance(now_s)
        if self._out and self._out[0][0] <= now_s:
            return self._out.popleft()[1]
        return b""

    def next_event_s(self, now_s: float) -> float:
        """When the next reply is due, or the next queued move."""
        reply_s = self._out[0][0] if self._out else math.inf
        return min(reply_s, self._controller.next_event_s())

    def switch_off(self, now_s: float) -> None:
        """Cut the power."""
        self._advance(now_s)
        self._controller.switch_off(now_s)
        self._out.clear()

    def switch_on(self, now_s: float) -> None:
        """Power up."""
        self._controller.switch_on(now_s)
        self._commands = ProScanCommands(self._controller)

    def framing_error(self, now_s: float) -> None:
        """Lose a byte: it tells nobody."""

    def touch(self, um: float, now_s: float) -> None:
        """Push the joystick."""
        self._advance(now_s)
        self._controller.touch(um, now_s)

    def _advance(self, now_s: float) -> None:
        for _ in range(self._controller.advance(now_s)):
            self._replied_s = max(now_s, self._replied_s)
            self._out.append((self._replied_s, b"R\r"))

    def _obey(self, line: str) -> None:
        # a query is answered with what holds half-way through the exchange
        middle_s = max(self._received_s, self._line_began_s + _ROUND_TRIP_S / 2)
        is_query = line.strip().upper() in ("", "P", "PS", "PX", "PY", "$", "$,S", "LMT", "=")
        self._advance(self._received_s)
        reply = self._commands.execute(line, middle_s if is_query else self._received_s)
        if reply is None:
            return
        if self._commands.rate:
            self._baud, self._commands.rate = self._commands.rate, 0
        data = "".join(part + "\r" for part in reply).encode("ascii")
        sent_s = self._received_s + _PROCESSING_S + len(data) * _BITS_PER_BYTE / self._baud
        self._replied_s = max(self._replied_s, sent_s, self._line_began_s + _ROUND_TRIP_S)
        self._out.append((self._replied_s, data))
