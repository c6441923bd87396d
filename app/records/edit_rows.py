"""From the rows of tracks.csv, under the names that a person gave, to whole tracks again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.records.export import label_value, state_value
from app.records.track_table import Rows
from calibration.transform import ImageToStage
from models.types import Float64, Int64, TrackState


def seen_in(columns: dict[str, NDArray[np.generic]]) -> NDArray[np.bool_]:
    """Tell in which rows (N,) of tracks.csv a head was found.

    Of one that the border cuts the middle is not known, and its raw place is empty: its score and
    state say that it was found.
    """
    raw, score = (np.isfinite(np.asarray(columns[n], np.float64)) for n in ("x_raw_px", "score"))
    confirmed = state_value(columns["state"].tolist()) == TrackState.CONFIRMED
    return np.asarray(raw | score | confirmed)


def rows_of(
    columns: dict[str, NDArray[np.generic]], track_id: Int64, transform: ImageToStage
) -> Rows:
    """Rows as the table of tracks keeps them: one for each track and frame, without holes.

    Parameters
    ----------
    columns : dict
        Of tracks.csv.
    track_id : (N,)
        Whose the rows are now; 0: of no sperm.
    transform : ImageToStage
        Of the analysis.
    """
    number = {
        name: np.asarray(column, np.float64)
        for name, column in columns.items()
        if name not in ("state", "label")
    }
    seen = seen_in(columns)
    # Of the rows of a joined sperm in one frame the one that was seen.
    order = np.lexsort([~seen, number["frame"], track_id])
    order = order[track_id[order] > 0]
    key = np.stack([track_id[order].astype(np.float64), number["frame"][order]], axis=1)
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(key, axis=0) != 0.0).any(axis=1)
    order = order[first]
    state = state_value(columns["state"][order].tolist())
    label = label_value(columns["label"][order].tolist())
    raw = np.stack([number["x_raw_px"], number["y_raw_px"]], axis=1)[order]
    # Where a head was found, but its middle is not known, its place is what was told of it.
    place = np.stack([number["x_px"], number["y_px"]], axis=1)[order]
    told_only = (np.isnan(raw[:, 0]) & seen[order])[:, None]
    found = np.where(told_only, place, raw)
    rows: Rows = {
        "frame": number["frame"][order].astype(np.int64), "time_s": number["time_s"][order],
        "track_id": track_id[order],
        "position_um": np.stack([number["x_um"], number["y_um"]], axis=1)[order],
        "raw_um": transform.image_to_stage(raw, np.zeros(2)),
        "box_um": transform.image_to_stage(found, np.zeros(2)),
        "size_px": np.stack([number["w_px"], number["h_px"]], axis=1)[order],
        "score": number["score"][order], "p_exist": number["p_exist"][order],
        "state": state, "label": label,
    }  # fmt: skip
    # What a person leaves is a sperm, also where the tracker had not come to say so.
    told = np.unique(track_id[order][state == TrackState.CONFIRMED])
    rows["state"][seen[order] & ~np.isin(track_id[order], told)] = TrackState.CONFIRMED
    return _without_holes(rows)


def _without_holes(rows: Rows) -> Rows:
    """Add the frames between the parts of a joined sperm, not seen in them."""
    known, at = np.unique(rows["frame"], return_index=True)
    times = _float(rows["time_s"])[at]
    added: list[Rows] = []
    for k in np.flatnonzero((np.diff(rows["track_id"]) == 0) & (np.diff(rows["frame"]) > 1)):
        frame = np.arange(int(rows["frame"][k]) + 1, int(rows["frame"][k + 1]))
        share = ((frame - rows["frame"][k]) / (rows["frame"][k + 1] - rows["frame"][k]))[:, None]
        hole: Rows = {name: np.repeat(column[k : k + 1], len(frame), 0)
                      for name, column in rows.items()}  # fmt: skip
        hole["frame"], hole["time_s"] = frame, np.interp(frame, _float(known), times)
        position = _float(rows["position_um"])
        hole["position_um"] = position[k] + share * (position[k + 1] - position[k])
        nowhere = np.full((len(frame), 2), np.nan)
        hole["raw_um"], hole["box_um"], hole["score"] = nowhere, nowhere, nowhere[:, 0]
        hole["state"] = np.full(len(frame), TrackState.COASTING, rows["state"].dtype)
        added.append(hole)
    return {name: np.concatenate([rows[name], *(one[name] for one in added)]) for name in rows}


def _float(column: NDArray[np.generic]) -> Float64:
    return np.asarray(column, dtype=np.float64)
