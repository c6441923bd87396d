"""A window on a stand-in loop, and the check that no window is left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.ui import theme
from app.ui.window import MainWindow
from tests.gui.stand_in import RIG, StandIn, Swimmers


@pytest.fixture(scope="session")
def qapp(qapp: QApplication) -> QApplication:
    """The application in the program's own colours."""
    theme.apply(qapp)
    # Else the first window that closes ends all later waiting in this process at once.
    qapp.setQuitOnLastWindowClosed(False)
    return qapp


@pytest.fixture(scope="session")
def swimmers() -> Swimmers:
    return Swimmers(40)


@pytest.fixture
def loop(swimmers: Swimmers) -> StandIn:
    return StandIn(swimmers)


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, loop: StandIn) -> Iterator[MainWindow]:
    """A shown window whose timer is stopped: the test pulls."""
    made = MainWindow(loop, RIG)
    made.hold_still()
    made.resize(1280, 800)
    made.show()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def free_deleted() -> None:
    """Let Qt delete what waits for it."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()


def show_next(window: MainWindow, loop: StandIn, **changes: object) -> None:
    """Make the next snapshot, and show all of it."""
    loop.advance(**changes)
    window.pull(all_of_it=True)
    QApplication.processEvents()
