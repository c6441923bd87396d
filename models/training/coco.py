"""COCO annotations: specimen directories, and pictures labelled elsewhere."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from models.errors import DataError
from models.training.label_names import head_class
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pascal_voc import recording_of
from models.training.pictures import film_frames, picture
from models.training.shapes import (
    HeadShape,
    SpermShape,
    labelled_frame,
    outline_mask,
    tell_left_out,
)
from models.types import Float64, SpermClass, UInt8

ANNOTATIONS = "annotations.json"
FILM = "frames.mkv"

_Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Content:
    file: Path
    images: Sequence[_Entry]
    names: Mapping[int, str]
    by_image: Mapping[int, list[_Entry]]
    um_per_px: float
    fps: float


def coco_recordings(file: Path, *, skip_bad: bool = False) -> list[LabelledFrames]:
    """Open COCO annotations beside ``frames.mkv`` or pictures.

    ``bbox`` bounds the head (top-left x, y, width, height, edge to edge), ``segmentation`` covers
    the whole sperm, ``category_id`` names normal or abnormal, ``track_id`` the sperm; ``iscrowd``
    marks heads that are neither to be found nor a mistake if found; a box without area belongs to
    a tail whose head lies outside. Pictures whose names differ by a number alone are one recording.

    Raises
    ------
    DataError
        A file that is missing, damaged, or not of this shape.
    """
    content = _read(file)
    folder = file.parent
    if (folder / FILM).is_file():
        return [_film(content, folder / FILM, skip_bad)]
    groups: dict[str, list[_Entry]] = defaultdict(list)
    for entry in content.images:
        groups[recording_of(Path(str(entry.get("file_name", ""))).stem)].append(entry)
    return [
        _pictures(content, f"{folder.name}/{stem}".rstrip("/"), entries, skip_bad)
        for stem, entries in sorted(groups.items())
    ]


def _read(file: Path) -> _Content:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        images: Sequence[_Entry] = content["images"]
        names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        by_image: dict[int, list[_Entry]] = defaultdict(list)
        for entry in content["annotations"]:
            by_image[int(entry["image_id"])].append(entry)
        info = content.get("info", {})
        um_per_px = float(info.get("um_per_px", "nan"))
        fps = float(info.get("fps", "nan"))
        for image in images:
            int(str(image["id"]))
    except OSError as fault:
        raise DataError(f"{file}: cannot be read ({fault.strerror}); check the path") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(
            f"{file}: is no COCO annotation file ({fault!r}); write it again"
        ) from fault
    return _Content(file, images, names, by_image, um_per_px, fps)


def _film(content: _Content, film: Path, skip_bad: bool) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        shown = 0
        for entry, image in zip(content.images, film_frames(film), strict=False):
            shown += 1
            yield from _one(content, entry, image, skip_bad)
        if shown < len(content.images):
            raise DataError(
                f"{film}: {shown} frames, but {len(content.images)} are annotated; write it again"
            )

    name, count = film.parent.name, len(content.images)
    return LabelledFrames(name, count, read, um_per_px=content.um_per_px, fps=content.fps)


def _pictures(
    content: _Content, name: str, entries: list[_Entry], skip_bad: bool
) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        for entry in entries:
            yield from _one(content, entry, None, skip_bad)

    count = len(entries)
    return LabelledFrames(name, count, read, um_per_px=content.um_per_px, fps=content.fps)


def _one(
    content: _Content, entry: _Entry, image: UInt8 | None, skip_bad: bool
) -> Iterator[LabelledFrame]:
    """Yield the frame, or nothing if it is bad and bad ones are left out."""
    try:
        yield _frame(content, entry, image)
    except DataError as fault:
        if not skip_bad:
            raise
        tell_left_out(fault)


def _frame(content: _Content, entry: _Entry, image: UInt8 | None) -> LabelledFrame:
    key = int(str(entry["id"]))
    where = f"{content.file}, image {key}"
    if image is None:
        name = str(entry.get("file_name", ""))
        folder = content.file.parent
        beside = folder / name
        image = picture(beside if beside.is_file() else folder / "images" / name)
    size = (entry.get("height", image.shape[0]), entry.get("width", image.shape[1]))
    if size != image.shape:
        raise DataError(
            f"{where}: {size[1]}x{size[0]} px annotated, but the picture's shape is "
            f"{image.shape}; frames and annotations do not belong together"
        )
    heads: list[HeadShape] = []
    sperm: list[SpermShape] = []
    entries = content.by_image.get(key, [])
    for number, annotation in enumerate(entries, start=1):
        shape = f"{where}, annotation {annotation.get('id', number)}"
        _add(annotation, shape, content.names, image, heads, sperm)
    return labelled_frame(image, heads, sperm if sperm or not entries else None, where)


def _add(
    annotation: _Entry,
    where: str,
    names: Mapping[int, str],
    image: UInt8,
    heads: list[HeadShape],
    sperm: list[SpermShape],
) -> None:
    try:
        x, y, width, height = (float(v) for v in annotation["bbox"])  # type: ignore[attr-defined]
        name = names[int(str(annotation["category_id"]))]
        identity = int(str(annotation["track_id"])) if "track_id" in annotation else None
        mask = _mask(annotation.get("segmentation"), image.shape, where)
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(f"{where}: is damaged ({fault!r}); write it again") from fault
    label = head_class(name, where)
    if mask is not None and label is not None and label != SpermClass.BACKGROUND:
        sperm.append(SpermShape(where, label, mask, identity))
    if width == 0 and height == 0 and mask is not None:
        return  # a tail whose head lies outside
    crowd = bool(annotation.get("iscrowd", 0))
    heads.append(HeadShape(where, (x, y, width, height), None if crowd else label, identity))


def _mask(segmentation: object, shape: tuple[int, ...], where: str) -> NDArray[np.bool_] | None:
    """Decode a COCO mask: RLE (packed or not) or polygons."""
    if not segmentation:
        return None
    height, width = shape
    if not isinstance(segmentation, dict):
        return _polygons(segmentation, shape, where)
    counts = segmentation["counts"]
    packed = (
        rle.frPyObjects(segmentation, height, width)
        if isinstance(counts, list)
        else {"size": segmentation["size"], "counts": str(counts).encode()}
    )
    if tuple(segmentation["size"]) != (height, width):
        raise DataError(
            f"{where}: a mask of shape {tuple(segmentation['size'])} lies outside a picture of "
            f"shape {(height, width)}; frames and annotations do not belong together"
        )
    return _decoded(packed)


def _polygons(segmentation: object, shape: tuple[int, ...], where: str) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for polygon in segmentation:  # type: ignore[attr-defined]
        points: Float64 = np.array(polygon, np.float64).reshape(-1, 2)
        mask |= outline_mask(points, shape, where)
    return mask


def _decoded(packed: Mapping[str, object]) -> NDArray[np.bool_]:
    with warnings.catch_warnings():
        # pycocotools' arrays do not know numpy's copy keyword; the result is right.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(rle.decode(packed), bool)
