"""The injection sequence in the window: what is shown, asked for, held, and let go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.injection_rules import OFFERED
from app.core.injection_values import Outlook, Step
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    LetGo,
    Mode,
    MotionState,
    Park,
    Retract,
    StandBy,
    Stop,
    Tap,
    Teach,
)
from app.ui.actions import BY_KEY
from app.ui.injection_control import HOLD_KEY
from app.ui.injection_mark import AIM
from app.ui.injection_panel import CONTROLS, HoldButton
from app.ui.injection_words import advice, headline, next_step
from app.ui.keys_card import KeysCard
from app.ui.loop import RigView
from app.ui.theme import MIN_TARGET_PX
from app.ui.window import LEAST, MainWindow
from tests.gui.conftest import show_next
from tests.gui.stand_in import RIG, StandIn, Swimmers

FREE = dict.fromkeys(OFFERED, "")
ABOVE = Outlook(Step.ALIGNED, False, "", 118.0, 3, None, "tail", None, FREE)


def refusing(outlook: Outlook, **why: str) -> Outlook:
    """The same with some commands refused, by the names of their classes."""
    refusals = {c: why.get(type(c).__name__, "") for c in OFFERED}
    return replace(outlook, refusals=refusals)


def opened(loop: StandIn, rig: RigView) -> MainWindow:
    made = MainWindow(loop, rig)
    made.hold_still()
    made.resize(1280, 800)
    made.show()
    made.activateWindow()
    return made


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, loop: StandIn) -> Iterator[MainWindow]:
    loop.outlook = ABOVE
    loop.motion = MotionState(Mode.FOLLOWING, target=3)
    made = opened(loop, replace(RIG, has_pipette=True))
    show_next(made, loop)
    loop.commands.clear()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def button(window: MainWindow, key: str) -> HoldButton:
    return next(
        b for b in window.injection.findChildren(HoldButton.__mro__[1]) if b.action_key == key
    )  # fmt: skip


def descends(loop: StandIn) -> int:
    return loop.commands.count(Descend())


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("pipette_park", Park()), ("pipette_stand_by", StandBy()), ("pipette_tail", Align("tail")),
        ("pipette_head", Align("head")), ("pipette_tap", Tap()), ("pipette_retract", Retract()),
        ("pipette_teach", Teach()), ("pipette_carry", Carry()), ("pipette_abort", Abort()),
    ],
)  # fmt: skip
def test_each_step_has_a_button_and_a_key(
    window: MainWindow, loop: StandIn, qtbot: QtBot, key: str, command: object
) -> None:
    qtbot.mouseClick(button(window, key), Qt.MouseButton.LeftButton)
    assert loop.commands == [command]
    window.shortcuts[BY_KEY[key].shortcuts[0]].activated.emit()
    assert loop.commands == [command, command]


@pytest.mark.parametrize("key", [k for k in CONTROLS if k != "pipette_abort"])
def test_what_is_refused_is_grey_and_says_why(
    window: MainWindow, loop: StandIn, qtbot: QtBot, key: str
) -> None:
    why = "the stage follows no sperm"
    loop.outlook = replace(ABOVE, refusals={**FREE, CONTROLS[key]: why})
    show_next(window, loop)
    it = button(window, key)
    assert not it.isEnabled()
    assert why in it.toolTip()
    qtbot.mouseClick(it, Qt.MouseButton.LeftButton)
    window.shortcuts[BY_KEY[key].shortcuts[0]].activated.emit()
    assert loop.commands == []
    assert why in window.events.item(0).text()
    loop.outlook = ABOVE
    show_next(window, loop)
    assert it.isEnabled()
    assert "Not now" not in it.toolTip()


def test_held_it_is_renewed_and_let_go_it_ends_at_once(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    it = button(window, "pipette_descend")
    qtbot.mousePress(it, Qt.MouseButton.LeftButton)
    assert loop.commands == [Descend()]
    qtbot.waitUntil(lambda: descends(loop) >= 5, timeout=2000)
    qtbot.mouseRelease(it, Qt.MouseButton.LeftButton)
    assert loop.commands[-1] == LetGo()
    count = len(loop.commands)
    qtbot.wait(120)
    assert len(loop.commands) == count


def test_a_pointer_that_leaves_has_let_go_and_must_press_anew(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    it = button(window, "pipette_descend")
    qtbot.mousePress(it, Qt.MouseButton.LeftButton)
    qtbot.mouseMove(it, QPoint(-60, -60))
    qtbot.waitUntil(lambda: loop.commands[-1] == LetGo(), timeout=1000)
    count = len(loop.commands)
    qtbot.mouseMove(it, it.rect().center())
    qtbot.wait(100)
    assert len(loop.commands) == count


def test_the_key_is_held_too_whatever_has_the_focus(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    window.table.setFocus()
    qtbot.keyPress(window, HOLD_KEY)
    assert loop.commands == [Descend()]
    qtbot.waitUntil(lambda: descends(loop) >= 3, timeout=2000)
    assert window.controller.injection.held
    qtbot.keyRelease(window.table, HOLD_KEY)
    assert loop.commands[-1] == LetGo()
    assert not window.controller.injection.held


@pytest.mark.parametrize("kind", [QEvent.Type.WindowDeactivate, QEvent.Type.ApplicationDeactivate])
def test_a_hand_that_is_lost_has_let_go(
    window: MainWindow, loop: StandIn, qtbot: QtBot, kind: QEvent.Type
) -> None:
    qtbot.keyPress(window, HOLD_KEY)
    QApplication.sendEvent(window, QEvent(kind))
    assert loop.commands[-1] == LetGo()


def test_stop_while_it_is_held_comes_first_and_ends_the_hold(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    qtbot.keyPress(window, HOLD_KEY)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert [c for c in loop.commands if c != Descend()] == [Stop(), LetGo()]
    assert not window.controller.injection.held


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_Space])
def test_stop_is_heard_with_shift_held(
    window: MainWindow, loop: StandIn, qtbot: QtBot, key: Qt.Key
) -> None:
    qtbot.keyClick(window, key, Qt.KeyboardModifier.ShiftModifier)
    assert loop.commands == [Stop()]


def test_contact_ends_the_hold(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    qtbot.keyPress(window, HOLD_KEY)
    loop.outlook = refusing(replace(ABOVE, step=Step.CONTACT), Descend="the tip is in contact")
    show_next(window, loop)
    assert loop.commands[-1] == LetGo()
    assert window.injection.text("Pipette") == "in contact"


def test_closing_the_window_lets_go_and_stops(
    qtbot: QtBot, qapp: QApplication, loop: StandIn
) -> None:
    loop.outlook = ABOVE
    made = opened(loop, replace(RIG, has_pipette=True))
    show_next(made, loop)
    qtbot.keyPress(made, HOLD_KEY)
    made.close()
    assert loop.commands[-2:] == [LetGo(), Stop("The window was closed")]
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_state_height_count_and_reason_are_shown(window: MainWindow, loop: StandIn) -> None:
    panel = window.injection
    assert panel.text("Pipette") == "above the sperm"
    assert panel.text("Height") == "118 µm above the dish"
    assert panel.text("Immobilised") == "3 immobilised"
    loop.outlook = replace(ABOVE, step=Step.PAUSED, reason="the tip is not seen", height_um=9.44)
    show_next(window, loop)
    assert panel.text("Height") == "9.4 µm above the dish"
    assert panel.text("Next step").startswith("The tip is not seen. Next: hold V")
    loop.outlook = replace(ABOVE, height_um=None)
    show_next(window, loop)
    assert panel.text("Height") == "height not known"


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("point", ["", "tail", "head"])
@pytest.mark.parametrize("under_way", [False, True])
def test_each_step_says_what_comes_next(step: Step, point: str, under_way: bool) -> None:
    outlook = refusing(
        replace(ABOVE, step=step, point=point, under_way=under_way), Park="arm first"
    )
    text, _ = headline(outlook)
    assert step.value in text
    line, _ = advice(outlook)
    assert "Next: " in line
    following = next_step(outlook).command
    assert following is None or following in OFFERED
    assert ("not yet: arm first" in line) == (following == Park())


def test_where_the_tip_will_come_down_is_marked_in_the_picture(
    window: MainWindow, loop: StandIn
) -> None:
    aim_um = np.array((40.0, -25.0))

    def inked() -> QPoint | None:
        view = window.live_view
        port, picture = view.viewport(), view.grab().toImage()
        assert port is not None
        x, y = port.to_screen(*RIG.image_to_stage.stage_to_image(aim_um, np.zeros(2)).tolist())
        at = QPoint(round(x + 7), round(y + 7))
        return at if picture.pixelColor(at).name() == AIM else None

    show_next(window, loop)
    assert inked() is None
    loop.outlook = replace(ABOVE, aim_um=(40.0, -25.0))
    show_next(window, loop)
    assert inked() is not None
    loop.outlook = ABOVE
    show_next(window, loop)
    assert inked() is None


def test_the_next_step_is_marked(window: MainWindow, loop: StandIn) -> None:
    fill = button(window, "pipette_descend").palette().button().color()
    assert fill != button(window, "pipette_retract").palette().button().color()


def test_a_long_way_to_the_oocyte_is_asked_first(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    loop.outlook = replace(ABOVE, oocyte_um=(20.0, -10.0))
    show_next(window, loop)
    qtbot.keyClick(window, "O")
    assert loop.commands == [Carry()]
    loop.outlook = replace(ABOVE, oocyte_um=(2_000.0, 0.0))
    show_next(window, loop)
    qtbot.keyClick(window, "O")
    assert loop.commands == [Carry()]
    assert "2.00 mm" in window.confirmation.question.title
    qtbot.keyClick(window, Qt.Key.Key_Return)
    assert loop.commands == [Carry(), Carry()]


def test_without_a_sequence_it_says_why(qtbot: QtBot, qapp: QApplication, loop: StandIn) -> None:
    rig = replace(RIG, has_pipette=True, no_sequence="the rig file has no [injection]")
    made = opened(loop, rig)
    show_next(made, loop)
    assert made.injection.isVisible()
    assert "no [injection]" in made.injection.text("Next step")
    assert made.injection.height() < 60
    qtbot.keyClick(made, "P")
    assert loop.commands == []
    assert "no [injection]" in made.events.item(0).text()
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_a_rig_without_a_pipette_shows_none(
    qtbot: QtBot, qapp: QApplication, loop: StandIn
) -> None:
    made = opened(loop, RIG)
    show_next(made, loop)
    assert not made.injection.isVisible()
    qtbot.keyClick(made, "P")
    assert loop.commands == []
    assert "no pipette" in made.events.item(0).text()
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_everything_has_room_in_the_smallest_window(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    window.resize(*LEAST)
    show_next(window, loop)
    assert window.width() == LEAST[0]
    right = 0
    for key in CONTROLS:
        it = button(window, key)
        assert it.height() >= MIN_TARGET_PX
        assert it.width() >= max(MIN_TARGET_PX, it.fontMetrics().horizontalAdvance(it.text()) + 8)
        at = it.mapTo(window, QPoint(0, 0)).x()
        assert at >= right
        right = at + it.width()
        assert it.accessibleName()
    assert right <= window.live_view.mapTo(window, QPoint(0, 0)).x() + window.live_view.width()
    window.controller.toggle_help()
    QApplication.processEvents()
    card = window.findChild(KeysCard)
    assert card.y() >= window.stop_button.height()
    assert card.width() <= window.width()


@pytest.fixture(scope="session")
def swimmers() -> Swimmers:
    return Swimmers(12)
