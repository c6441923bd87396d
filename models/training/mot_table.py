"""MOT tables: one text file of boxes and identities beside one film."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.training.film_labels import film_recording
from models.training.labelled_frames import LabelledFrames
from models.training.pictures import FILMS
from models.training.shapes import HeadShape
from models.types import SpermClass

TABLES = ("gt_mot.txt", "gt.txt", "gt/gt.txt")
# Column 8. 1 and 2 are VISEM-Tracking's clusters and pinheads; 3 is whatever else is ignored.
SPERM, IGNORED = 0, (1, 2, 3)


def mot_recording(path: Path, table: Path, skip_bad: bool) -> LabelledFrames:
    """Open a table of frame (from 1), identity, x, y, width, height (top left), 1, class.

    Raises
    ------
    DataError
        Not exactly one film beside it, or a bad line.
    """
    films = [p for p in sorted(path.iterdir()) if p.suffix.lower() in FILMS]
    if len(films) != 1:
        raise DataError(f"{path}: {len(films)} films beside {table.name}; exactly one is needed")
    labels: dict[int, list[HeadShape]] = defaultdict(list)
    with table.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if row:
                frame, head = _head(row, f"{table}, line {number}")
                labels[frame].append(head)
    if not labels:
        raise DataError(f"{table}: is empty ({table.stat().st_size} bytes); label the film again")
    return film_recording(films[0], labels, path.name, unlabelled_are_empty=True, skip_bad=skip_bad)


def _head(row: list[str], where: str) -> tuple[int, HeadShape]:
    try:
        values = [float(v) for v in row[:8]]
    except ValueError as fault:
        raise DataError(f"{where}: {fault}; eight numbers are needed") from fault
    if len(values) < 8 or not all(np.isfinite(values)) or values[0] < 1:
        raise DataError(f"{where}: eight numbers are needed, the first from 1 on: {row}")
    x, y, width, height = values[2:6]
    kind = int(values[7])
    if kind != SPERM and kind not in IGNORED:
        raise DataError(f"{where}: class {kind} is not known; 0 is sperm, 1 to 3 are ignored")
    label = SpermClass.BACKGROUND if kind == SPERM else None
    return int(values[0]) - 1, HeadShape(where, (x, y, width, height), label, int(values[1]))
