"""A text that changes often: painted, never laid out anew."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui.theme import TEXT

PAD: Final = 2


class Cell(QWidget):
    """One line of text in a place of fixed size; what does not fit ends in an ellipsis.

    A QLabel asks its whole window for a new layout with each new text; this only repaints itself.

    Parameters
    ----------
    widest : str
        The longest text that it is made for.
    font : QFont
    lines : int
        More than one: the text is wrapped, and the width is free.
    """

    def __init__(self, widest: str, font: QFont, *, lines: int = 1) -> None:
        super().__init__()
        self._text = ""
        self._colour = TEXT
        self._lines = lines
        self.setFont(font)
        metrics = self.fontMetrics()
        self._size = QSize(
            metrics.horizontalAdvance(widest) + PAD, lines * metrics.lineSpacing() + PAD
        )
        wide = QSizePolicy.Policy.Expanding if lines > 1 else QSizePolicy.Policy.Minimum
        self.setSizePolicy(wide, QSizePolicy.Policy.Fixed)

    @property
    def text(self) -> str:
        """What it says."""
        return self._text

    @property
    def colour(self) -> str:
        """Colour of the text."""
        return self._colour

    def say(self, text: str, colour: str = TEXT) -> None:
        """Say something else, from the next paint on."""
        if (text, colour) != (self._text, self._colour):
            self._text, self._colour = text, colour
            self.setAccessibleDescription(text)
            self.update()

    def sizeHint(self) -> QSize:
        """Return room for the longest text."""
        return self._size

    def minimumSizeHint(self) -> QSize:
        """Return the same."""
        return self._size

    def paintEvent(self, _: QPaintEvent) -> None:
        """Write the text."""
        painter = QPainter(self)
        painter.setPen(QColor(self._colour))
        flags = Qt.AlignmentFlag
        if self._lines > 1:
            wrap = flags.AlignLeft | flags.AlignTop | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect(), wrap, self._text)
        else:
            text = self.fontMetrics().elidedText(
                self._text, Qt.TextElideMode.ElideRight, self.width()
            )
            painter.drawText(self.rect(), flags.AlignLeft | flags.AlignVCenter, text)
        painter.end()
