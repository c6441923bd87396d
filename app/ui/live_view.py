"""The live picture with its marks, framed in the colour of the mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, SignalInstance
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.core.messages import Mode, Snapshot
from app.ui import overlay
from app.ui.injection_mark import draw_aim
from app.ui.layers import DEFAULT_LAYERS, Layer
from app.ui.loop import RigView
from app.ui.marks import Marks, prepare
from app.ui.picture import Picture
from app.ui.stamps import Stamps
from app.ui.theme import BLACK, MODE_LOOKS, MUTED, TEXT, font
from app.ui.trails import Trails
from app.ui.viewport import Viewport

FRAME: Final = 10
"""Width of the coloured frame: seen from 2 m."""
STALE_S: Final = 0.5
"""From this age on the picture says that it is old."""


class LiveView(QWidget):
    """Draws the newest snapshot, and tells which point of the picture is pressed.

    Signals
    -------
    pressed(x_px, y_px, scale), double_pressed(x_px, y_px, scale)
        Image frame, and the screen pixels per image pixel.
    """

    pressed = Signal(float, float, float)
    double_pressed = Signal(float, float, float)

    def __init__(self, rig: RigView, drawn: Callable[[Snapshot], None]) -> None:
        super().__init__()
        self._affine = rig.image_to_stage
        centre = rig.image_to_stage.centre_px
        self._centre_px = (float(centre[0]), float(centre[1]))
        self._um_per_px = rig.image_to_stage.um_per_px if rig.calibrated else None
        self._drawn = drawn
        self._picture = Picture()
        self._trails = Trails()
        self._snapshot: Snapshot | None = None
        self._marks: Marks | None = None
        self._reported: Snapshot | None = None
        self._layers = DEFAULT_LAYERS
        self._chosen: int | None = None
        self._age_s: float | None = None
        self._waiting = ""
        self._fonts = overlay.Fonts(font(9.5), font(13, bold=True))
        self._stamps = Stamps(font(9.5), font(9.5, bold=True))
        self._notice_font = font(20, bold=True)
        self._small_font = font(13)
        self._aim_um: tuple[float, float] | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(480, 360)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Live picture")
        self.setToolTip("Click a sperm to choose it; double-click to follow it")

    def sizeHint(self) -> QSize:
        """Return twice the smallest size."""
        return QSize(960, 720)

    @property
    def picture(self) -> Picture:
        """The frame shown, for other views of the same frame."""
        return self._picture

    @property
    def marks(self) -> Marks | None:
        """The marks shown, for other views of the same frame."""
        return self._marks

    def show_snapshot(self, snapshot: Snapshot, *, new_frame: bool = True) -> None:
        """Show this snapshot from the next paint on; without a new frame, its newer mode."""
        self._snapshot = snapshot
        if not new_frame:
            self.update()
            return
        self._age_s = None
        self._picture.set(snapshot.frame, stretch=Layer.CONTRAST in self._layers)
        self._trails.add(snapshot.tracks)
        self._marks = prepare(snapshot, self._layers, self._trails, self._affine)
        self.update()

    def set_layers(self, layers: frozenset[Layer]) -> None:
        """Choose what is drawn, from now on and on the present picture too."""
        self._layers = layers
        if self._snapshot is not None:
            self._picture.set(self._snapshot.frame, stretch=Layer.CONTRAST in layers)
            self._marks = prepare(self._snapshot, layers, self._trails, self._affine)
        self.update()

    def set_chosen(self, track_id: int | None) -> None:
        """Mark this track as the chosen one."""
        self._chosen = track_id
        self.update()

    def set_aim(self, aim_um: tuple[float, float] | None) -> None:
        """Mark where the pipette will come down, stage frame, from the next picture on."""
        self._aim_um = aim_um

    def set_waiting(self, text: str) -> None:
        """Explain, until there is a first frame, why there is none yet."""
        if text != self._waiting:
            self._waiting = text
            self.update()

    def set_age(self, age_s: float) -> None:
        """Say so on the picture when the newest frame is old."""
        stale = age_s if age_s > STALE_S else None
        if stale is not None or self._age_s is not None:
            self._age_s = stale
            self.update()

    def viewport(self) -> Viewport | None:
        """Where the picture lies in this widget; None before the first frame."""
        if self._snapshot is None:
            return None
        height, width = self._snapshot.frame.image.shape
        inner = QRectF(self.rect()).adjusted(FRAME, FRAME, -FRAME, -FRAME)
        return Viewport.fit(width, height, inner)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Draw frame, picture and marks, and report a snapshot when it is drawn first."""
        painter = QPainter(self)
        snapshot, port = self._snapshot, self.viewport()
        mode = Mode.DISARMED if snapshot is None else snapshot.motion.mode
        self._frame(painter, QColor(MODE_LOOKS[mode].fill), port)
        if snapshot is None or port is None or self._marks is None:
            self._notice(painter, "Starting: waiting for the first frame", TEXT)
            self._explain(painter, self._waiting)
            painter.end()
            return
        self._draw_picture(painter, port)
        view = overlay.View(
            port, self._layers, self._chosen, self._centre_px, self._um_per_px, self._fonts,
            self._stamps,
        )  # fmt: skip
        overlay.draw(painter, snapshot, self._marks, view)
        if self._aim_um is not None:
            draw_aim(painter, snapshot, port, self._affine, self._aim_um)
        if self._age_s is not None:
            self._notice(painter, f"No new frame for {self._age_s:.1f} s", TEXT)
        painter.end()
        if snapshot is not self._reported:
            self._reported = snapshot
            self._drawn(snapshot)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell where the picture is pressed."""
        self._tell(event, self.pressed)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Tell where the picture is double-pressed."""
        self._tell(event, self.double_pressed)

    def _tell(self, event: QMouseEvent, signal: SignalInstance) -> None:
        port = self.viewport()
        if event.button() != Qt.MouseButton.LeftButton or port is None:
            return
        at: QPointF = event.position()
        if port.rect.contains(at):
            signal.emit(*port.to_image(at.x(), at.y()), port.scale)

    def _frame(self, painter: QPainter, colour: QColor, port: Viewport | None) -> None:
        """Fill all that the picture will not cover."""
        outer = self.rect()
        inner = outer.adjusted(FRAME, FRAME, -FRAME, -FRAME)
        covered = QRegion() if port is None else QRegion(port.rect.toRect())
        painter.setClipRegion(QRegion(outer) - covered)
        painter.fillRect(outer, colour)
        painter.fillRect(inner, QColor(BLACK))
        painter.setClipping(False)

    def _draw_picture(self, painter: QPainter, port: Viewport) -> None:
        """Draw the frame in device pixels: nothing is scaled twice."""
        ratio, rect = self.devicePixelRatio(), port.rect.toRect()
        image = self._picture.scaled(round(rect.width() * ratio), round(rect.height() * ratio))
        image.setDevicePixelRatio(ratio)
        painter.drawImage(rect.topLeft(), image)

    def _notice(self, painter: QPainter, text: str, colour: str) -> None:
        """Write a line over the middle of the picture."""
        painter.setFont(self._notice_font)
        box = QRectF(0, self.height() * 0.40, self.width(), 64).adjusted(FRAME, 0, -FRAME, 0)
        painter.fillRect(box, QColor(0, 0, 0, 200))
        painter.setPen(QColor(colour))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _explain(self, painter: QPainter, text: str) -> None:
        """Write a smaller paragraph below the line over the middle."""
        painter.setFont(self._small_font)
        box = QRectF(0, self.height() * 0.40 + 70, self.width(), 120)
        box.adjust(4 * FRAME, 0, -4 * FRAME, 0)
        painter.setPen(QColor(MUTED))
        wrap = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.drawText(box, wrap, text)
