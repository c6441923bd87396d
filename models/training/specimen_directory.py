"""Specimen directories: frames, COCO boxes and masks, true tracks."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as rle

from models.errors import DataError
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import film_frames, picture
from models.types import SpermClass, UInt8

ANNOTATIONS = "annotations.json"
FILM = "frames.mkv"

_Entry = Mapping[str, object]


def specimen_directory(path: Path, *, skip_bad: bool = False) -> LabelledFrames:
    """Open a specimen directory: ``annotations.json`` beside ``frames.mkv`` or pictures.

    Annotations are COCO: ``bbox`` bounds the head (top-left x, y, width, height, edge to edge),
    ``segmentation`` covers the whole sperm, ``category_id`` names normal or abnormal, ``track_id``
    the sperm; ``iscrowd`` marks heads that are neither to be found nor a mistake if found; a box
    without area belongs to a tail whose head lies outside.

    Raises
    ------
    DataError
        A file that is missing, damaged, or not of this shape.
    """
    file = path / ANNOTATIONS
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        images: Sequence[_Entry] = content["images"]
        classes = {int(c["id"]): _class(str(c["name"])) for c in content["categories"]}
        by_image: dict[int, list[_Entry]] = defaultdict(list)
        for entry in content["annotations"]:
            by_image[int(entry["image_id"])].append(entry)
        info = content.get("info", {})
        um_per_px = float(info.get("um_per_px", "nan"))
        fps = float(info.get("fps", "nan"))
        keys = [int(str(i["id"])) for i in images]
    except OSError as fault:
        raise DataError(f"{file}: cannot be read ({fault.strerror}); check the path") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(
            f"{file}: is no COCO annotation file ({fault!r}); write it again"
        ) from fault

    def pictures() -> Iterator[UInt8 | None]:
        if (path / FILM).is_file():
            yield from film_frames(path / FILM)
            return
        for image in images:
            try:
                yield picture(path / str(image.get("file_name", "")))
            except DataError:
                if not skip_bad:
                    raise
                yield None

    def read() -> Iterator[LabelledFrame]:
        shown = 0
        for entry, key, image in zip(images, keys, pictures(), strict=False):
            shown += 1
            if image is None:
                continue
            where = f"{file}, image {key}"
            size = (entry.get("height", image.shape[0]), entry.get("width", image.shape[1]))
            if size != image.shape:
                raise DataError(
                    f"{where}: {size[1]}x{size[0]} px annotated, but the picture's shape is "
                    f"{image.shape}; frames and annotations do not belong together"
                )
            yield _frame(image, by_image.get(key, []), classes, where)
        if shown < len(images):
            raise DataError(
                f"{path / FILM}: {shown} frames, but {len(images)} are annotated; write it again"
            )

    return LabelledFrames(path.name, len(images), read, um_per_px=um_per_px, fps=fps)


def _class(name: str) -> SpermClass:
    return SpermClass[name.upper()] if name.upper() in SpermClass.__members__ else SpermClass(0)


def _frame(
    image: UInt8, entries: Sequence[_Entry], classes: Mapping[int, SpermClass], where: str
) -> LabelledFrame:
    class_map = np.zeros(image.shape, np.uint8)
    boxes, labels, identities, ignored = [], [], [], []
    masked = not entries
    for entry in entries:
        try:
            x, y, width, height = (float(v) for v in entry["bbox"])  # type: ignore[attr-defined]
            label = classes[int(str(entry["category_id"]))]
            identity = int(str(entry.get("track_id", 0)))
            mask = _mask(entry.get("segmentation"), image.shape)
        except (ValueError, KeyError, TypeError) as fault:
            raise DataError(f"{where}: a damaged annotation ({fault!r}); write it again") from fault
        if mask is not None:
            masked = True
            class_map[mask] = label
        if not (width > 0 and height > 0):
            continue  # a tail whose head lies outside
        box = [x + width / 2 - 0.5, y + height / 2 - 0.5, width, height]
        if entry.get("iscrowd", 0):
            ignored.append(box)
        else:
            boxes.append(box)
            labels.append(int(label))
            identities.append(identity)
    return LabelledFrame(
        image,
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(labels, np.int8),
        np.array(identities, np.int64),
        np.array(ignored, np.float64).reshape(-1, 4),
        class_map if masked else None,
    )


def _mask(segmentation: object, shape: tuple[int, ...]) -> np.ndarray[tuple[int, int]] | None:
    """Decode a COCO mask: RLE (packed or not) or polygons."""
    if not segmentation:
        return None
    height, width = shape
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        packed = (
            rle.frPyObjects(segmentation, height, width)
            if isinstance(counts, list)
            else {"size": segmentation["size"], "counts": str(counts).encode()}
        )
    else:
        packed = rle.merge(rle.frPyObjects(segmentation, height, width))
    with warnings.catch_warnings():
        # pycocotools' arrays do not know numpy's copy keyword; the result is right.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        decoded = np.asarray(rle.decode(packed), bool)
    if decoded.shape != (height, width):
        raise ValueError(f"mask of shape {decoded.shape} on a picture of {shape}")
    return decoded
