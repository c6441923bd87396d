"""The rows of the track table: which, in which order, and how a number is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from app.core.messages import Snapshot
from app.core.selection import name_of
from app.ui.theme import CLASS_WORDS
from app.ui.verdict_words import findings, micro
from models.measure.motility import OK
from models.types import Measurements, SpermClass, TrackState

UNKNOWN: Final = "–"
HIDDEN: Final = "hidden"
DISPUTED: Final = "disputed"
LAST: Final = math.inf
"""Sorts what is unknown behind everything that is known."""


class Column(IntEnum):
    """Columns of the table, from the left."""

    KEY = 0
    ID = 1
    SCORE = 2
    CLASS = 3
    QUALITY = 4
    VAP = 5
    VSL = 6
    VCL = 7


@dataclass(frozen=True, slots=True)
class ColumnText:
    """Heading, what it means, and the widest text that it must have room for."""

    heading: str
    tooltip: str
    widest: str
    name: str = ""


COLUMNS: Final[dict[Column, ColumnText]] = {
    Column.KEY: ColumnText(
        "Key", "Place in the order (by score; by speed while none is known to be normal), and the "
        "key that chooses it", "Key 8",
    ),
    Column.ID: ColumnText(
        "No.", "Number of the sperm, as on the picture. (12): not found in this frame; "
        "12?: perhaps another since an encounter", "(888?)",
    ),
    Column.SCORE: ColumnText(
        "Score", "0 to 100, from shape and speed; equal scores are ties. –: not known yet", "Score"
    ),
    Column.CLASS: ColumnText(
        "Class", "What the network says, by majority over recent frames", "abnormal"
    ),
    Column.QUALITY: ColumnText(
        "Verdict", "What weighs most against the sperm, or why nothing can be said yet. disputed: "
        "healthy by its measures, abnormal to the network", "insufficient track",
    ),
    Column.VAP: ColumnText(
        "VAP", "Average path velocity over the last second, {unit}", "188.8", "vap_um_s"
    ),
    Column.VSL: ColumnText(
        "VSL", "Straight-line velocity over the last second, {unit}", "188.8", "vsl_um_s"
    ),
    Column.VCL: ColumnText(
        "VCL", "Curvilinear velocity over the last second, {unit}", "188.8", "vcl_um_s"
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One sperm of the table: the texts, and what each column sorts by."""

    track_id: int
    label: int
    texts: tuple[str, ...]
    keys: tuple[float | str, ...]
    reasons: tuple[str, ...] = ()
    """Of its verdict, worst first."""

    @property
    def details(self) -> str:
        """Every reason of its verdict, a line each."""
        return micro("\n".join(self.reasons))


def velocity(value_um_s: float) -> str:
    """Write a velocity as the field does, to one decimal; unknown is no number."""
    return f"{value_um_s:.1f}" if math.isfinite(value_um_s) else UNKNOWN


def rows_of(snapshot: Snapshot, speed_factor: float = 1.0, *, calibrated: bool = True) -> list[Row]:
    """All tracks but the tentative ones, in the snapshot's order.

    ``speed_factor`` turns um/s into the unit that is shown. Without a calibration there is neither
    score nor verdict: both rest on limits in micrometres.
    """
    tracks, measured = snapshot.tracks, snapshot.measurements
    places = {track: k + 1 for k, track in enumerate(snapshot.ranking)}
    at = {int(track): row for row, track in enumerate(measured.track_id)}
    names = [column.name for column in COLUMNS.values() if column.name]
    rows = []
    for i in range(len(tracks)):
        state = tracks.state[i]
        if state == TrackState.TENTATIVE:
            continue
        track, label = int(tracks.track_id[i]), int(tracks.label[i])
        m = at.get(track)
        numbers = [value_of(measured, name, m) * speed_factor for name in names]
        place = places.get(track)
        score = value_of(measured, "score", m) if calibrated else math.nan
        reasons = () if m is None or not measured.reasons else measured.reasons[m]
        quality = _verdict(measured, m, label, reasons) if calibrated else UNKNOWN
        number = name_of(tracks, i)
        texts = (
            str(place) if place is not None else "",
            f"({number})" if state == TrackState.COASTING else number,
            f"{100 * score:.0f}" if math.isfinite(score) else UNKNOWN, CLASS_WORDS[label], quality,
            *(velocity(v) for v in numbers),
        )  # fmt: skip
        keys: tuple[float | str, ...] = (
            LAST if place is None else place, track,
            -score if math.isfinite(score) else LAST, CLASS_WORDS[label], quality,
            *(-v if math.isfinite(v) else LAST for v in numbers),
        )  # fmt: skip
        rows.append(Row(track, label, texts, keys, reasons))
    return rows


def value_of(measured: Measurements, name: str, row: int | None) -> float:
    """Read a measure of one track; NaN where there is none."""
    if row is None or name not in measured.values:
        return math.nan
    return float(measured.values[name][row])


def _verdict(measured: Measurements, row: int | None, label: int, reasons: tuple[str, ...]) -> str:
    """Say in two or three words what to hold against a sperm, or why nothing can be said yet."""
    if row is None or row >= len(measured.quality):
        return UNKNOWN
    if measured.quality[row] != OK or not reasons:
        return measured.quality[row]
    healthy = value_of(measured, "healthy", row)
    if healthy == 1.0:
        return DISPUTED if label == SpermClass.ABNORMAL else "healthy"
    found = findings(reasons)
    if healthy == 0.0:
        return next((one.short for one in found if one.side and one.judges), "not healthy")
    return next((one.short for one in found if not one.known), "not assessed")


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
