"""Values that cross the border of the drivers room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the camera.

    Attributes
    ----------
    image : (H, W) uint8, read-only
        Grey levels, image frame: row y down, column x right.
    number : int
        The device's own counter. A gap in it is a dropped frame.
    time_s : float
        Monotonic host time at mid exposure.
    exposure_s : float
        Exposure time.
    received_s : float
        Monotonic host time at which the driver handed the frame over.
    """

    image: Image
    number: int
    time_s: float
    exposure_s: float
    received_s: float


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
