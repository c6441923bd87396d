"""How well the chosen sperm is centred, by the truth that only a simulated rig knows."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from app.core.interlocks import MOVING
from app.core.messages import MotionState
from app.core.selection import find_target
from app.runtime.devices import Truth
from models.types import Float64, Tracks

SETTLING_S = 3.0


@dataclass(frozen=True, slots=True)
class _Look:
    """One frame to be judged later."""

    time_s: float
    centre_um: Float64
    choice_um: Float64 | None  # where the sperm was chosen; None: the same as before
    counts: bool


class Scoring:
    """Root mean square of the true distance from the centre, from 3 s after each choice.

    The loop only takes notes; the truth is worked out by whoever asks for the result.

    Parameters
    ----------
    truth : Truth
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._lock = threading.Lock()
        self._notes: deque[_Look] = deque()
        self._target: int | None = None
        self._chosen_s = 0.0
        self._before = Tracks.empty(0.0)
        self._sperm = 0
        self._squares_um2 = 0.0
        self._counted = 0
        self._worst_um = 0.0
        self.choices = 0

    def add(self, tracks: Tracks, motion: MotionState) -> None:
        """Take in a frame."""
        target = motion.target if motion.mode in MOVING else None
        if target != self._target:
            self._choose(tracks, target)
        self._before = tracks
        if self._target is not None and tracks.time_s - self._chosen_s >= SETTLING_S:
            self._note(tracks.time_s, None)

    def _choose(self, tracks: Tracks, target: int | None) -> None:
        """Note where the target was when it was chosen: in the frame before the stage moved."""
        self._target = None
        if target is None:
            return
        for seen in (self._before, tracks):
            found = find_target(seen, target)
            if found is not None:
                self._target, self._chosen_s = target, tracks.time_s
                self.choices += 1
                self._note(seen.time_s, found.position_um)
                return

    def _note(self, time_s: float, choice_um: Float64 | None) -> None:
        centre_um = self._truth.centre_um(time_s)
        self._notes.append(_Look(time_s, centre_um, choice_um, choice_um is None))

    def result(self) -> tuple[float | None, float | None, int]:
        """Return root mean square and worst distance, um, and the frames that count."""
        with self._lock:
            while self._notes:
                self._judge(self._notes.popleft())
            if not self._counted:
                return None, None, 0
            return math.sqrt(self._squares_um2 / self._counted), self._worst_um, self._counted

    def _judge(self, look: _Look) -> None:
        if look.choice_um is not None:
            self._sperm = self._truth.nearest(look.choice_um, look.time_s)
        if look.counts:
            path_um = self._truth.mean_path_um(self._sperm, look.time_s, look.centre_um)
            away_um = float(np.linalg.norm(path_um - look.centre_um))
            self._squares_um2 += away_um**2
            self._worst_um = max(self._worst_um, away_um)
            self._counted += 1
