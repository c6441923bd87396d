"""What a calibration procedure has measured, in the one form that all of them give."""

from __future__ import annotations

from dataclasses import dataclass

from calibration.figures import picture_of_ruling
from calibration.pixel_size import PixelSize
from calibration.store import ImageValues, LatencyValues, PipetteValues, PixelValues
from drivers.types import Image

Section = PixelValues | ImageValues | LatencyValues | PipetteValues


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a procedure has measured.

    Attributes
    ----------
    procedure : str
    value, uncertainty, residual_um : float
        The unit of value and uncertainty is in ``unit``.
    unit : str
    section : the part of the file that it would replace; None for a check
    details : further numbers
    ok : bool
        False for a check that failed.
    picture : (H, W, 3) uint8 or None
        What was detected, and what is left of it; red, green, blue.
    """

    procedure: str
    value: float
    uncertainty: float
    residual_um: float
    unit: str
    section: Section | None
    details: dict[str, object]
    ok: bool = True
    picture: Image | None = None


def pixel_outcome(size: PixelSize, image: Image, method: str) -> Outcome:
    """Put a pixel size into the form of all outcomes."""
    return Outcome(
        "pixel", size.um_per_px, size.uncertainty_um_per_px, size.residual_um, "um/px",
        PixelValues.model_validate({
            "um_per_px": size.um_per_px, "uncertainty_um_per_px": size.uncertainty_um_per_px,
            "residual_um": size.residual_um, "method": method,
        }),
        {"ticks": len(size.index), "method": method},
        picture=picture_of_ruling(image, size),
    )  # fmt: skip
