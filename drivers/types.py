"""Values that cross the border of the drivers room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.pose import Pose

__all__ = ["Frame", "Image", "Pose"]

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
