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
    closed = [part for contour in found for part in (contour[:, 0], contour[:1, 0])]
    joined = np.ones(sum(len(part) for part in closed), bool)
    joined[np.cumsum([len(contour) + 1 for contour in found]) - 1] = False
    return Polylines(np.concatenate(closed).astype(np.float64), joined)
