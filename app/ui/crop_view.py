"""The chosen sperm, enlarged."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.ui.marks import Marks
from app.ui.overlay import draw_masks
from app.ui.picture import Picture, wrap
from app.ui.picture import scale as enlarge
from app.ui.theme import CHOSEN, MUTED, font
from app.ui.viewport import Viewport
from drivers.types import Image

SIDE: Final = 168
DARK: Final = "#0d0e10"
CROP_PX: Final = 56
"""Side of what is shown, image pixels: at 0.5 µm per pixel a head and half of its tail."""


class CropView(QWidget):
    """Shows the surroundings of one point of the live picture."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self._picture = picture
        self._marks: Marks | None = None
        self._cut: Image | None = None
        self._at_px: tuple[float, float] | None = None
        self.setFixedSize(SIDE, SIDE)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("The chosen sperm, enlarged")
        self.setToolTip("The chosen sperm, enlarged; its outline as found in this very frame")

    def show_at(self, at_px: tuple[float, float] | None, marks: Marks | None) -> None:
        """Show this point of the image frame; None shows nothing."""
        if at_px is not None or self._at_px is not None:
            self._at_px, self._marks = at_px, marks
            self.update()

    def paintEvent(self, _: QPaintEvent) -> None:
        """Draw the crop and its outlines."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK))
        pixels = self._picture.pixels
        if self._at_px is None or pixels is None:
            painter.setFont(font(10))
            painter.setPen(QColor(MUTED))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No sperm\nchosen")
            painter.end()
            return
        height, width = pixels.shape
        x_px, y_px = self._at_px
        scale = SIDE / CROP_PX
        # Whole pixels are cut out; the rest of a pixel is a shift of the cut.
        left, top = round(x_px - CROP_PX / 2), round(y_px - CROP_PX / 2)
        port = Viewport(
            SIDE / 2 - (x_px + 0.5) * scale, SIDE / 2 - (y_px + 0.5) * scale, scale, width, height
        )
        rows = slice(max(top, 0), min(top + CROP_PX, height))
        columns = slice(max(left, 0), min(left + CROP_PX, width))
        cut = pixels[rows, columns]
        if cut.size:
            corner = port.to_screen(columns.start - 0.5, rows.start - 0.5)
            size = (round(cut.shape[1] * scale), round(cut.shape[0] * scale))
            self._cut = enlarge(np.ascontiguousarray(cut), *size)
            painter.drawImage(QPointF(round(corner[0]), round(corner[1])), wrap(self._cut))
        if self._marks is not None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
            draw_masks(painter, self._marks, port)
        painter.setPen(QPen(QColor(CHOSEN), 1))
        middle = QPointF(SIDE / 2, SIDE / 2)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            out = QPointF(dx, dy) * (SIDE / 2)
            painter.drawLine(middle + out * 0.86, middle + out)
        painter.end()
