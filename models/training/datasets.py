"""Labelled data on disk: Pascal VOC boxes, MOT tables, specimen directories."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import FILMS, PICTURES, film_frames, film_rate, picture
from models.training.specimen_directory import ANNOTATIONS, specimen_directory
from models.types import Float64, Int64, UInt8

_HEADS = frozenset({"s", "sperm", "head", "normal", "abnormal"})
_MOT_TABLES = ("gt_mot.txt", "gt.txt", "gt/gt.txt")
_MOT_SPERM = 0

# frame number -> (boxes, identities or None, ignored boxes); labels give pixels from edge to edge
_Labels = dict[int, tuple[Float64, Int64 | None, Float64]]


def open_data(path: Path, *, skip_bad: bool = False) -> list[LabelledFrames]:
    """Open a folder of labelled frames, whatever its kind.

    A folder with ``annotations.json`` is a specimen directory; one with ``gt_mot.txt`` or
    ``gt.txt`` and one film is a MOT recording (class 0 is sperm, all others are ignored); one with
    XML files, or with a folder ``boxes`` of them, is Pascal VOC: ``NAME_ffff.xml`` belongs to
    frame ffff (from 1) of the film ``NAME.*``, any other ``NAME.xml`` to a picture of that name.

    Parameters
    ----------
    path : Path
    skip_bad : bool
        Leave files out that cannot be read, instead of raising.

    Raises
    ------
    DataError
        The folder is missing or holds nothing that is labelled, or a file is bad. The message
        names the file, and the size of the picture where that is what does not fit.
    """
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; a folder of labelled frames is needed")
    if (path / ANNOTATIONS).is_file():
        return [specimen_directory(path, skip_bad=skip_bad)]
    for name in _MOT_TABLES:
        if (path / name).is_file():
            return [_mot_recording(path, path / name)]
    folder = path / "boxes" if (path / "boxes").is_dir() else path
    files = sorted(folder.glob("*.xml"))
    if files:
        return _voc_recordings(path, files, skip_bad)
    raise DataError(
        f"{path}: nothing labelled in it; {ANNOTATIONS}, {_MOT_TABLES[0]} with a film, or XML "
        "files are needed"
    )


# --- Pascal VOC


def _voc_recordings(path: Path, files: list[Path], skip_bad: bool) -> list[LabelledFrames]:
    films = {p.stem: p for p in sorted(path.iterdir()) if p.suffix.lower() in FILMS}
    of_film: dict[str, _Labels] = defaultdict(dict)
    of_picture: list[tuple[Path, Path]] = []
    for file in files:
        stem, _, number = file.stem.rpartition("_")
        try:
            if number.isdecimal() and stem in films:
                of_film[stem][int(number) - 1] = _voc_labels(file)
            else:
                of_picture.append((file, _picture_beside(path, file)))
        except DataError:
            if not skip_bad:
                raise
    recordings = [
        _film_recording(films[stem], labels, f"{path.name}/{stem}")
        for stem, labels in sorted(of_film.items())
    ]
    if of_picture:
        recordings.append(_picture_recording(path, of_picture, skip_bad))
    return recordings


def _voc_labels(file: Path) -> tuple[Float64, Int64 | None, Float64]:
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError) as fault:
        raise DataError(f"{file}: is no XML ({fault}); label it again") from fault
    heads: list[list[float]] = []
    others: list[list[float]] = []
    for thing in root.iter("object"):
        name = (thing.findtext("name") or "").strip()
        corners = [thing.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
        try:
            x0, y0, x1, y1 = (float(c) for c in corners if c is not None)
        except ValueError as fault:
            raise DataError(f"{file}: a box of {name!r} lacks a corner; label it again") from fault
        if not (x1 > x0 and y1 > y0):
            raise DataError(f"{file}: box {x0:g} {y0:g} {x1:g} {y1:g} of {name!r} is empty")
        (heads if name.lower() in _HEADS else others).append([x0, y0, x1 - x0, y1 - y0])
    return _centred(heads), None, _centred(others)


def _centred(corner_boxes: list[list[float]]) -> Float64:
    """Top-left x, y, width, height, edge to edge, to centres counted from a pixel's middle."""
    boxes = np.array(corner_boxes, np.float64).reshape(-1, 4)
    boxes[:, :2] += boxes[:, 2:] / 2 - 0.5
    return boxes


def _picture_beside(path: Path, file: Path) -> Path:
    for folder in (file.parent, path, path / "images"):
        for suffix in sorted(PICTURES):
            if (folder / (file.stem + suffix)).is_file():
                return folder / (file.stem + suffix)
    raise DataError(f"{file}: no picture and no film belongs to it; put {file.stem}.png beside it")


def _picture_recording(
    path: Path, pairs: list[tuple[Path, Path]], skip_bad: bool
) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        for file, image_file in pairs:
            try:
                labels = _voc_labels(file)
                frame = _labelled(picture(image_file), labels, str(file))
            except DataError:
                if skip_bad:
                    continue
                raise
            yield frame

    return LabelledFrames(path.name, len(pairs), read)


# --- MOT


def _mot_recording(path: Path, table: Path) -> LabelledFrames:
    films = [p for p in sorted(path.iterdir()) if p.suffix.lower() in FILMS]
    if len(films) != 1:
        raise DataError(f"{path}: {len(films)} films beside {table.name}; exactly one is needed")
    rows: dict[int, list[list[float]]] = defaultdict(list)
    with table.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row:
                continue
            try:
                values = [float(v) for v in row[:8]]
            except ValueError as fault:
                raise DataError(f"{table}, line {number}: {fault}; eight numbers are needed") from (
                    fault
                )
            if len(values) < 8 or not all(np.isfinite(values)):
                raise DataError(f"{table}, line {number}: eight numbers are needed: {row}")
            rows[int(values[0]) - 1].append(values)
    labels: _Labels = {}
    for frame, found in rows.items():
        block = np.array(found)
        sperm = block[:, 7] == _MOT_SPERM
        labels[frame] = (
            _centred(block[sperm, 2:6].tolist()),
            block[sperm, 1].astype(np.int64),
            _centred(block[~sperm, 2:6].tolist()),
        )
    return _film_recording(films[0], labels, path.name, unlabelled_are_empty=True)


# --- both


def _film_recording(
    film: Path, labels: _Labels, name: str, *, unlabelled_are_empty: bool = False
) -> LabelledFrames:
    told, fps = film_rate(film)
    if told and max(labels, default=0) >= told:
        raise DataError(
            f"{film}: {told} frames, but the labels go on to frame {max(labels) + 1}; "
            "labels and film do not belong together"
        )
    empty = (np.zeros((0, 4)), None, np.zeros((0, 4)))

    def read() -> Iterator[LabelledFrame]:
        for number, image in enumerate(film_frames(film)):
            if number in labels or unlabelled_are_empty:
                where = f"{film}, frame {number + 1}"
                yield _labelled(image, labels.get(number, empty), where)

    return LabelledFrames(name, told if unlabelled_are_empty else len(labels), read, fps=fps)


def _labelled(
    image: UInt8, labels: tuple[Float64, Int64 | None, Float64], where: str
) -> LabelledFrame:
    boxes, ids, ignored = labels
    height, width = image.shape
    outside = (np.abs(boxes[:, :2] - [width / 2, height / 2]) > [width, height]).any(axis=1)
    if outside.any():
        raise DataError(
            f"{where}: a box at {boxes[outside][0, 0]:.0f}, {boxes[outside][0, 1]:.0f} px lies "
            f"outside the picture of shape {image.shape}; labels and picture do not belong together"
        )
    return LabelledFrame(image, boxes, np.zeros(len(boxes), np.int8), ids, ignored)
