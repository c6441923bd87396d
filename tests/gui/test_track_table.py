"""The table: sorted as asked, unknown last, the selection on the sperm and not on a place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.ui.track_rows import COLUMNS, LAST, Column, held, ordered, rows_of
from app.ui.track_table import TrackTable
from app.ui.verdict_words import findings
from app.ui.window import MainWindow
from models.measure.profile import named_profile, profile_names
from models.measure.reasons import reasons
from models.types import SpermClass, TrackState
from tests.gui.conftest import show_next
from tests.gui.stand_in import StandIn


def shown(table: TrackTable, column: Column) -> list[str]:
    model = table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_best_comes_first(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    ids = [text.strip("()") for text in shown(window.table, Column.ID)]
    ranking = [str(track) for track in loop.newest.ranking]
    assert ids[: len(ranking)] == ranking
    assert len(ids) == len(loop.newest.tracks)


def test_sorting_by_velocity_puts_the_unknown_last_both_ways(
    window: MainWindow, loop: StandIn
) -> None:
    show_next(window, loop)
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        window.table.sortByColumn(Column.VAP, order)
        texts = shown(window.table, Column.VAP)
        known = [float(text) for text in texts if text != "–"]
        assert texts[len(known) :] == ["–", "–"]
        assert known == sorted(known, reverse=order == Qt.SortOrder.AscendingOrder)


def test_velocities_have_one_decimal(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    assert all(t == "–" or len(t.split(".")[1]) == 1 for t in shown(window.table, Column.VSL))


def test_pressing_a_row_chooses_that_sperm(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    show_next(window, loop)
    index = window.table.model().index(4, Column.CLASS)
    at = window.table.visualRect(index).center()
    qtbot.mouseClick(window.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert window.controller.chosen == loop.newest.ranking[4]
    assert loop.commands == []


def test_selection_stays_with_the_sperm(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    track = loop.newest.ranking[0]
    window.controller.choose(track)
    show_next(window, loop, ranking=loop.newest.ranking[::-1])
    rows = window.table.selectionModel().selectedRows()
    shown_ids = [index.siblingAtColumn(Column.ID).data().strip("()") for index in rows]
    assert shown_ids == [str(track)]
    assert rows[0].row() != 0


def test_the_chosen_sperm_stays_in_view_when_its_rank_changes(
    window: MainWindow, loop: StandIn
) -> None:
    show_next(window, loop)
    ranking = loop.newest.ranking
    window.controller.choose(ranking[0])
    for order in (ranking, ranking[::-1], ranking):
        show_next(window, loop, ranking=order)
        (index,) = window.table.selectionModel().selectedRows()
        seen = window.table.visualRect(index)
        assert window.table.viewport().rect().contains(seen)


def test_keys_walk_the_table(window: MainWindow, loop: StandIn, qtbot: QtBot) -> None:
    show_next(window, loop)
    ids = [int(t.strip("()")) for t in shown(window.table, Column.ID)]
    for expected in ids[:3]:
        qtbot.keyClick(window, Qt.Key.Key_J)
        assert window.controller.chosen == expected
    qtbot.keyClick(window, Qt.Key.Key_K)
    assert window.controller.chosen == ids[1]


def test_tracks_come_and_go(window: MainWindow, loop: StandIn) -> None:
    show_next(window, loop)
    whole = loop.newest
    for count in (0, 7, 40, 1):
        keep = slice(0, count)
        tracks = replace(
            whole.tracks,
            **{
                name: getattr(whole.tracks, name)[keep]
                for name in whole.tracks.__slots__
                if name != "time_s"
            },
        )
        show_next(window, loop, tracks=tracks, track_px=whole.track_px[keep], ranking=())
        assert len(shown(window.table, Column.ID)) == count


def test_tentative_tracks_are_not_listed(window: MainWindow, loop: StandIn) -> None:
    snapshot = loop.advance()
    state = snapshot.tracks.state.copy()
    state[:5] = TrackState.TENTATIVE
    show_next(window, loop, tracks=replace(snapshot.tracks, state=state))
    assert len(shown(window.table, Column.ID)) == len(state) - 5


@given(st.permutations(range(40)), st.integers(0, 40))
def test_held_order_moves_no_row(order: list[int], newcomers: int) -> None:
    rows = rows_of(StandIn().advance()) if not CACHE else CACHE
    CACHE[:] = rows
    before = [rows[k] for k in order[newcomers:]]
    after = held([rows[k] for k in np.argsort(order)], [row.track_id for row in before])
    assert after[: len(before)] == before


@given(st.sampled_from(Column), st.booleans())
def test_ordered_is_a_permutation_with_unknown_last(column: Column, backwards: bool) -> None:
    rows = CACHE or rows_of(StandIn().advance())
    CACHE[:] = rows
    result = ordered(rows, column, backwards=backwards)
    assert sorted(r.track_id for r in result) == sorted(r.track_id for r in rows)
    unknown = [row.keys[column] == LAST for row in result]
    assert unknown == sorted(unknown)


CACHE: list = []


def test_a_sperm_that_is_not_found_in_this_frame_is_in_brackets() -> None:
    snapshot = StandIn().advance()
    hidden = snapshot.tracks.state == TrackState.COASTING
    assert hidden.any()
    for row, gone in zip(rows_of(snapshot), hidden.tolist(), strict=True):
        assert row.texts[Column.ID] == (f"({row.track_id})" if gone else str(row.track_id))


def test_score_and_verdict_are_shown_and_the_reasons_are_the_tooltip() -> None:
    snapshot = StandIn().advance()
    measured = snapshot.measurements
    n = len(measured)
    score = np.linspace(1.0, 0.0, n)
    score[1] = np.nan
    healthy = np.zeros(n)
    healthy[0] = 1.0
    lines = (("head width 2.4 um, below 2.5", "VAP 41.0 um/s"),) * n
    values = measured.values | {"score": score, "healthy": healthy}
    told = replace(measured, values=values, quality=("ok",) * n, reasons=lines)
    rows = {row.track_id: row for row in rows_of(replace(snapshot, measurements=told))}
    first, second, last = (rows[int(measured.track_id[k])] for k in (0, 1, n - 1))
    assert first.texts[Column.SCORE] == "100"
    assert first.texts[Column.QUALITY] == "healthy"
    assert second.texts[Column.SCORE] == "–"
    assert second.keys[Column.SCORE] == LAST
    assert last.texts[Column.QUALITY] == "head narrow"
    assert last.details.splitlines() == ["head width 2.4 µm, below 2.5", "VAP 41.0 µm/s"]
    bare = rows_of(replace(snapshot, measurements=told), 2.0, calibrated=False)
    assert {row.texts[Column.SCORE] for row in bare} == {"–"}
    assert {row.texts[Column.QUALITY] for row in bare} == {"–"}


def test_what_the_network_and_the_measures_disagree_upon_is_disputed() -> None:
    snapshot = StandIn().advance()
    measured = snapshot.measurements
    n = len(measured)
    values = measured.values | {"score": np.ones(n), "healthy": np.ones(n)}
    told = replace(measured, values=values, quality=("ok",) * n, reasons=(("LIN 0.60",),) * n)
    for row in rows_of(replace(snapshot, measurements=told)):
        abnormal = row.label == SpermClass.ABNORMAL
        assert row.texts[Column.QUALITY] == ("disputed" if abnormal else "healthy")


@pytest.mark.parametrize("size", [(1180, 690), (1280, 800), (1440, 900), (1920, 1080)])
def test_no_text_of_the_table_is_cut(
    window: MainWindow, loop: StandIn, size: tuple[int, int]
) -> None:
    window.resize(*size)
    show_next(window, loop)
    table = window.table
    header = table.horizontalHeader()
    assert sum(header.sectionSize(c) for c in Column) <= table.viewport().width()
    words = {
        finding.short
        for name in profile_names()
        for term in named_profile(name).term
        for value in (0.0, 1e3)
        for finding in findings(
            tuple(r.text for r in reasons({term.measure: value}, {}, named_profile(name)))
        )
        if finding.side
    } | {"insufficient track", "5 of 5 frames", "touches another", "disputed"}  # fmt: skip
    metrics = table.fontMetrics()
    room = header.sectionSize(Column.QUALITY) - 5
    assert {word for word in words if metrics.horizontalAdvance(word) > room} == set()
    for column in Column:
        for text in [*shown(table, column), COLUMNS[column].widest]:
            assert metrics.horizontalAdvance(text) + 5 <= header.sectionSize(column)
        heading = header.fontMetrics().horizontalAdvance(COLUMNS[column].heading)
        assert heading + 4 <= header.sectionSize(column)
