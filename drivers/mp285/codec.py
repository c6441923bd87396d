"""Bytes of the Sutter MP-285 and MP-285A, to values and back. No I/O.

Integers are little-endian. A binary field can hold any byte, 0x0D and 0x03 included, so replies
are cut by length, never at a carriage return. Sources: Sutter Instrument, MP-285 Reference
Manual, appendix on the external computer interface; the open drivers of ACQ4
(acq4/drivers/SutterMP285), Navigate (APIs/sutter/MP285.py) and Micro-Manager
(DeviceAdapters/MP285), which agree except where noted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CR = b"\r"
INTERRUPT = b"\x03"
ABSOLUTE = b"a\r"
POSITION = b"c\r"
REFRESH_DISPLAY = b"n\r"
STATUS = b"s\r"

MOVE_LENGTH = 14
POSITION_LENGTH = 13
STATUS_LENGTH = 33

FINE_MAX_UM_S = 1310
"""Top speed at 50 microsteps per step; the coarse resolution is five times as fast or less."""

MICROSTEPS_PER_UM = 25.0

_POSITION = struct.Struct("<3i")
_STATUS = struct.Struct("<4B5H2B8H")
_FINE = 0x8000
_INT32 = 2**31

_ERRORS = {
    0: "serial over-run: bytes came before the last ones were read",
    1: "framing error: a stop bit was missing (check the baud rate)",
    2: "its input buffer is full without a carriage return",
    4: "bad command",
    8: "the move was interrupted",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The 32 bytes that the controller tells of itself, as far as they are of use.

    Attributes
    ----------
    flags, flags_2 : int
        Set-up number, ROE direction, mode bits; loop, learn, reverse. The polarity of the
        relative/absolute bit is documented both ways: send ``a`` instead of reading it.
    roe_vari, pulse_speed_um_s, jump_speed, high_speed, dead, watch_dog : int
    step_div, step_mul : int
        Scale, in one of two conventions: see ``microsteps_per_um``.
    speed_um_s : int
        Set by ``V``.
    fine : bool
        50 microsteps per step rather than 10.
    version : int
        Firmware times 100.
    """

    flags: int
    flags_2: int
    roe_vari: int
    pulse_speed_um_s: int
    jump_speed: int
    high_speed: int
    dead: int
    watch_dog: int
    step_div: int
    step_mul: int
    speed_um_s: int
    fine: bool
    version: int

    @property
    def microsteps_per_um(self) -> float:
        """Serial resolution; NaN where the field makes no sense.

        The MP-285 tells microsteps per um in STEP_DIV (25), the MP-285A the size of a microstep
        in 0.1 nm (400). Both are 25 per um.
        """
        if self.step_div <= 0:
            return float("nan")
        return float(self.step_div) if self.step_div < 100 else 10_000.0 / self.step_div

    @property
    def is_285a(self) -> bool:
        """Whether the scale is told as the MP-285A does."""
        return self.step_div >= 100


def encode_move(microsteps: tuple[int, int, int]) -> bytes:
    """``m``: all three axes always. Raises ValueError outside 32 bits."""
    if any(not -_INT32 <= value < _INT32 for value in microsteps):
        raise ValueError(f"microsteps outside 32 bits: {microsteps}")
    return b"m" + _POSITION.pack(*microsteps) + CR


def encode_speed(speed_um_s: int, *, fine: bool) -> bytes:
    """``V``, low byte first. Raises ValueError outside 1 to 32767."""
    if not 1 <= speed_um_s < _FINE:
        raise ValueError(f"speed {speed_um_s} um/s is not within 1 to 32767")
    return b"V" + struct.pack("<H", speed_um_s | (_FINE if fine else 0)) + CR


def decode_position(reply: bytes) -> tuple[int, int, int]:
    """X, Y, Z microsteps from the 13 bytes after ``c``. Raises ValueError."""
    _check(reply, POSITION_LENGTH, "position")
    x, y, z = _POSITION.unpack(reply[:-1])
    return x, y, z


def encode_position(microsteps: tuple[int, int, int]) -> bytes:
    """Give the 13 bytes that answer ``c``."""
    return _POSITION.pack(*microsteps) + CR


def decode_status(reply: bytes) -> Status:
    """Read the 33 bytes after ``s``. Raises ValueError."""
    _check(reply, STATUS_LENGTH, "status")
    fields = _STATUS.unpack(reply[:-1])
    return Status(
        flags=fields[0],
        roe_vari=fields[4],
        pulse_speed_um_s=fields[8],
        flags_2=fields[10],
        jump_speed=fields[11],
        high_speed=fields[12],
        dead=fields[13],
        watch_dog=fields[14],
        step_div=fields[15],
        step_mul=fields[16],
        speed_um_s=fields[17] & ~_FINE,
        fine=bool(fields[17] & _FINE),
        version=fields[18],
    )


def encode_status(status: Status) -> bytes:
    """Give the 33 bytes that answer ``s``, the fields left out at their factory values."""
    return (
        _STATUS.pack(
            status.flags, 0, 2, 4, status.roe_vari, 99, 99, 20, status.pulse_speed_um_s, 1,
            status.flags_2, status.jump_speed, status.high_speed, status.dead,
            status.watch_dog, status.step_div, status.step_mul,
            status.speed_um_s | (_FINE if status.fine else 0), status.version,
        )
        + CR
    )  # fmt: skip


def error_code(byte: int) -> int | None:
    """Error bits in the first byte of a reply, None where it tells of no error.

    Errors are 0x30 plus bits. An interrupted move is reported with bit 3 set: as ``8``, ``<`` or
    ``=``, depending on firmware.
    """
    return byte - 0x30 if 0x30 <= byte <= 0x3F else None


def error_text(code: int) -> str:
    """Say what error bits mean."""
    if code in _ERRORS:
        return _ERRORS[code]
    return "; ".join(text for bit, text in _ERRORS.items() if bit and code & bit)


def is_interrupt_reply(reply: bytes) -> bool:
    """Whether ``reply`` may be all that follows 0x03: any order of CR and an interrupted-error.

    An idle controller gives one CR. A moving one gives the error and its CR, and the move's own
    CR before or after, or none at all.
    """
    return reply in _INTERRUPT_REPLIES


_INTERRUPTED = [bytes([0x30 + bits]) + CR for bits in range(8, 16)]
_INTERRUPT_REPLIES = frozenset(
    [CR, CR + CR, *(e for e in _INTERRUPTED), *(CR + e for e in _INTERRUPTED)]
    + [e + CR for e in _INTERRUPTED]
)


def _check(reply: bytes, length: int, what: str) -> None:
    if len(reply) != length:
        raise ValueError(f"a {what} has {length} bytes, not {len(reply)}: {reply!r}")
    if reply[-1:] != CR:
        raise ValueError(f"a {what} ends with CR, not {reply[-1:]!r}: {reply!r}")
