"""Take a picture of a stage micrometer and measure it."""

from __future__ import annotations

from calibration.errors import CalibrationError
from calibration.picture_procedure import lay_ruling, picture_of_slide
from calibration.pixel_size import PixelSize, implausible, measure_ruling
from calibration.procedure import Bench, Procedure
from drivers.types import Image


def calibrate_pixel(bench: Bench, division_um: float) -> Procedure[tuple[PixelSize, Image]]:
    """Measure the size of a pixel on a micrometer whose ticks are ``division_um`` apart.

    Raises
    ------
    CalibrationError
        No ruling in view, or a size that camera and objective make implausible.
    DeviceError
        The camera fails.
    """
    image = yield from picture_of_slide(bench, lay_ruling(division_um))
    size = measure_ruling(image, division_um)
    why = implausible(size.um_per_px, bench.expected_um_per_px, division_um)
    if why:
        raise CalibrationError(why)
    return size, image
