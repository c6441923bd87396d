"""A planned move stays between its start and its target, and ends there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_ARRIVAL_TOLERANCE_UM = 5.0
_CORRIDOR_UM = 20.0


@dataclass(frozen=True, slots=True)
class Corridor:
    """One move. Each axis runs for itself, so the way is a box, not a line.

    Attributes
    ----------
    start_um, target_um : tuple of float
        One value per axis.
    """

    start_um: tuple[float, ...]
    target_um: tuple[float, ...]

    def strayed(self, position_um: Sequence[float]) -> str:
        """Say how far a position is beyond both ends; empty when it is not."""
        ends = zip(self.start_um, self.target_um, position_um, strict=True)
        um = max(max(min(a, b) - at, at - max(a, b)) for a, b, at in ends)
        return f"a move strayed {um:.0f} um off its way" if um > _CORRIDOR_UM else ""

    def missed(self, position_um: Sequence[float]) -> str:
        """Say how far from the target a move has ended; empty when it has arrived."""
        um = max(abs(b - at) for b, at in zip(self.target_um, position_um, strict=True))
        return f"a move ended {um:.1f} um off its target" if um > _ARRIVAL_TOLERANCE_UM else ""


def lost_frame(before_um: Sequence[float], now_um: Sequence[float]) -> str:
    """Say so when a position at rest has become the origin all of a sudden; empty otherwise.

    A controller that is switched off and on counts from zero wherever it then stands, and one
    whose zero button is pressed does too. Soft limits mean another place from then on.
    """
    was_um = max(abs(um) for um in before_um)
    if was_um <= 20.0 or any(abs(um) > 0.5 for um in now_um):
        return ""
    text = ", ".join(f"{um:.0f}" for um in before_um)
    return (
        f"says that it is at the origin, and was at {text} um just now: it was switched off and on,"
        " or its origin was set anew, and the soft limits no longer fit"
    )
