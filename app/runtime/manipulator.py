"""The pipette thread: owns the manipulator. For now it watches; it moves nothing."""

from __future__ import annotations

import threading

from app.runtime.worker import Board, Worker
from drivers.errors import DeviceError
from drivers.protocols import Manipulator
from drivers.types import Pose

POLL_S = 0.5


class PipetteWorker(Worker):
    """Reads the manipulator's pose now and then, and stops it when it is told to.

    Parameters
    ----------
    manipulator : Manipulator
    """

    def __init__(self, manipulator: Manipulator, board: Board) -> None:
        super().__init__("pipette", board)
        self._manipulator = manipulator
        self._wake = threading.Event()
        self._stop_wanted = False
        self._broken = False
        self.pose: Pose | None = None

    def stop_now(self) -> None:
        """Interrupt whatever it does; never blocks."""
        self._stop_wanted = True
        self._wake.set()

    def halt(self) -> None:
        """Ask the loop to end at once."""
        super().halt()
        self._wake.set()

    def step(self) -> None:
        """Stop if asked to, else look."""
        self._wake.wait(POLL_S)
        self._wake.clear()
        if self.stopping.is_set():
            return
        try:
            if self._stop_wanted:
                self._stop_wanted = False
                self._manipulator.stop()
            self.pose = self._manipulator.read_pose()
        except DeviceError as error:
            self._broken = True
            self.pose = None
            self.board.fault(self.role, error)
            return
        if self._broken:
            self._broken = False
            self.board.clear(self.role)
