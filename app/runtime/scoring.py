"""How well the chosen sperm is centred, by the truth that only a simulated rig knows."""

from __future__ import annotations

import math

from app.core.interlocks import MOVING
from app.core.messages import MotionState
from app.core.selection import find_target
from app.runtime.devices import Truth
from models.types import Tracks

SETTLING_S = 3.0


class Scoring:
    """Root mean square of the true distance from the centre, from 3 s after each choice.

    Parameters
    ----------
    truth : Truth
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._target: int | None = None
        self._sperm = 0
        self._chosen_s = 0.0
        self._squares_um2 = 0.0
        self._frames = 0
        self.worst_um = 0.0
        self.choices = 0

    @property
    def rms_um(self) -> float | None:
        """Over all frames that count; None before the first."""
        return math.sqrt(self._squares_um2 / self._frames) if self._frames else None

    @property
    def frames(self) -> int:
        """Frames that count."""
        return self._frames

    def add(self, tracks: Tracks, motion: MotionState) -> None:
        """Take in a frame."""
        target = motion.target if motion.mode in MOVING else None
        if target != self._target:
            self._choose(tracks, target)
        if self._target is None or tracks.time_s - self._chosen_s < SETTLING_S:
            return
        away_um = self._truth.centring_um(self._sperm, tracks.time_s)
        self._squares_um2 += away_um**2
        self._frames += 1
        self.worst_um = max(self.worst_um, away_um)

    def _choose(self, tracks: Tracks, target: int | None) -> None:
        found = None if target is None else find_target(tracks, target)
        if found is None:
            self._target = None
            return
        self._target, self._chosen_s = target, tracks.time_s
        self._sperm = self._truth.choose(found.position_um, tracks.time_s)
        self.choices += 1
