"""The live picture of a calibration, with what was detected in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.messages import Mode
from app.runtime.calibration_sight import Sighting
from app.ui.hand_ruler import Point
from app.ui.picture import scale, wrap
from app.ui.stamps import SHADOW
from app.ui.theme import BLACK, CHOSEN, MODE_LOOKS, MUTED, font
from app.ui.viewport import Viewport
from drivers.types import Image

GOOD: Final = MODE_LOOKS[Mode.FOLLOWING].fill
DOUBTFUL: Final = MODE_LOOKS[Mode.HOLD].fill
RING: Final = 4.0
"""Radius of the mark at the end of a single line: where something went."""
REACH: Final = 16.0
"""Half the cross at a point, screen pixels."""


class CalibrationView(QWidget):
    """Draws one picture: the camera's, or one of what was measured.

    Signals
    -------
    pressed(x_px, y_px)
        Image frame.
    """

    pressed = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self._picture: Image | None = None
        self._sighting: Sighting | None = None
        self._scaled: Image | None = None
        self._notice = ""
        self._hand: tuple[Point, ...] = ()
        self._notice_font = font(16)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(480, 360)
        self.setAccessibleName("Picture of the camera, with what was detected")

    @property
    def picture(self) -> Image | None:
        """What is shown: (H, W) grey or (H, W, 3)."""
        return self._picture

    def show_picture(
        self, picture: Image | None, sighting: Sighting | None = None, notice: str = ""
    ) -> None:
        """Show a picture (H, W) or (H, W, 3); none shows the notice alone."""
        if picture is self._picture and sighting is self._sighting and notice == self._notice:
            return
        self._picture, self._sighting, self._notice = picture, sighting, notice
        self.setAccessibleDescription(notice if sighting is None else sighting.text)
        self.update()

    def show_hand(self, points: tuple[Point, ...]) -> None:
        """Show the points that a person has pressed, image frame, and the line between two."""
        self._hand = points
        self.update()

    def viewport(self) -> Viewport | None:
        """Where the picture lies in this widget; None while there is none."""
        picture = self._picture
        if picture is None:
            return None
        return Viewport.fit(picture.shape[1], picture.shape[0], QRectF(self.rect()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell where the picture is pressed."""
        port, at = self.viewport(), event.position()
        if port is not None and port.rect.contains(at):
            self.pressed.emit(*port.to_image(at.x(), at.y()))

    def paintEvent(self, _: QPaintEvent) -> None:
        """Draw the picture and the marks."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(BLACK))
        picture, port = self._picture, self.viewport()
        if picture is None or port is None:
            painter.setFont(self._notice_font)
            painter.setPen(QColor(MUTED))
            wrap_text = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(40, 0, -40, 0), wrap_text, self._notice)
            painter.end()
            return
        where = port.rect.toRect()
        if picture.ndim == 2:
            self._scaled = scale(picture, where.width(), where.height())
            painter.drawImage(where.topLeft(), wrap(self._scaled))
        else:
            painter.drawImage(where, _coloured(picture))
        if self._sighting is not None and picture.ndim == 2:
            self._mark(painter, port, self._sighting)
        self._mark_hand(painter, port)
        painter.end()

    def _mark(self, painter: QPainter, port: Viewport, sighting: Sighting) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        lines = [
            QLineF(QPointF(*port.to_screen(*start)), QPointF(*port.to_screen(*end)))
            for start, end in sighting.lines_px.tolist()
        ]
        ends = [line.p2() for line in lines] if len(lines) == 1 else []
        if sighting.point_px is not None:
            x, y = port.to_screen(*sighting.point_px)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                lines.append(QLineF(x + 5 * dx, y + 5 * dy, x + REACH * dx, y + REACH * dy))
        colour = QColor(GOOD if sighting.good else DOUBTFUL)
        for pen in (QPen(SHADOW, 4), QPen(colour, 2)):
            painter.setPen(pen)
            painter.drawLines(lines)
            for end in ends:
                painter.drawEllipse(end, RING, RING)
            for x_px, y_px, across_px in sighting.circles_px.tolist():
                radius = across_px / 2 * port.scale
                painter.drawEllipse(QPointF(*port.to_screen(x_px, y_px)), radius, radius)

    def _mark_hand(self, painter: QPainter, port: Viewport) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        points = [QPointF(*port.to_screen(*point)) for point in self._hand]
        for pen in (QPen(SHADOW, 4), QPen(QColor(CHOSEN), 2)):
            painter.setPen(pen)
            for point in points:
                painter.drawEllipse(point, 2 * RING, 2 * RING)
            if len(points) == 2:
                painter.drawLine(points[0], points[1])


def _coloured(picture: Image) -> QImage:
    """Copy a picture (H, W, 3), red, green, blue."""
    pixels = np.ascontiguousarray(picture)
    height, width, _ = pixels.shape
    form = QImage.Format.Format_RGB888
    return QImage(pixels.data, width, height, 3 * width, form).copy()
