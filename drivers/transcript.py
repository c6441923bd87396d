"""What went over a wire, and when."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class Transcript:
    """The last exchanges of one port; all of them, where a file is given.

    One line per write or read: monotonic seconds, ``>`` to the instrument or ``<`` from it
    (``!`` for a remark), and the bytes as Python writes them. A disk that takes no more ends the
    file, with a remark, and nothing else.
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
            try:
                self._file.write(f"{time_s:.6f} {direction} {data!r}\n")
            except OSError as error:
                self._give_up(time_s, error)

    def entries(self) -> list[tuple[float, str, bytes]]:
        """Return the newest lines, oldest first: time_s, direction, bytes."""
        return list(self._lines)

    def close(self) -> None:
        """Close the file. The ring stays readable."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what a full disk has not taken is tried once more, and lost
                file.close()

    def _give_up(self, time_s: float, error: OSError) -> None:
        """Go on without the file: to write down is never a reason not to stop an instrument."""
        self.close()
        text = f"the transcript has ended: {error.strerror}"
        self._lines.append((time_s, "!", text.encode("ascii", "replace")))
