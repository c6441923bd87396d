"""A thread that draws and encodes the overlay, so that the analysis does not wait for it."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

from app.records.drawing import OverlayPainter
from app.records.video import FilmWriter
from models.types import Float64, Tracks, UInt8

_PENDING_FRAMES = 16


@dataclass(frozen=True, slots=True)
class OverlayFrame:
    """One frame to be drawn; see ``OverlayPainter.paint``."""

    image: UInt8
    tracks: Tracks
    track_px: Float64
    class_map: UInt8 | None
    frame: int


class OverlayThread:
    """Draws frames in order; none is dropped. ``put`` waits while too many are pending.

    What goes wrong in the thread is raised by the next ``put``, or by ``close``.
    """

    def __init__(self, painter: OverlayPainter, film: FilmWriter) -> None:
        self._painter = painter
        self._film = film
        self._queue: queue.Queue[OverlayFrame | None] = queue.Queue(_PENDING_FRAMES)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sfcscope-overlay")
        self._thread.start()

    def put(self, frame: OverlayFrame) -> None:
        """Hand over a frame."""
        self._raise()
        self._queue.put(frame)

    def close(self) -> None:
        """Draw what is pending, end the film, and stop."""
        self._queue.put(None)
        self._thread.join()
        self._film.close()
        self._raise()

    def _raise(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _run(self) -> None:
        while (frame := self._queue.get()) is not None:
            if self._fault is not None:
                continue  # the film is broken: only keep the queue moving
            try:
                picture = self._painter.paint(
                    frame.image, frame.tracks, frame.track_px, frame.class_map, frame.frame
                )
                self._film.write(picture)
            except BaseException as fault:
                self._fault = fault  # raised again by put or close
