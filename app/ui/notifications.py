"""The list of what happened, newest first. A fault stays until it has been seen."""

from __future__ import annotations

import time
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from app.core.messages import Event
from app.ui.theme import SEVERITY_COLOURS, TEXT, font

KEPT: Final = 200
SIGNS: Final = {"info": " ", "warning": "!", "fault": "✖"}


class Notifications(QListWidget):
    """Events with their wall time; sign and colour tell how bad they are."""

    def __init__(self) -> None:
        super().__init__()
        self._wall_s = time.time() - time.perf_counter()
        self.setFont(font(10))
        self.setWordWrap(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Events and faults")
        self.setToolTip("What happened, newest first; ✖ is a fault, ! a warning")

    def add(self, event: Event) -> None:
        """Add one event on top."""
        wall = time.strftime("%H:%M:%S", time.localtime(self._wall_s + event.time_s))
        item = QListWidgetItem(f"{wall} {SIGNS.get(event.severity, ' ')} {event.text}")
        item.setForeground(QColor(SEVERITY_COLOURS.get(event.severity, TEXT)))
        if event.details:
            item.setToolTip("\n".join(f"{k}: {v}" for k, v in event.details.items()))
        self.insertItem(0, item)
        while self.count() > KEPT:
            self.takeItem(self.count() - 1)
