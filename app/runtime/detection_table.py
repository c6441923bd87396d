"""A table of detections, read for tracking: the time of every frame and what was found in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from app.records.export import (
    DETECTIONS,
    label_value,
    read_columns,
    refuse_sparse,
    refuse_unknown,
)
from models.errors import DataError
from models.types import Detections, Float64, Int64

# Where the table has no sizes.
_HEAD_PX = 10.0
# Outside of these times are no seconds: at less than the first nobody can be followed, and a step
# of 1/30 s written in milliseconds gives 0.03; written in minutes, 1800.
_LEAST_HZ, _MOST_HZ = 1.5, 1500.0
_MOST_PX = 1e6  # no picture is as large; a place beyond is a slip


def read_detections(path: Path, fps: float | None) -> tuple[Float64, list[Detections]]:
    """Time (s) of every frame from 0 to the last one, and what was found in it.

    Parameters
    ----------
    path : Path
    fps : float or None
        Overrules the times of the table.

    Raises
    ------
    DataError
        A table that is missing or damaged, frames that do not count from 0, places or sizes that no
        picture has, or times that are no seconds.
    """
    columns = read_columns(path, DETECTIONS, required=("frame", "x_px", "y_px"))
    number = {
        name: np.asarray(column, dtype=np.float64)
        for name, column in columns.items()
        if name != "label"
    }
    frame = number["frame"]
    if not len(frame):
        raise DataError(f"{path}: holds no detection; nothing to track")
    for name in ("frame", "x_px", "y_px"):
        refuse_unknown(path, name, number[name])
    for name in ("w_px", "h_px", "score"):  # empty is allowed there, and means the usual
        if name in number:
            refuse_unknown(path, name, np.where(np.isnan(number[name]), 0.0, number[name]))
    for name in ("x_px", "y_px", "w_px", "h_px"):
        least = 0.0 if name in ("w_px", "h_px") else -_MOST_PX
        _refuse_impossible(path, name, number.get(name, np.zeros(0)), least)
    if (frame < 0).any() or (frame % 1 != 0).any():
        raise DataError(f"{path}: frame must count 0, 1, 2, ...; number the frames so")
    refuse_sparse(path, frame)
    row_frame = frame.astype(np.int64)
    order = np.argsort(row_frame, kind="stable")
    bounds = np.searchsorted(row_frame[order], np.arange(row_frame.max() + 2))
    n = len(frame)
    box = np.stack(
        [
            number["x_px"], number["y_px"],
            np.nan_to_num(number.get("w_px", np.full(n, _HEAD_PX)), nan=_HEAD_PX),
            np.nan_to_num(number.get("h_px", np.full(n, _HEAD_PX)), nan=_HEAD_PX),
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    score = np.nan_to_num(number.get("score", np.ones(n)), nan=1.0).astype(np.float32)
    label = label_value(columns["label"].tolist()) if "label" in columns else np.zeros(n, np.int8)
    nothing = Detections.empty()
    frames = [
        Detections(box[order[a:b]], score[order[a:b]], label[order[a:b]]) if b > a else nothing
        for a, b in pairwise(bounds.tolist())
    ]
    return _frame_times(path, row_frame, number.get("time_s"), fps), frames


def _refuse_impossible(path: Path, name: str, px: Float64, least_px: float) -> None:
    """Tell the first place or size (N,) that no picture has, with its line; NaN is none."""
    bad = np.flatnonzero((px < least_px) | (px > _MOST_PX))
    if len(bad):
        raise DataError(
            f"{path}: line {bad[0] + 2}: {name} is {px[bad[0]]:g}, where {least_px:g} to "
            f"{_MOST_PX:g} are possible; correct it"
        )


def _frame_times(path: Path, frame: Int64, time_s: Float64 | None, fps: float | None) -> Float64:
    """Time of each frame; frames without any detection lie between their neighbours."""
    every = np.arange(int(frame.max()) + 1)
    if fps is not None:
        stated: Float64 = every / fps
        return stated
    if time_s is None or not np.isfinite(time_s).all():
        raise DataError(
            f"{path}: time_s is missing or infinite; fill it in, or state the frame rate (--fps)"
        )
    known, row = np.unique(frame, return_index=True)
    times = time_s[row]
    if not (np.diff(times) > 0).all():
        raise DataError(f"{path}: time_s must increase with frame; correct it, or state --fps")
    # With a single frame there is no rate, and none is needed.
    step_s = float(np.median(np.diff(times) / np.diff(known))) if len(known) > 1 else 1.0
    if len(known) > 1 and not _LEAST_HZ <= 1.0 / step_s <= _MOST_HZ:
        raise DataError(
            f"{path}: time_s steps by {step_s:g} from frame to frame, that is {1.0 / step_s:.3g} "
            f"frames a second, where {_LEAST_HZ:g} to {_MOST_HZ:g} are plausible; write time_s in "
            "seconds, or state the frame rate (--fps)"
        )
    before = times[0] + (every - known[0]) * step_s
    filled: Float64 = np.where(every < known[0], before, np.interp(every, known, times))
    return filled


def picture_size(path: Path, frames: Sequence[Detections]) -> tuple[int, int]:
    """Columns and rows (px) of the pictures that the detections come from.

    As the analysis.json beside the table says; without it, what the detections extend to.

    Raises
    ------
    DataError
        That file does not say it.
    """
    about = path.with_name("analysis.json")
    if about.is_file():
        try:
            document = json.loads(about.read_text(encoding="utf-8"))
            return int(document["width_px"]), int(document["height_px"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{about}: does not tell width_px and height_px; remove it, or analyse again"
            ) from error
    box = np.concatenate([one.box_px for one in frames])
    return int(np.ceil(box[:, 0].max())) + 1, int(np.ceil(box[:, 1].max())) + 1
