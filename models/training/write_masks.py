"""Writes boxes and pixels: labelme and COCO."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from models.training.coco import ANNOTATIONS, FILM
from models.training.instances import Instance, corner_box, instances
from models.training.label_names import IGNORED
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pictures import write_film, write_picture
from models.types import SpermClass, UInt8

_NAMES = {
    SpermClass.BACKGROUND: "sperm",
    SpermClass.NORMAL: "normal",
    SpermClass.ABNORMAL: "abnormal",
}
_IGNORED_CATEGORY, _SPERM_CATEGORY = 3, 4

_Shape = dict[str, object]


def write_labelme_set(folder: Path, recording: LabelledFrames, stem: str) -> int:
    """Write pictures and labelme files; return the number of frames."""
    written = 0
    for number, frame in enumerate(recording, start=1):
        name = f"{stem}_{number:06d}"
        write_picture(folder / f"{name}.png", frame.image)
        shapes = [shape for one in instances(frame) for shape in _labelme_shapes(one)]
        if not (frame.class_map is not None and covers(frame)):
            shapes += [_rectangle(IGNORED, None, corner_box(box)) for box in frame.ignored_px]
        content = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.png",
            "imageData": None, "imageHeight": frame.image.shape[0],
            "imageWidth": frame.image.shape[1],
        }  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        written += 1
    return written


def covers(frame: LabelledFrame) -> bool:
    """Whether one ignored region is the whole picture: the heads of this frame are not known."""
    height, width = frame.image.shape
    return bool((frame.ignored_px[:, 2:] >= [width, height]).all(axis=1).any())


def _labelme_shapes(one: Instance) -> Iterator[_Shape]:
    if one.corner_px is not None:
        name = "head" if one.label == SpermClass.BACKGROUND else f"{_NAMES[one.label]} head"
        yield _rectangle(name, one.identity, one.corner_px)
    if one.mask is not None:
        yield from _outlines(one.mask, _NAMES[one.label], one.identity)


def _rectangle(label: str, identity: int | None, box: tuple[float, float, float, float]) -> _Shape:
    x, y, width, height = box
    return _shape(label, identity, "rectangle", [[x, y], [x + width, y + height]])


def _shape(label: str, identity: int | None, kind: str, points: list[list[float]]) -> _Shape:
    return {
        "label": label, "points": points, "group_id": identity, "description": "",
        "shape_type": kind, "flags": {}, "mask": None,
    }  # fmt: skip


def _outlines(mask: NDArray[np.bool_], label: str, identity: int | None) -> Iterator[_Shape]:
    """One polygon for each piece; a piece with a hole, which no polygon has, as a mask."""
    outlines, nesting = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
    )
    for outline, (_, _, hole, parent) in zip(outlines, nesting[0], strict=True):
        if parent >= 0:
            continue
        if hole >= 0:
            x, y, width, height = cv2.boundingRect(outline)
            within = np.zeros(mask.shape, np.uint8)
            cv2.drawContours(within, [outline], 0, 1, cv2.FILLED)
            part = (mask & (within > 0))[y : y + height, x : x + width]
            shape = _shape(label, identity, "mask", [[x, y], [x + width - 1, y + height - 1]])
            packed = cv2.imencode(".png", part.astype(np.uint8))[1]
            shape["mask"] = base64.b64encode(packed.tobytes()).decode("ascii")
            yield shape
        else:
            points = (outline[:, 0, :] + 0.5).tolist()
            # A pixel alone, or a line of them, is a triangle without area.
            while len(points) < 3:
                points.append(points[-1])
            yield _shape(label, identity, "polygon", points)


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
            annotation["track_id"] = one.identity
        yield annotation
    for box in frame.ignored_px:
        yield {
            "category_id": _IGNORED_CATEGORY, "bbox": [round(v, 3) for v in corner_box(box)],
            "iscrowd": 1, "area": float(box[2] * box[3]), "segmentation": [],
        }  # fmt: skip


def _packed(mask: NDArray[np.bool_]) -> dict[str, object]:
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": packed["counts"].decode("ascii")}
