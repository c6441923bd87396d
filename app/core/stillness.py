"""Whether a sperm has stopped: its head does not move by more than the noise. Pure."""

from __future__ import annotations

from collections import deque

import numpy as np

from models.types import Float64

WINDOW_S = 1.0
STILL_UM = 0.8  # rms about a straight line: twice the noise of a detected head
STILL_UM_S = 5.0  # WHO 2021: slower is immotile; the medium may carry it
_SEEN = 0.7  # share of the frames in which it has to be seen


class Stillness:
    """Head positions of one sperm over the last second, stage frame.

    Parameters
    ----------
    frame_rate_hz : float
    """

    def __init__(self, frame_rate_hz: float) -> None:
        self._needed = round(_SEEN * WINDOW_S * frame_rate_hz)
        self._times_s: deque[float] = deque()
        self._heads_um: deque[Float64] = deque()
        self._since_s: float | None = None

    def restart(self) -> None:
        """Forget what was seen."""
        self._times_s.clear()
        self._heads_um.clear()
        self._since_s = None

    def observe(self, time_s: float, head_um: Float64 | None) -> None:
        """Take in a frame: where the head was seen (2,), None where it was not."""
        self._since_s = time_s if self._since_s is None else self._since_s
        if head_um is not None and np.isfinite(head_um).all():
            self._times_s.append(time_s)
            self._heads_um.append(head_um)
        while self._times_s and self._times_s[0] < time_s - WINDOW_S:
            self._times_s.popleft()
            self._heads_um.popleft()

    def is_still(self, now_s: float) -> bool:
        """Whether it was seen for a whole second, and did not move."""
        watched = self._since_s is not None and now_s - self._since_s >= WINDOW_S
        if not watched or len(self._times_s) < self._needed:
            return False
        times_s = np.array(self._times_s)
        heads_um = np.stack(self._heads_um)
        times_s = times_s - times_s.mean()
        middle_um = heads_um.mean(axis=0)
        speed_um_s = times_s @ (heads_um - middle_um) / max(float(times_s @ times_s), 1e-9)
        off_um = heads_um - middle_um - times_s[:, None] * speed_um_s
        rms_um = float(np.sqrt((off_um**2).sum(axis=1).mean()))
        return rms_um <= STILL_UM and float(np.linalg.norm(speed_um_s)) <= STILL_UM_S
