"""A diameter that a person types: with a point or a comma, and never ten times as large."""

from __future__ import annotations

from PySide6.QtCore import QLocale
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox

from app.ui.theme import MIN_TARGET_PX


class DiameterField(QDoubleSpinBox):
    """Takes micrometres with two decimals; the arrow keys step by one.

    Parameters
    ----------
    value_um : float
        At first.
    least_um, most_um : float
        Beyond these nothing can be typed.
    """

    def __init__(self, value_um: float, least_um: float, most_um: float) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)  # too small for gloves
        self.setDecimals(2)
        self.setRange(least_um, most_um)
        self.setValue(value_um)
        self.setSuffix(" µm")
        self.setMinimumHeight(MIN_TARGET_PX)

    @property
    def um(self) -> float:
        """What is shown; something unfinished becomes a number first."""
        self.interpretText()
        return self.value()

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Take a comma for a point: as a mark of thousands it would make 99 of 9,9."""
        return super().validate(text.replace(",", "."), position)
