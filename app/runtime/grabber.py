"""The grab thread: owns the camera, hands over its newest frame."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.runtime.mailbox import Latest
from app.runtime.worker import Board, Worker
from drivers.errors import CameraError, EndOfStream
from drivers.protocols import Camera
from drivers.types import Frame

READ_TIMEOUT_S = 0.25
SILENT_S = 2.0


class Grabber(Worker):
    """Reads the camera and leaves each frame in a box of one.

    Parameters
    ----------
    camera : Camera
        Opened, read and closed by this thread alone.
    frames : Latest[Frame]
        Where the newest frame goes.
    keep : callable or None
        Takes every frame, to be recorded; never blocks.
    """

    def __init__(
        self,
        camera: Camera,
        frames: Latest[Frame],
        board: Board,
        keep: Callable[[Frame], None] | None = None,
    ) -> None:
        super().__init__("grab", board)
        self._camera = camera
        self._frames = frames
        self._keep = keep
        self._last_s = 0.0
        self.ended = False

    def open(self) -> None:
        """Open the camera."""
        self._camera.open()
        self._last_s = time.perf_counter()

    def step(self) -> None:
        """Hand over one frame.

        Raises
        ------
        CameraError
            The camera is gone, or has delivered nothing for 2 s.
        """
        try:
            frame = self._camera.read(READ_TIMEOUT_S)
        except EndOfStream:
            self.ended = True
            self.finish()
            return
        now_s = time.perf_counter()
        if frame is not None:
            self._last_s = now_s
            self._frames.put(frame)
            if self._keep is not None:
                self._keep(frame)
        elif now_s - self._last_s > SILENT_S:
            raise CameraError(
                self._camera.name,
                f"no frame for {SILENT_S:.0f} s",
                "check its cable and whether another program uses it",
            )

    def close(self) -> None:
        """Let go of the camera."""
        self._camera.close()
