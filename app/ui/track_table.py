"""The table of the tracks: sortable; to select a row is to choose the sperm."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from app.core.messages import Snapshot
from app.ui.loop import RigView
from app.ui.theme import CLASS_COLOURS, MIN_TARGET_PX, font
from app.ui.track_rows import COLUMNS, Column, Row, held, ordered, rows_of

MARGIN: Final = 8
"""Left and right of a text together."""
RIGHT: Final = {Column.VAP, Column.VSL, Column.VCL}
MIDDLE: Final = {Column.KEY, Column.ID, Column.SCORE}
Index = QModelIndex | QPersistentModelIndex


class TrackModel(QAbstractTableModel):
    """Rows of the newest snapshot in the order asked for."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit
        self.rows: list[Row] = []
        self._column = Column.KEY
        self._backwards = False
        self._colours = {k: QColor(c) for k, c in CLASS_COLOURS.items()}
        flag = Qt.AlignmentFlag
        self._align = [
            flag.AlignVCenter
            | (
                flag.AlignRight
                if c in RIGHT
                else flag.AlignHCenter
                if c in MIDDLE
                else flag.AlignLeft
            )
            for c in Column
        ]

    def update_rows(self, rows: list[Row], *, hold_order: bool) -> None:
        """Take new rows. ``hold_order`` keeps each where it is: a hand is about to press one."""
        order = [row.track_id for row in self.rows]
        rows = held(rows, order) if hold_order else self._sorted(rows)
        before, now = len(self.rows), len(rows)
        if now > before:
            self.beginInsertRows(QModelIndex(), before, now - 1)
            self.rows = rows
            self.endInsertRows()
        elif now < before:
            self.beginRemoveRows(QModelIndex(), now, before - 1)
            self.rows = rows
            self.endRemoveRows()
        else:
            self.rows = rows
        if now:
            self.dataChanged.emit(self.index(0, 0), self.index(now - 1, len(Column) - 1))

    def row_of(self, track_id: int | None) -> int | None:
        """Where a track stands in the table."""
        return next((k for k, row in enumerate(self.rows) if row.track_id == track_id), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        """Return the number of tracks."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(Column)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return text, alignment and colour of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self.rows[index.row()].texts[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._align[index.column()]
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == Column.CLASS:
            return self._colours[self.rows[index.row()].label]
        if role == Qt.ItemDataRole.ToolTipRole and index.column() == Column.QUALITY:
            row = self.rows[index.row()]
            return row.details or row.texts[Column.QUALITY]
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return heading, its meaning and its alignment."""
        if orientation == Qt.Orientation.Horizontal:
            text = COLUMNS[Column(section)]
            if role == Qt.ItemDataRole.DisplayRole:
                return text.heading
            if role == Qt.ItemDataRole.ToolTipRole:
                return f"{text.tooltip.format(unit=self._unit)}. Click to sort by it"
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return self._align[section]
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; fastest first is ascending, as the best is first in the ranking."""
        self._column = Column(column) if column >= 0 else Column.KEY
        self._backwards = order == Qt.SortOrder.DescendingOrder
        self.update_rows(list(self.rows), hold_order=False)

    def _sorted(self, rows: list[Row]) -> list[Row]:
        return ordered(rows, self._column, backwards=self._backwards)


class TrackTable(QTableView):
    """Shows the model, and keeps the selection on the chosen sperm, not on a place.

    Signals
    -------
    chosen(int), followed(int)
        A row is pressed; a row is double-pressed.
    """

    chosen = Signal(int)
    followed = Signal(int)

    def __init__(self, rig: RigView) -> None:
        super().__init__()
        self._rig = rig
        self._model = TrackModel(rig.speed_unit)
        self._chosen: int | None = None
        self.setModel(self._model)
        self.setAccessibleName("Table of the sperm in view")
        self.setToolTip("Press a row to choose that sperm; the order holds while you point here")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAutoScroll(False)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.setFont(font(10))
        vertical, header = self.verticalHeader(), self.horizontalHeader()
        vertical.hide()
        vertical.setDefaultSectionSize(MIN_TARGET_PX)
        header.setFixedHeight(MIN_TARGET_PX)
        header.setAccessibleName("Headings: press one to sort")
        header.setToolTip("Press a heading to sort by it")
        header.setHighlightSections(False)
        header.setFont(font(10))
        header.setMinimumSectionSize(24)
        for column, text in COLUMNS.items():
            widest = max(
                self.fontMetrics().horizontalAdvance(text.widest),
                header.fontMetrics().horizontalAdvance(text.heading),
            )
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, widest + MARGIN)
        header.setSectionResizeMode(Column.QUALITY, QHeaderView.ResizeMode.Stretch)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.sortByColumn(Column.KEY, Qt.SortOrder.AscendingOrder)
        self.pressed.connect(self._press)
        self.doubleClicked.connect(self._follow)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Show the tracks of this snapshot."""
        pointing = self.viewport().underMouse()
        rows = rows_of(snapshot, self._rig.speed_factor, calibrated=self._rig.calibrated)
        before = self._model.row_of(self._chosen)
        self._model.update_rows(rows, hold_order=pointing)
        self._select()
        if not pointing and self._model.row_of(self._chosen) != before:
            self._scroll_to_chosen()  # its rank has changed; under a finger nothing moves

    def set_chosen(self, track_id: int | None) -> None:
        """Show which sperm is chosen, and scroll to it."""
        self._chosen = track_id
        self._select()
        self._scroll_to_chosen()

    def neighbour(self, by: int) -> int | None:
        """Return the track ``by`` rows below the chosen one; from none, the first or the last."""
        rows = self._model.rows
        if not rows:
            return None
        at = self._model.row_of(self._chosen)
        if at is None:
            at = -1 if by > 0 else len(rows)
        return rows[min(max(at + by, 0), len(rows) - 1)].track_id

    def _scroll_to_chosen(self) -> None:
        row = self._model.row_of(self._chosen)
        if row is not None:
            self.scrollTo(self._model.index(row, 0))

    def _select(self) -> None:
        """Put the selection where the chosen sperm is now."""
        selection, row = self.selectionModel(), self._model.row_of(self._chosen)
        if row is None:
            selection.clear()
            return
        flags = QItemSelectionModel.SelectionFlag
        selection.setCurrentIndex(self._model.index(row, 0), flags.ClearAndSelect | flags.Rows)

    def _press(self, index: QModelIndex) -> None:
        self.chosen.emit(self._model.rows[index.row()].track_id)

    def _follow(self, index: QModelIndex) -> None:
        self.followed.emit(self._model.rows[index.row()].track_id)
