"""From the tracks of successive frames to the rows of tracks.csv and sperm.csv."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.records.export import Column, label_text, state_text
from app.records.sperm_table import SpermPath, sperm_table
from calibration.transform import ImageToStage
from models.measure.drift import Drift
from models.measure.profile import CriteriaProfile, named_profile
from models.measure.shape_record import ShapeRecord
from models.tracking.afterwards import Rows as Encountered
from models.tracking.afterwards import relink
from models.tracking.settings import TrackerSettings
from models.tracking.smoother import heads, smooth
from models.types import Float64, Tracks, TrackState

_REST_UM = np.zeros(2)
Rows = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class TrackTables:
    """Columns of both tables, how many sperm they tell of, the medium's flow, the frame rate."""

    tracks: dict[str, Column]
    sperm: dict[str, Column]
    count: int
    drift: Drift
    frame_rate_hz: float

    def findings(self) -> dict[str, object]:
        """Say what analysis.json tells of them."""
        flow_um_s = self.drift.speed_um_s
        healthy = list(self.sperm.get("healthy", []))
        return {
            "healthy": healthy.count(1), "judged": len(healthy) - healthy.count(None),
            "kinematics_hz": None if math.isnan(self.frame_rate_hz) else self.frame_rate_hz,
            "drift_um_s": None if math.isnan(flow_um_s) else flow_um_s,
            "drift_cells": self.drift.cells, "drift_corrected": self.drift.corrected,
        }  # fmt: skip


class TrackTable:
    """Collects the tracks of a recording that was taken with the stage at rest.

    Parameters
    ----------
    transform : ImageToStage
    settings : TrackerSettings
        Of the tracker, for smoothing.
    profile : CriteriaProfile, optional
        What counts as normal; the default profile when left out.
    """

    def __init__(
        self,
        transform: ImageToStage,
        settings: TrackerSettings,
        profile: CriteriaProfile | None = None,
    ) -> None:
        self._transform = transform
        self._settings = settings
        self._profile = profile or named_profile()
        self._frames: list[Rows] = []

    def add(self, frame: int, tracks: Tracks) -> dict[str, Column]:
        """Keep a frame; return its rows of tracks.csv as known on line."""
        n = len(tracks)
        rows: Rows = {
            "frame": np.full(n, frame), "time_s": np.full(n, tracks.time_s),
            "track_id": tracks.track_id, "position_um": tracks.head_um,
            "raw_um": tracks.raw_um, "box_um": tracks.box_um, "size_px": tracks.size_px,
            "score": tracks.score, "p_exist": tracks.p_exist, "state": tracks.state,
            "label": tracks.label,
        }  # fmt: skip
        if n:
            self._frames.append(rows)
        return self._columns(rows)

    def put(self, rows: Rows) -> None:
        """Keep rows of many frames at once: the columns that ``add`` keeps of one."""
        self._frames.append(rows)

    def finish(
        self, *, online: bool, shapes: ShapeRecord | None = None, named: bool = False
    ) -> TrackTables:
        """All rows of the sperm that were confirmed at one time.

        A track ends with the frame in which it was last seen: the coasting after it is no
        knowledge. The position is the head's, smoothed over the whole track, gaps filled, or with
        ``online`` as the tracker knew it in that frame. ``shapes`` are those of the tracks, and
        bind their names; without them encounters are judged again with all that is known, but not
        where they were ``named`` by a person.
        """
        if not self._frames:
            nothing = sperm_table([], shapes, self._profile)
            return TrackTables({}, {}, 0, nothing.drift, nothing.frame_rate_hz)
        rows = {
            name: np.concatenate([part[name] for part in self._frames]) for name in self._frames[0]
        }
        if not online and shapes is None and not named:
            rows["track_id"] = self._relinked(rows)
        order = np.lexsort([rows["frame"], rows["track_id"]])
        rows = {name: column[order] for name, column in rows.items()}
        bounds = np.flatnonzero(np.diff(rows["track_id"], prepend=-1, append=-1))
        kept = np.zeros(len(order), np.bool_)
        paths: list[SpermPath] = []
        for begin, end in pairwise(bounds.tolist()):
            if not (rows["state"][begin:end] == TrackState.CONFIRMED).any():
                continue
            # Of a head that the border cuts the box tells where it is, though not its middle.
            place_um = _float(rows["raw_um"][begin:end]).copy()
            cut = np.isnan(place_um[:, 0])
            place_um[cut] = _float(rows["box_um"][begin:end])[cut]
            seen = np.flatnonzero(np.isfinite(place_um[:, 0]))
            piece = slice(begin + int(seen[0]), begin + int(seen[-1]) + 1)
            kept[piece] = True
            time_s, raw_um = _float(rows["time_s"][piece]), _float(rows["raw_um"][piece])
            if not online:
                place_um = place_um[seen[0] : seen[-1] + 1]
                state, _ = smooth(time_s, place_um, self._settings)
                rows["position_um"][piece] = heads(place_um, state[:, :2], self._settings)
            track_id, first = int(rows["track_id"][piece.start]), int(rows["frame"][piece.start])
            paths.append(SpermPath(track_id, first, piece.stop - piece.start, time_s, raw_um))
        rows = {name: column[kept] for name, column in rows.items()}
        by_frame = np.lexsort([rows["track_id"], rows["frame"]])
        rows = {name: column[by_frame] for name, column in rows.items()}
        sperm = sperm_table(paths, shapes, self._profile)
        return TrackTables(
            self._columns(rows), sperm.columns, len(paths), sperm.drift, sperm.frame_rate_hz
        )

    def _relinked(self, rows: Rows) -> NDArray[np.generic]:
        """Names (N,) of the rows, encounters of tracks confirmed at one time judged again."""
        told = np.unique(rows["track_id"][rows["state"] == TrackState.CONFIRMED])
        known = np.isin(rows["track_id"], told)
        size = np.log(np.maximum(_float(rows["size_px"][known]), 1e-3))
        look = np.array([0.5, 0.0, 1.0])[rows["label"][known].astype(np.int64)]
        name = rows["track_id"].copy()
        name[known] = relink(
            Encountered(
                name[known].astype(np.int64), _float(rows["time_s"][known]),
                _float(rows["raw_um"][known]),
                np.column_stack([size.sum(axis=1), size[:, 0] - size[:, 1], look]),
            ),
            self._settings,
        )  # fmt: skip
        return name

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


def _float(column: NDArray[np.generic]) -> Float64:
    return np.asarray(column, dtype=np.float64)
