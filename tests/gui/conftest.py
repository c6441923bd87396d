"""A window on a stand-in loop, and the check that no window is left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.runtime.calibration_session import Phase
from app.ui import theme
from app.ui.calibration_wizard import CalibrationWizard
from app.ui.calibration_workshop import Workshop
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


@pytest.fixture
def make_wizard(qtbot: QtBot, qapp: QApplication) -> Iterator[Callable[..., CalibrationWizard]]:
    """Make a shown window; in the end it is closed, and its session has ended."""
    made: list[CalibrationWizard] = []

    def build(workshop: Workshop, *, ready: bool = True) -> CalibrationWizard:
        wizard = CalibrationWizard(workshop)
        made.append(wizard)
        wizard.resize(1180, 760)
        wizard.show()
        wizard.activateWindow()
        qtbot.waitUntil(wizard.isActiveWindow)
        if ready:
            wizard.chooser.name.setText("M. Keller")
            wizard.chooser.objective.setChecked(True)
        return wizard

    yield build
    for wizard in made:
        wizard.close()
        qtbot.waitUntil(lambda w=wizard: not w.isVisible(), timeout=10_000)
        wizard.deleteLater()
    free_deleted()


def wait(qtbot: QtBot, wizard: CalibrationWizard, phase: Phase, timeout: int = 30_000) -> None:
    qtbot.waitUntil(lambda: wizard.phase is phase or wizard.phase.over, timeout=timeout)
    wizard.pull()
    assert wizard.phase is phase, wizard.session.state.text


def asked(qtbot: QtBot, wizard: CalibrationWizard, procedure: str) -> CalibrationWizard:
    """A wizard that has begun a procedure and waits for the person."""
    wizard.begin(procedure)
    wait(qtbot, wizard, Phase.ASKING)
    return wizard
