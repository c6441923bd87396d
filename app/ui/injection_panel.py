"""The injection sequence under the picture: where it stands, what comes next, and its controls."""

from __future__ import annotations

from typing import Final

from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout

from app.core.injection_values import Outlook
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    Mode,
    Park,
    PipetteCommand,
    Retract,
    StandBy,
    Tap,
    Teach,
)
from app.ui.actions import BY_KEY, Action, tooltip
from app.ui.buttons import ActionButton
from app.ui.cell import Cell
from app.ui.controller import Controller
from app.ui.injection_words import advice, headline, height, next_step
from app.ui.theme import (
    ALERT,
    MIN_TARGET_PX,
    MODE_LOOKS,
    MUTED,
    TEXT,
    WHITE,
    filled,
    font,
    palette,
)

SUGGESTED: Final = "#675b00"
"""Fill of the button that usually comes next: that of the chosen row of the table."""
ABORT: Final = "#7a3e00"
CONTROLS: Final[dict[str, PipetteCommand]] = {
    "pipette_park": Park(), "pipette_stand_by": StandBy(), "pipette_tail": Align("tail"),
    "pipette_head": Align("head"), "pipette_descend": Descend(), "pipette_tap": Tap(),
    "pipette_retract": Retract(), "pipette_teach": Teach(), "pipette_carry": Carry(),
    "pipette_abort": Abort(),
}  # fmt: skip
"""Keys of the table of actions, in the order of a sequence."""


class SequenceButton(ActionButton):
    """Asks for one step. It is greyed out while that is refused, and its tooltip says why."""

    def __init__(self, action: Action, controller: Controller) -> None:
        super().__init__(action, controller)
        self._tip = tooltip(action)
        self._shown: tuple[str, bool, bool] | None = None
        self.setFont(font(10, bold=True))
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance(action.text) + 12)
        self.setMinimumHeight(MIN_TARGET_PX + 8)

    def show_state(self, why_not: str, *, suggested: bool, down: bool = False) -> None:
        """Show whether it can be pressed, comes next, or is held."""
        if (why_not, suggested, down) == self._shown:
            return
        self._shown = why_not, suggested, down
        self.setEnabled(not why_not)
        self.setToolTip(f"{self._tip}\nNot now: {why_not}" if why_not else self._tip)
        look = MODE_LOOKS[Mode.ARMED]
        fill = ABORT if self.action_key == "pipette_abort" else SUGGESTED if suggested else ""
        if down:
            self.setPalette(filled(look.fill, look.ink))
        else:
            self.setPalette(filled(fill, WHITE) if fill and not why_not else palette())


class HoldButton(SequenceButton):
    """Goes down while it is pressed. A pointer that leaves it has let go, and must press anew."""

    def __init__(self, action: Action, controller: Controller) -> None:
        super().__init__(action, controller)
        self.released.connect(controller.injection.let_go)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Let go where the pointer leaves; coming back is no press."""
        if self.isDown():
            super().mouseMoveEvent(event)


class InjectionPanel(QFrame):
    """Two lines of words and one of buttons; without a sequence, one line that says why."""

    def __init__(self, controller: Controller, no_sequence: str = "") -> None:
        super().__init__()
        self._controller = controller
        self._outlook: Outlook | None = None
        self._state = Cell("paused on the way down", font(13, bold=True))
        self._height = Cell("888.8 µm above the dish", font(11))
        self._count = Cell("888 immobilised", font(11))
        self._advice = Cell("", font(10.5))
        for cell, name, tip in (
            (self._state, "Pipette", "Where the pipette is in the injection sequence"),
            (self._height, "Height", "Of the tip above the dish, as last read at rest"),
            (self._count, "Immobilised", "Sperm whose heads were seen to stop after a tap"),
            (self._advice, "Next step", "What usually comes next, and what is in its way"),
        ):
            cell.setAccessibleName(name)
            cell.setToolTip(tip)
        self._advice.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._buttons = {key: self._button(key) for key in CONTROLS}
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(2)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAccessibleName("Injection sequence")
        controller.injection.held_changed.connect(lambda _: self._show_buttons())
        if no_sequence:
            self._advice.say(f"No injection sequence: {no_sequence}", MUTED)
            column.addWidget(self._advice)
            return
        words = QHBoxLayout()
        words.setSpacing(16)
        words.addWidget(self._state)
        words.addWidget(self._height)
        words.addStretch(1)
        words.addWidget(self._count)
        row = QHBoxLayout()
        row.setSpacing(3)
        for key, button in self._buttons.items():
            if key == "pipette_abort":
                row.addSpacing(8)
            row.addWidget(button, 2 if key == "pipette_descend" else 1)
        column.addLayout(words)
        column.addWidget(self._advice)
        column.addSpacing(2)
        column.addLayout(row)
        self.show_outlook(None)

    def show_outlook(self, outlook: Outlook | None) -> None:
        """Show where the sequence stands, and what can be pressed."""
        self._outlook = outlook
        if outlook is None:
            self._state.say("starting", MUTED)
            self._height.say("")
            self._count.say("")
        else:
            self._state.say(*headline(outlook))
            self._height.say(height(outlook), ALERT if outlook.height_um is None else TEXT)
            self._count.say(f"{outlook.immobilised} immobilised")
            self._advice.say(*advice(outlook))
        self._show_buttons()

    def text(self, name: str) -> str:
        """Return what is said, by a cell's accessible name."""
        cells = (self._state, self._height, self._count, self._advice)
        return next(cell.text for cell in cells if cell.accessibleName() == name)

    def _show_buttons(self) -> None:
        injection = self._controller.injection
        following = None if self._outlook is None else next_step(self._outlook).command
        for key, button in self._buttons.items():
            down = injection.held and key == "pipette_descend"
            why = "" if down else injection.refusal(CONTROLS[key])
            button.show_state(why, suggested=CONTROLS[key] == following, down=down)

    def _button(self, key: str) -> SequenceButton:
        make = HoldButton if key == "pipette_descend" else SequenceButton
        return make(BY_KEY[key], self._controller)
