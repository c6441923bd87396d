"""The list of keys, from the table of actions."""

from __future__ import annotations

from itertools import groupby

from PySide6.QtCore import Qt
from PySide6.QtGui import QMouseEvent, QPalette
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.actions import ACTIONS, Action
from app.ui.theme import CHOSEN, font

COLUMNS = (("Motion", "Picture"), ("Pipette", "Choice", "Window"))
NAMES = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓", "Return": "Enter"}


class KeysCard(QFrame):
    """Lies over the window until it is pressed, or ? again."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        outer = QVBoxLayout(self)
        outer.setContentsMargins(20, 16, 20, 16)
        title = QLabel("Keys")
        title.setFont(font(17, bold=True))
        outer.addWidget(title)
        row = QHBoxLayout()
        row.setSpacing(24)
        outer.addLayout(row)
        by_group = {
            name: list(group)
            for name, group in groupby(sorted(ACTIONS, key=lambda a: a.group), lambda a: a.group)
        }
        for groups in COLUMNS:
            grid = QGridLayout()
            grid.setHorizontalSpacing(14)
            grid.setVerticalSpacing(4)
            for group in groups:
                self._section(grid, group, by_group[group])
            grid.setRowStretch(grid.rowCount(), 1)
            row.addLayout(grid)
        self.setFrameShape(QFrame.Shape.Box)
        self.setAutoFillBackground(True)
        self.setAccessibleName("List of keys")
        self.setToolTip("Press to close")
        self.hide()

    def toggle(self) -> None:
        """Show or hide."""
        if self.isVisible():
            self.hide()
            return
        self.adjustSize()
        parent = self._over
        self.move(
            max((parent.width() - self.width()) // 2, 0),
            max((parent.height() - self.height()) // 2, 0),
        )
        self.show()
        self.raise_()

    def mousePressEvent(self, _: QMouseEvent) -> None:
        """Close."""
        self.hide()

    def _section(self, grid: QGridLayout, name: str, actions: list[Action]) -> None:
        heading = QLabel(name)
        heading.setFont(font(12, bold=True))
        grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
        for keys, text in lines(actions):
            row = grid.rowCount()
            key = QLabel(keys)
            key.setFont(font(12, bold=True))
            key.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
            palette = key.palette()
            palette.setColor(QPalette.ColorRole.WindowText, CHOSEN)
            key.setPalette(palette)
            grid.addWidget(key, row, 0)
            grid.addWidget(QLabel(text), row, 1)


def lines(actions: list[Action]) -> list[tuple[str, str]]:
    """Keys and what they do; the nine number keys share a line."""
    result = []
    for action in actions:
        if action.key.startswith("place_"):
            if action.key == "place_1":
                result.append(("1 - 9", "Choose by place in the ranking: 1 is the best"))
            continue
        keys = dict.fromkeys(NAMES.get(key, key) for key in action.shortcuts)
        result.append((", ".join(keys), action.tooltip))
    return result
