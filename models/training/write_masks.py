"""Writes boxes and pixels: labelme and COCO."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from models.labelme import (
    CLASS_NAMES,
    LabelmeShape,
    Region,
    outlines,
    rectangle,
    write_labelme_frame,
)
from models.training.coco import FILM
from models.training.identities import as_written
from models.training.instances import corner_box, instances
from models.training.label_names import IGNORED
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import write_film, write_picture
from models.training.unread import ANNOTATIONS
from models.types import SpermClass, UInt8

_IGNORED_CATEGORY, _SPERM_CATEGORY = 3, 4


def write_labelme_set(folder: Path, recording: LabelledFrames, stem: str) -> int:
    """Write pictures and labelme files; return the number of frames."""
    written = 0
    for number, frame in enumerate(recording, start=1):
        name = f"{stem}_{number:06d}"
        shapes = list(_labelme_shapes(frame))
        if not (frame.class_map is not None and covers(frame)):
            shapes += [rectangle(IGNORED, None, corner_box(box)) for box in frame.ignored_px]
        write_labelme_frame(folder, name, frame.image, shapes)
        written += 1
    return written


def covers(frame: LabelledFrame) -> bool:
    """Whether one ignored region is the whole picture: the heads of this frame are not known."""
    height, width = frame.image.shape
    return bool((frame.ignored_px[:, 2:] >= [width, height]).all(axis=1).any())


def _labelme_shapes(frame: LabelledFrame) -> Iterator[LabelmeShape]:
    regions: list[Region] = []
    for one in instances(frame):
        group = None if one.identity is None else as_written(one.identity)
        name = CLASS_NAMES[one.label]
        if one.corner_px is not None:
            head = "head" if one.label == SpermClass.BACKGROUND else f"{name} head"
            yield rectangle(head, group, one.corner_px)
        if one.mask is not None:
            regions.append(Region(one.mask, name, group))
    yield from outlines(regions)


def write_coco(folder: Path, recording: LabelledFrames, stem: str, *, film: bool = False) -> int:
    """Write pictures, or a film, and one annotation file; return the number of frames."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []

    def frames() -> Iterator[UInt8]:
        for number, frame in enumerate(recording, start=1):
            name = FILM if film else f"{stem}_{number:06d}.png"
            height, width = frame.image.shape
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            for annotation in _annotations(frame):
                annotation.update(id=len(annotations) + 1, image_id=number)
                annotations.append(annotation)
            if not film:
                write_picture(folder / name, frame.image)
            yield frame.image

    if film:
        write_film(folder / FILM, frames(), recording.fps)
    else:
        for _ in frames():
            pass
    known = {"fps": recording.fps, "um_per_px": recording.um_per_px}
    content = {
        "info": {k: v for k, v in known.items() if math.isfinite(v)},
        "images": images,
        "categories": [
            {"id": 1, "name": "normal"}, {"id": 2, "name": "abnormal"},
            {"id": _IGNORED_CATEGORY, "name": IGNORED}, {"id": _SPERM_CATEGORY, "name": "sperm"},
        ],
        "annotations": annotations,
    }  # fmt: skip
    (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
    return len(images)


def _annotations(frame: LabelledFrame) -> Iterator[dict[str, object]]:
    for one in instances(frame):
        annotation: dict[str, object] = {
            "category_id": int(one.label) or _SPERM_CATEGORY,
            "bbox": [round(v, 3) for v in one.corner_px or (0.0, 0.0, 0.0, 0.0)],
            "iscrowd": 0,
            "area": 0 if one.mask is None else int(one.mask.sum()),
            "segmentation": [] if one.mask is None else _packed(one.mask),
        }
        if one.identity is not None:
            annotation["track_id"] = as_written(one.identity)
        yield annotation
    for box in frame.ignored_px:
        yield {
            "category_id": _IGNORED_CATEGORY, "bbox": [round(v, 3) for v in corner_box(box)],
            "iscrowd": 1, "area": float(box[2] * box[3]), "segmentation": [],
        }  # fmt: skip


def _packed(mask: NDArray[np.bool_]) -> dict[str, object]:
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": packed["counts"].decode("ascii")}
