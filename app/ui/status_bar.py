"""Numbers of the loop in one line: rate, age, lost frames, stage position."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from app.core.messages import Snapshot
from app.ui.cell import Cell
from app.ui.loop import RigView
from app.ui.theme import ALERT, TEXT, font
from models.types import TrackState

RECENT_S: Final = 5.0
"""For so long a loss is shown in red: an alarm that never ends is not heard."""
OLD_S: Final = 0.100
"""A picture older than this shows a sperm where it is no more."""


class StatusBar(QWidget):
    """Cells with a muted name and a number of fixed width."""

    def __init__(self, rig: RigView) -> None:
        super().__init__()
        self._has_stage = rig.has_stage
        self._dropped = 0
        self._dropped_s = -math.inf
        self._overloads = 0
        self._overloads_s = -math.inf
        self._cells: dict[str, Cell] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 2, 12, 4)
        row.setSpacing(8)
        for name, tip, widest in (
            ("Rate", "Frames a second over the last two seconds", "888.8 /s"),
            ("Age", "Time since the frame shown was exposed; red from 100 ms on", "8888 ms"),
            ("Lost", "Frames lost since start, from gaps in the camera's counter", "88888"),
            ("Sperm", "Sperm in the table: confirmed, or hidden for a moment", "888"),
            (
                "Order",
                "By score; or by speed, for ten seconds at most, while none is known to be normal",
                "by speed",
            ),
            ("Crowds", "Crowds too dense to weigh all ways of who is who, since start", "8888"),
            ("Stage", "Position read back from the stage, stage frame", "-88888.8, -88888.8 µm"),
        ):
            title = QLabel(name)
            title.setFont(font(10))
            title.setForegroundRole(QPalette.ColorRole.PlaceholderText)
            cell = Cell(widest, font(11, fixed=True))
            cell.setAccessibleName(name)
            for widget in (title, cell):
                widget.setToolTip(tip)
                row.addWidget(widget)
            row.addSpacing(10)
            self._cells[name] = cell
        row.addStretch()
        about = QLabel(f"{rig.name}, {rig.objective}   Research use only")
        about.setFont(font(10))
        about.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        about.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        about.setToolTip("The rig in use; not a diagnostic device")
        row.addWidget(about)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the numbers of a snapshot."""
        self._say("Rate", f"{snapshot.fps:.1f} /s")
        if snapshot.dropped > self._dropped:
            self._dropped, self._dropped_s = snapshot.dropped, snapshot.frame.time_s
        recent = snapshot.frame.time_s - self._dropped_s < RECENT_S
        self._say("Lost", str(snapshot.dropped), ALERT if recent else TEXT)
        if snapshot.overloads > self._overloads:
            self._overloads, self._overloads_s = snapshot.overloads, snapshot.frame.time_s
        crowded = snapshot.frame.time_s - self._overloads_s < RECENT_S
        self._say("Crowds", str(snapshot.overloads), ALERT if crowded else TEXT)
        order = "by score" if snapshot.judged else "by speed"
        self._say("Order", order if snapshot.ranking else "none")
        known = snapshot.tracks.state != TrackState.TENTATIVE
        self._say("Sperm", str(int(known.sum())))
        pose = snapshot.pose
        if not self._has_stage:
            self._say("Stage", "none")
        elif pose is None or not (math.isfinite(pose.x_um) and math.isfinite(pose.y_um)):
            self._say("Stage", "unknown", ALERT)
        else:
            self._say("Stage", f"{pose.x_um:.1f}, {pose.y_um:.1f} µm")

    def show_age(self, age_s: float) -> None:
        """Show how old the frame on the screen is."""
        text = f"{age_s * 1e3:.0f} ms" if age_s < 10 else f"{age_s:.0f} s"
        self._say("Age", text, ALERT if age_s > OLD_S else TEXT)

    def _say(self, name: str, text: str, colour: str = TEXT) -> None:
        self._cells[name].say(text, colour)

    def text(self, name: str) -> str:
        """Return what a cell says."""
        return self._cells[name].text

    def colour(self, name: str) -> str:
        """Return the colour of a cell's number."""
        return self._cells[name].colour
