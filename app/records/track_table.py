"""From the tracks of successive frames to the rows of tracks.csv and sperm.csv."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.records.export import Column, label_text, state_text
from calibration.transform import ImageToStage
from models.measure.motility import COLUMNS, measure_path
from models.tracking.settings import TrackerSettings
from models.tracking.smoother import smooth
from models.types import Float64, Tracks, TrackState

_REST_UM = np.zeros(2)
Rows = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class TrackTables:
    """Columns of both tables, and how many sperm they tell of."""

    tracks: dict[str, Column]
    sperm: dict[str, Column]
    count: int


class TrackTable:
    """Collects the tracks of a recording that was taken with the stage at rest.

    Parameters
    ----------
    transform : ImageToStage
    settings : TrackerSettings
        Of the tracker, for smoothing.
    """

    def __init__(self, transform: ImageToStage, settings: TrackerSettings) -> None:
        self._transform = transform
        self._settings = settings
        self._frames: list[Rows] = []

    def add(self, frame: int, tracks: Tracks) -> dict[str, Column]:
        """Keep a frame; return its rows of tracks.csv as known on line."""
        n = len(tracks)
        rows: Rows = {
            "frame": np.full(n, frame), "time_s": np.full(n, tracks.time_s),
            "track_id": tracks.track_id, "position_um": tracks.position_um,
            "raw_um": tracks.raw_um, "size_px": tracks.size_px, "score": tracks.score,
            "p_exist": tracks.p_exist, "state": tracks.state, "label": tracks.label,
        }  # fmt: skip
        if n:
            self._frames.append(rows)
        return self._columns(rows)

    def finish(self, *, online: bool) -> TrackTables:
        """All rows of the sperm that were confirmed at one time.

        A track ends with the frame in which it was last seen: the coasting after it is no
        knowledge. The position is the mean path, smoothed over the whole track, or with
        ``online`` as the tracker knew it in that frame.
        """
        if not self._frames:
            return TrackTables({}, {}, 0)
        rows = {
            name: np.concatenate([part[name] for part in self._frames]) for name in self._frames[0]
        }
        order = np.lexsort([rows["frame"], rows["track_id"]])
        rows = {name: column[order] for name, column in rows.items()}
        bounds = np.flatnonzero(np.diff(rows["track_id"], prepend=-1, append=-1))
        kept = np.zeros(len(order), np.bool_)
        sperm: dict[str, list[object]] = {}
        for begin, end in pairwise(bounds.tolist()):
            if not (rows["state"][begin:end] == TrackState.CONFIRMED).any():
                continue
            seen = np.flatnonzero(np.isfinite(_float(rows["raw_um"][begin:end, 0])))
            piece = slice(begin + int(seen[0]), begin + int(seen[-1]) + 1)
            kept[piece] = True
            time_s, raw_um = _float(rows["time_s"][piece]), _float(rows["raw_um"][piece])
            if not online:
                state, _ = smooth(time_s, raw_um, self._settings)
                rows["position_um"][piece] = state[:, :2]
            for name, value in _sperm_row(rows, piece, time_s, raw_um).items():
                sperm.setdefault(name, []).append(value)
        rows = {name: column[kept] for name, column in rows.items()}
        by_frame = np.lexsort([rows["track_id"], rows["frame"]])
        rows = {name: column[by_frame] for name, column in rows.items()}
        return TrackTables(self._columns(rows), dict(sperm.items()), len(sperm.get("track_id", [])))

    def _columns(self, rows: Rows) -> dict[str, Column]:
        position_um, raw_um = _float(rows["position_um"]), _float(rows["raw_um"])
        xy_px = self._transform.stage_to_image(position_um, _REST_UM)
        raw_px = self._transform.stage_to_image(raw_um, _REST_UM)
        size_px = rows["size_px"]
        return {
            "frame": rows["frame"], "time_s": rows["time_s"], "track_id": rows["track_id"],
            "x_px": xy_px[:, 0], "y_px": xy_px[:, 1], "w_px": size_px[:, 0],
            "h_px": size_px[:, 1], "x_raw_px": raw_px[:, 0], "y_raw_px": raw_px[:, 1],
            "score": rows["score"], "p_exist": rows["p_exist"],
            "state": state_text(rows["state"].astype(np.int8)),
            "x_um": position_um[:, 0], "y_um": position_um[:, 1],
            "label": label_text(rows["label"].astype(np.int8)),
        }  # fmt: skip


def _sperm_row(rows: Rows, piece: slice, time_s: Float64, raw_um: Float64) -> dict[str, object]:
    motility = measure_path(time_s, raw_um)
    row: dict[str, object] = {
        "track_id": int(rows["track_id"][piece.start]),
        "first_frame": int(rows["frame"][piece.start]),
        "frames": piece.stop - piece.start,
        "duration_s": float(time_s[-1] - time_s[0]),
        "quality": motility.quality,
    }
    return row | {name: motility.values[name] for name in COLUMNS}


def _float(column: NDArray[np.generic]) -> Float64:
    return np.asarray(column, dtype=np.float64)
