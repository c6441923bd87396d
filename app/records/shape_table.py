"""What each frame said of each sperm's shape: shapes.csv, so that a verdict can be made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.records.export import Column, whole_columns
from models.measure.shape_record import ShapeRecord
from models.measure.shapes import Shapes
from models.types import Int64, Tracks

_VALUES = ("area_px2", "length_px", "width_px", "ellipticity", "bend_deg", "tail_px")
# In the place of the bend where the estimators give the head's angle to the picture instead.
_IMAGE_ANGLE = "image_angle_deg"
SHAPES = pa.schema(
    [("frame", pa.int64()), ("track_id", pa.int64()), ("flags", pa.int64())]
    + [(name, pa.float64()) for name in (*_VALUES, _IMAGE_ANGLE)]
)


def shape_columns(
    frame: int, tracks: Tracks, shapes: Shapes, *, image_angle: bool = False
) -> dict[str, Column]:
    """Rows of one frame: the shapes, flagged ones too, that belong to a track.

    With ``image_angle`` the shapes hold the head's angle to the picture (degrees) for the bend.
    """
    own = tracks.detection >= 0
    row = tracks.detection[own]
    columns: dict[str, Column] = {
        "frame": np.full(len(row), frame), "track_id": tracks.track_id[own],
        "flags": shapes.flags[row],
    }  # fmt: skip
    columns |= {name: shapes.values[row, k] for k, name in enumerate(_VALUES)}
    if image_angle:
        columns[_IMAGE_ANGLE] = columns.pop("bend_deg")
    return columns


def read_shapes(path: Path) -> dict[str, NDArray[np.generic]]:
    """Columns of shapes.csv.

    Raises
    ------
    DataError
        Missing or damaged.
    """
    needed = [name for name in SHAPES.names if name != _IMAGE_ANGLE]  # later than the others
    return whole_columns(path, SHAPES, required=needed, whole=("frame", "track_id", "flags"))


def record_of(columns: dict[str, NDArray[np.generic]], um_per_px: float) -> ShapeRecord:
    """Put the frames of a table together again; rows of track 0 are left out."""
    record = ShapeRecord(um_per_px)
    number = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    if _IMAGE_ANGLE in number:
        bend, angle = number["bend_deg"], number[_IMAGE_ANGLE]
        number["bend_deg"] = np.where(np.isfinite(bend), bend, angle)
    order = np.lexsort([number["track_id"], number["frame"]])
    order = order[number["track_id"][order] > 0]
    values = np.stack([number[name][order] for name in _VALUES], axis=1)
    flags = number["flags"][order].astype(np.int64)
    track_id: Int64 = number["track_id"][order].astype(np.int64)
    for rows in np.split(np.arange(len(order)), _cuts(number["frame"][order])):
        n = len(rows)
        nowhere = np.full((n, 2), np.nan)
        shapes = Shapes(
            values[rows], nowhere, nowhere, flags[rows], np.zeros((n, 0, 2)), np.zeros(n, np.int64)
        )
        record.add(track_id[rows], np.arange(n), shapes)
    return record


def _cuts(frame: NDArray[np.float64]) -> Int64:
    """Where another frame begins."""
    return np.flatnonzero(np.diff(frame)) + 1
