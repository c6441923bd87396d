"""What is drawn, and where: marks lie on what they mark, and drawing leaks nothing."""

from __future__ import annotations

import sys
import time
import weakref
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication

from app.core.messages import Event, Mode, MotionState
from app.records.drawing import COLOURS
from app.ui.actions import BY_KEY, perform
from app.ui.layers import DEFAULT_LAYERS, Layer
from app.ui.live_view import FRAME, LiveView
from app.ui.theme import ALERT, CHOSEN, CLASS_COLOURS, MODE_LOOKS, TEXT, contrast
from app.ui.window import SLOW_S, MainWindow
from models.types import SpermClass
from tests.gui.conftest import free_deleted, show_next
from tests.gui.stand_in import RIG, StandIn


def pixels(image: QImage) -> np.ndarray:
    """(H, W, 3) uint8, red green blue."""
    rgb = image.convertToFormat(QImage.Format.Format_RGB888)
    raw = np.frombuffer(rgb.constBits(), np.uint8)
    return raw.reshape(rgb.height(), rgb.bytesPerLine())[:, : rgb.width() * 3].reshape(
        rgb.height(), rgb.width(), 3
    )


def near(picture: np.ndarray, colour: str, tolerance: int = 40) -> np.ndarray:
    """Where a picture has a colour."""
    c = QColor(colour)
    return np.abs(picture.astype(int) - (c.red(), c.green(), c.blue())).max(axis=2) <= tolerance


def grabbed(view: LiveView) -> np.ndarray:
    return pixels(view.grab().toImage()).copy()


def only(window: MainWindow, *layers: Layer) -> None:
    window.live_view.set_layers(frozenset(layers))


def test_the_frame_itself_is_shown(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    only(window)
    shown = grabbed(window.live_view)
    port = window.live_view.viewport()
    image = loop.newest.frame.image
    y, x = np.mgrid[20:400:37, 20:600:41]
    for row, column in zip(y.ravel(), x.ravel(), strict=True):
        sx, sy = port.to_screen(float(column), float(row))
        around = image[row - 1 : row + 2, column - 1 : column + 2]
        grey = shown[int(sy), int(sx)]
        assert int(around.min()) - 6 <= grey[1] <= int(around.max()) + 6


@pytest.mark.parametrize("mode", list(Mode))
def test_frame_has_the_colour_of_the_mode(window: MainWindow, loop: StandIn, mode: Mode) -> None:
    loop.motion = MotionState(mode, "why", 3)
    show_next(window, loop)
    shown = grabbed(window.live_view)
    look = MODE_LOOKS[mode]
    for row, column in ((2, 2), (2, -3), (-3, 2), (-3, -3), (FRAME - 2, 300)):
        assert near(shown[row : row + 1 or None, column : column + 1 or None], look.fill, 2).all()
    assert look.word in window.banner.text
    assert "Why" in window.banner.text


def test_every_mode_is_told_by_its_word_and_can_be_read() -> None:
    assert len({look.word for look in MODE_LOOKS.values()}) == len(Mode)
    for look in MODE_LOOKS.values():
        assert contrast(look.fill, look.ink) >= 4.5


def test_ring_lies_around_the_chosen_sperm(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    only(window)
    rows = np.flatnonzero(
        ((loop.newest.track_px > 60) & (loop.newest.track_px < (580, 420))).all(axis=1)
    )
    before = near(grabbed(window.live_view), CHOSEN).sum()
    assert before == 0
    for row in rows[:5]:
        window.controller.choose(int(loop.newest.tracks.track_id[row]))
        mark = near(grabbed(window.live_view), CHOSEN)
        x, y = window.live_view.viewport().to_screen(*loop.newest.track_px[row])
        radius = loop.newest.tracks.size_px[row, 0] * window.live_view.viewport().scale / 2 + 6
        ys, xs = np.nonzero(mark)
        around = np.abs(np.hypot(xs + 0.5 - x, ys + 0.5 - y) - radius) < 2.5
        angles = np.degrees(np.arctan2(ys - y, xs - x))[around]
        assert np.histogram(angles, bins=24, range=(-180, 180))[0].min() > 0


@pytest.mark.parametrize("value", [1, 2])
def test_outlines_lie_on_the_border_of_the_masks(
    window: MainWindow, loop: StandIn, value: int
) -> None:
    show_next(window, loop)
    only(window, Layer.MASKS)
    drawn = near(grabbed(window.live_view), CLASS_COLOURS[value], 60)
    port = window.live_view.viewport()
    mask = loop.newest.perception.class_map == value
    ys, xs = np.nonzero(drawn)
    assert len(xs) > 500
    columns = np.clip(np.round((xs - port.left) / port.scale - 0.5).astype(int), 0, 639)
    rows = np.clip(np.round((ys - port.top) / port.scale - 0.5).astype(int), 0, 479)
    padded = np.pad(mask, 1)
    grown = np.zeros_like(mask)
    for dy in range(3):
        for dx in range(3):
            grown |= padded[dy : dy + 480, dx : dx + 640]
    assert grown[rows, columns].mean() > 0.99


def test_layers_that_are_off_draw_nothing(window: MainWindow, loop: StandIn) -> None:
    for _ in range(5):
        show_next(window, loop)
    only(window)
    port = window.live_view.viewport()
    picture = grabbed(window.live_view)[
        int(port.top) + 4 : int(port.top) + 400, int(port.left) + 4 : int(port.left) + 600
    ]
    spread = picture.astype(int).max(axis=2) - picture.min(axis=2)
    assert spread.max() <= 2
    for layer in DEFAULT_LAYERS:
        only(window, layer)
        other = grabbed(window.live_view)
        assert (other != grabbed_without(window)).any(), layer


def grabbed_without(window: MainWindow) -> np.ndarray:
    only(window)
    return grabbed(window.live_view)


def test_trails_stay_with_the_specimen_when_the_stage_moves(
    window: MainWindow, loop: StandIn
) -> None:
    from app.ui.trails import Trails

    trails, affine = Trails(), RIG.image_to_stage
    snapshot = loop.advance()
    for _ in range(10):
        trails.add(snapshot.tracks)
    for pose_um in (np.zeros(2), np.array([40.0, -25.0])):
        lines = trails.seen_at(pose_um, snapshot.tracks.track_id, affine)
        points = lines.points_px.reshape(len(snapshot.tracks), 10, 2)
        expected = affine.stage_to_image(snapshot.tracks.position_um, pose_um)
        assert points == pytest.approx(np.repeat(expected[:, None], 10, axis=1))


def test_overlay_is_reported_once_for_each_frame(window: MainWindow, loop: StandIn) -> None:
    for _ in range(5):
        show_next(window, loop)
        QApplication.processEvents()
        window.live_view.repaint()
    assert [s.frame.number for s, _ in loop.drawn] == [1, 2, 3, 4, 5]
    for snapshot, time_s in loop.drawn:
        assert time_s >= snapshot.timing.published_s


def test_age_is_red_when_it_is_over_a_tenth_of_a_second(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    window.status.show_age(0.099)
    assert window.status.colour("Age") == TEXT
    window.status.show_age(0.101)
    assert window.status.colour("Age") == ALERT
    window.status.show_age(0.0)
    time.sleep(0.1)
    window.pull(all_of_it=True)
    assert window.status.colour("Age") == ALERT


def test_a_camera_that_stops_is_told_on_the_picture(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    window.live_view.set_age(0.1)
    before = grabbed(window.live_view)
    window.live_view.set_age(0.8)
    assert (grabbed(window.live_view) != before).mean() > 0.02
    show_next(window, loop)
    middle = slice(200, 260)
    assert not near(grabbed(window.live_view)[middle], "#000000", 8).mean() > 0.5


def test_events_and_faults_are_listed_newest_first(window: MainWindow, loop: StandIn) -> None:
    loop.pending = [Event(time.perf_counter(), "first"), Event(time.perf_counter(), "second")]
    show_next(window, loop)
    assert "second" in window.events.item(0).text()
    for number in range(300):
        window.events.add(Event(float(number), f"event {number}", "fault"))
    assert window.events.count() == 200
    assert "event 299" in window.events.item(0).text()


def test_a_fault_that_is_listed_already_is_not_listed_again_as_an_event(
    window: MainWindow, loop: StandIn
) -> None:
    faults = ("the port has vanished",)
    show_next(window, loop, faults=faults)
    loop.pending = [Event(time.perf_counter(), "the port has vanished", "fault")]
    show_next(window, loop, faults=faults)
    texts = [window.events.item(row).text() for row in range(window.events.count())]
    assert sum("the port has vanished" in text for text in texts) == 1


def test_positions_without_a_calibration_are_in_pixels(loop: StandIn, qtbot: object) -> None:
    from dataclasses import replace

    window = MainWindow(loop, replace(RIG, calibrated=False, has_stage=False))
    window.hold_still()
    show_next(window, loop)
    window.controller.choose(3)
    assert window.chosen.text("Off centre").endswith("px")
    assert window.chosen.text("Verdict") == "not assessed"
    vap_um_s = loop.newest.measurements.values["vap_um_s"][0]
    assert window.chosen.text("vap_um_s") == f"{vap_um_s / 0.495:.1f} px/s"
    assert "No stage" in window.banner.text
    perform(BY_KEY["arm"], window.controller)
    assert window.confirmation.question is None
    assert "no stage" in window.events.item(0).text()
    assert window.status.text("Stage") == "none"
    window.close()
    window.deleteLater()
    free_deleted()


def test_painting_leaks_no_reference_to_none(window: MainWindow, loop: StandIn) -> None:
    """A binding that loses references to None aborts after some 6,000 calls."""
    show_next(window, loop)
    image = QImage(64, 64, QImage.Format.Format_RGB32)

    def paint(times: int) -> None:
        painter = QPainter(image)
        for _ in range(times):
            painter.drawRect(2, 2, 20, 20)
            painter.setPen(QColor(CHOSEN))
        painter.end()

    paint(10)
    before = sys.getrefcount(None)
    paint(1000)
    for _ in range(20):
        window.live_view.repaint()
    assert abs(sys.getrefcount(None) - before) < 200


def test_windows_that_are_closed_are_freed(loop: StandIn, qapp: QApplication) -> None:
    def make() -> weakref.ref[MainWindow]:
        window = MainWindow(loop, RIG)
        window.hold_still()
        window.show()
        show_next(window, loop)
        window.close()
        window.deleteLater()
        return weakref.ref(window)

    made = make()
    free_deleted()
    before = len(qapp.allWidgets())
    for _ in range(3):
        made = make()
        free_deleted()
    assert len(qapp.allWidgets()) <= before
    assert made() is None


def test_what_is_read_is_renewed_between_frames_and_never_with_one(
    window: MainWindow, loop: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture is not kept waiting by tables."""
    renewed: list[float] = []
    monkeypatch.setattr(
        window.table, "show_snapshot", lambda _: renewed.append(time.perf_counter())
    )
    for _ in range(10):
        loop.advance()
        window.pull()
    assert renewed == []
    assert window.live_view._snapshot is loop.newest
    for _ in range(50):
        window.pull()
    assert renewed
    assert all(after - before >= SLOW_S for before, after in pairwise(renewed))


def test_the_overlay_of_a_recording_has_the_colours_of_the_window() -> None:
    for kind in SpermClass:
        blue, green, red = COLOURS[kind]
        assert QColor(CLASS_COLOURS[kind]) == QColor(red, green, blue)
