"""What a finished analysis left in its folder, read and checked before any of it is changed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.records.criteria import Criteria, kept_criteria, read_criteria
from app.records.export import (
    SPERM,
    TRACKS,
    read_columns,
    refuse_sparse,
    refuse_unknown,
    whole_columns,
)
from app.records.shape_table import read_shapes
from models.errors import DataError
from models.measure.profile import names_a_file

# All that the rows are made of again.
_NEEDED = (
    "frame", "time_s", "track_id", "x_px", "y_px", "w_px", "h_px", "x_raw_px", "y_raw_px", "score",
    "p_exist", "state", "x_um", "y_um", "label",
)  # fmt: skip
# Never empty: a sperm is somewhere in each frame of its track, also where it was not seen.
_PLACES = ("x_px", "y_px", "x_um", "y_um")
_AGAIN = "analyse the recording again"
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class About:
    """What analysis.json tells, checked.

    Attributes
    ----------
    document : dict
        As it stands in the file.
    um_per_px : float
    width_px, height_px : int
        Of the pictures.
    online : bool
        Positions are those known in each frame.
    edits : list of dict
        So far.
    """

    document: dict[str, object]
    um_per_px: float
    width_px: int
    height_px: int
    online: bool
    edits: list[dict[str, object]]

    def names(self) -> list[int]:
        """Names that edits so far have given or taken: none is given twice."""
        names = [int(str(one["new_track"])) for one in self.edits if "new_track" in one]
        for one in self.edits:
            ids = one["track_id"]
            names += [int(i) for i in ids] if isinstance(ids, list | tuple) else []
        return names

    def notes(self, changes: dict[str, object] | None = None) -> dict[str, str]:
        """Say what a Parquet table rests on, after ``changes`` of the document."""
        now = self.document | (changes or {})
        rate = now.get("kinematics_hz")
        return {
            "um_per_px": str(now["um_per_px"]), "software": f"sfcscope {now.get('software', '')}",
            "frame_rate_hz": "nan" if rate is None else f"{float(str(rate)):.3f}",
            "criteria": str(now.get("criteria", "")),
        }  # fmt: skip


def read_about(folder: Path) -> About:
    """Read analysis.json.

    Raises
    ------
    DataError
        It is missing or damaged.
    """
    path = folder / "analysis.json"
    if not path.is_file():
        raise DataError(f"{folder}: no analysis.json; name the folder that analyze wrote")
    document = _json(path)
    if not isinstance(document, dict):
        raise DataError(f"{path}: is no JSON object; {_AGAIN}")
    um_per_px = _positive(path, document, "um_per_px")
    width_px, height_px = (int(_positive(path, document, n)) for n in ("width_px", "height_px"))
    if document.get("kinematics_hz") is not None:
        _positive(path, document, "kinematics_hz")
    options, edits = document.get("options"), document.get("edits", [])
    if not isinstance(options, dict) or not isinstance(options.get("criteria"), str):
        raise DataError(f"{path}: options.criteria is missing; {_AGAIN}")
    if not isinstance(edits, list) or not all(_is_edit(one) for one in edits):
        raise DataError(f"{path}: edits are damaged; undo them, or {_AGAIN}")
    online = bool(options.get("online"))
    return About(document, um_per_px, width_px, height_px, online, [dict(one) for one in edits])


def criteria_of(folder: Path, about: About) -> tuple[Criteria, str]:
    """Return the criteria of an analysis, and what must be told of them; empty: nothing.

    Those that it was made with, as they are kept in it. An analysis from before they were kept is
    judged by the name or file that it was told, as long as that still has the same name.

    Raises
    ------
    ModelError
        Damaged, or not kept and not to be found.
    """
    path, document = folder / "analysis.json", about.document
    if "criteria_profile" in document:
        criteria = kept_criteria(document["criteria_profile"], path)
        return criteria, criteria.changed()
    options = document["options"]
    asked = str(options["criteria"]) if isinstance(options, dict) else ""
    criteria = read_criteria(asked)
    name = document.get("criteria", criteria.profile.name)
    if name != criteria.profile.name:
        raise DataError(
            f"{path}: judged by criteria '{name}', but {asked} holds '{criteria.profile.name}'; "
            "edit in the folder in which the right file lies"
        )
    if not names_a_file(asked):
        return criteria, ""
    return criteria, (
        f"this analysis did not keep its criteria; it is judged by {criteria.source} as it is now"
    )


def read_tracks(folder: Path) -> Columns:
    """Columns of tracks.csv; frame and track_id are int64.

    Raises
    ------
    DataError
        Missing, a column that is missing or stands twice, or a field that cannot be.
    """
    path = folder / "tracks.csv"
    columns = whole_columns(path, TRACKS, required=_NEEDED, whole=("frame", "track_id"))
    frame, track_id = (np.asarray(columns[name], np.int64) for name in ("frame", "track_id"))
    wrong = np.flatnonzero(track_id < 1)
    if len(wrong):
        raise DataError(
            f"{path}: line {wrong[0] + 2}: track_id is {track_id[wrong[0]]}; names count from 1"
        )
    time_s = np.asarray(columns["time_s"], np.float64)
    refuse_unknown(path, "time_s", time_s)
    for name in _PLACES:
        refuse_unknown(path, name, np.asarray(columns[name], np.float64))
    refuse_sparse(path, frame.astype(np.float64))
    known, row, of = np.unique(frame, return_index=True, return_inverse=True)
    first_s = time_s[row][of]
    other = np.flatnonzero(time_s != first_s)
    if len(other):
        raise DataError(
            f"{path}: line {other[0] + 2}: time_s is {time_s[other[0]]:g}, but "
            f"{first_s[other[0]]:g} in another row of frame {frame[other[0]]}; correct it"
        )
    back = np.flatnonzero(np.diff(time_s[row]) <= 0.0)
    if len(back):
        raise DataError(
            f"{path}: time_s does not increase from frame {known[back[0]]} to "
            f"{known[back[0] + 1]}; correct it"
        )
    seen = [np.isfinite(np.asarray(columns[n], np.float64)) for n in ("x_raw_px", "y_raw_px")]
    half = np.flatnonzero(seen[0] != seen[1])
    if len(half):
        raise DataError(
            f"{path}: line {half[0] + 2}: one of x_raw_px, y_raw_px is empty; give both or none"
        )
    return columns


def read_shapes_of(folder: Path) -> Columns | None:
    """Columns of shapes.csv; None where no shape was measured.

    Raises
    ------
    DataError
        Missing though there are shapes in sperm.csv, or damaged.
    """
    if (folder / "shapes.csv").is_file():
        return read_shapes(folder / "shapes.csv")
    sperm = read_columns(folder / "sperm.csv", SPERM, required=("track_id",))
    if np.isfinite(np.asarray(sperm.get("head_area_um2", np.zeros(0)), np.float64)).any():
        raise DataError(
            f"{folder}: shapes.csv is missing, which the verdicts rest on; analyse again"
        )
    return None


class Masks:
    """Masks of an analysis in COCO's form; empty where there is no masks.json.

    Attributes
    ----------
    frame, track_id : (N,) int64
        Of each mask; track 0: of no sperm.
    """

    def __init__(self, folder: Path) -> None:
        """Read them.

        Raises
        ------
        DataError
            Damaged.
        """
        self._path = folder / "masks.json"
        self._document: dict[str, object] = {}
        self._masks: list[dict[str, object]] = []
        if self._path.is_file():
            document = _json(self._path)
            masks = document.get("annotations") if isinstance(document, dict) else None
            if not isinstance(document, dict) or not isinstance(masks, list):
                raise DataError(f"{self._path}: holds no annotations; {_AGAIN}")
            for k, one in enumerate(masks):
                if not isinstance(one, dict) or not all(
                    _is_whole(one.get(name, 0)) for name in ("image_id", "track_id")
                ):
                    raise DataError(f"{self._path}: annotation {k} is damaged; {_AGAIN}")
            self._document, self._masks = document, masks
        self.frame, self.track_id = (
            np.array([one.get(name, 0) for one in self._masks], np.int64)
            for name in ("image_id", "track_id")
        )
        self._had_name = self.track_id > 0

    def write(self) -> None:
        """Write them as they are named now, without those of deleted sperm."""
        if not self._document:
            return
        kept = []
        for one, name, had in zip(self._masks, self.track_id, self._had_name, strict=True):
            if had and not name:
                continue
            told = {key: value for key, value in one.items() if key != "track_id"}
            kept.append(json.dumps(told | ({"track_id": int(name)} if name else {})))
        rest = {name: value for name, value in self._document.items() if name != "annotations"}
        head = "".join(f"{json.dumps(name)}: {json.dumps(v)},\n" for name, v in rest.items())
        body = ",\n".join(kept)
        scratch = self._path.with_name(self._path.name + ".part")
        scratch.write_text(f'{{{head}"annotations": [\n{body}\n]}}\n', encoding="utf-8")
        scratch.replace(self._path)


def _json(path: Path) -> object:
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}); {_AGAIN}") from error
    return found


def _positive(path: Path, document: dict[str, object], name: str) -> float:
    value = document.get(name)
    if type(value) not in (int, float) or not 0.0 < float(str(value)) < math.inf:
        raise DataError(f"{path}: {name} is {json.dumps(value)}, no positive number; {_AGAIN}")
    return float(str(value))


def _is_edit(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("track_id"), list):
        return False
    return all(_is_whole(name) for name in (*one["track_id"], one.get("new_track", 0)))


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) < 2**53
