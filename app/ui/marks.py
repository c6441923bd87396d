"""The shapes to draw over one picture, prepared once for each snapshot. Image frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtGui import QPainterPath

from app.core.messages import Snapshot
from app.ui.contours import outlines
from app.ui.layers import Layer
from app.ui.polylines import Polylines
from app.ui.trails import Trails
from calibration.transform import ImageToStage
from models.measure.settled_class import settled
from models.types import Float64, Int8, SpermClass, TrackState

CLASSES = (SpermClass.BACKGROUND, SpermClass.NORMAL, SpermClass.ABNORMAL)
CORNER = np.zeros(len(TrackState))
"""Length of a box's corner as a part of its side: short for a sperm that is out of sight."""
CORNER[TrackState.CONFIRMED] = 0.35
CORNER[TrackState.COASTING] = 0.12
SIGNS = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


@dataclass(frozen=True, slots=True)
class Marks:
    """Paths by class, and the trails.

    Attributes
    ----------
    masks : dict of int to QPainterPath
        Outlines of the segmentation of this very frame, each sperm in its track's class.
    boxes : dict of int to QPainterPath
        Corners of the head boxes.
    trails : QPainterPath
    """

    masks: dict[int, QPainterPath]
    boxes: dict[int, QPainterPath]
    trails: QPainterPath


def prepare(
    snapshot: Snapshot,
    layers: frozenset[Layer],
    trails: Trails,
    image_to_stage: ImageToStage,
) -> Marks:
    """Prepare the shapes of the layers that are shown."""
    masks: dict[int, QPainterPath] = {}
    class_map = snapshot.perception.class_map
    if Layer.MASKS in layers and class_map is not None:
        class_map = settled(class_map, snapshot.track_px, snapshot.tracks)
        for value in (SpermClass.NORMAL, SpermClass.ABNORMAL):
            masks[value] = outlines(class_map, value).path()
    boxes: dict[int, QPainterPath] = {}
    tracks = snapshot.tracks
    if Layer.BOXES in layers and len(tracks):
        for value in CLASSES:
            rows = (tracks.label == value) & (tracks.state != TrackState.TENTATIVE)
            if rows.any():
                boxes[value] = corners(
                    snapshot.track_px[rows], tracks.size_px[rows], tracks.state[rows]
                ).path()
    trail = QPainterPath()
    if Layer.TRAILS in layers and snapshot.pose is not None:
        shown = tracks.track_id[tracks.state != TrackState.TENTATIVE]
        pose_um = np.array([snapshot.pose.x_um, snapshot.pose.y_um])
        trail = trails.seen_at(pose_um, shown, image_to_stage).path()
    return Marks(masks, boxes, trail)


def corners(centre_px: Float64, size_px: Float64, state: Int8) -> Polylines:
    """Four corners of each box.

    Parameters
    ----------
    centre_px, size_px : (N, 2) float64
        Box centre and width, height, image frame.
    state : (N,) int8
        TrackState, which gives the corners' length.
    """
    half = size_px[:, None] / 2 * SIGNS
    inward = size_px[:, None] * CORNER[state][:, None, None] * SIGNS
    points = np.empty((len(centre_px), 4, 3, 2))
    points[:, :, 1] = centre_px[:, None] + half
    points[:, :, 0] = points[:, :, 1] - inward * (1, 0)
    points[:, :, 2] = points[:, :, 1] - inward * (0, 1)
    return Polylines.of_grid(points.reshape(-1, 3, 2))
