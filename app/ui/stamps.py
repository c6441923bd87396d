"""Numbers and badges drawn once, and stamped on every frame from then on."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPixmap

from app.ui.theme import BLACK, WHITE

SHADOW: Final = QColor(0, 0, 0, 190)
DISC: Final = 18.0
"""Diameter of a badge."""
KEPT: Final = 400
"""Numbers kept before all are drawn anew: some MB."""


class Stamps:
    """Texts in their colours with a shadow, and digits in a disc.

    To stamp a picture costs a seventh of what it costs to write its text.

    Parameters
    ----------
    label, badge : QFont
    """

    def __init__(self, label: QFont, badge: QFont) -> None:
        self._label, self._badge = label, badge
        self._metrics = QFontMetricsF(label)
        self._made: dict[tuple[str, int, float], QPixmap] = {}

    def label(self, painter: QPainter, x: float, y: float, text: str, ink: QColor) -> None:
        """Write a text; its base line begins at x, y."""
        ratio = painter.device().devicePixelRatioF()
        key = text, ink.rgb(), ratio
        made = self._made.get(key) or self._keep(key, self._draw_label(text, ink, ratio))
        painter.drawPixmap(QPointF(round(x), round(y - self._metrics.ascent())), made)

    def badge(self, painter: QPainter, x: float, y: float, text: str) -> None:
        """Draw a digit in a disc whose upper left corner is at x, y."""
        ratio = painter.device().devicePixelRatioF()
        key = text, -1, ratio
        made = self._made.get(key) or self._keep(key, self._draw_badge(text, ratio))
        painter.drawPixmap(QPointF(round(x), round(y)), made)

    def _keep(self, key: tuple[str, int, float], made: QPixmap) -> QPixmap:
        if len(self._made) >= KEPT:
            self._made.clear()
        self._made[key] = made
        return made

    def _draw_label(self, text: str, ink: QColor, ratio: float) -> QPixmap:
        width = self._metrics.horizontalAdvance(text) + 3
        pixmap, painter = _blank(QSize(int(width) + 1, int(self._metrics.height()) + 3), ratio)
        painter.setFont(self._label)
        for shift, colour in ((1.0, SHADOW), (0.0, ink)):
            painter.setPen(colour)
            painter.drawText(QPointF(shift, self._metrics.ascent() + shift), text)
        painter.end()
        return pixmap

    def _draw_badge(self, text: str, ratio: float) -> QPixmap:
        pixmap, painter = _blank(QSize(int(DISC) + 2, int(DISC) + 2), ratio)
        painter.setFont(self._badge)
        painter.setBrush(QColor(WHITE))
        painter.setPen(QPen(SHADOW, 1))
        disc = QRectF(0.5, 0.5, DISC, DISC)
        painter.drawEllipse(disc)
        painter.setPen(QColor(BLACK))
        painter.drawText(disc, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        return pixmap


def _blank(size: QSize, ratio: float) -> tuple[QPixmap, QPainter]:
    """Return a transparent picture of a logical size, and a painter on it."""
    pixmap = QPixmap(size * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    return pixmap, painter
