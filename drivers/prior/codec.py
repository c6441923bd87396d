"""ProScan commands and replies as bytes. No I/O.

Framing, reply shapes and error numbers after the ProScan III manual (version 1.12 and 1.16) and
the Prior adapters of Micro-Manager. A command and each line of a reply end with a carriage return
alone. A lone carriage return is a position query.
"""

from __future__ import annotations

import re

END = b"\r"
HARD_STOP = b"K\r"
"""Stops without a ramp: steps may be lost, and the count with them."""

ERRORS = {
    1: "no stage connected",
    2: "not idle",
    3: "no drive",
    4: "string parse error",
    5: "command not found",
    6: "invalid shutter",
    7: "no focus drive",
    8: "value out of range",
    9: "invalid filter wheel",
    10: "argument 1 out of range",
    11: "argument 2 out of range",
    12: "argument 3 out of range",
    13: "argument 4 out of range",
    14: "argument 5 out of range",
    15: "argument 6 out of range",
    16: "incorrect state",
    17: "filter wheel not fitted",
    18: "command queue full",
    19: "not available in this compatibility mode",
    20: "shutter not fitted",
    21: "invalid checksum",
    22: "not a rotary axis",
    40: "no fourth axis",
    41: "autofocus is running",
    42: "no video signal",
    43: "no encoder",
    44: "stage initialisation (SIS) not done",
    45: "no vacuum",
    46: "no shuttle",
    47: "vacuum queued",
    48: "initialisation (SIZ) not done",
    49: "not a slide loader",
    50: "slide preloaded",
    51: "stage not mapped",
    52: "no trigger fitted",
    53: "no interpolator fitted",
    54: "theta axis",
    55: "piezo",
    80: "flash write error",
    81: "flash erase error",
    128: "no such device",
    129: "no axis card",
}

VERBS = frozenset(
    ("?", "$", "COMP", "ERROR", "VERSION", "SERIAL", "STAGE", "RES", "SS", "PS", "SMS", "SAS",
     "SCS", "G", "VS", "I", "K", "H", "J", "LMT", "=")
)  # fmt: skip
"""All that is ever said. ``SIS``, ``RIS``, ``M`` and ``Z`` drive into the ends, drive home, or lose
the origin; ``F B L R U D`` jog by a step nobody has checked; ``P`` is one flipped bit from ``R``.
"""

_NUMBER = rb"[+-]?\d+(?:\.\d+)?"
_NUMBERS = {count: re.compile(rb",".join([rb"(" + _NUMBER + rb")"] * count)) for count in (1, 2, 3)}
_ERROR = re.compile(rb"E,?(\d{1,3})")


def encode(verb: str, *values: float | str) -> bytes:
    r"""Write a command: ``encode("VS", 12.34, -5)`` is ``b"VS,12.34,-5\r"``.

    Numbers are rounded to 3 decimals. Raises ValueError for one that is not finite, and for a verb
    that is not in VERBS: what cannot be said cannot be sent.
    """
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not among the commands that may be sent")
    return ",".join([verb, *map(_plain, values)]).encode("ascii") + END


def decode_numbers(line: bytes, count: int) -> tuple[float, ...]:
    """Read exactly ``count`` numbers (1 to 3) from a line without its end.

    Raises ValueError for any other shape: half a reply is no reply.
    """
    match = _NUMBERS[count].fullmatch(line)
    if match is None:
        raise ValueError(f"{count} number(s) expected, not {line!r}")
    return tuple(float(group) for group in match.groups())


def decode_number(line: bytes) -> tuple[float, ...]:
    """Read one number. Raises ValueError."""
    return decode_numbers(line, 1)


def decode_integer(line: bytes) -> int:
    """Read one whole number. Raises ValueError."""
    (value,) = decode_numbers(line, 1)
    if value != int(value):
        raise ValueError(f"whole number expected, not {line!r}")
    return int(value)


def decode_acknowledgement(line: bytes) -> str:
    """Read ``R`` or ``0``: which of the two a setter answers depends on the firmware.

    Raises ValueError for anything else.
    """
    if line not in (b"R", b"0"):
        raise ValueError(f"R or 0 expected, not {line!r}")
    return line.decode("ascii")


def decode_error(line: bytes) -> int | None:
    """Error number of a line such as ``E,18`` or ``E18``; None for any other line."""
    match = _ERROR.fullmatch(line)
    return int(match.group(1)) if match else None


def error_name(code: int) -> str:
    """Say what the controller means by an error number."""
    return ERRORS.get(code, "unknown error")


def decode_switches(line: bytes) -> tuple[str, ...]:
    """Names of the limit switches that are open, from the two hexadecimal digits of ``LMT``.

    Raises ValueError.
    """
    if re.fullmatch(rb"[0-9A-Fa-f]{2}", line) is None:
        raise ValueError(f"two hexadecimal digits expected, not {line!r}")
    return switches(int(line, 16))


def switches(bits: int) -> tuple[str, ...]:
    """Names of limit switches, from their bits."""
    names = ("+X", "-X", "+Y", "-Y", "+Z", "-Z", "+4th", "-4th")
    return tuple(name for bit, name in enumerate(names) if bits >> bit & 1)


def decode_block(lines: list[bytes]) -> dict[str, str]:
    """Read ``NAME = value`` lines of a report such as the one ``STAGE`` gives."""
    pairs = (line.decode("ascii", "replace").partition("=") for line in lines)
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _plain(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if not -1e12 < value < 1e12:
        raise ValueError(f"{value!r} cannot be sent")
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
