"""MOT tables: one text file of boxes and identities beside one film."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.training.film_labels import film_recording
from models.training.identities import identity_of
from models.training.labelled_frames import LabelledFrames
from models.training.pictures import FILMS
from models.training.shapes import HeadShape, tell_left_out
from models.types import SpermClass

# Column 8. 1 and 2 are VISEM-Tracking's clusters and pinheads; 3 is whatever else is ignored.
SPERM, IGNORED = 0, (1, 2, 3)
_LAST_FRAME = 10**9


def mot_recording(path: Path, table: Path, skip_bad: bool) -> LabelledFrames:
    """Open a table of frame (from 1), identity, x, y, width, height (top left), 1, class.

    With ``skip_bad`` the frame of a bad line is left out, for one of its heads is not known;
    a line whose frame cannot be told is left out alone. One warning tells how many and the first.

    Raises
    ------
    DataError
        Not exactly one film beside it, no UTF-8 text, nothing in it, or a bad line.
    """
    films = [p for p in sorted(path.iterdir()) if p.suffix.lower() in FILMS]
    if len(films) != 1:
        raise DataError(f"{path}: {len(films)} films beside {table.name}; exactly one is needed")
    labels: dict[int, list[HeadShape]] = defaultdict(list)
    spoilt: set[int] = set()
    faults: list[DataError] = []
    for number, row in enumerate(_rows(table), start=1):
        if not row:
            continue
        try:
            frame, head = _head(row, f"{table}, line {number}")
            labels[frame].append(head)
        except DataError as fault:
            if not skip_bad:
                raise
            faults.append(fault)
            spoilt |= _frame_of(row)
    good = {frame: heads for frame, heads in labels.items() if frame not in spoilt}
    if not good:
        why = f"{faults[0]}; nothing" if faults else f"{table}: is empty; nothing"
        raise DataError(f"{why} in it can be used, label the film again")
    if faults:
        more = f" ({len(faults)} such lines)" if len(faults) > 1 else ""
        frames = f"; frames left out: {len(spoilt)}" if spoilt else ""
        tell_left_out(DataError(f"{faults[0]}{more}{frames}"))
    return film_recording(
        films[0], good, path.name, unlabelled_are_empty=True, without=spoilt, skip_bad=skip_bad
    )


def _rows(table: Path) -> list[list[str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            return list(csv.reader(lines))
    except UnicodeDecodeError as fault:
        raise DataError(f"{table}: is no UTF-8 text ({fault}); save it as UTF-8") from fault
    except csv.Error as fault:
        raise DataError(f"{table}: is no table of text ({fault}); write it again") from fault


def _frame_of(row: list[str]) -> set[int]:
    """Return the frame of a bad line, if that much can be told."""
    try:
        number = float(row[0])
    except ValueError:
        return set()
    return {int(number) - 1} if 1 <= number <= _LAST_FRAME else set()


def _head(row: list[str], where: str) -> tuple[int, HeadShape]:
    try:
        values = [float(v) for v in row[:8]]
    except ValueError as fault:
        raise DataError(f"{where}: {fault}; eight numbers are needed") from fault
    if len(values) < 8 or not all(np.isfinite(values)) or not 1 <= values[0] <= _LAST_FRAME:
        raise DataError(
            f"{where}: eight numbers are needed, the first from 1 to {_LAST_FRAME}: {row}"
        )
    x, y, width, height = values[2:6]
    kind = int(values[7])
    if kind != SPERM and kind not in IGNORED:
        raise DataError(f"{where}: class {kind} is not known; 0 is sperm, 1 to 3 are ignored")
    label = SpermClass.BACKGROUND if kind == SPERM else None
    identity = identity_of(values[1], where)
    return int(values[0]) - 1, HeadShape(where, (x, y, width, height), label, identity)
