"""Who calibrates, with what, and which procedure: the first page of the calibration window."""

from __future__ import annotations

from datetime import date as Date
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from app.ui.buttons import plain_button, show_when_on
from app.ui.calibration_words import GUIDES, Guide, is_due, missing, standing
from app.ui.diameter_field import DiameterField
from app.ui.theme import CHOSEN, MIN_TARGET_PX, TEXT, font
from calibration.store import CalibrationRecord

DIVISIONS_UM: Final = (10.0, 100.0)
BEAD_UM: Final = 10.0
BEADS_UM: Final = (1.0, 100.0)
"""Least and largest diameter that can be typed."""
LONGEST_NAME: Final = 60


class CalibrationChooser(QWidget):
    """The operator's name, the objective's confirmation, and a button for each procedure.

    Signals
    -------
    chosen(str)
        A procedure is pressed; only once a name is given and the objective confirmed.
    """

    chosen = Signal(str)

    def __init__(self, objective: str) -> None:
        super().__init__()
        self.name = QLineEdit()
        self.name.setPlaceholderText("Your name")
        self.name.setTextMargins(6, 0, 6, 0)
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setMinimumHeight(MIN_TARGET_PX + 4)
        self.name.setAccessibleName("Operator")
        self.name.setToolTip("Who stands for the result; it is kept with it")
        self.name.textChanged.connect(self._refresh)
        self.objective = QPushButton(f"The {objective} objective is in place")
        self.objective.setToolTip("It has no sensor: look, then confirm it")
        self.objective.setAccessibleName("Confirm the objective")
        self.objective.setCheckable(True)
        self.objective.setMinimumHeight(MIN_TARGET_PX + 8)
        self.objective.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        show_when_on(self.objective)
        self.objective.toggled.connect(self._refresh)
        self._division_um = DIVISIONS_UM[0]
        self._record: CalibrationRecord | None = None
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.addWidget(self._heading("1  Who are you, and what is mounted?"), 0, 0, 1, 2)
        grid.addWidget(self.name, 1, 0, 1, 2)
        grid.addWidget(self.objective, 2, 0, 1, 2)
        grid.addWidget(self._heading("2  What is to be measured?"), 3, 0, 1, 2)
        self.why_not = QLabel()
        self.why_not.setFont(font(10))
        self.why_not.setWordWrap(True)
        grid.addWidget(self.why_not, 4, 0, 1, 2)
        self.buttons: dict[str, QPushButton] = {}
        self._standing: dict[str, QLabel] = {}
        for row, guide in enumerate(GUIDES, start=5):
            self._offer(grid, row, guide)
        grid.addLayout(self._slides(), 5 + len(GUIDES), 0, 1, 2)
        grid.setRowStretch(6 + len(GUIDES), 1)
        grid.setColumnStretch(1, 1)
        self._refresh()

    @property
    def operator(self) -> str:
        """Who stands for the result."""
        return self.name.text().strip()

    @property
    def division_um(self) -> float:
        """Between the ticks of the micrometer."""
        return self._division_um

    @property
    def bead_um(self) -> float:
        """Nominal diameter of the beads."""
        return self.bead.um

    def show_record(self, record: CalibrationRecord | None, today: Date) -> None:
        """Show what is in force; what has to be done before anything can move is marked."""
        self._record = record
        for key, label in self._standing.items():
            due = is_due(record, key, today)
            text = f"{'! ' if due else ''}{standing(record, key)}"
            palette = label.palette()
            palette.setColor(QPalette.ColorRole.WindowText, CHOSEN if due else TEXT)
            label.setPalette(palette)
            label.setText(text)
        self._refresh()

    def standing_of(self, key: str) -> str:
        """Return what is said of a procedure's present value."""
        return self._standing[key].text()

    def _offer(self, grid: QGridLayout, row: int, guide: Guide) -> None:
        button = plain_button(guide.title, guide.what, lambda: self.chosen.emit(guide.key))
        button.setMinimumWidth(120)
        button.setFont(font(11.5, bold=True))
        what = QLabel(f"{guide.what}.")
        what.setFont(font(9))
        what.setWordWrap(True)
        what.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        now = QLabel()
        now.setFont(font(9.5))
        now.setAccessibleName(f"In force: {guide.title}")
        told = QGridLayout()
        told.setVerticalSpacing(0)
        told.addWidget(what, 0, 0)
        told.addWidget(now, 1, 0)
        grid.addWidget(button, row, 0)
        grid.addLayout(told, row, 1)
        self.buttons[guide.key] = button
        self._standing[guide.key] = now

    def _slides(self) -> QHBoxLayout:
        """Ask what is engraved on the micrometer, and what is printed on the bottle of beads."""
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self._label("Micrometer"))
        self._division_buttons = {}
        for division_um in DIVISIONS_UM:
            button = QPushButton(f"{division_um:g} µm")
            button.setCheckable(True)
            button.setAutoExclusive(True)
            button.setMinimumHeight(MIN_TARGET_PX)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setToolTip("Divisions: what is engraved on the slide")
            button.setAccessibleName(f"Divisions of {division_um:g} µm")
            show_when_on(button)
            button.clicked.connect(lambda _=False, um=division_um: self._take_division(um))
            row.addWidget(button)
            self._division_buttons[division_um] = button
        self._division_buttons[self._division_um].setChecked(True)
        row.addStretch(1)
        row.addWidget(self._label("Beads"))
        self.bead = DiameterField(BEAD_UM, *BEADS_UM)
        self.bead.setToolTip("Their diameter, as it is printed on the bottle")
        self.bead.setAccessibleName("Diameter of the beads")
        row.addWidget(self.bead)
        return row

    def _take_division(self, division_um: float) -> None:
        self._division_um = division_um

    def _refresh(self) -> None:
        """Offer the procedures once it is known who asks, and with what objective."""
        first = [] if self.operator else ["say who you are"]
        first += [] if self.objective.isChecked() else ["confirm the objective"]
        for guide in GUIDES:
            before = missing(self._record, guide)
            self.buttons[guide.key].setEnabled(not first and not before)
            if before and self._record is not None:
                self._standing[guide.key].setText(before)
        told = f"First {' and '.join(first)}." if first else "Nothing moves before you say so."
        self.why_not.setText(told)

    def _label(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setFont(font(10))
        return label

    def _heading(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setFont(font(12, bold=True))
        return label
