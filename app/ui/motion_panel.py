"""What is under the picture: following on top; moving by hand and the strip chart below."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.core.messages import Mode
from app.ui.actions import BY_KEY
from app.ui.buttons import ActionButton, show_when_on
from app.ui.centring_chart import CentringChart
from app.ui.controller import Controller
from app.ui.steps import STEPS
from app.ui.theme import MIN_TARGET_PX, font

MOTION = ("arm", "disarm", "follow", "follow_best", "release", "resume")
CALIBRATE = "calibrate"
ARROWS = ("jog_left", "jog_up", "jog_down", "jog_right")


class MotionPanel(QWidget):
    """Two rows of buttons, all from the table of actions, and how well the target is centred."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        keys = (*MOTION, *ARROWS, CALIBRATE)
        self._buttons = {key: ActionButton(BY_KEY[key], controller) for key in keys}
        motion = QHBoxLayout()
        motion.setSpacing(6)
        for key in MOTION:
            button = self._buttons[key]
            button.setFont(font(12, bold=True))
            button.setMinimumHeight(MIN_TARGET_PX + 12)
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(button.text()) + 14)
            motion.addWidget(button, 1)
        lower = QHBoxLayout()
        lower.setSpacing(4)
        for key in ARROWS:
            self._buttons[key].setFixedWidth(40)
            self._buttons[key].setFont(font(14, bold=True))
            lower.addWidget(self._buttons[key])
        lower.addSpacing(6)
        self._steps = self._step_buttons(lower)
        self.chart = CentringChart()
        lower.addSpacing(6)
        lower.addWidget(self._buttons[CALIBRATE])
        lower.addSpacing(6)
        lower.addWidget(self.chart, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(motion)
        column.addLayout(lower)
        controller.step_changed.connect(self._show_step)
        self._steps[controller.step].setChecked(True)
        self.set_mode(Mode.DISARMED)

    def set_mode(self, mode: Mode) -> None:
        """Grey out what this mode does not allow."""
        for button in self._buttons.values():
            button.set_mode(mode)

    def _show_step(self, index: int) -> None:
        self._steps[index].setChecked(True)

    def _step_buttons(self, into: QHBoxLayout) -> list[QPushButton]:
        """One button for each length of a step, of which one is down."""
        group = QButtonGroup(self)
        group.setExclusive(True)
        buttons = []
        for index, step in enumerate(STEPS):
            button = QPushButton(step.text)
            button.setCheckable(True)
            button.setFixedWidth(max(40, button.fontMetrics().horizontalAdvance(step.text) + 16))
            button.setMinimumHeight(MIN_TARGET_PX + 4)
            button.setToolTip(f"{step.tooltip} (PgUp longer, PgDown shorter)")
            button.setAccessibleName(f"Step {step.text}")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, k=index: self._controller.set_step(k))
            show_when_on(button)
            group.addButton(button)
            into.addWidget(button)
            buttons.append(button)
        unit = QLabel("fields")
        unit.setToolTip("¼, 1 and 3 are fields of view")
        into.addWidget(unit)
        return buttons
