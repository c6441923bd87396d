"""The hand on the pipette: commands of the injection sequence, and a descent that is held."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

from app.core.injection_values import Outlook
from app.core.messages import Descend, LetGo, PipetteCommand
from app.ui.loop import Loop, RigView

RENEW_MS: Final = 30
"""Between two signs that it is still held; after 100 ms without one it counts as let go."""
HOLD_KEY: Final = "V"
HOLD_CODE: Final = Qt.Key.Key_V


class InjectionControl(QObject):
    """Knows what can be asked for now, asks for it, and holds the descent.

    A descent lasts as long as the button or the key is down, and ends with whatever takes the hand
    away from it: letting go, another window in front, the sequence itself.

    Signals
    -------
    noted(str)
        Why a press did nothing.
    held_changed(bool)
    """

    noted = Signal(str)
    held_changed = Signal(bool)

    def __init__(self, loop: Loop, rig: RigView) -> None:
        super().__init__()
        self._loop = loop
        self._none = rig.no_sequence or "this rig has no pipette"
        self._held = False
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(RENEW_MS)
        self._timer.timeout.connect(lambda: self._loop.submit(Descend()))
        self.outlook: Outlook | None = None

    @property
    def held(self) -> bool:
        """Whether the descent is held."""
        return self._held

    def take(self, outlook: Outlook | None) -> None:
        """Note where the sequence stands; a hold that has had its effect is over."""
        self.outlook = outlook
        if self._held and self.refusal(Descend()):
            self.let_go()

    def refusal(self, command: PipetteCommand) -> str:
        """Say why this cannot be done now; empty where it can."""
        if self.outlook is None:
            return self._none
        return self.outlook.refusals.get(command, "")

    def steer(self, command: PipetteCommand) -> None:
        """Ask for one step, or say why not."""
        why = self.refusal(command)
        if why:
            self.noted.emit(f"Pipette: not now: {why}")
        else:
            self._loop.submit(command)

    def hold(self) -> None:
        """Begin to go down, for as long as it is held."""
        why = self.refusal(Descend())
        if why:
            self.noted.emit(f"Pipette: not now: {why}")
            return
        if self._held:
            return
        self._held = True
        self._loop.submit(Descend())
        self._timer.start()
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.installEventFilter(self)
        self.held_changed.emit(True)

    def let_go(self) -> None:
        """End the descent: the pipette is stopped within 100 ms."""
        if not self._held:
            return
        self._held = False
        self._timer.stop()
        self._loop.submit(LetGo())
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.removeEventFilter(self)
        self.held_changed.emit(False)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See the key come up, or the window lose the hand, wherever the focus is."""
        kind = event.type()
        if kind == QEvent.Type.KeyRelease and isinstance(event, QKeyEvent):
            if event.key() == HOLD_CODE and not event.isAutoRepeat():
                self.let_go()
        elif kind in (QEvent.Type.ApplicationDeactivate, QEvent.Type.WindowDeactivate):
            self.let_go()
        return False
