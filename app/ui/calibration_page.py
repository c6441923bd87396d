"""One procedure under way: what to do, how far it is, and the result beside what is in force."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.runtime.calibration_session import Phase, SessionState
from app.ui.calibration_words import GUIDE_OF, Line, comparison, verdict
from app.ui.theme import ALERT, MUTED, TEXT, font

STEPS: Final = ("Connect", "Prepare", "Measure", "Judge", "Keep")
REACHED: Final = {
    Phase.CONNECTING: 0, Phase.ASKING: 1, Phase.RUNNING: 2, Phase.MEASURED: 3, Phase.SAVED: 5,
}  # fmt: skip
OLD: Final = "in force"
BEFORE: Final = "before"
ALLOWED: Final = "allowed"


class CalibrationPage(QWidget):
    """Shows the state of a session. Its owner has the buttons."""

    def __init__(self) -> None:
        super().__init__()
        self._title = self._label(16, bold=True)
        self._what = self._label(10)
        self._what.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        steps = QHBoxLayout()
        steps.setSpacing(4)
        self._steps = [QLabel() for _ in STEPS]
        for label in self._steps:
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            steps.addWidget(label, 1)
        self._reached = 0
        self._text = self._label(12.5)
        self._text.setAccessibleName("What to do")
        self._seen = self._label(10.5)
        self._seen.setAccessibleName("What is detected")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(18)
        self.bar.setAccessibleName("Progress of the measurement")
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["", "new", OLD])
        self.table.setAccessibleName("The result beside what is in force")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setShowGrid(False)
        self.table.setFont(font(10.5))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(26)
        policy = self.table.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # nothing above it jumps
        self.table.setSizePolicy(policy)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for item in (self._title, self._what):
            column.addWidget(item)
        column.addLayout(steps)
        for item in (self._text, self._seen):
            column.addWidget(item)
        column.addWidget(self.bar)
        column.addWidget(self.table, 1)

    def add(self, widget: QWidget) -> None:
        """Put a widget at the lower end."""
        self._column.addWidget(widget)

    @property
    def text(self) -> str:
        """What is said to the person."""
        return self._text.text()

    @property
    def seen(self) -> str:
        """What is said of the picture."""
        return self._seen.text()

    def rows(self) -> list[tuple[str, ...]]:
        """Return the texts of the result."""
        model = self.table.model()
        return [
            tuple(str(model.index(row, column).data()) for column in range(3))
            for row in range(self.table.rowCount())
        ]

    def begin(self, procedure: str) -> None:
        """Show a procedure that has not begun yet."""
        guide = GUIDE_OF[procedure]
        moves = f" {guide.moves}: Esc stops it." if guide.moves else " Nothing moves by itself."
        self._title.setText(guide.title)
        self._what.setText(
            f"{guide.what}. Under the objective: {guide.needs}. About {guide.seconds} s.{moves}"
        )
        self._reached = 0
        self._fill(())
        self.show_state(SessionState())

    def show_state(self, state: SessionState) -> None:
        """Show how far it is."""
        phase, outcome = state.phase, state.outcome
        self._reached = REACHED.get(phase, self._reached)
        for k, (label, name) in enumerate(zip(self._steps, STEPS, strict=True)):
            done, now = k < self._reached, k == self._reached and not phase.over
            label.setText(f"✓ {name}" if done else f"▶ {name}" if now else name)
            label.setFont(font(10, bold=now))
            self._ink(label, TEXT if done or now else MUTED)
        bad = phase is Phase.REFUSED or (outcome is not None and not outcome.ok)
        text = state.text
        if phase is Phase.MEASURED and outcome is not None:
            text = verdict(outcome)
            if not state.can_keep:
                text += ". The rig file names no calibration file: this is shown, and not kept"
        self._text.setText(text.replace(" um", " µm"))
        self._ink(self._text, ALERT if bad else TEXT)
        looking = phase in (Phase.ASKING, Phase.RUNNING) and state.sighting is not None
        self._seen.setText(state.sighting.text if looking and state.sighting is not None else "")
        self.bar.setValue(round(1000 * state.done))
        self.bar.setVisible(phase is Phase.RUNNING)
        beside = BEFORE if phase is Phase.SAVED else OLD
        if outcome is not None and outcome.section is None:
            beside = ALLOWED  # a check replaces nothing
        self.table.setHorizontalHeaderLabels(["", "new", beside])
        if outcome is not None and self.table.rowCount() == 0:
            self._fill(comparison(outcome, state.record))

    def _fill(self, lines: tuple[Line, ...]) -> None:
        self.table.setVisible(bool(lines))
        self.table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            for column, text in enumerate((line.name, line.new, line.old or "–")):
                item = QTableWidgetItem(text)
                item.setForeground(QColor(TEXT if column == 1 else MUTED))
                item.setFont(font(10, bold=column == 1))
                self.table.setItem(row, column, item)
        self.table.resizeRowsToContents()

    def _ink(self, label: QLabel, colour: str) -> None:
        palette = label.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(colour))
        label.setPalette(palette)

    def _label(self, points: float, *, bold: bool = False) -> QLabel:
        label = QLabel()
        label.setFont(font(points, bold=bold))
        label.setWordWrap(True)
        return label
