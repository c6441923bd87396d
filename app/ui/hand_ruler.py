"""The size of a pixel by hand: two ticks pressed in the picture, and the divisions between them."""

from __future__ import annotations

import math

from PySide6.QtCore import Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import plain_button
from app.ui.theme import MIN_TARGET_PX, font

Point = tuple[float, float]
ASK = "Where the ticks are not found: press two of them in the picture, far apart."


class HandRuler(QWidget):
    """Takes two points and a number of divisions; there is no field to type in.

    Parameters
    ----------
    expected_um_per_px : float
        By camera and objective; only suggests the number of divisions, which the person counts.

    Signals
    -------
    measured(object, float)
        x0, y0, x1, y1 in the image frame, and what the line measures, um.
    """

    measured = Signal(object, float)

    def __init__(self, expected_um_per_px: float) -> None:
        super().__init__()
        self._expected_um_per_px = expected_um_per_px
        self._division_um = 10.0
        self._divisions = 1
        self.points: tuple[Point, ...] = ()
        self._said = QLabel()
        self._said.setFont(font(10))
        self._said.setWordWrap(True)
        self._said.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.fewer = plain_button("−", "One division less", lambda: self._count(-1))
        self.more = plain_button("+", "One division more", lambda: self._count(1))
        self.done = plain_button(
            "Measure by hand", "Take this line and this number of divisions", self._measure
        )
        row = QHBoxLayout()
        for button in (self.fewer, self.more):
            button.setFixedWidth(MIN_TARGET_PX + 12)
            row.addWidget(button)
        row.addWidget(self.done, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._said)
        column.addLayout(row)
        self.begin(self._division_um)

    @property
    def text(self) -> str:
        """What is said of the line."""
        return self._said.text()

    def begin(self, division_um: float) -> None:
        """Forget the line; the micrometer's ticks are this far apart."""
        self._division_um = division_um
        self.points = ()
        self._show()

    def press(self, x_px: float, y_px: float) -> None:
        """Take a point of the image frame; a third one begins a new line."""
        before = self.points if len(self.points) < 2 else ()
        self.points = (*before, (x_px, y_px))
        if len(self.points) == 2:
            length_um = math.dist(*self.points) * self._expected_um_per_px
            self._divisions = max(round(length_um / self._division_um), 1)
        self._show()

    def _count(self, by: int) -> None:
        self._divisions = max(self._divisions + by, 1)
        self._show()

    def _measure(self) -> None:
        (x0, y0), (x1, y1) = self.points
        self.measured.emit((x0, y0, x1, y1), self._divisions * self._division_um)

    def _show(self) -> None:
        whole = len(self.points) == 2
        for button in (self.fewer, self.more, self.done):
            button.setEnabled(whole)
        self._said.setText(
            f"By hand: {self._divisions} divisions of {self._division_um:g} µm lie between the two "
            f"points? Count them, and correct it with − and +."
            if whole
            else ASK
        )
