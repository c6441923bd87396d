"""Buttons made from the table of actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from app.core.messages import Mode
from app.ui.actions import Action, perform, possible, tooltip
from app.ui.controller import Controller
from app.ui.theme import (
    BLACK,
    MIN_TARGET_PX,
    ON,
    STOP,
    STOP_PRESSED,
    WHITE,
    filled,
    font,
    palette,
)

OUTLINE: Final = 4
"""White, around Stop: it stands out from the red of a fault beside it."""


def show_when_on(button: QPushButton) -> None:
    """Make a checkable button light up while it is on."""

    def show(on: bool) -> None:
        button.setPalette(filled(ON, BLACK) if on else palette())

    button.toggled.connect(show)


class ActionButton(QPushButton):
    """Does one action. It acts when it is pressed, not when it is let go."""

    def __init__(self, action: Action, controller: Controller) -> None:
        super().__init__(action.text)
        self.action_key = action.key
        self._action = action
        self._has_stage = controller.has_stage
        self.setToolTip(tooltip(action))
        self.setAccessibleName(action.text)
        self.setAccessibleDescription(action.tooltip)
        self.setMinimumSize(MIN_TARGET_PX + 4, MIN_TARGET_PX + 4)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAutoDefault(False)
        self.pressed.connect(lambda: perform(action, controller))

    def set_mode(self, mode: Mode) -> None:
        """Grey out what cannot be done in this mode."""
        can = possible(self._action, mode, self._has_stage)
        if can != self.isEnabled():
            self.setEnabled(can)


class ToggleButton(ActionButton):
    """Shows whether its layer is on. Its owner sets that; a press alone does not."""

    def __init__(self, action: Action, controller: Controller) -> None:
        super().__init__(action, controller)
        self.setCheckable(True)
        self.setFixedWidth(self.fontMetrics().horizontalAdvance(action.text) + 20)
        show_when_on(self)

    def nextCheckState(self) -> None:
        """Leave the state to the owner."""


def beside_stop(banner: QWidget, stop: QPushButton) -> QHBoxLayout:
    """Lay out the top of a window: what it says, and Stop to the right of it."""
    top = QHBoxLayout()
    top.setSpacing(0)
    top.addWidget(banner, 1)
    top.addWidget(stop)
    return top


class StopButton(ActionButton):
    """The largest thing in the window. It is never greyed out."""

    def __init__(self, action: Action, controller: Controller) -> None:
        super().__init__(action, controller)
        _as_stop(self)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Fill it with one colour: a style's shading would take the contrast from the word."""
        _paint_stop(self)


class PlainStop(QPushButton):
    """The same where there is no table of actions."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__("STOP")
        self.setToolTip("Halt what moves at once, wherever it is (Esc)")
        self.setAccessibleName("STOP")
        _as_stop(self)
        self.pressed.connect(stop)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Paint it as the other one."""
        _paint_stop(self)


def plain_button(text: str, tip: str, act: Callable[[], None]) -> QPushButton:
    """Return a button that acts when it is pressed, large enough for a glove."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setMinimumHeight(MIN_TARGET_PX + 8)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setAutoDefault(False)
    button.pressed.connect(act)
    return button


def _as_stop(button: QPushButton) -> None:
    button.setText("STOP   Esc")
    button.setFont(font(22, bold=True))
    button.setMinimumSize(240, 64)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)


def _paint_stop(button: QPushButton) -> None:
    painter = QPainter(button)
    painter.fillRect(button.rect(), QColor(STOP_PRESSED if button.isDown() else STOP))
    pen = QPen(QColor(WHITE), OUTLINE)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    half = OUTLINE // 2
    painter.drawRect(button.rect().adjusted(half, half, -half, -half))
    painter.setFont(button.font())
    painter.drawText(button.rect(), Qt.AlignmentFlag.AlignCenter, button.text())
    painter.end()
