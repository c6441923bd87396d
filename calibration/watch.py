"""Notices a wrong calibration while the stage moves: what lies still seems to move with it."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

WINDOW_S = 2.5
SPAN_S = 1.0
TRAVEL_UM = 20.0
TRACKS = 6
WRONG = 0.25
# A handful of tracks may agree by chance: their spread is never believed to be less than this.
LEAST_SPREAD = 0.3
_EVERY = 5  # frames between two judgements
_GAP_S = 0.2
_FRAMES = 400


class ScaleWatch:
    """Compares the motion of all sperm but the one that is followed with that of the stage.

    Through a map that is ``k`` times too large, whatever rests in the specimen seems to travel
    with ``1 - k`` of the stage's own velocity, in the stage's frame; through the right one it
    rests. Sperm swim to all sides, so the median over the tracks of that share tells ``k``. The
    one that is followed is left out: the stage moves as it does because of it.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, Float64, dict[int, Float64]]] = deque(maxlen=_FRAMES)
        self._seen = 0

    def restart(self) -> None:
        """Forget: another target, or the stage was moved otherwise."""
        self._frames.clear()

    def observe(
        self, time_s: float, pose_um: Float64, track_id: Int64, raw_um: Float64, target: int
    ) -> str:
        """Take in a frame; say what is wrong, or nothing.

        Parameters
        ----------
        time_s : mid exposure
        pose_um : (2,) of the stage then
        track_id : (N,)
        raw_um : (N, 2) measurements, stage frame; NaN where there was none
        target : the track that is followed
        """
        if self._frames and not 0 < time_s - self._frames[-1][0] < _GAP_S:
            self.restart()
        known = np.isfinite(raw_um).all(axis=1) & (track_id != target)
        places = {int(i): raw_um[row] for row, i in enumerate(track_id) if known[row]}
        self._frames.append((time_s, pose_um, places))
        while time_s - self._frames[0][0] > WINDOW_S:
            self._frames.popleft()
        self._seen += 1
        if self._seen % _EVERY or time_s - self._frames[0][0] < SPAN_S:
            return ""
        return self._judge(TRACKS, TRAVEL_UM)

    def suspicion(self) -> str:
        """Say what may be wrong, on less evidence: why a target was lost just now."""
        return self._judge(TRACKS // 2 + 1, TRAVEL_UM / 4)

    def _judge(self, tracks: int, travel_um: float) -> str:
        shares = self._shares(travel_um)
        if len(shares) < tracks:
            return ""
        middle = float(np.median(shares))
        spread = max(1.4826 * float(np.median(np.abs(shares - middle))), LEAST_SPREAD)
        doubt = 1.25 * spread / np.sqrt(len(shares))  # standard deviation of a median
        if abs(middle) - 2.5 * doubt < WRONG:
            return ""
        return (
            f"the whole picture moves with {middle:+.0%} of the stage: the calibration is about "
            f"{max(1 - middle, 0.0):.1f} times what it should be; confirm the objective, and "
            "calibrate again"
        )

    def _shares(self, travel_um: float) -> Float64:
        """Give, for each track seen long enough, the share (n,) of the stage's motion in its own.

        A track's own straight swimming is not told apart from a stage that runs straight: the
        median over tracks is for that.
        """
        sums: dict[int, list[float]] = {}
        for (_, pose0, before), (_, pose1, after) in pairwise(self._frames):
            stage = pose1 - pose0
            square = float(stage @ stage)
            for number in before.keys() & after.keys():
                total = sums.setdefault(number, [0.0, 0.0, 0.0])
                total[0] += float((after[number] - before[number]) @ stage)
                total[1] += square
                total[2] += square**0.5
        return np.array([a / b for a, b, way in sums.values() if way >= travel_um and b > 0])
