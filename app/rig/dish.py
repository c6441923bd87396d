"""The bottom of the dish: where a pipette goes no deeper, and slides."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

SLIDE = 0.8  # um forward for each um that it is driven on: the capillary bends


class Dish:
    """Turns where a tip would be, were nothing in its way, into where it is.

    Parameters
    ----------
    z_um : float
        Height of the bottom, in the frame of the tips' last axis.
    shaft_rad : float
        Where the shaft comes from, seen from the tip, in the frame of the first two axes.
    up : int
        Sign of the last axis that leads away from the bottom.
    """

    def __init__(self, z_um: float, shaft_rad: float, up: int = 1) -> None:
        self.z_um = z_um
        self._up = up
        self._forward = -np.array((math.cos(shaft_rad), math.sin(shaft_rad)))

    def met(self, tip_um: Float64) -> Float64:
        """Return where tips (n, 3) come to lie, (n, 3)."""
        driven_um = np.maximum(0.0, self._up * (self.z_um - tip_um[:, 2]))
        met_um = np.array(tip_um, np.float64)
        met_um[:, 2] += self._up * driven_um
        met_um[:, :2] += SLIDE * driven_um[:, None] * self._forward
        return met_um
