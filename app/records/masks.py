"""Masks of an analysis in COCO's run-length encoding: masks.json."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from models.types import SpermClass, UInt8

CATEGORIES = [{"id": int(one), "name": one.name.lower()} for one in SpermClass if one]


class MaskWriter:
    """Streams the connected regions of class maps to a COCO file.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write(f'{{"categories": {json.dumps(CATEGORIES)},\n"annotations": [')
        self._images: list[dict[str, object]] = []
        self._annotations = 0

    def write(self, frame: int, class_map: UInt8) -> None:
        """Add one frame; a region's class is that of most of its pixels."""
        height, width = class_map.shape
        self._images.append({"id": frame, "frame": frame, "width": width, "height": height})
        inside = (class_map > 0).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        for k in range(1, count):
            left, top, w, h, area = (int(value) for value in stats[k])
            window = slice(top, top + h), slice(left, left + w)
            region = labels[window] == k
            normal = int((class_map[window][region] == SpermClass.NORMAL).sum())
            kind = SpermClass.NORMAL if 2 * normal >= area else SpermClass.ABNORMAL
            self._annotations += 1
            line = json.dumps({
                "id": self._annotations, "image_id": frame, "category_id": int(kind),
                "bbox": [left, top, w, h], "area": area, "iscrowd": 0,
                "segmentation": encode(region, left, top, width, height),
            })  # fmt: skip
            self._file.write(("," if self._annotations > 1 else "") + "\n" + line)
        self._file.flush()

    def close(self) -> None:
        """End the file. Safe to call twice."""
        if not self._file.closed:
            self._file.write(f'\n],\n"images": {json.dumps(self._images)}}}\n')
            self._file.close()


def encode(
    region: NDArray[np.bool_], left: int, top: int, width: int, height: int
) -> dict[str, object]:
    """COCO run-length encoding of a picture (H, W) that is ``region`` at (left, top) and 0 else."""
    column, row = np.nonzero(region.T)
    place = (left + column) * height + top + row
    if len(place) == 0:
        runs = np.array([width * height])
    else:
        breaks = np.flatnonzero(np.diff(place) > 1)
        first = place[np.concatenate([[0], breaks + 1])]
        last = place[np.concatenate([breaks, [len(place) - 1]])] + 1
        edges = np.concatenate([[0], np.stack([first, last], axis=1).ravel(), [width * height]])
        runs = np.diff(edges)
    packed = coco_mask.frPyObjects(
        {"counts": runs.tolist(), "size": [height, width]}, height, width
    )
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}
