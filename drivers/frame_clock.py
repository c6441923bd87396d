"""When a frame came, freed from how late its reader was."""

from __future__ import annotations

from collections import deque

_PROBATION = 10
_TOLERANCE = 0.25


class FrameClock:
    """Maps a camera's time stamps to host time by the promptest of the recent frames.

    A frame can be handed over late (a busy reader, a slow bus), never early. So the least
    difference between host and camera time over a window of frames is the clocks' offset plus
    the shortest way, and free of jitter.

    Stamps are believed once they have advanced for ten frames as the frame numbers say: the tick
    rate differs between models, and some have no stamps. Without them a frame came when it was
    handed over.

    Parameters
    ----------
    period_s : float
        Nominal time from one frame to the next.
    window : int
        Frames looked back on. The answer is wrong by as much as the clocks drift apart within
        that time: 32 frames at 30 Hz and 50 ppm make 0.05 ms.
    """

    def __init__(self, period_s: float, window: int = 32) -> None:
        self._period_s = period_s
        self._offsets_s: deque[float] = deque(maxlen=window)
        self._first: tuple[int, float] | None = None

    def arrival_s(self, number: int, stamp_s: float, received_s: float) -> float:
        """Host time at which the frame would have come to a reader that is never late.

        Parameters
        ----------
        number : int
            The camera's count; gaps are frames lost.
        stamp_s : float
            The camera's time stamp, any origin; 0 where it has none.
        received_s : float
            Monotonic host time at which it was handed over.

        Returns
        -------
        float
            Never later than ``received_s``.
        """
        if not self._trusted(number, stamp_s):
            self._offsets_s.clear()
            return received_s
        self._offsets_s.append(received_s - stamp_s)
        return min(received_s, stamp_s + min(self._offsets_s))

    def _trusted(self, number: int, stamp_s: float) -> bool:
        if not stamp_s:
            return False
        if self._first is None:
            self._first = (number, stamp_s)
        first_number, first_s = self._first
        passed = number - first_number
        expected_s = passed * self._period_s
        return passed >= _PROBATION and (
            abs(stamp_s - first_s - expected_s) <= _TOLERANCE * expected_s
        )
