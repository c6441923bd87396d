"""The rows of the track table: which, in which order, and how a number is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from app.core.messages import Snapshot
from app.ui.theme import CLASS_WORDS
from models.types import Measurements, TrackState

UNKNOWN: Final = "–"
STATE_WORDS: Final = {
    TrackState.TENTATIVE: "new", TrackState.CONFIRMED: "seen", TrackState.COASTING: "hidden",
}  # fmt: skip
LAST: Final = math.inf
"""Sorts what is unknown behind everything that is known."""


class Column(IntEnum):
    """Columns of the table, from the left."""

    KEY = 0
    ID = 1
    CLASS = 2
    STATE = 3
    SCORE = 4
    QUALITY = 5
    VAP = 6
    VSL = 7
    VCL = 8


@dataclass(frozen=True, slots=True)
class ColumnText:
    """Heading and what it means."""

    heading: str
    tooltip: str
    name: str = ""


COLUMNS: Final[dict[Column, ColumnText]] = {
    Column.KEY: ColumnText("Key", "Place in the ranking, and the key that chooses it"),
    Column.ID: ColumnText("No.", "Number of the sperm, the same as on the picture"),
    Column.CLASS: ColumnText("Class", "What the network says, by majority over recent frames"),
    Column.STATE: ColumnText("State", "seen; hidden: not found in this frame; new: not confirmed"),
    Column.SCORE: ColumnText(
        "Score", "0 to 100, from shape and speed; equal scores are ties. Empty: not known yet"
    ),
    Column.QUALITY: ColumnText(
        "Verdict", "What weighs most against the sperm, or why its numbers cannot be relied on"
    ),
    Column.VAP: ColumnText("VAP", "Average path velocity over the last second, {unit}", "vap_um_s"),
    Column.VSL: ColumnText(
        "VSL", "Straight-line velocity over the last second, {unit}", "vsl_um_s"
    ),
    Column.VCL: ColumnText("VCL", "Curvilinear velocity over the last second, {unit}", "vcl_um_s"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One sperm of the table: the texts, and what each column sorts by."""

    track_id: int
    label: int
    texts: tuple[str, ...]
    keys: tuple[float | str, ...]
    details: str = ""
    """Every reason of its verdict, a line each."""


def velocity(value_um_s: float) -> str:
    """Write a velocity as the field does, to one decimal; unknown is no number."""
    return f"{value_um_s:.1f}" if math.isfinite(value_um_s) else UNKNOWN


def rows_of(snapshot: Snapshot, speed_factor: float = 1.0) -> list[Row]:
    """All tracks but the tentative ones, in the snapshot's order.

    ``speed_factor`` turns um/s into the unit that is shown.
    """
    tracks, measured = snapshot.tracks, snapshot.measurements
    places = {track: k + 1 for k, track in enumerate(snapshot.ranking)}
    at = {int(track): row for row, track in enumerate(measured.track_id)}
    rows = []
    for i in range(len(tracks)):
        state = TrackState(int(tracks.state[i]))
        if state is TrackState.TENTATIVE:
            continue
        track, label = int(tracks.track_id[i]), int(tracks.label[i])
        m = at.get(track)
        numbers = [
            _value(measured, column.name, m) * speed_factor
            for column in COLUMNS.values()
            if column.name
        ]
        place = places.get(track)
        score = _value(measured, "score", m)
        reasons = () if m is None or not measured.reasons else measured.reasons[m]
        quality = _verdict(measured, m, score, reasons)
        texts = (
            str(place) if place is not None else "", str(track), CLASS_WORDS[label],
            STATE_WORDS[state], f"{100 * score:.0f}" if math.isfinite(score) else UNKNOWN, quality,
            *(velocity(v) for v in numbers),
        )  # fmt: skip
        keys: tuple[float | str, ...] = (
            LAST if place is None else place, track, CLASS_WORDS[label], STATE_WORDS[state],
            -score if math.isfinite(score) else LAST, quality,
            *(-v if math.isfinite(v) else LAST for v in numbers),
        )  # fmt: skip
        rows.append(Row(track, label, texts, keys, "\n".join(reasons)))
    return rows


def _value(measured: Measurements, name: str, row: int | None) -> float:
    """Read a measure of one track; NaN where there is none."""
    if row is None or name not in measured.values:
        return math.nan
    return float(measured.values[name][row])


def _verdict(
    measured: Measurements, row: int | None, score: float, reasons: tuple[str, ...]
) -> str:
    """Say in a few words what to hold against a sperm, or why nothing can be said yet."""
    if row is None or row >= len(measured.quality):
        return UNKNOWN
    if measured.quality[row] != "ok" or not reasons:
        return measured.quality[row]
    if math.isfinite(score) and _value(measured, "healthy", row) == 1.0:
        return "healthy"
    return reasons[0]


def ordered(rows: list[Row], column: Column, *, backwards: bool) -> list[Row]:
    """Sort by a column; ties keep to the number. Unknown is last in either direction."""

    def unknown(row: Row) -> bool:
        return row.keys[column] == LAST

    known = [row for row in rows if not unknown(row)]
    known.sort(key=lambda row: row.track_id)
    known.sort(key=lambda row: row.keys[column], reverse=backwards)
    return known + sorted((r for r in rows if unknown(r)), key=lambda row: row.track_id)


def held(rows: list[Row], order: list[int]) -> list[Row]:
    """Keep to an earlier order of track ids; newcomers come last."""
    place = {track: k for k, track in enumerate(order)}
    return sorted(rows, key=lambda row: (place.get(row.track_id, len(order)), row.track_id))
