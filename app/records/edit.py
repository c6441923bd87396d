"""A person's corrections of a finished analysis: tracks deleted, joined, split; tables follow."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.records.edit_rows import rows_of, seen_in
from app.records.export import SPERM, TRACKS, to_parquet, write_table
from app.records.finished import (
    About,
    Columns,
    Masks,
    criteria_of,
    read_about,
    read_shapes_of,
    read_tracks,
)
from app.records.shape_table import SHAPES, record_of
from app.records.track_table import TrackTable, TrackTables
from calibration.transform import ImageToStage
from models.errors import DataError
from models.tracking.settings import TrackerSettings
from models.types import Int64

# The analysis as it was before anybody changed it.
UNEDITED = "unedited"
_KEPT = ("tracks.csv", "sperm.csv", "shapes.csv", "masks.json", "analysis.json")
_TABLES = (("tracks", TRACKS), ("sperm", SPERM), ("shapes", SHAPES))


@dataclass(frozen=True, slots=True)
class Edit:
    """One correction.

    Attributes
    ----------
    kind : str
        ``delete``: these tracks are no sperm. ``join``: they are one sperm, and keep the first
        name. ``split``: from ``frame`` on the track is another sperm, which gets a new name.
    track_id : tuple of int
        One for a split, two or more to join.
    frame : int or None
        Of a split.
    """

    kind: str
    track_id: tuple[int, ...]
    frame: int | None = None

    def __post_init__(self) -> None:
        least = {"delete": 1, "join": 2, "split": 1}.get(self.kind)
        if least is None:
            raise DataError(f"edit: {self.kind!r}; delete, join and split are known")
        if len(set(self.track_id)) < max(least, len(self.track_id)):
            raise DataError(f"edit: {self.kind} needs {least} different tracks or more")
        if min(self.track_id) < 1:
            # Within an edit 0 stands for what is deleted.
            raise DataError(f"edit: {min(self.track_id)} is no track; names count from 1")
        if (self.kind == "split") != (self.frame is not None) or (
            self.kind == "split" and len(self.track_id) != 1
        ):
            raise DataError("edit: split, and nothing else, needs one track and a frame")

    def named(self, frame: Int64, track_id: Int64, fresh_id: int) -> Int64:
        """Names (N,) of rows after this edit; 0: deleted."""
        mine = np.isin(track_id, self.track_id)
        if self.kind == "split":
            mine &= frame >= (self.frame or 0)
        name = {"delete": 0, "join": self.track_id[0], "split": fresh_id}[self.kind]
        return np.where(mine, name, track_id)


def edit_analysis(folder: Path, edits: Sequence[Edit]) -> dict[str, object]:
    """Change the tracks of an analysis, one edit after the other, and make all its tables anew.

    tracks, sperm and shapes (CSV and Parquet), masks.json and analysis.json follow; what the
    detector found stays as it was. The files before the first edit are kept in ``unedited``. All
    is read, checked and computed before anything is written.

    Returns
    -------
    dict
        tracks, healthy and more as after ``analyze``; ``edits``, all so far; ``new_tracks``, names
        that the splits gave; ``stale``, files that still show what was before; ``notice``, what
        must be told of the criteria, empty where nothing.

    Raises
    ------
    DataError
        No analysis, a damaged one, no such track, tracks seen in the same frame, or a split that
        leaves nothing.
    ModelError
        Criteria that were not kept with the analysis and are not to be found.
    """
    folder = Path(folder)
    about = read_about(folder)
    columns = read_tracks(folder)
    frame, track_id = (_whole(columns[name]) for name in ("frame", "track_id"))
    seen = seen_in(columns)
    shapes, masks = read_shapes_of(folder), Masks(folder)
    criteria, notice = criteria_of(folder, about)
    shape_frame, shape_id = (
        np.zeros(0, np.int64) if shapes is None else _whole(shapes[name])
        for name in ("frame", "track_id")
    )
    told = list(about.edits)
    # Tracks that were never confirmed have their names too, in masks and shapes alone.
    names = [int(one.max(initial=0)) for one in (track_id, shape_id, masks.track_id)]
    fresh_id = max([*names, *about.names()]) + 1
    new_tracks: list[int] = []
    for edit in edits:
        _check(edit, frame, track_id, seen, np.concatenate([shape_id, masks.track_id]))
        track_id = edit.named(frame, track_id, fresh_id)
        shape_id = edit.named(shape_frame, shape_id, fresh_id)
        masks.track_id = edit.named(masks.frame, masks.track_id, fresh_id)
        told.append(asdict(edit) | ({"new_track": fresh_id} if edit.kind == "split" else {}))
        if edit.kind == "split":
            new_tracks.append(fresh_id)
            fresh_id += 1
    transform = ImageToStage.nominal(about.um_per_px, about.width_px, about.height_px)
    table = TrackTable(transform, TrackerSettings(), criteria.profile)
    table.put(rows_of(columns, track_id, transform))
    record = None
    if shapes is not None:
        shapes = {name: column[shape_id > 0] for name, column in shapes.items()}
        shapes["track_id"] = shape_id[shape_id > 0]
        record = record_of(shapes, about.um_per_px)
    tables = table.finish(online=about.online, shapes=record, named=True)
    changes: dict[str, object] = {"tracks": tables.count} | tables.findings()
    changes |= {"edits": told, "criteria_profile": criteria.record()}
    if notice:
        print(f"sfcscope: {folder}: {notice}", file=sys.stderr)
    _keep_unedited(folder)
    _write(folder, about, changes, tables, shapes, masks)
    stale = [name for name in ("overlay.mp4", "labelme") if (folder / name).exists()]
    return {
        "tracks": tables.count, **tables.findings(), "edits": told, "new_tracks": new_tracks,
        "stale": stale, "notice": notice, "out": str(folder),
    }  # fmt: skip


def undo_edits(folder: Path) -> dict[str, object]:
    """Bring an analysis back to what it was before the first edit.

    Raises
    ------
    DataError
        It was never edited, or what was kept is damaged.
    """
    folder = Path(folder)
    before = folder / UNEDITED
    if not before.is_dir():
        raise DataError(f"{folder}: nothing to undo; it was not edited")
    about = read_about(before)
    for name in _KEPT:
        if (before / name).is_file():
            (before / name).replace(folder / name)
    _write_parquet(folder, about.notes())
    shutil.rmtree(before)
    return {"tracks": about.document.get("tracks"), "edits": [], "out": str(folder)}


def forget_edits(folder: Path) -> None:
    """Drop what belongs to an earlier analysis in this folder, which is about to be replaced.

    Masks and shapes carry the names of its tracks: those of another analysis are others.
    """
    shutil.rmtree(folder / UNEDITED, ignore_errors=True)
    for name in ("shapes.csv", "shapes.parquet", "masks.json"):
        (folder / name).unlink(missing_ok=True)


def _write(
    folder: Path,
    about: About,
    changes: dict[str, object],
    tables: TrackTables,
    shapes: Columns | None,
    masks: Masks,
) -> None:
    write_table(folder / "tracks.csv", TRACKS, tables.tracks)
    write_table(folder / "sperm.csv", SPERM, tables.sperm)
    if shapes is not None:
        write_table(folder / "shapes.csv", SHAPES, shapes)
    _write_parquet(folder, about.notes(changes))
    masks.write()
    scratch = folder / "analysis.json.part"
    scratch.write_text(json.dumps(about.document | changes, indent=1) + "\n", encoding="utf-8")
    scratch.replace(folder / "analysis.json")


def _write_parquet(folder: Path, notes: dict[str, str]) -> None:
    for name, schema in _TABLES:
        if (folder / f"{name}.csv").is_file():
            to_parquet(folder / f"{name}.csv", schema, notes)


def _check(
    edit: Edit, frame: Int64, track_id: Int64, seen: NDArray[np.bool_], others: Int64
) -> None:
    """Refuse what makes no sense; ``others`` (M,) are the names in masks and shapes."""
    for one in edit.track_id:
        if (track_id == one).any():
            continue
        if not (others == one).any():
            raise DataError(f"edit: there is no track {one}; sperm.csv lists them")
        if edit.kind != "delete":
            raise DataError(
                f"edit: track {one} was never confirmed and stands in masks.json and shapes.csv "
                "alone; it can only be deleted"
            )
    mine = np.isin(track_id, edit.track_id) & seen
    if edit.kind == "join":
        frames, times = np.unique(frame[mine], return_counts=True)
        if (times > 1).any():
            raise DataError(
                f"edit: tracks {', '.join(map(str, edit.track_id))} are both seen in frame "
                f"{frames[times > 1][0]}: they are two sperm; split one before"
            )
    if edit.kind == "split":
        later = frame[mine] >= (edit.frame or 0)
        if later.all() or not later.any():
            raise DataError(
                f"edit: track {edit.track_id[0]} is seen from frame {frame[mine].min()} to "
                f"{frame[mine].max()}; split it between, not at {edit.frame}"
            )


def _keep_unedited(folder: Path) -> None:
    before = folder / UNEDITED
    if before.is_dir():
        return
    scratch = folder / f"{UNEDITED}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in _KEPT:
        if (folder / name).is_file():
            shutil.copy2(folder / name, scratch / name)
    scratch.replace(before)


def _whole(column: NDArray[np.generic]) -> Int64:
    return np.asarray(column).astype(np.int64)
