"""What a calibration would find in the picture of this moment, before anything is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from calibration.beads import measure_beads
from calibration.errors import CalibrationError
from calibration.pixel_size import measure_ruling
from calibration.shift import measure_shift, texture
from calibration.stage_affine import MIN_LIKENESS
from calibration.tip import find_tip
from drivers.types import Image
from models.types import Float64

RULED = ("pixel", "check-ruling")
NEEDLE = ("pipette", "drift", "touch-down")
TEXTURE = ("stage", "latency", "check")
_STILL_PX = 0.3
_SHAFT_PX = 60.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was detected. Image frame, pixels.

    Attributes
    ----------
    text : str
        One sentence for a person.
    good : bool
        Whether a measurement can begin with this picture.
    lines_px : (N, 2, 2) float64
        To be drawn over the picture: first and last point x, y of each.
    point_px : (float, float) or None
        The one point that matters.
    circles_px : (N, 3) float64
        To be drawn as well: x, y of the middle, diameter.
    """

    text: str
    good: bool
    lines_px: Float64 = field(default_factory=lambda: np.zeros((0, 2, 2)))
    point_px: tuple[float, float] | None = None
    circles_px: Float64 = field(default_factory=lambda: np.zeros((0, 3)))


class Sight:
    """Looks at one picture after the other; one thread.

    Parameters
    ----------
    procedure : str
        Of app.runtime.calibration_run.PROCEDURES.
    division_um : float
        Of the micrometer.
    um_per_px : float
        About; by camera and objective.
    bead_um : float
        Nominal diameter of the beads.
    """

    def __init__(
        self, procedure: str, division_um: float, um_per_px: float, bead_um: float = 10.0
    ) -> None:
        self._procedure = procedure
        self._division_um = division_um
        self._um_per_px = um_per_px
        self._bead_um = bead_um
        self._before: Image | None = None

    def look(self, image: Image) -> Sighting:
        """Say what is found in a picture (H, W); some tens of milliseconds."""
        if self._procedure in RULED:
            return self._ruling(image)
        if self._procedure == "check-beads":
            return self._beads(image)
        if self._procedure in NEEDLE:
            return self._tip(image)
        return self._shift(image)

    def _ruling(self, image: Image) -> Sighting:
        try:
            size = measure_ruling(image, self._division_um)
        except CalibrationError as error:
            return Sighting(str(error), False)
        text = f"{len(size.index)} ticks are seen: {size.um_per_px:.4f} µm per pixel"
        return Sighting(text, True, size.ends_px)

    def _beads(self, image: Image) -> Sighting:
        try:
            beads = measure_beads(image, self._bead_um / self._um_per_px)
        except CalibrationError as error:
            return Sighting(str(error), False)
        circles = np.column_stack((beads.centre_px, beads.diameter_px))
        text = f"{len(circles)} beads are seen, {beads.median_px:.1f} px wide"
        return Sighting(text, True, circles_px=circles)

    def _tip(self, image: Image) -> Sighting:
        tip = find_tip(image, self._um_per_px)
        if tip is None:
            return Sighting("No pipette is seen: bring its tip into view, and focus it", False)
        at = np.array((tip.x_px, tip.y_px))
        along = np.array((math.cos(tip.direction_rad), math.sin(tip.direction_rad)))
        shaft = np.array([[at, at + _SHAFT_PX * along]])
        text = f"The tip is at {tip.x_px:.1f}, {tip.y_px:.1f} px"
        return Sighting(text, True, shaft, (tip.x_px, tip.y_px))

    def _shift(self, image: Image) -> Sighting:
        """Compare with the picture before: what can be recognised again can be followed."""
        before, self._before = self._before, image
        if before is None or before.shape != image.shape:
            return Sighting("The picture is compared with the next one", False)
        shift = measure_shift(texture(before), texture(image))
        if shift.likeness < MIN_LIKENESS:
            return Sighting(
                f"The picture is not recognised again (likeness {shift.likeness:.2f}): focus, or "
                "find a place with more texture",
                False,
            )
        height, width = image.shape
        middle = np.array(((width - 1) / 2, (height - 1) / 2))
        moved = np.array((shift.x_px, shift.y_px))
        far = float(np.hypot(*moved)) > _STILL_PX
        lines = np.array([[middle, middle + moved]]) if far else np.zeros((0, 2, 2))
        where = f"moved by {shift.x_px:+.1f}, {shift.y_px:+.1f} px" if far else "at rest"
        text = f"The texture is recognised, {where} (likeness {shift.likeness:.2f})"
        return Sighting(text, True, lines)
