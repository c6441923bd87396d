"""A person's corrections of a finished analysis: tracks deleted, joined, split; tables follow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.records.criteria import load_criteria
from app.records.edit_rows import rows_of
from app.records.export import SPERM, TRACKS, read_columns, to_parquet, write_table
from app.records.shape_table import SHAPES, read_shapes, record_of
from app.records.track_table import TrackTable
from calibration.transform import ImageToStage
from models.errors import DataError
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

# The analysis as it was before anybody changed it.
UNEDITED = "unedited"
_KEPT = ("tracks.csv", "sperm.csv", "shapes.csv", "masks.json", "analysis.json")
_NEEDED = ("frame", "time_s", "track_id", "x_raw_px", "y_raw_px", "x_um", "y_um")


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
    detector found stays as it was. The files before the first edit are kept in ``unedited``.

    Returns
    -------
    dict
        tracks, healthy and more as after ``analyze``; ``edits``, all so far; ``new_tracks``, names
        that the splits gave; ``stale``, files that still show what was before.

    Raises
    ------
    DataError
        No analysis, no such track, tracks seen in the same frame, or a split that leaves nothing.
    """
    folder = Path(folder)
    about = _about(folder)
    columns = read_columns(folder / "tracks.csv", TRACKS, required=_NEEDED)
    frame = np.asarray(columns["frame"], np.float64).astype(np.int64)
    track_id = np.asarray(columns["track_id"], np.float64).astype(np.int64)
    seen = np.isfinite(np.asarray(columns["x_raw_px"], np.float64))
    shapes = _shapes(folder)
    masks = _masks(folder)
    mask_frame, mask_id = (
        np.array([one.get(name, 0) for one in masks.get("annotations", [])], np.int64)
        for name in ("image_id", "track_id")
    )
    had_name = mask_id > 0
    told = _told(about)
    fresh_id = max([int(track_id.max(initial=0)), *_names(told)]) + 1
    new_tracks: list[int] = []
    for edit in edits:
        _check(edit, frame, track_id, seen)
        track_id = edit.named(frame, track_id, fresh_id)
        if shapes is not None:
            shape_frame, shape_id = (_whole(shapes[name]) for name in ("frame", "track_id"))
            shapes["track_id"] = edit.named(shape_frame, shape_id, fresh_id)
        mask_id = edit.named(mask_frame, mask_id, fresh_id)
        told.append(asdict(edit) | ({"new_track": fresh_id} if edit.kind == "split" else {}))
        if edit.kind == "split":
            new_tracks.append(fresh_id)
            fresh_id += 1
    for one, name, had in zip(masks.get("annotations", []), mask_id, had_name, strict=True):
        one["track_id"], one["deleted"] = int(name), bool(had and not name)
    _keep_unedited(folder)
    return _write(folder, about, columns, track_id, shapes, masks, told) | {
        "new_tracks": new_tracks
    }


def undo_edits(folder: Path) -> dict[str, object]:
    """Bring an analysis back to what it was before the first edit.

    Raises
    ------
    DataError
        It was never edited.
    """
    folder = Path(folder)
    before = folder / UNEDITED
    if not before.is_dir():
        raise DataError(f"{folder}: nothing to undo; it was not edited")
    for name in _KEPT:
        if (before / name).is_file():
            (before / name).replace(folder / name)
    about = _about(folder)
    for name, schema in (("tracks", TRACKS), ("sperm", SPERM), ("shapes", SHAPES)):
        if (folder / f"{name}.csv").is_file():
            to_parquet(folder / f"{name}.csv", schema, _notes(about))
    shutil.rmtree(before)
    return {"tracks": about.get("tracks"), "edits": [], "out": str(folder)}


def forget_edits(folder: Path) -> None:
    """Drop what belongs to an earlier analysis in this folder, which is about to be replaced."""
    shutil.rmtree(folder / UNEDITED, ignore_errors=True)
    (folder / "shapes.csv").unlink(missing_ok=True)


def _write(
    folder: Path,
    about: dict[str, object],
    columns: dict[str, NDArray[np.generic]],
    track_id: Int64,
    shapes: dict[str, NDArray[np.generic]] | None,
    masks: dict[str, list[dict[str, object]]],
    told: list[dict[str, object]],
) -> dict[str, object]:
    options = about["options"]
    if not isinstance(options, dict):
        raise DataError(f"{folder / 'analysis.json'}: options are damaged; analyse again")
    um_per_px = float(str(about["um_per_px"]))
    transform = ImageToStage.nominal(
        um_per_px, int(str(about["width_px"])), int(str(about["height_px"]))
    )
    table = TrackTable(transform, TrackerSettings(), load_criteria(str(options["criteria"])))
    table.put(rows_of(columns, track_id, transform))
    record = None if shapes is None else record_of(shapes, um_per_px)
    tables = table.finish(online=bool(options.get("online")), shapes=record, named=True)
    write_table(folder / "tracks.csv", TRACKS, tables.tracks)
    write_table(folder / "sperm.csv", SPERM, tables.sperm)
    if shapes is not None:
        kept = _whole(shapes["track_id"]) > 0
        whole = {name: _whole(shapes[name]) for name in ("frame", "track_id", "flags")}
        rows = {name: column[kept] for name, column in (shapes | whole).items()}
        write_table(folder / "shapes.csv", SHAPES, rows)
    about = about | {"tracks": tables.count} | tables.findings() | {"edits": told}
    for name, schema in (("tracks", TRACKS), ("sperm", SPERM), ("shapes", SHAPES)):
        if (folder / f"{name}.csv").is_file():
            to_parquet(folder / f"{name}.csv", schema, _notes(about))
    if masks:
        _write_masks(folder / "masks.json", masks)
    text = json.dumps(about, indent=1)
    (folder / "analysis.json").write_text(text + "\n", encoding="utf-8")
    stale = [name for name in ("overlay.mp4", "labelme") if (folder / name).exists()]
    return {
        "tracks": tables.count, **tables.findings(), "edits": told, "stale": stale,
        "out": str(folder),
    }  # fmt: skip


def _check(edit: Edit, frame: Int64, track_id: Int64, seen: NDArray[np.bool_]) -> None:
    for one in edit.track_id:
        if not (track_id == one).any():
            raise DataError(f"edit: there is no track {one}; sperm.csv lists them")
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


def _about(folder: Path) -> dict[str, object]:
    path = folder / "analysis.json"
    if not path.is_file():
        raise DataError(f"{folder}: no analysis.json; name the folder that analyze wrote")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        about["options"], about["um_per_px"], about["width_px"], about["height_px"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); analyse the recording again") from error
    return dict(about)


def _told(about: dict[str, object]) -> list[dict[str, object]]:
    """Edits so far."""
    edits = about.get("edits", [])
    return [dict(one) for one in edits] if isinstance(edits, list) else []


def _names(told: list[dict[str, object]]) -> list[int]:
    """Names that edits so far have given or taken: none is given twice."""
    names = [int(str(one["new_track"])) for one in told if "new_track" in one]
    for one in told:
        ids = one["track_id"]
        names += [int(i) for i in ids] if isinstance(ids, list | tuple) else []
    return names


def _shapes(folder: Path) -> dict[str, NDArray[np.generic]] | None:
    if (folder / "shapes.csv").is_file():
        return read_shapes(folder / "shapes.csv")
    sperm = read_columns(folder / "sperm.csv", SPERM, required=("track_id",))
    if np.isfinite(np.asarray(sperm.get("head_area_um2", np.zeros(0)), np.float64)).any():
        raise DataError(
            f"{folder}: shapes.csv is missing, which the verdicts rest on; analyse again"
        )
    return None


def _masks(folder: Path) -> dict[str, list[dict[str, object]]]:
    path = folder / "masks.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); analyse the recording again") from error


def _write_masks(path: Path, masks: dict[str, list[dict[str, object]]]) -> None:
    """Write them without those of deleted sperm; no name is no track."""
    kept = []
    for one in masks["annotations"]:
        if one.pop("deleted", False):
            continue
        if not one.get("track_id"):
            one.pop("track_id", None)
        kept.append(json.dumps(one))
    rest = {name: value for name, value in masks.items() if name != "annotations"}
    head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in rest.items())
    body = ",\n".join(kept)
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(f'{{{head}"annotations": [\n{body}\n]}}\n', encoding="utf-8")
    scratch.replace(path)


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


def _notes(about: dict[str, object]) -> dict[str, str]:
    """Say what a Parquet table rests on."""
    rate = about.get("kinematics_hz")
    return {
        "um_per_px": str(about["um_per_px"]), "software": f"sfcscope {about.get('software', '')}",
        "frame_rate_hz": "nan" if rate is None else f"{float(str(rate)):.3f}",
        "criteria": str(about.get("criteria", "")),
    }  # fmt: skip


def _whole(column: NDArray[np.generic]) -> Int64:
    values: Float64 = np.asarray(column, np.float64)
    return values.astype(np.int64)
