"""labelme: one JSON file per picture, outlines of whole sperm and rectangles about heads."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.training.identities import identity_of
from models.training.json_file import read_json
from models.training.label_names import head_class
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.pascal_voc import recording_of
from models.training.pictures import decoded_picture, picture
from models.training.shapes import (
    HeadShape,
    SpermShape,
    labelled_frame,
    outline_mask,
    tell_left_out,
)
from models.types import Float64, SpermClass, UInt8

_Shape = Mapping[str, object]


def labelme_recordings(path: Path, files: list[Path], skip_bad: bool) -> list[LabelledFrames]:
    """Open labelme files; pictures whose names differ by a number alone are one recording.

    A polygon (or mask) labelled normal or abnormal covers a whole sperm, a rectangle bounds a
    head. Where a picture has polygons but no rectangle, its heads are not known: they are neither
    taught nor scored. Without a polygon nothing is known of the pixels.
    """
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        groups[recording_of(file.stem)].append(file)
    return [
        _recording(f"{path.name}/{stem}".rstrip("/"), group, skip_bad)
        for stem, group in sorted(groups.items())
    ]


def _recording(name: str, files: list[Path], skip_bad: bool) -> LabelledFrames:
    def read() -> Iterator[LabelledFrame]:
        for file in files:
            try:
                frame = labelme_frame(file)
            except DataError as fault:
                if not skip_bad:
                    raise
                tell_left_out(fault)
                continue
            yield frame

    return LabelledFrames(name, len(files), read)


def labelme_frame(file: Path) -> LabelledFrame:
    """Read one file and its picture, which lies beside it or inside it.

    Raises
    ------
    DataError
        A file that is empty or damaged, a picture that is missing or of another size, or a shape
        that is empty, outside the picture, of an unknown kind or of an unknown class.
    """
    content = read_json(file)
    shapes = content.get("shapes")
    if not isinstance(shapes, list) or not all(isinstance(s, dict) for s in shapes):
        raise DataError(f"{file}: has no list of shapes; save it again with labelme")
    image = _picture(file, content)
    height, width = image.shape
    told = (content.get("imageHeight") or height, content.get("imageWidth") or width)
    if told != image.shape:
        raise DataError(
            f"{file}: labels of a picture of shape {told}, but the picture's is {image.shape}; "
            "they do not belong together"
        )
    heads: list[HeadShape] = []
    sperm: list[SpermShape] = []
    for number, shape in enumerate(shapes, start=1):
        _add(shape, f"{file}, shape {number} ({shape.get('label')})", image, heads, sperm)
    masked = bool(sperm) or not shapes
    return labelled_frame(
        image,
        heads,
        sperm if masked else None,
        str(file),
        heads_unknown=bool(sperm) and all(head.label is None for head in heads),
    )


def _picture(file: Path, content: Mapping[str, object]) -> UInt8:
    name = str(content.get("imagePath") or "")
    beside = file.parent / name.replace("\\", "/")
    data = content.get("imageData")
    if name and (beside.is_file() or not data):
        return picture(beside, named_by=str(file))
    if not data:
        raise DataError(f"{file}: names no picture; label it again")
    try:
        return decoded_picture(base64.b64decode(str(data), validate=True), str(file))
    except ValueError as fault:  # also where it is not ASCII
        raise DataError(f"{file}: its picture is damaged ({fault}); label it again") from fault


def _add(
    shape: _Shape, where: str, image: UInt8, heads: list[HeadShape], sperm: list[SpermShape]
) -> None:
    label = head_class(str(shape.get("label") or ""), where)
    identity = identity_of(shape.get("group_id"), where)
    points = _points(shape, where)
    kind = str(shape.get("shape_type") or "polygon")
    if kind == "rectangle" or label is None:
        low, high = points.min(axis=0), points.max(axis=0)
        box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
        heads.append(HeadShape(where, box, label, identity))
        return
    if label == SpermClass.BACKGROUND:
        raise DataError(f"{where}: a whole sperm needs the class normal or abnormal")
    if kind == "polygon":
        mask = outline_mask(points, image.shape, where)
    elif kind == "mask":
        mask = _placed(shape, points, image, where)
    else:
        raise DataError(f"{where}: a {kind} is no label; draw a polygon or a rectangle")
    sperm.append(SpermShape(where, label, mask, identity))


def _points(shape: _Shape, where: str) -> Float64:
    try:
        points = np.array(shape["points"], np.float64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError) as fault:
        raise DataError(f"{where}: has no points; draw it again") from fault
    if len(points) < 2:
        raise DataError(f"{where}: has {len(points)} points; draw it again")
    if not np.isfinite(points).all():
        raise DataError(f"{where}: a point of it is no number (NaN or infinite); draw it again")
    return points


def _placed(shape: _Shape, points: Float64, image: UInt8, where: str) -> NDArray[np.bool_]:
    """Put a mask shape, a small picture with its place, into the frame."""
    try:
        packed = base64.b64decode(str(shape.get("mask")), validate=True)
    except ValueError as fault:
        raise DataError(f"{where}: its mask is damaged ({fault}); draw it again") from fault
    data = np.frombuffer(packed, np.uint8)
    small = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    x, y = (int(v) for v in np.round(points.min(axis=0)))
    if small is None:
        raise DataError(f"{where}: its mask is no picture; draw it again")
    height, width = small.shape
    if x < 0 or y < 0 or y + height > image.shape[0] or x + width > image.shape[1]:
        raise DataError(
            f"{where}: a mask of shape {small.shape} at {x}, {y} px lies outside a picture of "
            f"shape {image.shape}; labels and picture do not belong together"
        )
    mask = np.zeros(image.shape, bool)
    mask[y : y + height, x : x + width] = small > 0
    return mask
