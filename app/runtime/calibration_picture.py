"""Pictures of a micrometer or of beads in files: read, measured, and held against what is kept."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from app.runtime.calibration_outcome import Outcome, pixel_outcome
from calibration.beads import measure_beads
from calibration.check import MAX_SCALE_ERROR
from calibration.errors import CalibrationError
from calibration.figures import picture_of_beads, picture_of_ruling
from calibration.pixel_size import implausible, measure_by_hand, measure_ruling
from calibration.store import CalibrationRecord
from drivers.types import Image

_SOURCES = {"pixel": "pixel size", "stage": "stage"}  # as a person reads it
MAX_BEAD_ERROR = 0.05  # of the diameter: at 20x half a pixel at each edge of a bead of 10 um


def read_picture(path: Path) -> Image:
    """Read a picture file (H, W), uint8. Raises CalibrationError."""
    if path.is_dir():
        raise CalibrationError(f"{path}: a folder; name a picture in it")
    if not path.is_file():
        raise CalibrationError(f"{path}: no such file; check the path")
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise CalibrationError(f"{path}: not a picture that can be read; give PNG, TIFF or JPEG")
    return np.asarray(image, dtype=np.uint8)


def write_picture(picture: Image, path: Path) -> None:
    """Write a picture (H, W, 3), red, green, blue. Raises CalibrationError."""
    try:
        done, packed = cv2.imencode(path.suffix or ".png", picture[:, :, ::-1])
    except cv2.error as error:
        raise CalibrationError(f"{path}: no picture format; end it in .png") from error
    if not done:
        raise CalibrationError(f"{path}: the picture cannot be encoded; end it in .png")
    packed.tofile(path)


def measure_picture(
    image: Image,
    division_um: float,
    line_px: tuple[float, float, float, float] | None,
    length_um: float | None,
    expected_um_per_px: float | None,
) -> Outcome:
    """Measure the size of a pixel in a picture (H, W) that was taken before.

    With ``line_px`` (x0, y0, x1, y1) and its ``length_um`` by hand, else by the ruling.

    Raises
    ------
    CalibrationError
        No ruling, or a size that camera and objective make implausible.
    """
    if line_px is not None:
        if length_um is None:
            raise CalibrationError("a line needs its length; state it in um")
        size = measure_by_hand(line_px[:2], line_px[2:], length_um)
        method, division = "by hand", None
    else:
        size, method, division = measure_ruling(image, division_um), "ruling", division_um
    if expected_um_per_px is not None:
        why = implausible(size.um_per_px, expected_um_per_px, division)
        if why:
            raise CalibrationError(why)
    return pixel_outcome(size, image, method)


def check_picture(
    image: Image, record: CalibrationRecord | None, division_um: float, bead_um: float | None
) -> Outcome:
    """Hold a picture (H, W) against the pixel size that was accepted. Nothing is saved.

    Parameters
    ----------
    image : of a micrometer, or of beads
    record : what is in force; None where nothing is
    division_um : of the micrometer
    bead_um : nominal diameter of the beads; None for a micrometer

    Returns
    -------
    Outcome
        Its value is the size that is seen over the one that is true, by the pixel size that is
        furthest from it: the micrometer's and the stage's are both in force where both were done.

    Raises
    ------
    CalibrationError
        No ruling or no beads in the picture, or no pixel size has been accepted.
    """
    sizes = accepted_sizes(record)
    if bead_um is not None:
        return _check_beads(image, sizes, bead_um)
    found = measure_ruling(image, division_um)
    ratios = {name: size / found.um_per_px for name, size in sizes.items()}
    worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
    sd = found.uncertainty_um_per_px / found.um_per_px
    passed = abs(ratios[worst] - 1) <= MAX_SCALE_ERROR
    why = (
        "" if passed else
        f"the picture says {found.um_per_px:.5f} um per pixel, the calibration's {_SOURCES[worst]} "
        f"{sizes[worst]:.5f}, {ratios[worst] - 1:+.2%}, {MAX_SCALE_ERROR:.0%} is allowed; confirm "
        "objective, binning and ruling, and calibrate again"
    )  # fmt: skip
    return Outcome(
        "check", ratios[worst], ratios[worst] * sd, found.residual_um, "ratio", None,
        {
            "why": why, "by": "ruling", "um_per_px": found.um_per_px, "ticks": len(found.index),
            "accepted_um_per_px": sizes, "ratios": ratios, "tolerance": MAX_SCALE_ERROR,
        },
        passed, picture_of_ruling(image, found),
    )  # fmt: skip


def accepted_sizes(record: CalibrationRecord | None) -> dict[str, float]:
    """Give the pixel sizes in force, um per px, by the section they come from.

    Raises
    ------
    CalibrationError
        There is none.
    """
    sizes: dict[str, float] = {}
    if record is not None and record.pixel is not None:
        sizes["pixel"] = record.pixel.um_per_px
    if record is not None and record.image is not None:
        sizes["stage"] = record.image_to_stage.um_per_px
    if not sizes:
        raise CalibrationError(
            "no pixel size has been accepted to check by; calibrate pixel or stage first"
        )
    return sizes


def _check_beads(image: Image, sizes: dict[str, float], bead_um: float) -> Outcome:
    um_per_px = sizes.get("pixel", next(iter(sizes.values())))
    beads = measure_beads(image, bead_um / um_per_px)
    seen_um = beads.median_px * um_per_px
    ratios = {name: beads.median_px * size / bead_um for name, size in sizes.items()}
    worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
    passed = abs(ratios[worst] - 1) <= MAX_BEAD_ERROR
    why = (
        "" if passed else
        f"the beads measure {beads.median_px * sizes[worst]:.2f} um by the calibration's "
        f"{_SOURCES[worst]}, {bead_um:g} um is their size, {MAX_BEAD_ERROR:.0%} is allowed; focus "
        "their edges, confirm the objective, and calibrate again"
    )  # fmt: skip
    # Of a median of n: 1.25 of the scatter over the root of n.
    sd = 1.25 * beads.scatter_px / math.sqrt(len(beads.diameter_px)) / beads.median_px
    return Outcome(
        "check", ratios[worst], ratios[worst] * sd, beads.scatter_px * um_per_px,
        "ratio", None,
        {
            "why": why, "by": "beads", "beads": len(beads.diameter_px), "bead_um": bead_um,
            "median_um": seen_um, "scatter_um": beads.scatter_px * um_per_px,
            "accepted_um_per_px": sizes, "ratios": ratios, "tolerance": MAX_BEAD_ERROR,
        },
        passed, picture_of_beads(image, beads, um_per_px),
    )  # fmt: skip
