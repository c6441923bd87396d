"""The line that moves while a training runs: how far, loss, AP50, time left."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TextIO

from tqdm import tqdm


class TrainingBar:
    """A bar on a terminal; nothing where the output goes to a file.

    Parameters
    ----------
    first : float
        Part of the training done before, 0 to 1: time left is reckoned from what was done since.
    shown : bool, optional
        Show it even where there is no terminal, or do not; left out, as the terminal is.
    stream : text file, optional
        Standard error when left out.
    """

    def __init__(
        self, first: float, *, shown: bool | None = None, stream: TextIO | None = None
    ) -> None:
        self._first = first
        self._begin = time.monotonic()
        self._loss = math.nan
        self._ap50 = math.nan
        out = sys.stderr if stream is None else stream
        self._bar = tqdm(
            total=1.0,
            initial=first,
            disable=not out.isatty() if shown is None else not shown,
            file=out,
            bar_format="{percentage:3.0f}%|{bar:24}| {postfix}",
            mininterval=0.3,
            dynamic_ncols=True,
        )

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def left_s(self, progress: float) -> float:
        """Return the seconds left at the pace so far; infinite before the first step."""
        done = progress - self._first
        return (time.monotonic() - self._begin) * (1 - progress) / done if done > 0 else math.inf

    def moved(self, step: int, progress: float, losses: Mapping[str, float]) -> None:
        """Show a step."""
        total = sum(losses.values())
        # Smoothed: the loss of one batch jumps.
        self._loss = total if math.isnan(self._loss) else 0.95 * self._loss + 0.05 * total
        self._bar.set_postfix_str(self._text(step, progress), refresh=False)
        self._bar.update(progress - self._bar.n)

    def scored(self, ap50: float) -> None:
        """Remember a score to show from now on."""
        self._ap50 = ap50

    def line(self, text: str) -> None:
        """Print a line on standard output, above the bar where there is one."""
        self._bar.clear()
        print(text, flush=True)

    def _text(self, step: int, progress: float) -> str:
        ap50 = "--" if math.isnan(self._ap50) else f"{self._ap50:.1f}"
        return f"step {step}, loss {self._loss:.3f}, AP50 {ap50}, {duration(self.left_s(progress))}"


def duration(left_s: float) -> str:
    """Return a time in words: '2 h 05 min left', '3 min 20 s left'."""
    if not math.isfinite(left_s):
        return "time left unknown"
    seconds = round(left_s)
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min left"
    return f"{seconds // 60} min {seconds % 60:02d} s left"
