"""What went over a wire, and when."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TextIO


class Transcript:
    """The last exchanges of one port; all of them, where a file is given.

    One line per write or read: monotonic seconds, ``>`` to the instrument or ``<`` from it
    (``!`` for a remark), and the bytes as Python writes them.
    """

    def __init__(self, path: Path | None = None, *, length: int = 2000) -> None:
        self._lines: deque[tuple[float, str, bytes]] = deque(maxlen=length)
        self._file: TextIO | None = None
        if path is not None:
            self._file = path.open("a", encoding="ascii", buffering=1)

    def note(self, time_s: float, direction: str, data: bytes) -> None:
        """Keep one line."""
        self._lines.append((time_s, direction, data))
        if self._file is not None:
            self._file.write(f"{time_s:.6f} {direction} {data!r}\n")

    def entries(self) -> list[tuple[float, str, bytes]]:
        """Return the newest lines, oldest first: time_s, direction, bytes."""
        return list(self._lines)

    def close(self) -> None:
        """Close the file. The ring stays readable."""
        if self._file is not None:
            self._file.close()
            self._file = None
