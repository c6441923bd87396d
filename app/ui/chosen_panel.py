"""All that is known of the chosen sperm: enlarged, judged with its reasons, and in numbers."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.core.messages import Snapshot
from app.ui.cell import Cell
from app.ui.crop_view import CropView
from app.ui.loop import RigView
from app.ui.marks import Marks
from app.ui.pick import row_of
from app.ui.picture import Picture
from app.ui.portrait import MOTION, SHAPE, Portrait, portray
from app.ui.theme import CHOSEN, MUTED, TEXT, font
from app.ui.track_rows import UNKNOWN

REASONS: Final = 6
"""Lines for them beside the enlarged picture."""
ABREAST: Final = 3
"""Numbers in a row."""
NAMES: Final = {
    "head_length_um": ("Length", "Length of the head, without neck"),
    "head_width_um": ("Width", "Width of the head"),
    "head_area_um2": ("Area", "Area of the head"),
    "head_ellipticity": ("Ellipticity", "Length of the head over its width"),
    "head_angle_deg": ("Neck bend", "Angle between the head's axis and the midpiece"),
    "tail_length_um": ("Tail", "Length of the tail along its curve"),
    "vap_um_s": ("VAP", "Average path velocity over the last second"),
    "vsl_um_s": ("VSL", "Straight-line velocity over the last second"),
    "vcl_um_s": ("VCL", "Curvilinear velocity over the last second"),
    "lin": ("LIN", "Linearity, VSL over VCL"),
    "str": ("STR", "Straightness, VSL over VAP"),
    "wob": ("WOB", "Wobble, VAP over VCL"),
    "alh_um": ("ALH", "Amplitude of lateral head displacement"),
    "bcf_hz": ("BCF", "Beat-cross frequency"),
    "mad_deg": ("MAD", "Mean angular displacement"),
}
HINT: Final = "Click a sperm, or press 1 to 9, to see what is known of it."


class ChosenPanel(QWidget):
    """Crop, verdict and reasons on top; the numbers of shape and motion below."""

    def __init__(self, picture: Picture, rig: RigView) -> None:
        super().__init__()
        self._rig = rig
        self._chosen: int | None = None
        self.crop = CropView(picture)
        self._title = Cell("88888", font(17, bold=True))
        self._score = Cell("Score 100 ± 88", font(13, bold=True))
        self._verdict = Cell("not assessed yet", font(11, bold=True))
        self._why = Cell("not healthy", font(9.5), lines=REASONS)
        self._off = Cell("Off centre 888.8 µm", font(9.5))
        for cell, name, tip in (
            (self._title, "Chosen sperm", "Its number, the network's class, its grade by speed"),
            (self._score, "Score", "Score with its standard uncertainty, 0 to 100"),
            (self._verdict, "Verdict", f"By the criteria: {rig.criteria.title}"),
            (self._why, "Reasons",
             "What speaks against it, worst first; speeds here are means over some seconds. "
             "✖ outside a limit, ! in doubt"),
            (self._off, "Off centre", "Distance from the centre of the picture"),
        ):  # fmt: skip
            cell.setAccessibleName(name)
            cell.setToolTip(tip)
        judged = QHBoxLayout()
        judged.setSpacing(10)
        judged.addWidget(self._score)
        judged.addWidget(self._verdict, 1)
        told = QVBoxLayout()
        told.setSpacing(1)
        told.addWidget(self._title)
        told.addLayout(judged)
        told.addWidget(self._why)
        told.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(12)
        top.addWidget(self.crop, 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(told, 1)
        self._cells: dict[str, Cell] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(1)
        self._shape = self._section(grid, 0, "Shape", SHAPE)
        self._motion = self._section(grid, grid.rowCount(), "Motion", MOTION)
        grid.addWidget(self._off, grid.rowCount() - 4, 4, 1, 2)
        for column in range(1, 2 * ABREAST, 2):
            grid.setColumnStretch(column, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(5)
        whole.addLayout(top)
        whole.addLayout(grid)
        self._say(None)

    def show_crop(self, snapshot: Snapshot, chosen: int | None, marks: Marks | None) -> None:
        """Follow the chosen sperm with the crop."""
        row = row_of(snapshot, chosen)
        at = None if row is None else tuple(float(v) for v in snapshot.track_px[row])
        self.crop.show_at(None if at is None else (at[0], at[1]), marks)

    def show_numbers(self, snapshot: Snapshot, chosen: int | None) -> None:
        """Show what is known of the chosen sperm."""
        self._chosen = chosen
        known = None if chosen is None else portray(snapshot, chosen, self._rig)
        self._say(known)
        row = row_of(snapshot, chosen)
        self._off.say("" if row is None else f"Off centre {self._off_centre(snapshot, row)}", MUTED)

    def text(self, name: str) -> str:
        """Return what is said of a measure by column of sperm.csv, or by a cell's name."""
        if name in self._cells:
            return self._cells[name].text
        by_name = {
            "Title": self._title, "Score": self._score, "Verdict": self._verdict,
            "Reasons": self._why, "Shape": self._shape, "Motion": self._motion,
            "Off centre": self._off,
        }  # fmt: skip
        return by_name[name].text

    def _say(self, known: Portrait | None) -> None:
        if known is None:
            gone = self._chosen is not None
            self._title.say(f"{self._chosen}  out of sight" if gone else "No sperm chosen", CHOSEN)
            self._verdict.say("")
            self._score.say("")
            self._why.say("" if gone else HINT, MUTED)
            self._shape.say("Shape", MUTED)
            self._motion.say("Motion", MUTED)
            for cell in self._cells.values():
                cell.say(UNKNOWN, MUTED)
            return
        self._title.say(known.title, CHOSEN)
        self._score.say(known.score)
        self._verdict.say(known.verdict)
        self._why.say("\n".join(known.why))
        self._shape.say(known.shape, MUTED)
        self._motion.say(known.motion, MUTED)
        for name, text in known.numbers.items():
            self._cells[name].say(text, MUTED if text == UNKNOWN else TEXT)

    def _section(self, grid: QGridLayout, row: int, title: str, measures: tuple[str, ...]) -> Cell:
        """Lay out a heading and the measures below it, some in a row."""
        heading = Cell("Shape, good frames: head 88, bend 88", font(9.5))
        heading.setAccessibleName(title)
        grid.addWidget(heading, row, 0, 1, 4)
        for k, measure in enumerate(measures):
            name, tip = NAMES[measure]
            label, cell = QLabel(name), Cell("888.8 µm/s", font(10.5, bold=True))
            label.setFont(font(9.5))
            label.setForegroundRole(self.palette().ColorRole.PlaceholderText)
            cell.setAccessibleName(name)
            for widget in (label, cell):
                widget.setToolTip(tip)
            at = row + 1 + k // ABREAST, 2 * (k % ABREAST)
            grid.addWidget(label, *at)
            grid.addWidget(cell, at[0], at[1] + 1)
            self._cells[measure] = cell
        return heading

    def _off_centre(self, snapshot: Snapshot, row: int) -> str:
        """Write the distance in micrometres, or in pixels where there is no calibration."""
        affine = self._rig.image_to_stage
        offset_px = snapshot.track_px[row] - affine.centre_px
        if self._rig.calibrated:
            return f"{math.hypot(*(affine.matrix_um_per_px @ offset_px)):.1f} µm"
        return f"{math.hypot(*offset_px):.0f} px"
