"""Predictions as labelme files, to be corrected by hand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from models.types import Perception, SpermClass, UInt8

_NAMES = {
    SpermClass.BACKGROUND: "sperm",
    SpermClass.NORMAL: "normal",
    SpermClass.ABNORMAL: "abnormal",
}
_LEAST_AREA_PX2 = 12


def write_labelme(folder: Path, frame: int, image: UInt8, perception: Perception) -> Path:
    """Write one frame as PNG and JSON: a rectangle for each head, an outline for each mask.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    frame : int
        Names the files.
    image : (H, W) uint8
    perception : Perception
    """
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"{frame:06d}.png"
    encoded = cv2.imencode(".png", image)[1]
    picture.write_bytes(encoded.tobytes())
    shapes = [*_heads(perception), *_outlines(perception.class_map)]
    document = {
        "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": picture.name,
        "imageData": None, "imageHeight": image.shape[0], "imageWidth": image.shape[1],
    }  # fmt: skip
    path = picture.with_suffix(".json")
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return path


def _heads(perception: Perception) -> list[dict[str, object]]:
    found = perception.detections
    # labelme counts from edge to edge: the centre of the top-left pixel is 0.5, 0.5.
    return [
        _shape(
            f"head {_NAMES[SpermClass(int(label))]}",
            [[x - w / 2 + 0.5, y - h / 2 + 0.5], [x + w / 2 + 0.5, y + h / 2 + 0.5]],
            "rectangle",
        )
        for (x, y, w, h), label in zip(found.box_px.tolist(), found.label, strict=True)
    ]


def _outlines(class_map: UInt8 | None) -> list[dict[str, object]]:
    shapes: list[dict[str, object]] = []
    if class_map is None:
        return shapes
    for kind in (SpermClass.NORMAL, SpermClass.ABNORMAL):
        mask = (class_map == kind).astype("uint8")
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            points = cv2.approxPolyDP(outline, 0.7, True).reshape(-1, 2)
            if len(points) >= 3 and cv2.contourArea(outline) >= _LEAST_AREA_PX2:
                shapes.append(_shape(_NAMES[kind], (points + 0.5).tolist(), "polygon"))
    return shapes


def _shape(label: str, points: list[list[float]], kind: str) -> dict[str, object]:
    return {
        "label": label, "points": points, "group_id": None, "description": "",
        "shape_type": kind, "flags": {},
    }  # fmt: skip
