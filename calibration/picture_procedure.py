"""Take a still picture of a slide that a person has laid under the objective. Nothing moves."""

from __future__ import annotations

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


def picture_of_slide(bench: Bench, instruction: str) -> Procedure[Image]:
    """Show what to lay under the objective, and return the median of nine frames (H, W), uint8.

    Needs neither stage nor pipette. The camera is opened once the person is ready.

    Raises
    ------
    CalibrationError
        The camera delivers nothing.
    DeviceError
        The camera fails.
    """
    yield Instruction(instruction)
    with opened(bench.camera):
        frames = look(bench, bench.clock.now_s(), FRAMES)
    image = without_swimmers(frames)
    yield Progress("the picture is measured", 1.0, image)
    return image


def lay_ruling(division_um: float) -> str:
    """Say how a micrometer with ticks ``division_um`` apart is laid."""
    return (
        f"Lay the stage micrometer with divisions of {division_um:g} um under the objective, focus "
        "its lines, and let them fill the view."
    )


def lay_beads(bead_um: float) -> str:
    """Say how a slide of beads of ``bead_um`` in diameter is laid."""
    return (
        f"Lay the slide of beads of {bead_um:g} um under the objective, find a place where three "
        "or more lie apart from each other, and focus their edges."
    )
