"""Where a point of the picture lies on the screen."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF
from PySide6.QtGui import QTransform


@dataclass(frozen=True, slots=True)
class Viewport:
    """A picture fitted into a rectangle of the screen, centred, its proportions kept.

    Image coordinates have their origin at the centre of the top-left pixel, so the picture covers
    -0.5 to width - 0.5.

    Attributes
    ----------
    left, top : float
        Where the picture begins, logical screen pixels.
    scale : float
        Screen pixels per image pixel.
    width_px, height_px : int
        Size of the picture.
    """

    left: float
    top: float
    scale: float
    width_px: int
    height_px: int

    @staticmethod
    def fit(width_px: int, height_px: int, into: QRectF) -> Viewport:
        """Fit a picture into a rectangle as large as it goes."""
        scale = max(min(into.width() / width_px, into.height() / height_px), 1e-6)
        return Viewport(
            float(round(into.left() + (into.width() - width_px * scale) / 2)),
            float(round(into.top() + (into.height() - height_px * scale) / 2)),
            scale,
            width_px,
            height_px,
        )

    @property
    def rect(self) -> QRectF:
        """The rectangle of the screen that the picture covers."""
        return QRectF(self.left, self.top, self.width_px * self.scale, self.height_px * self.scale)

    @property
    def transform(self) -> QTransform:
        """Map the image frame to the screen."""
        return QTransform(
            self.scale, 0.0, 0.0, self.scale,
            self.left + 0.5 * self.scale, self.top + 0.5 * self.scale,
        )  # fmt: skip

    def to_screen(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Map a point of the image frame to the screen."""
        return self.left + (x_px + 0.5) * self.scale, self.top + (y_px + 0.5) * self.scale

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Map a point of the screen to the image frame, px."""
        return (x - self.left) / self.scale - 0.5, (y - self.top) / self.scale - 0.5
