"""Masks of an analysis in COCO's run-length encoding: masks.json."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from models.types import SpermClass, UInt8

CATEGORIES = [{"id": int(one), "name": one.name.lower()} for one in SpermClass if one]


class MaskWriter:
    """Streams one mask for each sperm, and for what belongs to none, to a COCO file.

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

    def write(
        self,
        frame: int,
        class_map: UInt8,
        owner: NDArray[np.uint16] | None = None,
        track_id: NDArray[np.int64] | None = None,
    ) -> None:
        """Add one frame; a region's class is that of most of its pixels.

        Parameters
        ----------
        frame : int
        class_map : (H, W) uint8
            SpermClass.
        owner : (H, W) uint16, optional
            Row of the sperm that each pixel belongs to, from 1: one mask for each, with its
            track. Pixels without owner, or all without it, are told by connected regions.
        track_id : (N,) int64, optional
            Of each row; 0 for none.
        """
        height, width = class_map.shape
        self._images.append({"id": frame, "frame": frame, "width": width, "height": height})
        inside = (class_map > 0).astype(np.uint8)
        if owner is not None:
            for k, window in enumerate(find_objects(owner)):
                if window is None:
                    continue
                rows, columns = window
                place = (columns.start, rows.start)
                track = 0 if track_id is None else int(track_id[k])
                self._add(frame, class_map, window, owner[window] == k + 1, place, track)
            inside[owner > 0] = 0
        count, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        for k in range(1, count):
            left, top, w, h, _ = stats[k].tolist()
            window = slice(top, top + h), slice(left, left + w)
            self._add(frame, class_map, window, labels[window] == k, (left, top), 0)
        self._file.flush()

    def _add(
        self,
        frame: int,
        class_map: UInt8,
        window: tuple[slice, slice],
        region: NDArray[np.bool_],
        place: tuple[int, int],
        track: int,
    ) -> None:
        height, width = class_map.shape
        area, (h, w) = int(np.count_nonzero(region)), region.shape
        normal = np.count_nonzero(class_map[window][region] == SpermClass.NORMAL)
        kind = SpermClass.NORMAL if 2 * normal >= area else SpermClass.ABNORMAL
        self._annotations += 1
        line: dict[str, object] = {
            "id": self._annotations, "image_id": frame, "category_id": int(kind),
            "bbox": [*place, w, h], "area": area, "iscrowd": 0,
            "segmentation": encode(region, *place, width, height),
        }  # fmt: skip
        if track:
            line["track_id"] = track
        self._file.write((",\n" if self._annotations > 1 else "\n") + json.dumps(line))

    def close(self) -> None:
        """End the file. Safe to call twice."""
        if not self._file.closed:
            self._file.write(f'\n],\n"images": {json.dumps(self._images)}}}\n')
            self._file.close()


def encode(
    region: NDArray[np.bool_], left: int, top: int, width: int, height: int
) -> dict[str, object]:
    """COCO run-length encoding of a picture (H, W) that is ``region`` at (left, top) and 0 else."""
    runs = _runs(np.ascontiguousarray(region), left, top, width, height)
    return {"size": [height, width], "counts": _packed(runs).tobytes().decode("ascii")}


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _runs(
    region: NDArray[np.bool_], left: int, top: int, width: int, height: int
) -> NDArray[np.int64]:
    """Lengths of the runs of 0 and 1 in turn, column by column, from a run of 0."""
    rows, columns = region.shape
    runs = np.empty((rows + 2) * columns + 2, np.int64)
    count, begin, value = 0, 0, False
    for x in range(columns):
        start = (left + x) * height
        if top > 0 and value:
            runs[count] = start - begin
            count, begin, value = count + 1, start, False
        for y in range(rows):
            if region[y, x] != value:
                runs[count] = start + top + y - begin
                count, begin, value = count + 1, start + top + y, not value
        if top + rows < height and value:
            runs[count] = start + top + rows - begin
            count, begin, value = count + 1, start + top + rows, False
    end = (left + columns) * height
    if value and end < width * height:
        runs[count] = end - begin
        count, begin = count + 1, end
    runs[count] = width * height - begin
    return runs[: count + 1]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _packed(runs: NDArray[np.int64]) -> NDArray[np.uint8]:
    """COCO's text form: 5 bits a character, lowest first, the sixth bit for 'more'.

    From the fourth run on, what is written is the difference to the run before the last.
    """
    text = np.empty(13 * runs.shape[0], np.uint8)
    count = 0
    for k in range(runs.shape[0]):
        value = runs[k] - (runs[k - 2] if k > 2 else 0)
        more = True
        while more:
            low = value & 31
            value >>= 5
            more = value != -1 if low & 16 else value != 0
            text[count] = low + (32 if more else 0) + 48
            count += 1
    return text[:count]
