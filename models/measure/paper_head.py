"""The SFCNet paper's own estimators of a head: pixel contour and its smallest rectangle.

For comparison: both run through the centres of the outermost pixels, so that a head of 10 x 6 px
comes out about a pixel too short and too narrow, and its area a quarter too small.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.measure.shapes import Shapes
from models.types import SpermPart, UInt8


def with_paper_heads(shapes: Shapes, part_map: UInt8, box_px: NDArray[np.floating]) -> Shapes:
    """Replace area, length, width and ellipticity by the paper's; and the bend by its angle.

    The angle is that of the rectangle's long side to the picture's rows, 0 to 90 degrees: the paper
    does not define its own, and this one gives the zeros that it prints.

    Parameters
    ----------
    shapes : Shapes
        Of the same frame.
    part_map : (H, W) uint8
        SpermPart.
    box_px : (N, 4)
        Heads found.
    """
    values = shapes.values.copy()
    values[:, :5] = np.nan
    height, width = part_map.shape
    for row, (x, y, w, h) in enumerate(np.asarray(box_px, np.float64)):
        if not np.isfinite(shapes.values[row, 0]):
            continue
        left, top = max(int(x - w / 2 - 2), 0), max(int(y - h / 2 - 2), 0)
        right, bottom = min(int(x + w / 2 + 3), width), min(int(y + h / 2 + 3), height)
        crop = (part_map[top:bottom, left:right] == SpermPart.HEAD).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(crop, connectivity=8)
        if count < 2:
            continue
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        outlines, _ = cv2.findContours(
            (labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        corners = cv2.boxPoints(cv2.minAreaRect(outlines[0]))
        sides = np.diff(corners[:3], axis=0)
        lengths = np.hypot(*sides.T)
        if lengths.min() <= 0.0:
            continue
        dx, dy = np.abs(sides[int(np.argmax(lengths))])
        values[row, :5] = (
            cv2.contourArea(outlines[0]), lengths.max(), lengths.min(),
            lengths.max() / lengths.min(), np.degrees(np.arctan2(dy, dx)),
        )  # fmt: skip
    return replace(shapes, values=values)
