"""Take a picture of a stage micrometer and measure it."""

from __future__ import annotations

from calibration.errors import CalibrationError
from calibration.pixel_size import PixelSize, implausible, measure_ruling
from calibration.procedure import (
    Bench,
    Instruction,
    Procedure,
    Progress,
    look,
    opened,
    without_swimmers,
)
from drivers.types import Image

FRAMES = 9


def calibrate_pixel(bench: Bench, division_um: float) -> Procedure[tuple[PixelSize, Image]]:
    """Measure the size of a pixel on a micrometer whose ticks are ``division_um`` apart.

    Raises
    ------
    CalibrationError
        No ruling in view, or a size that camera and objective make implausible.
    DeviceError
        The camera fails.
    """
    yield Instruction(
        f"Lay the stage micrometer with divisions of {division_um:g} um under the objective, focus "
        "its lines, and let them fill the view."
    )
    with opened(bench.camera):
        frames = look(bench, bench.clock.now_s(), FRAMES)
    image = without_swimmers(frames)
    yield Progress("the picture is measured", 1.0, image)
    size = measure_ruling(image, division_um)
    why = implausible(size.um_per_px, bench.expected_um_per_px, division_um)
    if why:
        raise CalibrationError(why)
    return size, image
