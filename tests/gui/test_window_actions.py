"""Whatever the operator does reaches the loop: keys, buttons, clicks; and Stop before all else."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.core.messages import (
    Arm,
    Disarm,
    Follow,
    FollowBest,
    Mode,
    MotionState,
    MoveBy,
    Release,
    Resume,
    Stop,
)
from app.ui.actions import ACTIONS, BY_KEY, tooltip
from app.ui.buttons import ActionButton
from app.ui.keys_card import KeysCard, lines
from app.ui.layers import Layer
from app.ui.theme import MIN_TARGET_PX
from app.ui.window import MainWindow
from tests.gui.conftest import show_next
from tests.gui.stand_in import StandIn

CORNER = "qt_tableview_cornerbutton"  # of Qt's own, hidden with the row headings


def press(qtbot: QtBot, window: MainWindow, keys: str) -> None:
    """Press a shortcut as a keyboard does."""
    combination = QKeySequence(keys)[0]
    qtbot.keyClick(window, combination.key(), combination.keyboardModifiers())


def armed(window: MainWindow, loop: StandIn, mode: Mode = Mode.ARMED, target: int | None = None):
    loop.motion = MotionState(mode, target=target)
    show_next(window, loop)
    loop.commands.clear()


def press_picture(window: MainWindow, qtbot: QtBot, x_px: float, y_px: float, twice=False) -> None:
    port = window.live_view.viewport()
    assert port is not None
    at = QPoint(*(round(v) for v in port.to_screen(x_px, y_px)))
    qtbot.mouseClick(window.live_view, Qt.MouseButton.LeftButton, pos=at)
    if twice:
        qtbot.mouseDClick(window.live_view, Qt.MouseButton.LeftButton, pos=at)


def lonely_row(loop: StandIn) -> int:
    """A track in the picture that no other is near."""
    snapshot = loop.newest
    assert snapshot is not None
    track_px = snapshot.track_px
    apart = np.linalg.norm(track_px[:, None] - track_px[None], axis=2) + 1e9 * np.eye(len(track_px))
    inside = ((track_px > 60) & (track_px < (580, 420))).all(axis=1)
    return int(np.argmax(np.where(inside, apart.min(axis=1), -1)))


@pytest.mark.parametrize("keys", ["Esc", "Space"])
@pytest.mark.parametrize("mode", list(Mode))
def test_stop_key_reaches_the_loop_in_every_mode(
    window: MainWindow, loop: StandIn, qtbot: QtBot, keys: str, mode: Mode
) -> None:
    armed(window, loop, mode, 3)
    press(qtbot, window, keys)
    assert loop.commands == [Stop()]


@pytest.mark.parametrize("keys", ["Esc", "Space"])
def test_stop_key_works_wherever_the_focus_is(
    window: MainWindow, loop: StandIn, qtbot: QtBot, keys: str
) -> None:
    armed(window, loop, Mode.FOLLOWING, 3)
    window.controller.arm()
    window.controller.toggle_help()
    for widget in window.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or not widget.isVisible():
            continue
        loop.commands.clear()
        widget.setFocus()
        combination = QKeySequence(keys)[0]
        qtbot.keyClick(widget, combination.key())
        assert loop.commands == [Stop()], widget


def test_stop_button_acts_when_it_is_pressed_not_when_it_is_let_go(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    armed(window, loop, Mode.FOLLOWING, 3)
    qtbot.mousePress(window.stop_button, Qt.MouseButton.LeftButton)
    assert loop.commands == [Stop()]
    qtbot.mouseRelease(window.stop_button, Qt.MouseButton.LeftButton)
    assert loop.commands == [Stop()]


def test_stop_button_is_there_before_the_first_frame(window: MainWindow, loop: StandIn) -> None:
    assert window.stop_button.isVisible()
    assert window.stop_button.isEnabled()
    assert window.stop_button.width() >= 200


def test_nothing_covers_the_stop_button(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    window.controller.toggle_help()
    window.controller.arm()
    QApplication.processEvents()
    middle = window.stop_button.rect().center()
    there = window.stop_button.mapTo(window, middle)
    assert window.childAt(there) is window.stop_button


def test_stop_takes_an_open_question_away(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop, Mode.DISARMED)
    press(qtbot, window, "A")
    assert window.confirmation.question is not None
    press(qtbot, window, "Esc")
    assert window.confirmation.question is None
    press(qtbot, window, "Return")
    assert loop.commands == [Stop()]


def test_arming_asks_for_the_objective(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop, Mode.DISARMED)
    press(qtbot, window, "A")
    assert loop.commands == []
    assert "20x" in window.confirmation.question.title
    press(qtbot, window, "Return")
    assert loop.commands == [Arm("20x")]
    assert window.confirmation.question is None


def test_declined_arming_arms_nothing(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop, Mode.DISARMED)
    press(qtbot, window, "A")
    press(qtbot, window, "Backspace")
    press(qtbot, window, "Return")
    assert loop.commands == []


@pytest.mark.parametrize(
    ("keys", "mode", "command"),
    [
        ("D", Mode.FOLLOWING, Disarm()),
        ("B", Mode.ARMED, FollowBest()),
        ("L", Mode.FOLLOWING, Release()),
        ("R", Mode.HOLD, Resume()),
    ],
)
def test_keys_submit_their_commands(
    window: MainWindow, loop: StandIn, qtbot: QtBot, keys: str, mode: Mode, command: object
) -> None:
    armed(window, loop, mode, 3)
    press(qtbot, window, keys)
    assert loop.commands == [command]


@pytest.mark.parametrize("keys", ["D", "F", "B", "L", "R", "Left"])
def test_a_key_that_can_do_nothing_says_why(
    window: MainWindow, loop: StandIn, qtbot: QtBot, keys: str
) -> None:
    armed(window, loop, Mode.DISARMED)
    before = window.events.count()
    press(qtbot, window, keys)
    assert loop.commands == []
    assert window.events.count() == before + 1


def test_click_chooses_the_nearest_and_moves_nothing(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    armed(window, loop)
    row = lonely_row(loop)
    x_px, y_px = loop.newest.track_px[row]
    press_picture(window, qtbot, x_px + 3, y_px - 4)
    assert window.controller.chosen == loop.newest.tracks.track_id[row]
    assert loop.commands == []
    press(qtbot, window, "F")
    assert loop.commands == [Follow(int(loop.newest.tracks.track_id[row]))]


def test_click_far_from_all_sperm_chooses_none(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    armed(window, loop)
    window.controller.choose(3)
    grid = np.stack(np.meshgrid(np.arange(20, 620, 5), np.arange(20, 460, 5)), -1).reshape(-1, 2)
    away = np.linalg.norm(grid[:, None] - loop.newest.track_px[None], axis=2).min(axis=1)
    x_px, y_px = grid[np.argmax(away)]
    press_picture(window, qtbot, x_px, y_px)
    assert window.controller.chosen is None


def test_double_click_follows_once_armed(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop, Mode.DISARMED)
    row = lonely_row(loop)
    track = int(loop.newest.tracks.track_id[row])
    press_picture(window, qtbot, *loop.newest.track_px[row], twice=True)
    assert loop.commands == []
    armed(window, loop)
    press_picture(window, qtbot, *loop.newest.track_px[row], twice=True)
    assert loop.commands == [Follow(track)]


def test_number_keys_choose_by_rank(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop)
    for place in range(1, 10):
        press(qtbot, window, str(place))
        assert window.controller.chosen == loop.newest.ranking[place - 1]
    press(qtbot, window, "0")
    assert window.controller.chosen is None


@pytest.mark.parametrize("judged", [False, True])
def test_what_is_chosen_by_speed_alone_is_said_to_be_not_judged(
    window: MainWindow, loop: StandIn, qtbot: QtBot, judged: bool
) -> None:
    told: list[str] = []
    window.controller.noted.connect(told.append)
    armed(window, loop)
    show_next(window, loop, ranking=(6, 9), judged=judged)
    assert window.status.text("Order") == ("by score" if judged else "by speed")
    press(qtbot, window, "2")
    press(qtbot, window, "B")
    assert loop.commands == [FollowBest()]
    assert [text for text in told if "not judged yet" in text] == (
        []
        if judged
        else [
            "Sperm 9 has place 2 by speed, not judged yet",
            "Sperm 6 is first by speed, not judged yet",
        ]
    )


def test_number_key_beyond_the_ranking_keeps_the_choice(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    show_next(window, loop, ranking=(6, 9))
    press(qtbot, window, "2")
    press(qtbot, window, "3")
    assert window.controller.chosen == 9


def test_a_new_target_becomes_the_chosen_one(window: MainWindow, loop: StandIn) -> None:
    armed(window, loop, Mode.FOLLOWING, 9)
    assert window.controller.chosen == 9
    window.controller.choose(12)
    show_next(window, loop)
    assert window.controller.chosen == 12


def test_follow_without_a_choice_says_so(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop)
    press(qtbot, window, "F")
    assert loop.commands == []
    assert "No sperm is chosen" in window.events.item(0).text()


def test_long_move_asks_first(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    armed(window, loop)
    window.controller.set_step(2)
    press(qtbot, window, "Left")
    assert len(loop.commands) == 1
    window.controller.set_step(3)
    press(qtbot, window, "Right")
    assert len(loop.commands) == 1
    assert "0.95 mm" in window.confirmation.question.title
    press(qtbot, window, "Return")
    assert loop.commands[1].dx_um == pytest.approx(-3 * loop.commands[0].dx_um)


@pytest.mark.parametrize(
    ("keys", "right", "down"), [("Left", -1, 0), ("Right", 1, 0), ("Up", 0, -1), ("Down", 0, 1)]
)
@pytest.mark.parametrize("rotation_deg", [0.0, 90.0, -30.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_arrow_shifts_what_is_seen_that_way(
    loop: StandIn, keys: str, right: int, down: int, rotation_deg: float, mirrored: bool
) -> None:
    from dataclasses import replace

    from app.ui.actions import perform
    from app.ui.controller import Controller
    from calibration.transform import ImageToStage
    from tests.gui.stand_in import RIG

    angle = np.radians(rotation_deg)
    matrix = 0.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    affine = ImageToStage(matrix, np.array([319.5, 239.5]))
    controller = Controller(loop, replace(RIG, image_to_stage=affine))
    loop.motion = MotionState(Mode.ARMED)
    controller.take(loop.advance())
    action = next(a for a in ACTIONS if keys in a.shortcuts)
    perform(action, controller)
    move = loop.commands[-1]
    assert isinstance(move, MoveBy)
    point_um = np.array([12.0, -7.0])
    before = affine.stage_to_image(point_um, np.zeros(2))
    after = affine.stage_to_image(point_um, np.array([move.dx_um, move.dy_um]))
    assert after - before == pytest.approx((right * 160.0, down * 120.0))


def test_layer_keys_toggle_their_buttons(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    show_next(window, loop)
    for layer in Layer:
        button = next(
            b for b in window.findChildren(QAbstractButton)
            if b.accessibleName() == BY_KEY[layer.value].text
        )  # fmt: skip
        was = button.isChecked()
        assert was == (layer in window.controller.layers)
        press(qtbot, window, BY_KEY[layer.value].shortcuts[0])
        assert button.isChecked() != was
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert button.isChecked() == was
        assert was == (layer in window.controller.layers)


def test_every_shortcut_is_bound_once(window: MainWindow) -> None:
    wanted = [keys for action in ACTIONS for keys in action.shortcuts]
    assert len(wanted) == len(set(wanted))
    assert set(window.shortcuts) == set(wanted)
    for keys, shortcut in window.shortcuts.items():
        assert shortcut.isEnabled()
        assert shortcut.context() == Qt.ShortcutContext.ApplicationShortcut
        assert not shortcut.autoRepeat()
        assert not shortcut.key().isEmpty(), keys


def test_list_of_keys_names_every_action(window: MainWindow, qtbot: QtBot) -> None:
    press(qtbot, window, "F1")
    card = window.findChild(KeysCard)
    assert card.isVisible()
    texts = {label.text() for label in card.findChildren(QLabel)}
    assert {text for _, text in lines(list(ACTIONS))} <= texts
    press(qtbot, window, "F1")
    assert not card.isVisible()


def test_every_interactive_widget_is_named_explained_and_large_enough(
    window: MainWindow, loop: StandIn
) -> None:
    show_next(window, loop)
    interactive = window.findChildren(QAbstractButton)
    interactive += [window.live_view, window.table, window.events, window.table.horizontalHeader()]
    interactive = [w for w in interactive if w.objectName() != CORNER]
    assert len(interactive) > 25
    for widget in interactive:
        assert widget.accessibleName(), widget
        assert widget.toolTip(), widget
        if widget.isVisible():
            assert min(widget.width(), widget.height()) >= MIN_TARGET_PX, widget.accessibleName()


def test_buttons_tell_their_shortcut() -> None:
    for action in ACTIONS:
        for keys in action.shortcuts:
            assert keys in tooltip(action)


def test_table_rows_are_large_enough(window: MainWindow) -> None:
    assert window.table.verticalHeader().defaultSectionSize() >= MIN_TARGET_PX


@pytest.mark.parametrize(("key", "place"), [(Qt.Key.Key_1, 1), (Qt.Key.Key_7, 7)])
def test_keypad_digits_count_too(
    window: MainWindow, loop: StandIn, qtbot: QtBot, key: Qt.Key, place: int
) -> None:
    show_next(window, loop)
    qtbot.keyClick(window, key, Qt.KeyboardModifier.KeypadModifier)
    assert window.controller.chosen == loop.newest.ranking[place - 1]


def test_closing_the_window_stops_all_motion(window: MainWindow, loop: StandIn) -> None:
    armed(window, loop, Mode.FOLLOWING, 3)
    window.close()
    assert loop.commands == [Stop("The window was closed")]


def test_the_smallest_window_cuts_no_button_and_no_line_of_the_keys(
    window: MainWindow, loop: StandIn
) -> None:
    window.resize(window.minimumSize())
    show_next(window, loop)
    for button in window.findChildren(ActionButton):
        text = button.fontMetrics().horizontalAdvance(button.text())
        assert text + 4 <= button.width(), button.text()
    window.controller.toggle_help()
    QApplication.processEvents()
    card = window.keys
    assert card.width() <= window.width()
    assert card.height() <= window.height() - window.stop_button.height()
