"""A frame as Qt draws it: scaled once, its contrast stretched on request."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from PySide6.QtGui import QImage

from drivers.types import Frame, Image

SAMPLE: Final = 4
"""Every fourth row and column is enough for the contrast."""
EASE: Final = 0.1
"""Part of the way to the newest limits that one frame goes: contrast must not flicker."""


class Picture:
    """The newest frame.

    OpenCV scales it: that costs half of what Qt's smooth scaling costs, which is spread over a pool
    of threads that the network needs.
    """

    def __init__(self) -> None:
        self._pixels: Image | None = None
        self._scaled: Image | None = None
        self._limits: tuple[float, float] | None = None

    @property
    def pixels(self) -> Image | None:
        """Grey levels (H, W) to show; None before the first frame."""
        return self._pixels

    def set(self, frame: Frame, *, stretch: bool) -> None:
        """Take a frame; ``stretch`` spreads its grey levels over the whole range."""
        self._scaled = None
        if stretch:
            self._pixels = cv2.LUT(frame.image, self._levels(frame.image))
        else:
            self._limits = None
            self._pixels = frame.image

    def scaled(self, width: int, height: int) -> QImage:
        """Return the picture in a size, device pixels. It is valid until the next frame is set."""
        if self._pixels is None:
            return QImage()
        if self._scaled is None or self._scaled.shape != (height, width):
            self._scaled = scale(self._pixels, width, height)
        return wrap(self._scaled)

    def _levels(self, pixels: Image) -> Image:
        """Grey levels between the percentiles 0.5 and 99.5 spread over 0 to 255, (256,) uint8."""
        low, high = np.percentile(pixels[::SAMPLE, ::SAMPLE], (0.5, 99.5))
        before = self._limits if self._limits is not None else (float(low), float(high))
        low = before[0] + EASE * (float(low) - before[0])
        high = before[1] + EASE * (float(high) - before[1])
        self._limits = (low, high)
        levels: Image = np.clip((np.arange(256) - low) / max(high - low, 8.0) * 255, 0, 255).astype(
            np.uint8
        )
        return levels


def scale(pixels: Image, width: int, height: int) -> Image:
    """Scale grey levels (H, W) bilinearly; smaller pictures are averaged."""
    shrinks = width < pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    result: Image = cv2.resize(pixels, (width, height), interpolation=how)
    return result


def wrap(pixels: Image) -> QImage:
    """Wrap grey levels (H, W) without a copy: the array must outlive the image."""
    height, width = pixels.shape
    return QImage(pixels.data, width, height, pixels.strides[0], QImage.Format.Format_Grayscale8)
