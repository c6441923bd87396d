"""COCO annotations: specimen directories, and pictures labelled elsewhere."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from models.errors import DataError
from models.training.film_labels import readable_frames
from models.training.identities import identity_of
from models.training.json_file import read_json
from models.training.label_names import head_class
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pascal_voc import recording_of
from models.training.pictures import picture
from models.training.shapes import (
    HeadShape,
    SpermShape,
    labelled_frame,
    outline_mask,
    tell_left_out,
)
from models.types import Float64, SpermClass, UInt8

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
    content = _read(file, skip_bad)
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


def _read(file: Path, skip_bad: bool) -> _Content:
    content = read_json(file)
    try:
        images: Sequence[_Entry] = list(content["images"])  # type: ignore[call-overload]
        categories: Sequence[_Entry] = content["categories"]  # type: ignore[assignment]
        names = {_whole(c["id"]): str(c["name"]) for c in categories}
        by_image: dict[int, list[_Entry]] = defaultdict(list)
        annotations: Sequence[_Entry] = content["annotations"]  # type: ignore[assignment]
        for entry in annotations:
            by_image[_whole(entry["image_id"])].append(entry)
        info: _Entry = content.get("info") or {}  # type: ignore[assignment]
        um_per_px, fps = (float(str(info.get(k, "nan"))) for k in ("um_per_px", "fps"))
        known = {_whole(image["id"]) for image in images}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(
            f"{file}: is no COCO annotation file ({fault!r}); write it again"
        ) from fault
    lost = {key: len(entries) for key, entries in by_image.items() if key not in known}
    if lost:
        stray = DataError(
            f"{file}: {sum(lost.values())} annotations of images that are not in it (image_id "
            f"{', '.join(map(str, sorted(lost)[:3]))}); add the images or take the annotations out"
        )
        if not skip_bad:
            raise stray
        tell_left_out(stray)
    return _Content(file, images, names, by_image, um_per_px, fps)


def _whole(value: object) -> int:
    return int(str(value))


def _film(content: _Content, film: Path, skip_bad: bool) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        shown = 0
        for entry, image in zip(content.images, readable_frames(film, skip_bad), strict=False):
            shown += 1
            yield from _one(content, entry, image, skip_bad)
        if shown < len(content.images):
            short = DataError(
                f"{film}: {shown} frames, but {len(content.images)} are annotated; write it again"
            )
            if not skip_bad:
                raise short
            tell_left_out(short)

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
        within = folder / "images" / name
        elsewhere = within.is_file() and not beside.is_file()
        image = picture(within if elsewhere else beside, named_by=where)
    size = (entry.get("height") or image.shape[0], entry.get("width") or image.shape[1])
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
        category = _whole(annotation["category_id"])
        mask = _mask(annotation.get("segmentation"), image.shape, where)
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        raise DataError(f"{where}: is damaged ({fault!r}); write it again") from fault
    if category not in names:
        raise DataError(
            f"{where}: category {category} is not among the file's categories "
            f"({', '.join(map(str, sorted(names)))}); add it"
        )
    identity = identity_of(annotation.get("track_id"), where)
    label = head_class(names[category], where)
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
    size = tuple(segmentation["size"])
    if size != (height, width):
        raise DataError(
            f"{where}: a mask of shape {size} lies outside a picture of "
            f"shape {(height, width)}; frames and annotations do not belong together"
        )
    packed = (
        rle.frPyObjects(segmentation, height, width)
        if isinstance(counts, list)
        else {"size": size, "counts": str(counts).encode()}
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
