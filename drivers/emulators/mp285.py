"""The other end of a Sutter MP-285 or MP-285A: its bytes, and what they move."""

from __future__ import annotations

import math
import random
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from drivers.emulators.axis import AxisSettings
from drivers.emulators.mp285_programs import Programs, Vector
from drivers.emulators.plant import Plant, PlantSettings
from drivers.errors import DeviceError
from drivers.mp285 import codec

_OVERRUN, _FRAMING, _BUFFER_FULL, _BAD_COMMAND = b"0\r", b"1\r", b"2\r", b"4\r"
_LF = b"\n"[0]
_BOOT_S = 1.0
_LENGTHS = {b"m": codec.MOVE_LENGTH, b"V": 4}
_BUFFER_BYTES = 64
_LF_S = 0.005
_COARSE_MICROSTEPS = 5
_TRAVEL_UM = 12_500.0
_RELATIVE = 0x20  # bit 5 of FLAGS; the sources differ on its polarity, the sample has it clear

_STATUS = codec.Status(
    flags=64, flags_2=120, roe_vari=7, pulse_speed_um_s=5000, jump_speed=6000, high_speed=10000,
    dead=80, watch_dog=0, step_div=25, step_mul=4, speed_um_s=200, fine=False, version=340,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs from one controller to the next.

    Attributes
    ----------
    step_div, step_mul : int
        Scale as the status block tells it.
    coarse_max_um_s : int
        Speed limit at 10 microsteps per step.
    interrupted : tuple of bytes
        Replies to 0x03 during a move, in order. A bare CR is the move's own.
    hangs : bool
        Any other byte during a move hangs the controller until it is switched off and on;
        otherwise the move is interrupted.
    reset_reply : bytes
        To ``r``.
    gap_s : float
        A command that begins sooner behind a reply is an over-run. Hosts on a real port are never
        that fast, those at the other end of a socket are: only ``strict`` variants look at it.
    roe_period_s : float
        Somebody turns the knobs this often, by 10 um; inf is never.
    rtscts : bool
        It says nothing to a host without the hardware handshake.
    roe_crash : float
        Chance that it hangs the controller when the serial line was in use within 1 s before.
    """

    step_div: int = 25
    step_mul: int = 4
    coarse_max_um_s: int = 6550
    interrupted: tuple[bytes, ...] = (codec.CR,)
    hangs: bool = False
    reset_reply: bytes = b""
    gap_s: float = 0.0
    roe_period_s: float = math.inf
    roe_crash: float = 0.0
    rtscts: bool = False


_MP285A = Variant(
    step_div=400, step_mul=400, coarse_max_um_s=3000, interrupted=(b"=\r", codec.CR), hangs=True,
    reset_reply=codec.CR,
)  # fmt: skip

VARIANTS = {
    "mp285": Variant(),
    "mp285-strict": Variant(gap_s=0.002),
    "mp285-eight": Variant(interrupted=(b"8\r",)),
    "mp285-hang": Variant(hangs=True),
    "mp285-roe": Variant(roe_period_s=2.0),
    "mp285-roe-crash": Variant(roe_period_s=2.0, roe_crash=1.0),
    "mp285a": _MP285A,
    "mp285a-early": replace(_MP285A, interrupted=(codec.CR, b"=\r")),
    "mp285a-strict": replace(_MP285A, gap_s=0.002),
    "mp285a-rtscts": replace(_MP285A, rtscts=True),
    "mp285a-less": replace(_MP285A, interrupted=(b"<\r",)),
}


class MP285Emulator:
    """A controller with three axes, seen from its serial socket. Implements Instrument.

    Bytes arrive one after the other at the line's rate and are parsed as they arrive; replies
    leave at the same rate. The travel is 25 mm. Where it stands when it is switched on is its
    origin.

    Parameters
    ----------
    variant : str
        One of VARIANTS.
    baud : int or None
        9600 unless stated.
    time_s : float
        Monotonic time at which it is switched on.
    start_um : sequence of 3 float
        Where within the travel of -12500 to 12500 it then stands, and has its origin.
    seed : int
        Of the ROE's effect.
    stands_at_um : sequence of 3 float
        What it counts when it is switched on, where that is not its origin: an origin that was
        set before. Instead of ``start_um``; gone when its power is cut.

    Attributes
    ----------
    hung : bool
        It hears nothing until ``power_cycle``.
    """

    def __init__(
        self,
        variant: str = "mp285",
        *,
        baud: int | None = None,
        time_s: float = 0.0,
        start_um: Sequence[float] = (),
        seed: int = 0,
        stands_at_um: Sequence[float] = (),
    ) -> None:
        if variant not in VARIANTS:
            raise DeviceError(
                f"mp285 variant {variant!r}", "is not known", f"allowed: {', '.join(VARIANTS)}"
            )
        self._variant = VARIANTS[variant]
        self._baud = baud or 9600
        axis = AxisSettings(-_TRAVEL_UM, _TRAVEL_UM)
        self._plant = Plant(
            PlantSettings((axis,) * 3, float(self._variant.coarse_max_um_s), dead_time_s=0.010),
            stands_at_um or start_um,
            time_s,
        )
        self._dice = random.Random(seed)
        self._programs = Programs()
        self._input: deque[tuple[float, int]] = deque()
        self._output: list[tuple[float, bytes]] = []
        self._received_s = self._sent_s = -math.inf
        self._next_roe_s = time_s + self._variant.roe_period_s
        self.hung = False
        self._deaf_until_s = -math.inf
        self._origin_um: tuple[float, ...] = ()
        self._switch_on(time_s)
        if stands_at_um:
            self._origin_um = (0.0, 0.0, 0.0)

    @property
    def plant(self) -> Plant:
        """The mechanics behind the controller."""
        return self._plant

    @property
    def rtscts(self) -> bool:
        """Whether its line wants the hardware handshake."""
        return self._variant.rtscts

    @property
    def acknowledgement(self) -> bytes:
        """What it answers to a command that it obeys."""
        return codec.CR

    @property
    def baud(self) -> int:
        """Symbols per second of its serial port."""
        return self._baud

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes that the host wrote at ``now_s``; each takes its time on the line."""
        self._advance(now_s)
        for byte in data:
            self._received_s = max(self._received_s, now_s) + 10 / self._baud
            self._input.append((self._received_s, byte))

    def take_output(self, now_s: float) -> bytes:
        """Give the next reply whose last byte has left, whole; empty when there is none."""
        self._advance(now_s)
        if self._output and self._output[0][0] <= now_s:
            return self._output.pop(0)[1]
        return b""

    def next_event_s(self, now_s: float) -> float:
        """When ``take_output`` needs to be called again; inf while nothing is pending."""
        self._advance(now_s)
        times_s = [self._arrival_s, self._next_roe_s]
        times_s += [due_s for due_s, _ in self._output[:1]]
        if self._input:
            times_s.append(self._input[-1][0])
        return min(times_s)

    def switch_off(self, now_s: float) -> None:
        """Cut the power: the motors stop dead, and nothing is heard."""
        self._advance(now_s)
        self._plant.kill(now_s)
        self._output.clear()
        self._hang()

    def switch_on(self, now_s: float) -> None:
        """Power up: it hears after a second, and where it stands is its origin."""
        self._input.clear()
        self._switch_on(now_s)
        self._deaf_until_s = now_s + _BOOT_S

    def power_cycle(self, now_s: float) -> None:
        """Switch off and on, and wait until it is ready."""
        self.switch_off(now_s)
        self.switch_on(now_s)
        self._deaf_until_s = now_s

    def touch(self, um: float, now_s: float) -> None:
        """Turn the knob of x."""
        self.turn_roe((um, 0.0, 0.0), now_s)

    def framing_error(self, now_s: float) -> None:
        """Receive a byte without its stop bit."""
        self._advance(now_s)
        if not self.hung:
            self._buffer.clear()
            self._reply(_FRAMING, now_s)

    def turn_roe(self, distance_um: tuple[float, float, float], now_s: float) -> None:
        """Turn the knobs by hand. Serial traffic within the last second may hang it."""
        self._advance(now_s)
        self._turn_roe(distance_um, now_s)

    def _switch_on(self, time_s: float) -> None:
        self._origin_um = self._plant.motor_um(time_s + self._plant.settings.dead_time_s)
        self._status = replace(
            _STATUS, step_div=self._variant.step_div, step_mul=self._variant.step_mul
        )
        self._relative = False
        self._way: deque[Vector] = deque()
        self._buffer = bytearray()
        self._arrival_s = math.inf
        self._line_end_s = self._interrupted_s = -math.inf
        self._trailing_reply = False
        self.hung = False

    def _advance(self, now_s: float) -> None:
        """Let everything happen that is due by ``now_s``, in its order."""
        while True:
            byte_s = self._input[0][0] if self._input else math.inf
            first_s = min(byte_s, self._arrival_s, self._next_roe_s)
            if first_s > now_s or first_s == math.inf:
                return
            if first_s == self._arrival_s and self._way:
                self._move(self._way.popleft(), first_s, relative=False)
            elif first_s == self._arrival_s:
                self._arrival_s = math.inf
                self._reply(codec.CR * (2 if self._trailing_reply else 1), first_s)
                self._trailing_reply = False
            elif first_s == byte_s:
                _, byte = self._input.popleft()
                if not self.hung and first_s >= self._deaf_until_s:
                    self._take(byte, first_s)
            else:
                self._next_roe_s += self._variant.roe_period_s
                self._turn_roe((10.0, 0.0, 0.0), first_s)

    def _take(self, byte: int, time_s: float) -> None:
        if byte == _LF and not self._buffer and time_s <= self._line_end_s + _LF_S:
            self._line_feed(time_s)
        elif self._arrival_s < math.inf:
            self._interrupt(byte, time_s)
        elif not self._buffer and byte == codec.INTERRUPT[0]:
            self._reply(codec.CR, time_s)
        elif not self._buffer and byte == codec.CR[0]:
            pass  # an empty line
        elif not self._buffer and self._is_hasty(time_s):
            self._reply(_OVERRUN, time_s)
        else:
            self._buffer.append(byte)
            self._parse(time_s)

    def _is_hasty(self, time_s: float) -> bool:
        """Whether a command begins on the heels of a reply; behind 0x03 it may."""
        if self._interrupted_s > self._sent_s - 0.2 and time_s < self._sent_s:
            return False
        gap_s = self._variant.gap_s
        return gap_s > 0 and time_s - 10 / self._baud < self._sent_s + gap_s

    def _line_feed(self, time_s: float) -> None:
        """Answer a line feed right behind a command with a carriage return of its own.

        Hosts that end their commands with both count on it: 14 bytes for a position, 34 for the
        status, two for all others.
        """
        if self._arrival_s < math.inf:
            self._trailing_reply = True
        else:
            self._reply(codec.CR, time_s)

    def _interrupt(self, byte: int, time_s: float) -> None:
        if byte != codec.INTERRUPT[0] and self._variant.hangs:
            self._hang()
            return
        self._plant.halt(time_s)
        self._arrival_s = math.inf
        self._way.clear()
        self._trailing_reply = False
        self._interrupted_s = time_s
        replies = self._variant.interrupted if byte == codec.INTERRUPT[0] else (b"8\r",)
        for reply in replies:
            self._reply(reply, max(time_s, self._plant.rest_s))

    def _parse(self, time_s: float) -> None:
        """Execute once a command is complete: by length where it is binary, else at its CR."""
        line = bytes(self._buffer)
        length = _LENGTHS.get(line[:1], self._programs.length(line))
        if length is not None and len(line) < length:
            return
        if length is None and not line.endswith(codec.CR):
            if len(line) >= _BUFFER_BYTES:
                self._buffer.clear()
                self._reply(_BUFFER_FULL, time_s)
            return
        self._buffer.clear()
        self._line_end_s = time_s
        if not line.endswith(codec.CR):
            self._reply(_BAD_COMMAND, time_s)
        elif line[:1] == b"m":
            self._move(struct.unpack("<3i", line[1:-1]), time_s, relative=self._relative)
        elif line[:1] == b"V":
            self._set_speed(struct.unpack("<H", line[1:-1])[0])
            self._reply(codec.CR, time_s)
        elif length is not None:
            self._use_program(line, time_s)
        else:
            self._reply(self._answer(line[:-1], time_s), time_s)

    def _use_program(self, line: bytes, time_s: float) -> None:
        """Load, read back or run one; a run is answered at its end, as a move is."""
        if line[:1] == b"d":
            self._reply(codec.CR if self._programs.load(line) else _BAD_COMMAND, time_s)
            return
        positions = self._programs.positions(line)
        if positions is None:
            self._reply(_BAD_COMMAND, time_s)
        elif line[:1] == b"u":
            self._reply(self._programs.encode(positions) + codec.CR, time_s)
        elif not positions:
            self._reply(codec.CR, time_s)
        else:
            self._way = deque(positions)
            self._move(self._way.popleft(), time_s, relative=False)

    def _answer(self, command: bytes, time_s: float) -> bytes:
        if command == b"c":
            return codec.encode_position(self._microsteps(time_s))
        if command == b"s":
            flags = self._status.flags | (_RELATIVE if self._relative else 0)
            return codec.encode_status(replace(self._status, flags=flags))
        if command in (b"a", b"b"):
            self._relative = command == b"b"
        elif command == b"o":
            self._origin_um = self._plant.motor_um(time_s)
        elif command == b"r":
            self._status = replace(self._status, speed_um_s=_STATUS.speed_um_s, fine=_STATUS.fine)
            self._relative = False
            return self._variant.reset_reply
        elif command not in (b"n", b"e"):
            return _BAD_COMMAND
        return codec.CR

    def _set_speed(self, word: int) -> None:
        fine = bool(word & 0x8000)
        top = codec.FINE_MAX_UM_S if fine else self._variant.coarse_max_um_s
        self._status = replace(self._status, fine=fine, speed_um_s=max(1, min(word & 0x7FFF, top)))

    def _move(self, microsteps: tuple[int, ...], time_s: float, *, relative: bool) -> None:
        here = self._microsteps(time_s) if relative else (0, 0, 0)
        grain = 1 if self._status.fine else _COARSE_MICROSTEPS
        target_um = [
            origin_um + grain * round((base + step) / grain) / codec.MICROSTEPS_PER_UM
            for origin_um, base, step in zip(self._origin_um, here, microsteps, strict=True)
        ]
        self._plant.move(target_um, time_s, speed_um_s=self._status.speed_um_s)
        self._arrival_s = max(time_s, self._plant.rest_s)

    def _microsteps(self, time_s: float) -> tuple[int, int, int]:
        x, y, z = (
            round((motor_um - origin_um) * codec.MICROSTEPS_PER_UM)
            for motor_um, origin_um in zip(
                self._plant.motor_um(time_s), self._origin_um, strict=True
            )
        )
        return x, y, z

    def _turn_roe(self, distance_um: tuple[float, float, float], time_s: float) -> None:
        traffic_s = max(self._sent_s, self._received_s if self._received_s <= time_s else -math.inf)
        if time_s - traffic_s < 1.0 and self._dice.random() < self._variant.roe_crash:
            self._hang()
        elif not self.hung and self._arrival_s == math.inf:
            motor_um = self._plant.motor_um(time_s)
            target_um = [m + d for m, d in zip(motor_um, distance_um, strict=True)]
            self._plant.move(target_um, time_s)

    def _hang(self) -> None:
        """Stop listening. What moves goes on to its target, but nobody is told."""
        self.hung = True
        self._arrival_s = math.inf
        self._way.clear()
        self._buffer.clear()

    def _reply(self, reply: bytes, time_s: float) -> None:
        if reply:
            self._sent_s = max(self._sent_s, time_s) + 10 * len(reply) / self._baud
            self._output.append((self._sent_s, reply))
