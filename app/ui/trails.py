"""Where each sperm has been, in the stage's frame: a moving stage bends no trail."""

from __future__ import annotations

from typing import Final

import numpy as np

from app.ui.polylines import Polylines
from calibration.transform import ImageToStage
from models.types import Float64, Int64, Tracks

STEPS: Final = 45
"""Frames kept: 1.5 s at 30 a second."""


class Trails:
    """Positions of the last frames, one row for each track, in a ring of columns."""

    def __init__(self, steps: int = STEPS) -> None:
        self._past_um = np.full((64, steps, 2), np.nan)
        self._row: dict[int, int] = {}
        self._free = list(range(64))
        self._column = 0

    def add(self, tracks: Tracks) -> None:
        """Take the positions of one frame; forget the tracks that are no more."""
        self._column = (self._column + 1) % self._past_um.shape[1]
        self._past_um[:, self._column] = np.nan
        ids = tracks.track_id.tolist()
        for track in self._row.keys() - set(ids):
            self._free.append(self._row.pop(track))
        for track in ids:
            if track not in self._row:
                self._row[track] = self._take_row()
        if ids:
            self._past_um[[self._row[track] for track in ids], self._column] = tracks.position_um

    def of(self, track_id: Int64) -> Float64:
        """Trails of these tracks (N,), which are in the newest frame.

        Returns
        -------
        (N, steps, 2) float64
            Oldest point first, stage frame; NaN where a track was not there yet.
        """
        steps = self._past_um.shape[1]
        order = np.arange(self._column + 1, self._column + 1 + steps) % steps
        rows = np.array([self._row[track] for track in track_id.tolist()], np.intp)
        return self._past_um[rows[:, None], order]

    def seen_at(self, pose_um: Float64, track_id: Int64, image_to_stage: ImageToStage) -> Polylines:
        """Return them as they lie in a picture taken at stage pose (2,)."""
        return Polylines.of_grid(image_to_stage.stage_to_image(self.of(track_id), pose_um))

    def _take_row(self) -> int:
        """Return an empty row; twice as many where none is left."""
        if not self._free:
            rows = len(self._past_um)
            self._past_um = np.concatenate([self._past_um, np.full_like(self._past_um, np.nan)])
            self._free = list(range(rows, 2 * rows))
        row = self._free.pop()
        self._past_um[row] = np.nan
        return row
