"""What an overlay looks like: outlines, boxes, names and trails on a grey picture.

The head stays visible: boxes are corners, lines are thin, names stand beside the box, and a trail
ends before the head.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from models.measure.settled_class import settled
from models.types import Float64, SpermClass, Tracks, TrackState, UInt8

# Blue, green, red; those of the window (app/ui/theme.py), for records know no Qt.
COLOURS = {
    SpermClass.BACKGROUND: (242, 242, 242),
    SpermClass.NORMAL: (255, 208, 63),
    SpermClass.ABNORMAL: (46, 157, 255),
}
_DARK = (30, 24, 20)
_LIGHT = (245, 245, 245)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class OverlayPainter:
    """Draws the tracks of successive frames; it remembers their trails.

    Parameters
    ----------
    um_per_px : float
        For the scale bar.
    trail_s : float
        Length of the trails.
    scale : int
        Pixels of the overlay per pixel of the picture.
    """

    def __init__(self, um_per_px: float, *, trail_s: float = 1.0, scale: int = 2) -> None:
        self._um_per_px = um_per_px
        self._trail_s = trail_s
        self._scale = scale
        self._trails: dict[int, deque[tuple[float, float, float]]] = {}
        self._canvas: NDArray[np.uint8] | None = None

    def paint(
        self,
        image: UInt8,
        tracks: Tracks,
        track_px: Float64,
        class_map: UInt8 | None,
        frame: int,
    ) -> UInt8:
        """Draw one frame.

        Parameters
        ----------
        image : (H, W) uint8
        tracks : Tracks
            As of this frame.
        track_px : (N, 2)
            Where each is to be marked, image frame: its head where it was seen.
        class_map : (H, W) uint8 or None
        frame : int

        Returns
        -------
        (scale H, scale W, 3) uint8
            Blue, green, red. The next call draws on the same array.
        """
        scale = self._scale
        grey = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        if self._canvas is None or self._canvas.shape[:2] != grey.shape:
            self._canvas = np.empty((*grey.shape, 3), np.uint8)
        canvas = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR, dst=self._canvas)
        if class_map is not None:
            self._outline(canvas, settled(class_map, track_px, tracks))
        self._remember(tracks, track_px)
        for row in range(len(tracks)):
            if tracks.state[row] != TrackState.TENTATIVE:
                self._trail(canvas, tracks, row)
        for row in range(len(tracks)):
            if tracks.state[row] != TrackState.TENTATIVE:
                self._mark(canvas, tracks, track_px, row)
        shown = int((tracks.state != TrackState.TENTATIVE).sum())
        self._caption(canvas, f"frame {frame}   {tracks.time_s:.2f} s   {shown} tracks")
        return np.asarray(canvas, dtype=np.uint8)

    def _outline(self, canvas: NDArray[np.uint8], class_map: UInt8) -> None:
        for kind in (SpermClass.NORMAL, SpermClass.ABNORMAL):
            mask = (class_map == kind).astype(np.uint8)
            outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            scaled = [self._place(outline.astype(np.float64)) for outline in outlines]
            cv2.polylines(canvas, scaled, True, COLOURS[kind], 1, cv2.LINE_AA)

    def _place(self, xy_px: Float64) -> NDArray[np.int32]:
        """Pixels of the picture to pixels of the canvas: centres of pixels stay centres."""
        place: NDArray[np.int32] = np.round((xy_px + 0.5) * self._scale - 0.5).astype(np.int32)
        return place

    def _remember(self, tracks: Tracks, track_px: Float64) -> None:
        present = set(tracks.track_id.tolist())
        for gone in self._trails.keys() - present:
            del self._trails[gone]
        for track_id, (x, y) in zip(tracks.track_id.tolist(), track_px.tolist(), strict=True):
            trail = self._trails.setdefault(track_id, deque())
            trail.append((tracks.time_s, x, y))
            while trail[0][0] < tracks.time_s - self._trail_s:
                trail.popleft()

    def _trail(self, canvas: NDArray[np.uint8], tracks: Tracks, row: int) -> None:
        trail = np.array(self._trails[int(tracks.track_id[row])])[:, 1:]
        clear = np.hypot(*(trail - trail[-1]).T) > tracks.size_px[row].min() / 2.0
        points = self._place(trail[: np.flatnonzero(clear).max(initial=-1) + 1])
        if len(points) > 1:
            colour = _colour(tracks, row)
            cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)

    def _mark(self, canvas: NDArray[np.uint8], tracks: Tracks, track_px: Float64, row: int) -> None:
        colour = _colour(tracks, row)
        half = np.maximum(tracks.size_px[row], 8.0) / 2.0 + 1.0
        (left, top), (right, bottom) = self._place(
            np.stack([track_px[row] - half, track_px[row] + half])
        ).tolist()
        if tracks.state[row] == TrackState.COASTING:
            centre = ((left + right) // 2, (top + bottom) // 2)
            cv2.circle(canvas, centre, (right - left) // 2, colour, 1, cv2.LINE_AA)
        else:
            arm_x, arm_y = max(3, (right - left) // 4), max(3, (bottom - top) // 4)
            corners = [
                np.array([[x + dx, y], [x, y], [x, y + dy]], dtype=np.int32)
                for x, dx in ((left, arm_x), (right, -arm_x))
                for y, dy in ((top, arm_y), (bottom, -arm_y))
            ]
            cv2.polylines(canvas, corners, False, colour, 1, cv2.LINE_AA)
        _text(canvas, str(tracks.track_id[row]), (right + 3, top + 4), colour, 0.22 * self._scale)

    def _caption(self, canvas: NDArray[np.uint8], text: str) -> None:
        height, width = canvas.shape[:2]
        _text(canvas, text, (8, height - 9), _LIGHT, 0.23 * self._scale)
        length_um = 50.0
        length = round(length_um / self._um_per_px * self._scale)
        right, y = width - 12, height - 12
        cv2.line(canvas, (right - length, y), (right, y), _DARK, 5)
        cv2.line(canvas, (right - length, y), (right, y), _LIGHT, 2)
        _text(
            canvas, f"{length_um:.0f} um", (right - length, y - 7), _LIGHT, 0.2 * self._scale
        )  # fmt: skip


def _colour(tracks: Tracks, row: int) -> tuple[int, int, int]:
    return COLOURS[SpermClass(int(tracks.label[row]))]


def _text(
    canvas: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    colour: tuple[int, int, int],
    size: float,
) -> None:
    """Text with a dark rim: readable on any grey."""
    x, y = origin
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        cv2.putText(canvas, text, (x + dx, y + dy), _FONT, size, _DARK, 1, cv2.LINE_AA)
    cv2.putText(canvas, text, origin, _FONT, size, colour, 1, cv2.LINE_AA)
