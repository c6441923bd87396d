"""Where the tip will come down: a slanting cross on the sperm, before and while it does."""

from __future__ import annotations

from typing import Final

import numpy as np
from PySide6.QtCore import QLineF
from PySide6.QtGui import QColor, QPainter, QPen

from app.core.messages import Snapshot
from app.ui.viewport import Viewport
from calibration.transform import ImageToStage

AIM: Final = "#ff9ed8"
"""Of no class and no mode; its form says it, too."""
GAP: Final = 3.0
REACH: Final = 11.0


def draw_aim(
    painter: QPainter,
    snapshot: Snapshot,
    viewport: Viewport,
    image_to_stage: ImageToStage,
    aim_um: tuple[float, float],
) -> None:
    """Draw it where ``aim_um``, stage frame, is in this picture. The middle stays free."""
    if snapshot.pose is None:
        return
    pose_um = np.array([snapshot.pose.x_um, snapshot.pose.y_um])
    x_px, y_px = image_to_stage.stage_to_image(np.array(aim_um), pose_um).tolist()
    x, y = viewport.to_screen(x_px, y_px)
    lines = [
        QLineF(x + dx * GAP, y + dy * GAP, x + dx * REACH, y + dy * REACH)
        for dx, dy in ((1, 1), (-1, 1), (1, -1), (-1, -1))
    ]
    for pen in (QPen(QColor(0, 0, 0, 190), 5), QPen(QColor(AIM), 2.5)):
        painter.setPen(pen)
        painter.drawLines(lines)
