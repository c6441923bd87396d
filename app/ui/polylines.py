"""Many polylines as one path: built from arrays, without a loop over points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyqtgraph.functions import arrayToQPath
from PySide6.QtGui import QPainterPath

from models.types import Float64


@dataclass(frozen=True, slots=True)
class Polylines:
    """Points one after the other.

    Attributes
    ----------
    points_px : (N, 2) float64
        x, y in the image frame; finite.
    joined : (N,) bool
        Whether a line goes from this point to the next.
    """

    points_px: Float64
    joined: NDArray[np.bool_]

    @staticmethod
    def of_grid(points_px: Float64) -> Polylines:
        """Take polylines of equal length (n, k, 2); points that are NaN are left out."""
        known = np.asarray(np.isfinite(points_px).all(axis=-1))
        joined = np.zeros(known.shape, bool)
        joined[:, :-1] = known[:, :-1] & known[:, 1:]
        return Polylines(points_px[known], joined[known])

    def path(self) -> QPainterPath:
        """Return them as Qt draws them."""
        if not len(self.points_px):
            return QPainterPath()
        result: QPainterPath = arrayToQPath(
            self.points_px[:, 0],
            self.points_px[:, 1],
            connect=self.joined.astype(np.int32),
            finiteCheck=False,
        )
        return result
