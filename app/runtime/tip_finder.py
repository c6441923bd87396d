"""The tip thread: looks for the pipette's tip in pictures, while it comes down."""

from __future__ import annotations

from collections.abc import Callable

from app.core.contact import TipSight
from app.runtime.mailbox import Latest
from app.runtime.worker import Board, Worker
from calibration.tip import Tip, find_tip, follow_tip
from calibration.transform import ImageToStage
from drivers.types import Frame, Image

TAKE_TIMEOUT_S = 0.25
LOST_AFTER = 5  # pictures without it: it is searched for in the whole picture again


class TipFinder(Worker):
    """Publishes where the tip was seen, in the view: um from the picture's centre.

    Parameters
    ----------
    image_to_stage : ImageToStage
    wanted : callable
        Whether anybody wants to know; frames are let go otherwise.
    """

    def __init__(
        self, image_to_stage: ImageToStage, wanted: Callable[[], bool], board: Board
    ) -> None:
        super().__init__("tip", board)
        self._map = image_to_stage
        self._wanted = wanted
        self._like: Tip | None = None
        self._missed = 0
        self.frames: Latest[Frame] = Latest()
        self.sight: TipSight | None = None

    def step(self) -> None:
        """Look at the newest frame."""
        frame = self.frames.take(TAKE_TIMEOUT_S)
        if frame is None or not self._wanted():
            return
        tip = self._find(frame.image)
        if tip is None:
            return
        away_px = (tip.x_px, tip.y_px) - self._map.centre_px
        self.sight = TipSight(frame.time_s, self._map.matrix_um_per_px @ away_px)

    def _find(self, image: Image) -> Tip | None:
        um_per_px, like = self._map.um_per_px, self._like
        tip = None if like is None else follow_tip(image, um_per_px, like)
        self._missed = 0 if tip is not None else self._missed + 1
        if tip is None and (like is None or self._missed >= LOST_AFTER):
            tip, self._missed = find_tip(image, um_per_px), 0
        self._like = like if tip is None else tip
        return tip
