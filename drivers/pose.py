"""Where an instrument is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pose:
    """Position of an instrument as it was read back.

    Attributes
    ----------
    time_s : float
        Monotonic host time that the position belongs to: the middle of the exchange.
    x_um, y_um, z_um : float
        Stage frame for the stage (z_um is NaN where there is no focus drive),
        pipette frame for the manipulator.
    moving : bool or None
        None is unknown. Unknown is never idle.
    """

    time_s: float
    x_um: float
    y_um: float
    z_um: float
    moving: bool | None
