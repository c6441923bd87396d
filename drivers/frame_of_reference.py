"""Whether positions still mean the place that soft limits and calibration know. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.corridor import lost_frame
from drivers.errors import FrameLost

_HINT = "find its place again, calibrate, and start anew"


class FrameOfReference:
    """Remembers why positions are not to be believed, until somebody has found the place again.

    Parameters
    ----------
    device : str
        What messages call it.

    Attributes
    ----------
    lost : str
        Why; empty while they are believed.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self.lost = ""

    def doubt(self, why: str) -> bool:
        """Note a reason, if it is one, and whether it is the first."""
        first = bool(why) and not self.lost
        self.lost = self.lost or why
        return first

    def compare(self, before_um: Sequence[float], now_um: Sequence[float]) -> None:
        """Note that a position at rest has become the origin all of a sudden."""
        self.doubt(lost_frame(before_um, now_um))

    def found(self) -> None:
        """Believe positions again."""
        self.lost = ""

    def error(self) -> FrameLost:
        """Make the error to raise while it is lost."""
        return FrameLost(self._device, self.lost, _HINT)
