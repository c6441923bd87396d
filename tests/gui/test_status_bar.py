"""The line of numbers under the picture says what was lost, and when that was of late."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QApplication

from app.core.messages import Snapshot
from app.ui.status_bar import RECENT_S, StatusBar
from app.ui.theme import ALERT, TEXT
from tests.gui.stand_in import RIG, StandIn


@pytest.mark.parametrize(("cell", "counted"), [("Lost", "dropped"), ("Crowds", "overloads")])
def test_what_was_lost_is_counted_and_red_for_a_while(
    qapp: QApplication, loop: StandIn, cell: str, counted: str
) -> None:
    first = loop.advance()

    def later(after_s: float, count: int) -> Snapshot:
        frame = replace(first.frame, time_s=first.frame.time_s + after_s)
        values: dict[str, int] = {counted: count}
        return replace(first, frame=frame, **values)  # type: ignore[arg-type]

    bar = StatusBar(RIG)
    for snapshot, text, colour in (
        (first, "0", TEXT), (later(1.0, 3), "3", ALERT), (later(0.9 + RECENT_S, 3), "3", ALERT),
        (later(1.1 + RECENT_S, 3), "3", TEXT), (later(1.2 + RECENT_S, 4), "4", ALERT),
    ):  # fmt: skip
        bar.show_snapshot(snapshot)
        assert bar.text(cell) == text
        assert bar.colour(cell) == colour
