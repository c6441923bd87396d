"""Predictions as labelme files, to be corrected by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.labelme import (
    CLASS_NAMES,
    LabelmeShape,
    Region,
    outlines,
    rectangle,
    write_labelme_frame,
)
from models.types import Perception, SpermClass, UInt8

# Heads without a track get numbers from here on, of each frame its own: no two are one sperm.
_UNTRACKED, _HEADS_A_FRAME = 1_000_000, 1000


def write_labelme(
    folder: Path,
    frame: int,
    image: UInt8,
    perception: Perception,
    owner: NDArray[np.uint16] | None = None,
    track_id: NDArray[np.int64] | None = None,
) -> Path:
    """Write one frame as PNG and JSON: a rectangle for each head, outlines of each mask.

    The class map comes back pixel by pixel when the files are read; what belongs to one sperm has
    one ``group_id``.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    frame : int
        Names the files.
    image : (H, W) uint8
    perception : Perception
    owner : (H, W) uint16, optional
        Row of the head that each pixel belongs to, from 1. Pixels of no head, or all without it,
        are outlined without ``group_id``, piece by piece.
    track_id : (N,) int64, optional
        Of each head, its ``group_id``; 0 for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = _groups(frame, len(perception.detections), track_id)
    regions = _regions(perception.class_map, owner, groups)
    shapes = [*_heads(perception, groups), *outlines(regions)]
    return write_labelme_frame(folder, f"{frame:06d}", image, shapes)


def _groups(frame: int, count: int, track_id: NDArray[np.int64] | None) -> list[int]:
    spare = _UNTRACKED + frame * _HEADS_A_FRAME
    tracks = [0] * count if track_id is None else track_id.tolist()
    return [track or spare + k for k, track in enumerate(tracks)]


def _heads(perception: Perception, groups: list[int]) -> Iterator[LabelmeShape]:
    found = perception.detections
    for (x, y, w, h), label, group in zip(found.box_px.tolist(), found.label, groups, strict=True):
        # labelme counts from edge to edge: the centre of the top-left pixel is 0.5, 0.5.
        corner_px = (x - w / 2 + 0.5, y - h / 2 + 0.5, w, h)
        yield rectangle(f"head {CLASS_NAMES[SpermClass(int(label))]}", group, corner_px)


def _regions(
    class_map: UInt8 | None, owner: NDArray[np.uint16] | None, groups: list[int]
) -> Iterator[Region]:
    if class_map is None:
        return
    whose = np.zeros(class_map.shape, np.uint16) if owner is None else owner
    for row in np.unique(whose[class_map > 0]).tolist():
        for kind in (SpermClass.NORMAL, SpermClass.ABNORMAL):
            mask = (whose == row) & (class_map == kind)
            yield Region(mask, CLASS_NAMES[kind], groups[row - 1] if row else None)
