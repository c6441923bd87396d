"""The record thread: keeps every frame of the camera, with the poses that belong to it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from app.records.video import RecordingWriter
from app.runtime.worker import Board, Worker
from drivers.types import Frame, Pose
from models.types import Float64

RING_BYTES = 128 * 2**20  # 14 s of 640x480 at 30 frames/s
POSE_KNOWN_S = 0.3  # by then the stage has been read after the frame: its pose is interpolated
TAKE_TIMEOUT_S = 0.25


class Recorder(Worker):
    """Writes the film of a session, its sidecar and a preview, from a ring in memory.

    Nothing that waits in the ring is lost when the session ends, however it ends. A disk that is
    full ends the film, not the following.

    Parameters
    ----------
    path : Path
        Of the film, without suffix.
    frame_rate_hz : callable
        The camera's nominal rate; asked with the first frame, by the thread that leaves it.
    stage_um : callable
        Position (2,) um of the stage at a time; None where it is not known.
    pipette : callable
        The manipulator's last pose; None where it is not known.
    """

    def __init__(
        self,
        path: Path,
        frame_rate_hz: Callable[[], float],
        stage_um: Callable[[float], Float64 | None],
        pipette: Callable[[], Pose | None],
        board: Board,
    ) -> None:
        super().__init__("record", board)
        self._path = path
        self._frame_rate_hz = frame_rate_hz
        self._stage_um = stage_um
        self._pipette = pipette
        self._rate_hz = 0.0
        self._ring: deque[tuple[Frame, Pose | None]] = deque()
        self._filled = threading.Condition(threading.Lock())
        self._waiting_bytes = 0
        self._writer: RecordingWriter | None = None
        self._broken = False
        self.lost = 0

    @property
    def frames(self) -> int:
        """Frames in the film so far."""
        return 0 if self._writer is None else self._writer.frames

    def put(self, frame: Frame) -> None:
        """Leave a frame; never blocks. One for which there is no room is counted, and told."""
        pipette = self._pipette()
        if self._rate_hz == 0.0:  # the camera is known to be open only now
            self._rate_hz = self._frame_rate_hz()
        with self._filled:
            full = self._waiting_bytes + frame.image.nbytes > RING_BYTES
            if not full and not self._broken:
                self._ring.append((frame, pipette))
                self._waiting_bytes += frame.image.nbytes
                self._filled.notify()
        if full or self._broken:
            self.lost += 1
            if self.lost == 1 and not self._broken:
                self.board.tell(
                    f"{self._path}: frames are missing in the film from frame {frame.number} on: "
                    "it cannot be written fast enough; close other programs",
                    "warning",
                )

    def step(self) -> None:
        """Write the oldest frame, once the stage's pose at its time is known for good."""
        with self._filled:
            if not self._ring:
                self._filled.wait(TAKE_TIMEOUT_S)
                return
            frame = self._ring[0][0]
        wait_s = frame.time_s + POSE_KNOWN_S - time.perf_counter()
        if wait_s > 0:
            self.stopping.wait(min(wait_s, TAKE_TIMEOUT_S))
            return
        self._write_oldest()

    def close(self) -> None:
        """Write all that waits, and end the files."""
        while self._ring:
            self._write_oldest()
        if self._writer is not None:
            self._try(self._writer.close)

    def _write_oldest(self) -> None:
        with self._filled:
            frame, pipette = self._ring.popleft()
            self._waiting_bytes -= frame.image.nbytes
        if self._broken:
            self.lost += 1
            return
        at_um = self._stage_um(frame.time_s)
        stage = None
        if at_um is not None:
            stage = Pose(frame.time_s, float(at_um[0]), float(at_um[1]), math.nan, None)
        if not self._try(lambda: self._film().write(frame, stage, pipette)):
            self.lost += 1

    def _film(self) -> RecordingWriter:
        if self._writer is None:
            self._writer = RecordingWriter(self._path, self._rate_hz)
        return self._writer

    def _try(self, action: Callable[[], None]) -> bool:
        """Do it, and say whether it was done.

        Where the disk refuses, the film ends and the operator is told once.
        """
        try:
            action()
        except OSError as error:
            if not self._broken:
                self._broken = True
                what = f"{self._path}: the film has ended: {error}; check the disk"
                self.board.tell(what, "fault")
            return False
        return True
