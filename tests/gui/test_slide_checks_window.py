"""Checks by a slide in the calibration window: offered, drawn, judged and kept in the list."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.runtime.calibration_session import Phase
from app.ui.calibration_visit import workshop_of
from app.ui.calibration_wizard import CalibrationWizard
from calibration.store import PixelValues, save_calibration
from tests.gui.conftest import asked, wait
from tests.gui.workshops import file_rig, measured, ruler_workshop, stage_workshop


def values(um_per_px: float) -> PixelValues:
    return PixelValues(
        um_per_px=um_per_px, uncertainty_um_per_px=4e-5, residual_um=0.004, method="ruling"
    )


def test_beads_on_the_simulated_rig_from_the_list_to_the_list_of_checks(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(pixel=values(0.495)), path, "a test")
    before = path.read_bytes()
    wizard = make_wizard(workshop_of(file_rig(path)))
    qtbot.mousePress(wizard.chooser.buttons["check-beads"], Qt.MouseButton.LeftButton)
    wait(qtbot, wizard, Phase.ASKING)
    assert "beads of 10 µm" in wizard.page.text
    assert not wizard.ruler.isVisible()
    qtbot.waitUntil(lambda: "beads are seen" in wizard.page.seen, timeout=20_000)
    assert len(wizard.session.state.sighting.circles_px) >= 3
    qtbot.keyClick(wizard, Qt.Key.Key_Return)
    wait(qtbot, wizard, Phase.MEASURED)
    assert wizard.page.text == "Passed"
    assert wizard.view.picture.ndim == 3  # with the edges that were measured
    rows = {row[0]: row[1:] for row in wizard.page.rows()}
    assert rows["Diameter of the beads"][1] == "10 ± 0.5 µm"
    assert rows["Pixel size, 0.49500 µm/px, is off by"][1] == "± 5 %"
    assert int(rows["Beads used"][0]) >= 3
    assert wizard.page.table.horizontalHeaderItem(2).text() == "allowed"
    assert "list of checks" in wizard.accept_button.text()
    assert not (tmp_path / "rig-checks.jsonl").exists()
    qtbot.keyClick(wizard, Qt.Key.Key_A)
    wait(qtbot, wizard, Phase.SAVED)
    assert wizard.banner_text.startswith("KEPT: Kept in rig-checks.jsonl")
    kept = json.loads((tmp_path / "rig-checks.jsonl").read_text(encoding="utf-8"))
    assert (kept["check"], kept["operator"]) == ("check-beads", "M. Keller")
    assert path.read_bytes() == before


def test_a_ruling_that_does_not_fit_the_pixel_size_is_said_and_repeated(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(pixel=values(1.03 * 0.495)), path, "a test")
    wizard = asked(qtbot, make_wizard(ruler_workshop(path)), "check-ruling")
    wizard.go_on()
    wait(qtbot, wizard, Phase.MEASURED)
    assert wizard.page.text.startswith("Failed: the picture says 0.49")
    rows = {row[0]: row[1:] for row in wizard.page.rows()}
    assert rows["Pixel size, 0.50985 µm/px, is off by"][1] == "± 1 %"
    assert rows["Pixel size, 0.50985 µm/px, is off by"][0].startswith("+3.0")
    assert rows["The stage's, 0.49500 µm/px, is off by"][0].strip("+-").startswith("0.0")
    wizard.repeat()
    wait(qtbot, wizard, Phase.ASKING)
    wizard.back()
    qtbot.waitUntil(lambda: not wizard.session.is_alive(), timeout=10_000)
    assert not (tmp_path / "rig-checks.jsonl").exists()


def test_a_slide_is_checked_once_a_pixel_size_is_accepted(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path
) -> None:
    chooser = make_wizard(stage_workshop(tmp_path / "new.toml")[0]).chooser
    keys = ("check-ruling", "check-beads")
    assert not any(chooser.buttons[key].isEnabled() for key in keys)
    bare = measured(pixel=values(0.4961), image=None)
    chooser.show_record(bare, date(2026, 1, 20))
    assert all(chooser.buttons[key].isEnabled() for key in keys)
    assert chooser.standing_of("check-beads") == "against 0.4961 µm/px"
    chooser.show_record(measured(image=None), date(2026, 1, 20))
    assert chooser.standing_of("check-ruling") == "after: Pixel size"
    chooser.show_record(measured(pixel=values(0.4961)), date(2026, 1, 20))
    assert chooser.standing_of("check-ruling") == "against 0.4961 and 0.4950 µm/px"


@pytest.mark.parametrize(
    ("typed", "taken_um"),
    [
        ("9.87", 9.87),
        ("9,9", 9.9),
        ("6", 6.0),
        ("15.5", 15.5),
        ("200", 20.0),
        ("", 10.0),
        ("A R", 10.0),
    ],
)
def test_the_size_of_the_beads_is_typed_as_it_is_printed(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qtbot: QtBot,
    typed: str, taken_um: float,
) -> None:  # fmt: skip
    wizard = make_wizard(stage_workshop(tmp_path / "rig.toml")[0])
    bead = wizard.chooser.bead
    bead.setFocus()
    bead.selectAll()
    if not typed:
        qtbot.keyClick(bead, Qt.Key.Key_Backspace)
    qtbot.keyClicks(bead, typed)
    assert wizard.chooser.bead_um == taken_um
    assert bead.text() == f"{taken_um:.2f} µm"


def test_the_list_fits_into_the_least_window(
    make_wizard: Callable[..., CalibrationWizard], tmp_path: Path, qapp: QApplication
) -> None:
    wizard = make_wizard(stage_workshop(tmp_path / "rig.toml")[0])
    wizard.resize(wizard.minimumSize())
    qapp.processEvents()
    assert wizard.minimumSizeHint().height() <= wizard.minimumHeight()
    for part in wizard.chooser.findChildren(QWidget):
        if part.isVisible():
            assert part.height() >= part.minimumSizeHint().height(), part
            at = part.mapTo(wizard.chooser, part.rect().bottomRight())
            assert wizard.chooser.rect().contains(at), part
