"""A detector that sees frames at the magnification it was made for.

Weights know heads of 7 to 20 px. At 100x a head is 50 px long: the same frame, shrunk to a fifth,
holds it as 20x would show it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.detector import Detector
from models.errors import ModelError
from models.types import Detections, Perception, UInt8

# No detector here takes a side of less.
LEAST_SIDE_PX = 32
# What the shipped weights were trained for, and how far from it they find heads as they are.
MADE_FOR_UM_PER_PX = 0.495
AS_THEY_ARE_UM_PER_PX = (0.3, 0.7)
_MOST_SCALE = 8.0


class ResampledDetector:
    """Shows a detector every frame smaller or larger, and says what it finds in the frame's pixels.

    Parameters
    ----------
    detector : Detector
    scale : float
        Side of the frame that the detector sees, in sides of the frame: 0.5 at 40x for a detector
        that was made for 20x; the frame's um per pixel by the detector's.

    Raises
    ------
    ModelError
        A scale that is none.
    """

    def __init__(self, detector: Detector, scale: float) -> None:
        if not 0.0 < scale <= _MOST_SCALE:
            raise ModelError(
                f"a frame cannot be shown at {scale:g} of its size; above 0, at most "
                f"{_MOST_SCALE:g}"
            )
        self.detector = detector
        self.scale = scale
        self.finds_heads = bool(getattr(detector, "finds_heads", True))
        # What an archive says of itself, for whoever asks: it is still that archive.
        self.entry = getattr(detector, "entry", None)

    @property
    def name(self) -> str:
        """The detector's, and the scale."""
        return f"{self.detector.name} at {self.scale:g} of the size"

    def warm_up(self, height_px: int, width_px: int) -> None:
        """Warm the detector up at the size that it will see."""
        self.detector.warm_up(*self._seen_size(height_px, width_px))

    def _seen_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        height, width = round(height_px * self.scale), round(width_px * self.scale)
        return max(height, LEAST_SIDE_PX), max(width, LEAST_SIDE_PX)

    def detect(self, image: UInt8) -> Perception:
        """Find heads and pixels in a grey frame (H, W) uint8; boxes and maps are the frame's."""
        height, width = image.shape
        seen_height, seen_width = self._seen_size(height, width)
        # Means over areas: what is shrunk otherwise keeps every so-manieth pixel of the noise.
        how = cv2.INTER_AREA if self.scale < 1.0 else cv2.INTER_LINEAR
        shown = np.asarray(cv2.resize(image, (seen_width, seen_height), interpolation=how))
        seen = self.detector.detect(shown.astype(np.uint8, copy=False))
        grow = np.array([width / seen_width, height / seen_height], np.float32)
        return Perception(
            _grown(seen.detections, grow),
            _stretched(seen.class_map, height, width),
            _stretched(seen.part_map, height, width),
            seen.logits,
            seen.logits_per_px * seen_width / width,
            _grown(seen.weak, grow),
        )


def _grown(found: Detections, grow: NDArray[np.float32]) -> Detections:
    """Return the same heads in a frame whose sides (x, y) are so many times as long."""
    box_px = found.box_px.copy()
    # The centre of the top-left pixel is 0: sizes scale about the picture's corner, at -0.5.
    box_px[:, :2] = (box_px[:, :2] + 0.5) * grow - 0.5
    box_px[:, 2:] *= grow
    return Detections(box_px, found.score, found.label)


def _stretched(labels: UInt8 | None, height_px: int, width_px: int) -> UInt8 | None:
    """Return a map at the size of the frame, each pixel with the nearest label."""
    if labels is None:
        return None
    size = (width_px, height_px)
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def at_known_size(detector: Detector, um_per_px: float | None) -> Detector:
    """Return a detector of 20x that finds the heads of frames of another magnification, too.

    Parameters
    ----------
    detector : Detector
        Made for ``MADE_FOR_UM_PER_PX``: the network, and the classical detector just so, whose
        components have the areas of 20x. At 100x it finds nothing as it is and all of eight heads
        so (F1 80); at 40x it makes no difference to it (F1 83 and 81, 60 heads).
    um_per_px : float or None
        Of the frames, object side; None is not known, and taken as it is.

    Raises
    ------
    ModelError
        Pixels so large that a head is no more than one of them, or of no size at all.
    """
    low, high = AS_THEY_ARE_UM_PER_PX
    if um_per_px is None or low <= um_per_px <= high:
        return detector
    most = _MOST_SCALE * MADE_FOR_UM_PER_PX
    if not 0.0 < um_per_px <= most:
        raise ModelError(
            f"a pixel is {um_per_px:g} um wide: heads are found up to {most:.2f} um a pixel; take "
            "an objective of higher power or, where that is not its true size, mend it (objective "
            "and calibration in the rig file, --um-per-px)"
        )
    return ResampledDetector(detector, um_per_px / MADE_FOR_UM_PER_PX)
