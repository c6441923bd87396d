"""Whether the tip has met the dish: it no longer goes where the manipulator takes it. Pure.

A capillary that is driven on after contact bends, and its tip slides forward in the picture (Wang,
Liu, Gerald, Sun: "Contact detection in microrobotic manipulation", Int. J. Robotics Research 26,
2007). What is compared is the place of the tip as seen with the place that the calibration expects.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

SLIDE_UM = 0.9  # more than two pictures in a row err by
_KEPT = 12  # places that have slid on a slow slope are few among them: the median stays
_SAME_WAY = 0.7  # cosine: what errs, errs any way
_SETTLES = 3  # sights after which a tip just found wanders no more
_BASELINE = 4  # so many places at least, before anything can be called a slide


@dataclass(frozen=True, slots=True)
class TipSight:
    """Where the tip was seen, in one picture taken while the manipulator rested.

    Attributes
    ----------
    time_s : float
        Mid exposure.
    view_um : (2,) float64
        From the picture's centre along the stage's axes, um.
    """

    time_s: float
    view_um: Float64


class ContactWatch:
    """Compares sights with what the map expects. One descent at a time.

    The map may be off by a micrometre or two (drift): what counts is how the difference changes.
    The newest two places are compared with the median of those before; both have to be off by more
    than ``slide_um``, and the same way. One picture more, taken at the same place, has to agree.
    A tip that is only just found still wanders: the first three sights tell no slide.

    Parameters
    ----------
    slide_um : float

    Attributes
    ----------
    slid_um : float
        By the newest sight.
    suspects : bool
        Two places agree: another picture is wanted before the next step.
    """

    def __init__(self, slide_um: float = SLIDE_UM) -> None:
        self._slide_um = slide_um
        self._off_um: deque[Float64] = deque(maxlen=_KEPT)
        self._time_s = -math.inf
        self._sights = 0
        self.slid_um = 0.0
        self.suspects = False

    def restart(self) -> None:
        """Begin a new descent."""
        self._off_um.clear()
        self._time_s = -math.inf
        self._sights = 0
        self.slid_um = 0.0
        self.suspects = False

    @property
    def newest_s(self) -> float:
        """Time of the newest sight that was taken in."""
        return self._time_s

    @property
    def bias_um(self) -> Float64 | None:
        """Where the tip is seen, less where it is expected, (2,) um; None before it was seen."""
        if not self._off_um:
            return None
        return np.asarray(np.median(np.stack(self._off_um), axis=0))

    def observe(self, sight: TipSight, expected_um: Float64) -> bool:
        """Take in a sight, and where the tip was expected then; say whether it has met the dish."""
        if sight.time_s <= self._time_s:
            return False
        self._time_s = sight.time_s
        self._sights += 1
        if self._sights == _SETTLES + 1:
            self._off_um.clear()  # until now they were the best that was known, for the aim
        self._off_um.append(sight.view_um - expected_um)
        if len(self._off_um) < _BASELINE + 2:
            return False
        *earlier, before, now = self._off_um
        baseline = np.median(np.stack(earlier), axis=0)
        first, second = before - baseline, now - baseline
        first_um, self.slid_um = float(np.linalg.norm(first)), float(np.linalg.norm(second))
        both = min(first_um, self.slid_um) > self._slide_um
        same_way = float(first @ second) > _SAME_WAY * first_um * self.slid_um
        suspected, self.suspects = self.suspects, both and same_way
        return suspected and self.suspects
