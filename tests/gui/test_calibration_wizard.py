"""The calibration window: a person decides, Stop always works, and nothing is kept by accident."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt, QTimer
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.config import NetworkConfig, simulated_rig
from app.core.messages import Mode, MotionState
from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_run import RigBench
from app.runtime.calibration_session import Phase, SessionState
from app.ui.calibration_visit import is_uncalibrated, workshop_of
from app.ui.calibration_wizard import CalibrationWizard
from app.ui.calibration_words import GUIDES, comparison, is_due, missing, standing, verdict
from app.ui.live import run_live
from app.ui.window import MainWindow
from calibration.errors import CalibrationError
from calibration.store import (
    CalibrationRecord,
    PipetteValues,
    PixelValues,
    load_calibration,
    nominal_calibration,
    save_calibration,
)
from tests.gui.conftest import asked, free_deleted, show_next, wait
from tests.gui.stand_in import StandIn
from tests.gui.workshops import file_rig, measured, ruler_workshop, stage_workshop


def test_nothing_begins_before_a_name_and_the_objective(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "a test")
    wizard = make_wizard(stage_workshop(path)[0], ready=False)
    chooser = wizard.chooser
    assert not any(button.isEnabled() for button in chooser.buttons.values())
    chooser.name.setText("  ")
    chooser.objective.setChecked(True)
    assert not chooser.buttons["stage"].isEnabled()
    chooser.name.setText("M. Keller")
    assert chooser.buttons["stage"].isEnabled()
    chooser.objective.setChecked(False)
    assert not chooser.buttons["stage"].isEnabled()
    assert "objective" in chooser.why_not.text()


def test_what_comes_after_something_else_waits_for_it(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path
) -> None:
    chooser = make_wizard(stage_workshop(tmp_path / "new.toml")[0]).chooser
    offered = {key for key, button in chooser.buttons.items() if button.isEnabled()}
    assert offered == {"pixel", "stage"}
    assert chooser.standing_of("stage") == "! never done"
    chooser.show_record(measured(), date(2026, 1, 20))
    offered = {key for key, button in chooser.buttons.items() if button.isEnabled()}
    assert offered == {
        "pixel", "stage", "latency", "check", "check-ruling", "check-beads", "pipette",
    }  # fmt: skip
    assert chooser.standing_of("stage") == "0.4950 µm/px, 2026-01-05 by mk"
    assert chooser.standing_of("drift") == "after: Pipette"
    chooser.show_record(measured(), date(2026, 3, 20))
    assert chooser.standing_of("latency").startswith("! ")


def test_pixel_size_on_the_simulated_rig_from_the_list_to_the_file(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "rig.toml"
    wizard = make_wizard(workshop_of(file_rig(path)))
    qtbot.mousePress(wizard.chooser.buttons["pixel"], Qt.MouseButton.LeftButton)
    wait(qtbot, wizard, Phase.ASKING)
    assert wizard.banner_text.startswith("PREPARE")
    qtbot.waitUntil(lambda: "ticks are seen" in wizard.page.seen, timeout=20_000)
    assert wizard.view.picture is not None
    qtbot.keyClick(wizard, Qt.Key.Key_Return)
    wait(qtbot, wizard, Phase.MEASURED)
    assert wizard.view.picture.ndim == 3  # with the ticks that were used
    rows = {row[0]: row[1:] for row in wizard.page.rows()}
    assert rows["Size of a pixel, µm"][0].startswith("0.495")
    assert "±" in rows["Size of a pixel, µm"][0]
    assert not path.exists()
    qtbot.keyClick(wizard, Qt.Key.Key_A)
    wait(qtbot, wizard, Phase.SAVED)
    kept = load_calibration(path)
    assert kept.pixel is not None
    assert kept.pixel.operator == "M. Keller"
    assert wizard.kept == 1
    wizard.back()
    assert "by M. Keller" in wizard.chooser.standing_of("pixel")


def test_the_simulated_rig_is_calibrated_for_practice(
    make_wizard: Callable[..., CalibrationWizard],
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.rig.practice.user_data_path", lambda *_, **__: tmp_path)
    wizard = make_wizard(workshop_of(simulated_rig()))
    assert "for practice" in wizard.banner_text
    wizard.begin("pixel")
    wait(qtbot, wizard, Phase.ASKING)
    wizard.go_on()
    wait(qtbot, wizard, Phase.MEASURED)
    assert wizard.accept_button.isEnabled()
    wizard.accept()
    wait(qtbot, wizard, Phase.SAVED)
    assert load_calibration(tmp_path / "practice-20x.toml").pixel is not None
    wizard.back()
    assert "by M. Keller" in wizard.chooser.standing_of("pixel")


@pytest.mark.parametrize("how", ["Esc", "Space", "button", "close"])
def test_stop_halts_the_stage_and_the_old_calibration_stays(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot, how: str
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "a test")
    before = path.read_bytes()
    workshop, stage, bench = stage_workshop(path)
    wizard = asked(qtbot, make_wizard(workshop), "stage")
    wizard.go_on()
    qtbot.waitUntil(lambda: wizard.session.state.done > 0.02, timeout=30_000)
    session = wizard.session
    if how == "button":
        qtbot.mousePress(wizard.stop_button, Qt.MouseButton.LeftButton)
    elif how == "close":
        wizard.close()
    else:
        qtbot.keyClick(wizard, Qt.Key.Key_Escape if how == "Esc" else Qt.Key.Key_Space)
    assert stage.stops >= 1 or session.is_alive()
    qtbot.waitUntil(lambda: not session.is_alive(), timeout=10_000)
    assert session.state.phase is Phase.CANCELLED
    assert stage.stops >= 1
    assert not any(stage.plant.moving(bench.clock.now_s() + 1.0))
    assert path.read_bytes() == before
    if how == "close":
        qtbot.waitUntil(lambda: not wizard.isVisible(), timeout=5_000)
    else:
        wizard.pull()
        assert wizard.banner_text.startswith("STOPPED")
        assert "old calibration stays" in wizard.page.text


def test_stop_works_wherever_the_focus_is(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    wizard = asked(qtbot, make_wizard(stage_workshop(tmp_path / "rig.toml")[0]), "stage")
    pressed: list[int] = []
    wizard.session.cancel = lambda: pressed.append(1)  # the real one would end the test early
    for widget in wizard.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or not widget.isVisible():
            continue
        pressed.clear()
        widget.setFocus()
        qtbot.keyClick(widget, Qt.Key.Key_Escape)
        assert pressed == [1], widget
        qtbot.keyClick(widget, Qt.Key.Key_Space)
        assert pressed == [1, 1], widget
    del wizard.session.cancel
    middle = wizard.stop_button.rect().center()
    assert wizard.childAt(wizard.stop_button.mapTo(wizard, middle)) is wizard.stop_button


def test_a_name_may_hold_a_space_and_the_letters_of_the_keys(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    wizard = make_wizard(stage_workshop(tmp_path / "rig.toml")[0], ready=False)
    wizard.chooser.name.setFocus()
    qtbot.keyClicks(wizard.chooser.name, "A Rara")
    assert wizard.chooser.operator == "A Rara"


def test_back_drops_a_result_and_repeat_measures_anew(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "rig.toml"
    wizard = asked(qtbot, make_wizard(ruler_workshop(path)), "pixel")
    wizard.go_on()
    wait(qtbot, wizard, Phase.MEASURED)
    first = wizard.session
    wizard.repeat()
    assert wizard.session is not first
    wait(qtbot, wizard, Phase.ASKING)
    assert wizard.page.rows() == []
    wizard.go_on()
    wait(qtbot, wizard, Phase.MEASURED)
    wizard.back()
    assert wizard.session is None
    assert wizard.pages.currentWidget() is wizard.chooser
    assert not path.exists()
    assert wizard.kept == 0


def test_by_hand_two_ticks_are_pressed_and_the_divisions_between_them_counted(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "rig.toml"
    wizard = asked(qtbot, make_wizard(ruler_workshop(path)), "pixel")
    qtbot.waitUntil(lambda: wizard.view.viewport() is not None)
    assert wizard.ruler.isVisible()
    assert not wizard.ruler.done.isEnabled()
    port = wizard.view.viewport()
    ends = [(100.0, 200.0), (100.0 + 20 / 0.495 * 10, 200.0)]  # 20 divisions of 10 um
    for x_px, y_px in ends:
        at = QPointF(*port.to_screen(x_px, y_px)).toPoint()
        qtbot.mousePress(wizard.view, Qt.MouseButton.LeftButton, pos=at)
    assert "20 divisions" in wizard.ruler.text
    qtbot.mousePress(wizard.ruler.more, Qt.MouseButton.LeftButton)
    assert "21 divisions" in wizard.ruler.text
    qtbot.mousePress(wizard.ruler.fewer, Qt.MouseButton.LeftButton)
    qtbot.mousePress(wizard.ruler.done, Qt.MouseButton.LeftButton)
    wait(qtbot, wizard, Phase.MEASURED)
    outcome = wizard.session.state.outcome
    assert outcome.value == pytest.approx(0.495, rel=5e-3)  # presses are whole screen pixels
    assert outcome.details["method"] == "by hand"
    assert not wizard.ruler.isVisible()
    wizard.accept()
    wait(qtbot, wizard, Phase.SAVED)
    assert load_calibration(path).pixel.method == "by hand"


def test_the_nominal_calibration_cannot_be_replaced(
    make_wizard: Callable[..., CalibrationWizard], qtbot: QtBot
) -> None:
    wizard = asked(qtbot, make_wizard(ruler_workshop(None)), "pixel")
    wizard.go_on()
    wait(qtbot, wizard, Phase.MEASURED)
    assert not wizard.accept_button.isEnabled()
    assert "not kept" in wizard.page.text
    qtbot.keyClick(wizard, Qt.Key.Key_A)
    assert wizard.phase is Phase.MEASURED


def test_a_refusal_is_one_sentence_and_can_be_repeated(
    make_wizard: Callable[..., CalibrationWizard], qtbot: QtBot
) -> None:
    @contextmanager
    def closed(procedure: str) -> Iterator[RigBench]:
        raise CalibrationError("the stage is too near a limit")
        yield

    workshop = replace(stage_workshop()[0], open_bench=closed)
    wizard = make_wizard(workshop)
    wizard.begin("stage")
    wait(qtbot, wizard, Phase.REFUSED)
    assert wizard.banner_text == "REFUSED: the stage is too near a limit"
    assert wizard.repeat_button.isVisible()
    assert not wizard.accept_button.isVisible()


def test_a_broken_file_is_said_on_the_list(make_wizard: Callable[..., CalibrationWizard]) -> None:
    def broken() -> tuple[Path | None, CalibrationRecord | None]:
        raise CalibrationError("rig.toml: line 3: not TOML")

    wizard = make_wizard(replace(stage_workshop()[0], known=broken))
    assert "line 3" in wizard.banner_text


def test_results_stand_beside_what_is_in_force() -> None:
    record = measured()
    failed = Outcome("check", 0.5, 0.0, 4.2, "ratio", None, {"why": "another objective"}, False)
    assert verdict(failed) == "Failed: another objective"
    assert comparison(failed, record)[0].new == "4.20 µm"
    new = record.image.model_copy(update={"matrix_um_per_px": ((0.5, 0.0), (0.0, 0.5))})
    stage = Outcome(
        "stage", 0.5, 0.0002, 0.04, "um/px", new,
        {"backlash_um": [0.4, 0.41], "repeatability_um": 0.03, "rotation_deg": -1e-4,
         "mirrored": False, "moves_used": 48, "moves": 48},
    )  # fmt: skip
    lines = {line.name: line for line in comparison(stage, record)}
    assert lines["Scale, µm/px"].new == "0.50000 ± 0.00020"
    assert lines["Scale, µm/px"].old.startswith("0.49500")
    corner_um = 0.005 * float(np.hypot(319.5, 239.5))
    assert lines["The picture's corner moves by"].new == f"{corner_um:.2f} µm"
    assert lines["Camera turned by"].new == "0.00°"
    latency = Outcome(
        "latency", 0.036, 0.001, 0.1, "s", record.latency, {"split_uncertainty": 0.002}
    )
    assert comparison(latency, None)[0].new == "36.0 ± 1.0"
    values = PipetteValues(
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), origin_um=(20.0, 10.0), residual_um=0.1,
        direction_deg=12.0, reference_um=(0.0, 0.0, 0.0), touch_down_z_um=-31.5,
    )  # fmt: skip
    with_needle = measured(pipette=values)
    taught = Outcome("touch-down", -30.0, 0.0, 0.0, "um", values, {})
    assert comparison(taught, with_needle)[0].old == "z -31.5 µm"
    assert standing(with_needle, "touch-down").startswith("z -31.5 µm")
    assert comparison(Outcome("pipette", 1.0, 0.01, 0.1, "", values, {}), None)[0].new
    assert comparison(Outcome("drift", 2.0, 0.1, 0.1, "um", None, {}), with_needle)[0].new
    for guide in GUIDES:
        assert not is_due(nominal_calibration("20x", 640, 480), guide.key, date(2036, 1, 1))
        assert missing(None, guide) == (
            "" if guide.key in ("pixel", "stage") else missing(None, guide)
        )


def test_no_text_of_a_result_is_cut(make_wizard: Callable[..., CalibrationWizard]) -> None:
    record = measured(pixel=PixelValues(
        um_per_px=0.49512, uncertainty_um_per_px=0.00004, residual_um=0.004, method="ruling"
    ))  # fmt: skip
    image = record.image.model_copy(
        update={"uncertainty_um_per_px": 0.00014, "backlash_um": (0.43, 0.38)}
    )
    record = record.model_copy(update={"image": image})
    stage = Outcome(
        "stage", 0.49526, 0.00016, 0.057, "um/px", image,
        {"backlash_um": [0.37, 0.36], "repeatability_um": 0.076, "rotation_deg": -179.98,
         "mirrored": True, "moves_used": 48, "moves": 48},
    )  # fmt: skip
    pixel = Outcome("pixel", 0.49501, 0.00004, 0.004, "um/px", record.pixel, {"ticks": 33})
    delays = Outcome(
        "latency", 0.0718, 0.0015, 0.2, "s", record.latency, {"split_uncertainty": 0.0017}
    )
    sizes = {"accepted_um_per_px": {"pixel": 0.49512, "stage": 0.49498},
             "ratios": {"pixel": 1.0123, "stage": 0.9877}}  # fmt: skip
    ruling = Outcome(
        "check-ruling", 1.0123, 0.0001, 0.004, "ratio", None,
        {"um_per_px": 0.48911, "ticks": 33, "tolerance": 0.01, **sizes}, False,
    )  # fmt: skip
    beads = Outcome(
        "check-beads", 1.0123, 0.01, 0.18, "ratio", None,
        {"median_um": 10.12, "bead_um": 10.25, "scatter_um": 0.18, "beads": 14,
         "tolerance": 0.05, **sizes},
    )  # fmt: skip
    page = make_wizard(stage_workshop()[0]).page
    for outcome in (stage, pixel, delays, ruling, beads):
        page.begin(outcome.procedure)
        page.show_state(SessionState(Phase.MEASURED, outcome=outcome, record=record))
        table = page.table
        QApplication.processEvents()
        for row in range(table.rowCount()):
            for column in range(3):
                item = table.item(row, column)
                room = table.columnWidth(column) - 6
                lines = max(table.rowHeight(row) // QFontMetrics(item.font()).height(), 1)
                widest = QFontMetrics(item.font()).horizontalAdvance(item.text())
                longest = max(
                    QFontMetrics(item.font()).horizontalAdvance(word)
                    for word in item.text().split()
                )
                assert longest <= room, item.text()
                assert widest <= room * lines, item.text()


def test_calibrating_needs_a_disarmed_stage_and_a_yes(
    window: MainWindow, loop: StandIn, qtbot: QtBot
) -> None:
    asked: list[int] = []
    window.controller.calibration_asked.connect(lambda: asked.append(1))
    loop.motion = MotionState(Mode.ARMED)
    show_next(window, loop)
    qtbot.keyClick(window, Qt.Key.Key_F2)
    assert window.confirmation.question is None
    assert "Disarm first" in window.events.item(0).text()
    loop.motion = MotionState(Mode.DISARMED)
    show_next(window, loop)
    qtbot.keyClick(window, Qt.Key.Key_F2)
    assert window.confirmation.question is not None
    assert not asked
    qtbot.keyClick(window, Qt.Key.Key_Return)
    assert asked == [1]


def test_a_new_rig_is_calibrated_before_it_runs(tmp_path: Path, qapp: QApplication) -> None:
    config = file_rig(tmp_path / "new.toml")
    config = config.model_copy(update={"network": NetworkConfig(detector="threshold")})
    assert is_uncalibrated(config)
    seen: list[str] = []

    def look() -> None:
        for widget in qapp.topLevelWidgets():
            if isinstance(widget, CalibrationWizard) and widget.isVisible():
                seen.append(widget.banner_text)
                widget.close()
                return
        QTimer.singleShot(50, look)

    QTimer.singleShot(50, look)
    with pytest.raises(CalibrationError, match=r"new\.toml"):
        run_live(config, out=tmp_path, progress=lambda line: None)
    assert len(seen) == 1
    assert "new.toml" in seen[0]
    save_calibration(measured(), tmp_path / "new.toml", "a test")
    assert not is_uncalibrated(config)
    (tmp_path / "new.toml").write_text("version = [", encoding="utf-8")
    assert not is_uncalibrated(config)


def test_the_window_is_freed_when_it_is_closed(qapp: QApplication, tmp_path: Path) -> None:
    def once() -> None:
        wizard = CalibrationWizard(stage_workshop(tmp_path / "rig.toml")[0])
        wizard.show()
        QApplication.processEvents()
        wizard.close()
        wizard.deleteLater()

    once()
    free_deleted()
    before = len(qapp.allWidgets())
    for _ in range(3):
        once()
        free_deleted()
    assert len(qapp.allWidgets()) <= before
