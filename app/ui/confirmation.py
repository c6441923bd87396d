"""A question inside the window: nothing modal, for Stop must stay within reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.ui.theme import MIN_TARGET_PX, ModeLook, filled, font


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something moves.

    Attributes
    ----------
    title, text : str
        One line, and what happens on yes.
    yes : str
        Words of the button that agrees: what is confirmed, never just 'OK'.
    agreed : callable
        Called once when the operator agrees.
    look : ModeLook
        Colours of the button that agrees.
    """

    title: str
    text: str
    yes: str
    agreed: Callable[[], None]
    look: ModeLook


class ConfirmationCard(QFrame):
    """Shows one question. Enter agrees, Backspace declines, Stop declines too."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self._question: Question | None = None
        self._title = QLabel()
        self._title.setFont(font(15, bold=True))
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._yes = self._button("Agree", "Confirms what is written here (Enter)")
        self._yes.pressed.connect(self.agree)
        self._no = self._button("Cancel", "Nothing moves (Backspace)")
        self._no.setText("Cancel (Backspace)")
        self._no.pressed.connect(self.decline)
        buttons = QHBoxLayout()
        buttons.addWidget(self._no)
        buttons.addStretch()
        buttons.addWidget(self._yes)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        for item in (self._title, self._text):
            column.addWidget(item)
        column.addLayout(buttons)
        self.setFrameShape(QFrame.Shape.Box)
        self.setAutoFillBackground(True)
        self.setAccessibleName("Confirmation")
        self.hide()

    @property
    def question(self) -> Question | None:
        """What is being asked, None while the card is hidden."""
        return self._question

    def ask(self, question: Question) -> None:
        """Show a question; it replaces one that is still open."""
        self._question = question
        self._title.setText(question.title)
        self._text.setText(question.text)
        self._yes.setText(f"{question.yes} (Enter)")
        self._yes.setPalette(filled(question.look.fill, question.look.ink))
        self.place()
        self.show()
        self.raise_()

    def place(self) -> None:
        """Lie in the lower middle of the parent."""
        parent = self._over
        self.setFixedWidth(min(520, parent.width() - 40))
        self.setFixedHeight(self.heightForWidth(self.width()))
        self.move((parent.width() - self.width()) // 2, parent.height() - self.height() - 60)

    def agree(self) -> None:
        """Do what was asked about."""
        question = self._question
        self.decline()
        if question is not None:
            question.agreed()

    def decline(self) -> None:
        """Close without doing anything."""
        self._question = None
        self.hide()

    def _button(self, name: str, tip: str) -> QPushButton:
        button = QPushButton(name)
        button.setAccessibleName(name)
        button.setToolTip(tip)
        button.setMinimumSize(140, MIN_TARGET_PX + 8)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return button
