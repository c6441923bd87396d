"""All that is known of the chosen sperm: enlarged, in numbers, and how well it is centred."""

from __future__ import annotations

import math
from typing import Final

from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.core.messages import Mode, Snapshot
from app.ui.centring_chart import CentringChart
from app.ui.crop_view import CropView
from app.ui.loop import RigView
from app.ui.marks import Marks
from app.ui.pick import row_of
from app.ui.picture import Picture
from app.ui.theme import CHOSEN, CLASS_WORDS, font
from app.ui.track_rows import STATE_WORDS, UNKNOWN, velocity
from models.types import TrackState

VELOCITIES: Final = (
    ("VAP", "vap_um_s", "Average path velocity over the last second"),
    ("VSL", "vsl_um_s", "Straight-line velocity over the last second"),
    ("VCL", "vcl_um_s", "Curvilinear velocity over the last second"),
)


class ChosenPanel(QWidget):
    """Crop and numbers side by side, the chart below."""

    def __init__(self, picture: Picture, rig: RigView) -> None:
        super().__init__()
        self._rig = rig
        self._cells: dict[str, QLabel] = {}
        self.crop = CropView(picture)
        self.chart = CentringChart()
        self._title = QLabel()
        self._title.setFont(font(17, bold=True))
        palette = self._title.palette()
        palette.setColor(QPalette.ColorRole.WindowText, CHOSEN)
        self._title.setPalette(palette)
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(3)
        grid.addWidget(self._title, 0, 0, 1, 2)
        names = [(name, tip) for name, _, tip in VELOCITIES]
        names += [
            ("Off centre", "Distance from the centre of the picture"),
            ("Quality", "ok, or why the numbers cannot be relied on"),
        ]
        for row, (name, tip) in enumerate(names, start=1):
            title, cell = QLabel(name), QLabel()
            title.setForegroundRole(QPalette.ColorRole.PlaceholderText)
            cell.setFont(font(12, bold=name == "VAP"))
            cell.setWordWrap(name == "Quality")
            cell.setAccessibleName(name)
            for widget in (title, cell):
                widget.setToolTip(tip)
            grid.addWidget(title, row, 0)
            grid.addWidget(cell, row, 1)
            self._cells[name] = cell
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(len(names) + 1, 1)
        top = QHBoxLayout()
        top.setSpacing(14)
        top.addWidget(self.crop)
        top.addLayout(grid, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(top)
        column.addWidget(self.chart)

    def show_crop(self, snapshot: Snapshot, chosen: int | None, marks: Marks | None) -> None:
        """Follow the chosen sperm with the crop, and note how well the target is centred."""
        row = row_of(snapshot, chosen)
        at = None if row is None else tuple(float(v) for v in snapshot.track_px[row])
        self.crop.show_at(None if at is None else (at[0], at[1]), marks)
        following = snapshot.motion.mode in (Mode.CENTERING, Mode.FOLLOWING)
        target = row_of(snapshot, snapshot.motion.target) if following else None
        self.chart.add(snapshot.frame.time_s, self._distance_um(snapshot, target))

    def show_numbers(self, snapshot: Snapshot, chosen: int | None) -> None:
        """Show the numbers of the chosen sperm, and redraw the chart."""
        self.chart.redraw()
        row = row_of(snapshot, chosen)
        if row is None:
            self._title.setText("" if chosen is None else f"{chosen}  out of sight")
            for cell in self._cells.values():
                cell.setText(UNKNOWN)
            return
        tracks, measured = snapshot.tracks, snapshot.measurements
        state = STATE_WORDS[TrackState(int(tracks.state[row]))]
        words = (str(chosen), CLASS_WORDS[int(tracks.label[row])], state)
        self._title.setText("  ".join(word for word in words if word not in (UNKNOWN, "seen")))
        at = next((k for k, t in enumerate(measured.track_id) if t == chosen), None)
        for name, key, _ in VELOCITIES:
            known = at is not None and key in measured.values
            value = float(measured.values[key][at]) if known else math.nan
            text = velocity(value * self._rig.speed_factor)
            self._cells[name].setText(text if text == UNKNOWN else f"{text} {self._rig.speed_unit}")
        quality = measured.quality[at] if at is not None and at < len(measured.quality) else UNKNOWN
        self._cells["Quality"].setText(quality)
        self._cells["Off centre"].setText(self._off_centre(snapshot, row))

    def text(self, name: str) -> str:
        """Return what a number's cell says."""
        return self._cells[name].text()

    def _distance_um(self, snapshot: Snapshot, row: int | None) -> float:
        """Distance of a track from the centre of the picture; NaN where it is unknown."""
        if row is None:
            return math.nan
        affine = self._rig.image_to_stage
        offset_px = snapshot.track_px[row] - affine.centre_px
        return float(math.hypot(*(affine.matrix_um_per_px @ offset_px)))

    def _off_centre(self, snapshot: Snapshot, row: int) -> str:
        """Write the distance in micrometres, or in pixels where there is no calibration."""
        if self._rig.calibrated:
            return f"{self._distance_um(snapshot, row):.1f} µm"
        offset_px = snapshot.track_px[row] - self._rig.image_to_stage.centre_px
        return f"{math.hypot(*offset_px):.0f} px"
