"""How far a recording has been analysed: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from tqdm import tqdm

LINE_EVERY_S: Final = 5.0


class FilmProgress:
    """Frames done, of how many, how fast, and the time left.

    Parameters
    ----------
    name : str
        Of the recording.
    total : int or None
        Frames; None where the file does not say.
    bar : bool, optional
        A bar, or lines; left out, a bar where ``stream`` is a terminal.
    stream : text file, optional
        Standard error when left out.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        *,
        bar: bool | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._begin_s = self._told_s = clock()
        self._first_s = self._begin_s
        self._frames = 0
        shown = self._stream.isatty() if bar is None else bar
        self._bar = tqdm(
            total=total,
            desc=name,
            unit=" frames",
            disable=not shown,
            file=self._stream,
            mininterval=0.3,
            dynamic_ncols=True,
        )

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

    def seen(self) -> None:
        """Count a frame that is done."""
        self._frames += 1
        self._bar.update()
        now_s = self._clock()
        if self._frames == 1:  # what is compiled for it on a first start says nothing of the rest
            self._first_s = self._told_s = now_s
        if self._bar.disable and now_s - self._told_s >= LINE_EVERY_S:
            self._told_s = now_s
            print(self._line(now_s), file=self._stream, flush=True)

    def rate_hz(self, now_s: float) -> float | None:
        """Return the frames a second since the first one was done; None before the second."""
        if self._frames < 2:
            return None
        return (self._frames - 1) / max(now_s - self._first_s, 1e-9)

    def _line(self, now_s: float) -> str:
        per_s = self.rate_hz(now_s) or math.nan
        said = f"{now_s - self._begin_s:5.0f} s  {self._name}: frame {self._frames}"
        if self._total is None:
            return f"{said}, {per_s:.1f} frames/s"
        left = tqdm.format_interval(max(0, self._total - self._frames) / per_s)
        return f"{said} of {self._total}, {per_s:.1f} frames/s, {left} left"
