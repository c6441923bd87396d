"""How far the followed sperm is from the centre, over the last seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel

from app.ui.theme import CHOSEN, MUTED, PANEL, font

SECONDS: Final = 20.0
HEIGHT: Final = 58
TOP_UM: Final = 10.0
"""Two heads; what is farther off is being brought in, and runs off the chart."""


class CentringChart(pg.PlotWidget):  # type: ignore[misc]
    """A strip chart. It is redrawn when it is told to, not with each point."""

    def __init__(self) -> None:
        super().__init__(background=PANEL, enableMenu=False)
        self._points: deque[tuple[float, float]] = deque()
        item = self.getPlotItem()
        item.hideButtons()
        item.setMouseEnabled(False, False)
        self.setMouseTracking(False)
        item.showGrid(y=True, alpha=0.25)
        item.setXRange(-SECONDS, 0, padding=0)
        item.setYRange(0, TOP_UM, padding=0)
        item.disableAutoRange()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setTickFont(font(9))
            axis.setTextPen(MUTED)
            axis.setPen(MUTED)
        item.getAxis("left").setWidth(24)
        item.getAxis("left").setTicks([[(0, "0"), (5, "5"), (10, "10")]])
        item.hideAxis("bottom")
        item.setContentsMargins(0, 3, 4, 3)
        self._curve = item.plot(pen=pg.mkPen(CHOSEN, width=1))
        said = QLabel("µm off centre, 20 s", self)
        said.setFont(font(8))
        said.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        said.move(32, 3)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFixedHeight(HEIGHT)
        self.setAccessibleName("Distance of the followed sperm from the centre")
        self.setToolTip("Distance of the followed sperm from the centre, µm, over 20 s")

    def add(self, time_s: float, distance_um: float) -> None:
        """Take one point; NaN while nothing is followed, which breaks the curve."""
        self._points.append((time_s, distance_um))
        while self._points[0][0] < time_s - SECONDS:
            self._points.popleft()

    def redraw(self) -> None:
        """Draw the points taken so far."""
        if not self._points:
            return
        points = np.array(self._points)
        self._curve.setData(points[:, 0] - points[-1, 0], points[:, 1], connect="finite")
