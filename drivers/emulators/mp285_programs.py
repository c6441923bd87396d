"""The programs that an MP-285 keeps: lists of positions, loaded, read back and run by number.

Source: Sutter Instrument, MP-285 Reference Manual, appendix on the external computer interface:
``d`` number, count, vectors; ``u`` number; ``k`` number, integers of 16 bits. It does not say how a
vector is laid out, nor what ``u`` gives back: taken here as the three coordinates of a move, and as
what ``d`` was given behind the number. Ten programs of at most twenty positions, as on its panel.
"""

from __future__ import annotations

import struct

Vector = tuple[int, int, int]

PROGRAMS = 10
POSITIONS = 20
_HEAD = struct.Struct("<HH")
_VECTOR = struct.Struct("<3i")


class Programs:
    """Stored programs. They survive the power; numbers count from 0."""

    def __init__(self) -> None:
        self._stored: dict[int, tuple[Vector, ...]] = {}

    @staticmethod
    def length(line: bytes) -> int | None:
        """Length of a ``d``, ``u`` or ``k`` with its CR, as far as it is known; None for others."""
        if line[:1] in (b"u", b"k"):
            return 4
        if line[:1] != b"d":
            return None
        if len(line) < 5:
            return 6
        count = int(_HEAD.unpack(line[1:5])[1])
        return 6 + _VECTOR.size * min(count, POSITIONS)

    def load(self, line: bytes) -> bool:
        """Keep what ``d`` brings; whether it could."""
        number, count = _HEAD.unpack(line[1:5])
        if number >= PROGRAMS or count > POSITIONS:
            return False
        vectors = _VECTOR.iter_unpack(line[5:-1])
        self._stored[number] = tuple((x, y, z) for x, y, z in vectors)
        return True

    def positions(self, line: bytes) -> tuple[Vector, ...] | None:
        """Give the program that ``u`` or ``k`` names; None where there is no such number."""
        (number,) = struct.unpack("<H", line[1:3])
        return self._stored.get(number, ()) if number < PROGRAMS else None

    @staticmethod
    def encode(positions: tuple[Vector, ...]) -> bytes:
        """Write a program as ``u`` answers."""
        return struct.pack("<H", len(positions)) + b"".join(_VECTOR.pack(*v) for v in positions)
