"""More detections in a spot than heads have room in: which to leave out. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.types import Float64

PLENTY: Final = 300
"""Up to so many detections there is time for all of them: 200 sperm and their clutter."""
_CELL_UM: Final = 4.0
_ROOM: Final = 4  # middles of heads, 5 by 3 um, that lie across each other in a cell


def piled(position_um: Float64, score: Float64) -> NDArray[np.bool_]:
    """Tell which detections (N,) lie where there are better ones than there is room for.

    Parameters
    ----------
    position_um : (N, 2) float64
        Finite, stage frame.
    score : (N,) float64
    """
    cell = np.floor(position_um / _CELL_UM)
    order = np.lexsort((-score, cell[:, 1], cell[:, 0]))
    fresh = np.r_[True, (cell[order][1:] != cell[order][:-1]).any(axis=1)][: len(order)]
    row = np.arange(len(order))
    first = np.maximum.accumulate(np.where(fresh, row, 0))
    bad = np.zeros(len(order), np.bool_)
    bad[order] = row - first >= _ROOM
    return bad
