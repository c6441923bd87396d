"""Draws the marks over the picture.

Every line is a hairline, drawn once dark and shifted and once in its colour: it stands out on any
grey, and costs a fortieth of one antialiased line of two pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen

from app.core.messages import Mode, Snapshot
from app.core.selection import name_of
from app.ui.layers import Layer
from app.ui.marks import Marks
from app.ui.pick import row_of
from app.ui.stamps import SHADOW, Stamps
from app.ui.theme import CHOSEN, CLASS_COLOURS, MODE_LOOKS, WHITE
from app.ui.viewport import Viewport
from models.types import TrackState

TRAIL: Final = QColor(255, 255, 255, 120)
CHIP: Final = QColor(0, 0, 0, 170)
CLASS_INKS: Final = {value: QColor(colour) for value, colour in CLASS_COLOURS.items()}
RANKED_KEYS: Final = 9
"""Number keys, and with them badges."""


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts of the marks."""

    label: QFont
    chosen: QFont


@dataclass(frozen=True, slots=True)
class View:
    """What is drawn, and how.

    Attributes
    ----------
    chosen : int or None
        Track chosen by the operator.
    centre_px : (float, float)
        Where the stage brings a sperm to, image frame.
    um_per_px : float or None
        For the scale bar; None draws none.
    """

    viewport: Viewport
    layers: frozenset[Layer]
    chosen: int | None
    centre_px: tuple[float, float]
    um_per_px: float | None
    fonts: Fonts
    stamps: Stamps


def draw(painter: QPainter, snapshot: Snapshot, marks: Marks, view: View) -> None:
    """Draw all marks of one snapshot. The painter is in screen coordinates."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
    painter.setClipRect(view.viewport.rect)
    if not marks.trails.isEmpty():
        _hairline(painter, marks.trails, TRAIL, view.viewport, shadow=False)
    draw_masks(painter, marks, view.viewport)
    for value, path in marks.boxes.items():
        _hairline(painter, path, CLASS_INKS[value], view.viewport)
    if Layer.CROSSHAIR in view.layers:
        _crosshair(painter, *_centre(view))
    if Layer.IDENTITIES in view.layers:
        _identities(painter, snapshot, view)
    _target(painter, snapshot, view)
    _chosen(painter, snapshot, view)
    if view.um_per_px is not None:
        _scale_bar(painter, view, view.um_per_px)
    painter.setClipping(False)


def draw_masks(painter: QPainter, marks: Marks, viewport: Viewport) -> None:
    """Draw the outlines alone."""
    for value, path in marks.masks.items():
        _hairline(painter, path, CLASS_INKS[value], viewport)


def scale_bar_um(um_per_px: float, width_px: float) -> float:
    """Return a round length that takes a tenth to a quarter of a picture's width, um."""
    longest = um_per_px * width_px / 4
    power = float(10.0 ** math.floor(math.log10(longest)))
    return power * next(step for step in (5.0, 2.0, 1.0) if step * power <= longest)


def _hairline(
    painter: QPainter,
    path: QPainterPath,
    colour: QColor,
    viewport: Viewport,
    *,
    shadow: bool = True,
) -> None:
    """Stroke a path given in the image frame."""
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if shadow:
        painter.translate(1.0, 1.0)
        painter.setTransform(viewport.transform, True)
        painter.setPen(QPen(SHADOW, 0))
        painter.drawPath(path)
        painter.restore()
        painter.save()
    painter.setTransform(viewport.transform, True)
    painter.setPen(QPen(colour, 0))
    painter.drawPath(path)
    painter.restore()


def _centre(view: View) -> tuple[float, float]:
    """Screen position of the point that the stage centres on."""
    x_px, y_px = view.centre_px
    return view.viewport.to_screen(x_px, y_px)


def _crosshair(painter: QPainter, x: float, y: float) -> None:
    """Four strokes around the centre, which stays free."""
    lines = [
        QLineF(x + dx * 12, y + dy * 12, x + dx * 36, y + dy * 36)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    for pen in (QPen(SHADOW, 4), QPen(QColor(WHITE), 2)):
        painter.setPen(pen)
        painter.drawLines(lines)


def _identities(painter: QPainter, snapshot: Snapshot, view: View) -> None:
    """Write the number at each track; the first nine of the ranking bear their key in a disc."""
    keys = {track: k + 1 for k, track in enumerate(snapshot.ranking[:RANKED_KEYS])}
    tracks, port = snapshot.tracks, view.viewport
    rows = (tracks.state != TrackState.TENTATIVE) & (tracks.track_id != (view.chosen or 0))
    half = tracks.size_px[rows] / 2
    right_top = snapshot.track_px[rows] + half * (1, -1)
    left_top = snapshot.track_px[rows] - half
    stamps = view.stamps
    for (x_px, y_px), row, label in zip(
        right_top.tolist(), np.flatnonzero(rows).tolist(), tracks.label[rows].tolist(), strict=True
    ):
        x, y = port.to_screen(x_px, y_px)
        stamps.label(painter, x + 3, y + 2, name_of(tracks, row), CLASS_INKS[label])
    for (x_px, y_px), track in zip(left_top.tolist(), tracks.track_id[rows].tolist(), strict=True):
        if track in keys:
            x, y = port.to_screen(x_px, y_px)
            stamps.badge(painter, x - 13, y - 15, str(keys[track]))


def _target(painter: QPainter, snapshot: Snapshot, view: View) -> None:
    """Frame the sperm that the stage follows, and join it to the centre while it is not there."""
    row = row_of(snapshot, snapshot.motion.target)
    if row is None or snapshot.motion.mode not in (Mode.CENTERING, Mode.FOLLOWING, Mode.HOLD):
        return
    colour = QColor(MODE_LOOKS[snapshot.motion.mode].fill)
    x, y = view.viewport.to_screen(*(float(v) for v in snapshot.track_px[row]))
    cx, cy = _centre(view)
    if math.hypot(x - cx, y - cy) > 30:
        for ink, shift in ((SHADOW, -1), (SHADOW, 1), (colour, 0)):
            painter.setPen(QPen(ink, 0))
            painter.drawLine(QPointF(x + shift, y + shift), QPointF(cx + shift, cy + shift))
    side = _reach(snapshot, row, view) + 12
    lines = []
    for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        corner = QPointF(x + sx * side, y + sy * side)
        lines.append(QLineF(corner, corner - QPointF(sx * 14, 0)))
        lines.append(QLineF(corner, corner - QPointF(0, sy * 14)))
    for pen in (QPen(SHADOW, 6), QPen(colour, 4)):
        painter.setPen(pen)
        painter.drawLines(lines)


def _chosen(painter: QPainter, snapshot: Snapshot, view: View) -> None:
    """Ring the chosen sperm and say its number."""
    row = row_of(snapshot, view.chosen)
    if row is None:
        return
    x, y = view.viewport.to_screen(*(float(v) for v in snapshot.track_px[row]))
    radius = _reach(snapshot, row, view) + 6
    colour = QColor(CHOSEN)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(SHADOW, 5), QPen(colour, 2.5)):
        painter.setPen(pen)
        painter.drawEllipse(QPointF(x, y), radius, radius)
    painter.setFont(view.fonts.chosen)
    text = name_of(snapshot.tracks, row)
    box = QFontMetricsF(view.fonts.chosen).boundingRect(text).adjusted(-5, -2, 5, 2)
    limits = view.viewport.rect
    right = x + radius + 4 + box.width() < limits.right()
    left = x + radius + 4 if right else x - radius - 4 - box.width()
    box.moveTopLeft(QPointF(left, max(y - radius - box.height() / 2, limits.top())))
    painter.fillRect(box, QBrush(CHIP))
    painter.setPen(colour)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def _reach(snapshot: Snapshot, row: int, view: View) -> float:
    """Half the longer side of a track's box, on the screen."""
    return float(max(snapshot.tracks.size_px[row])) * view.viewport.scale / 2


def _scale_bar(painter: QPainter, view: View, um_per_px: float) -> None:
    """Draw a bar of round length at the lower left."""
    port = view.viewport
    length_um = scale_bar_um(um_per_px, port.width_px)
    length = length_um / um_per_px * port.scale
    text = f"{length_um:g} µm"
    painter.setFont(view.fonts.label)
    height = QFontMetricsF(view.fonts.label).height()
    back = QRectF(port.rect.left() + 12, port.rect.bottom() - height - 30, length + 20, height + 18)
    painter.fillRect(back, QBrush(CHIP))
    bar = QRectF(back.left() + 10, back.bottom() - 11, length, 4)
    painter.fillRect(bar, QBrush(QColor(WHITE)))
    painter.setPen(QColor(WHITE))
    painter.drawText(
        QRectF(bar.left(), back.top() + 3, length, height), Qt.AlignmentFlag.AlignCenter, text
    )
