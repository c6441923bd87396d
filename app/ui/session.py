"""A Qt program around one main window."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PySide6.QtCore import (
    QCoreApplication,
    QEvent,
    QMessageLogContext,
    Qt,
    QTimer,
    QtMsgType,
    qInstallMessageHandler,
)
from PySide6.QtWidgets import QApplication, QLabel

from app.ui import theme
from app.ui.loop import Loop, RigView
from app.ui.window import MainWindow

TICK_MS: Final = 50
SIZE: Final = (1440, 900)
NO_NEWS: Final = "This plugin does not support propagateSizeHints()"
"""Said by Qt whenever a window is made off screen; nobody can do anything about it."""


def application() -> QApplication:
    """Return the Qt application of this process, made and themed when there is none yet."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    made = QApplication(["sfcscope"])
    made.setApplicationName("sfcscope")
    if made.platformName() == "offscreen":
        qInstallMessageHandler(_print_message)
        atexit.register(qInstallMessageHandler, None)  # Qt lives on for a moment without Python
    theme.apply(made)
    return made


def _print_message(_: QtMsgType, __: QMessageLogContext, text: str) -> None:
    """Print what Qt says on standard error, as Qt itself would."""
    if text != NO_NEWS:
        print(text, file=sys.stderr, flush=True)


class Splash(QLabel):
    """Says what is being started, until the window is there."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        self.setWindowTitle("sfcscope")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFont(theme.font(13))
        self.setWordWrap(True)
        self.setContentsMargins(24, 12, 24, 12)
        self.setFixedSize(680, 190)
        self.move(self.screen().availableGeometry().center() - self.rect().center())
        self.show()
        QCoreApplication.processEvents()

    def finish(self) -> None:
        """Go away."""
        self.close()
        self.deleteLater()


class LiveSession:
    """The window, and Qt's event loop while it is open."""

    def __init__(self, loop: Loop, rig: RigView, *, headless: bool) -> None:
        self._application = application()
        self.window = MainWindow(loop, rig)
        self.window.resize(*SIZE)
        if headless:
            self.window.show()
            return
        room = self.window.screen().availableGeometry()
        if room.width() <= SIZE[0] or room.height() <= SIZE[1]:
            self.window.showMaximized()
        else:
            self.window.show()

    def run(self, tick: Callable[[], None]) -> None:
        """Run until the window is closed or ``quit`` is called; ``tick`` is called all the while.

        The ticks are also what lets Python see Ctrl-C.
        """
        timer = QTimer()
        timer.setInterval(TICK_MS)
        timer.timeout.connect(tick)
        timer.start()
        self._application.exec()
        timer.stop()

    def quit(self) -> None:
        """Leave ``run``. Qt's own quit would close the window first, and with it stop the stage."""
        self._application.exit(0)

    def save_picture(self, folder: Path) -> Path:
        """Save what the window shows as window.png."""
        path = folder / "window.png"
        if not self.window.grab().save(str(path)):
            raise OSError(f"{path}: the picture cannot be written; check the disk")
        return path

    def close(self, why: str = "") -> None:
        """Close the window and free it; ``why`` is told where it was not a person who did."""
        if why:
            self.window.why_closed = why
        self.window.close()
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
