"""Outlines of the masks: a few thousand points instead of a coloured picture."""

from __future__ import annotations

import cv2
import numpy as np

from app.ui.polylines import Polylines
from models.types import UInt8


def outlines(class_map: UInt8, value: int) -> Polylines:
    """Trace the regions of one class.

    Parameters
    ----------
    class_map : (H, W) uint8
        Class of each pixel.
    value : int
        The class to trace.
    """
    mask: UInt8 = np.equal(class_map, value).view(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return Polylines(np.zeros((0, 2)), np.zeros(0, bool))
    points = np.concatenate(found)[:, 0]
    ends = np.cumsum([len(contour) for contour in found])
    # Each contour closes with its own first point once more.
    starts = np.concatenate(([0], ends[:-1]))
    order = np.insert(np.arange(len(points)), ends, starts)
    joined = np.ones(len(order), bool)
    joined[ends + np.arange(len(ends))] = False
    return Polylines(points[order].astype(np.float64), joined)
