"""The mode in words and colour, and why: read from 2 m."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from app.core.messages import Mode, MotionState
from app.ui.theme import MODE_LOOKS, filled, font


class ModeBanner(QWidget):
    """One coloured line at the top of the window."""

    def __init__(self, *, has_stage: bool) -> None:
        super().__init__()
        self._has_stage = has_stage
        self._shown: MotionState | None = None
        self._word = QLabel()
        self._word.setFont(font(26, bold=True))
        self._reason = QLabel()
        self._reason.setFont(font(14))
        self._reason.setWordWrap(True)
        self._reason.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(18, 4, 18, 4)
        row.setSpacing(24)
        row.addWidget(self._word)
        row.addWidget(self._reason, 1)
        self.setAutoFillBackground(True)
        self.setMinimumHeight(64)
        self.setAccessibleName("Mode")
        self.show_motion(MotionState())

    def show_motion(self, motion: MotionState, faults: tuple[str, ...] = ()) -> None:
        """Show a mode, its reason, and what can be done next."""
        reason = motion.reason or (faults[0] if faults and motion.mode is Mode.FAULT else "")
        sentences = [
            s[0].upper() + s[1:].rstrip(".") for s in (reason, hint(motion, self._has_stage)) if s
        ]
        shown = MotionState(motion.mode, ". ".join(sentences), motion.target)
        if shown == self._shown:
            return
        self._shown = shown
        look = MODE_LOOKS[motion.mode]
        self.setPalette(filled(look.fill, look.ink))
        following = motion.target is not None and motion.mode in (
            Mode.CENTERING, Mode.FOLLOWING, Mode.HOLD,
        )  # fmt: skip
        self._word.setText(f"{look.word} {motion.target}" if following else look.word)
        self._reason.setText(shown.reason)
        self._reason.setAlignment(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        self.setAccessibleDescription(f"{self._word.text()}. {shown.reason}")

    @property
    def text(self) -> str:
        """What is read: the word, and the reason."""
        return f"{self._word.text()}: {self._reason.text()}"


def hint(motion: MotionState, has_stage: bool) -> str:
    """Say what can be done next."""
    if not has_stage:
        return "No stage: a picture to look at, nothing moves"
    return {
        Mode.DISARMED: "Nothing moves; A arms the stage",
        Mode.ARMED: "Choose a sperm; F follows it, B follows the best",
        Mode.CENTERING: "The stage brings it to the centre",
        Mode.FOLLOWING: "The stage keeps it in the centre",
        Mode.HOLD: "The stage stands still; R resumes, L releases",
        Mode.FAULT: "All motion is stopped; A arms again once it is mended",
    }[motion.mode]
