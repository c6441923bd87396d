"""A picture from a file instead of the camera: whose it is, and what it says of a rig."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from app.config import BaslerCameraConfig, RigConfig, SceneCameraConfig
from app.rig.build import set_up_of
from app.rig.calibration_bench import expected_um_per_px, known_calibration
from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_picture import check_picture, measure_picture, read_picture
from app.runtime.calibration_run import require_own
from calibration.errors import CalibrationError
from calibration.store import CalibrationRecord, load_calibration

WITH_IMAGE = ("pixel", "check")


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """What a person asks of a picture.

    Attributes
    ----------
    image : Path
    division_um : float
        Of the micrometer in it.
    line_px, length_um : x0, y0, x1, y1 in the picture, and what that line measures; or None
    bead_um : float or None
        Nominal diameter of the beads in it, instead of a micrometer ('check' only).
    rig_named : bool
        Whether the person said which rig it was taken with.
    objective, camera_pixel_um : float or None
        Magnification, and the camera's pixel (times the binning), of a picture from another rig.
    """

    image: Path
    division_um: float = 10.0
    line_px: tuple[float, float, float, float] | None = None
    length_um: float | None = None
    bead_um: float | None = None
    rig_named: bool = True
    objective: float | None = None
    camera_pixel_um: float | None = None


def require_provenance(asked: PictureRequest, procedure: str, keep: bool) -> None:
    """Refuse what cannot be answered, or kept, without knowing whose picture it is.

    Raises
    ------
    CalibrationError
    """
    if procedure not in WITH_IMAGE:
        raise CalibrationError(
            f"--image is for 'calibrate pixel' and 'calibrate check', not for '{procedure}'"
        )
    if (asked.objective is None) != (asked.camera_pixel_um is None):
        raise CalibrationError(
            "a pixel size is checked against objective and camera together; state both --objective "
            "and --camera-pixel, or neither"
        )
    if procedure == "check":
        if not asked.rig_named:
            raise CalibrationError(
                "a check holds the picture against what was accepted for a rig; name it with --rig"
            )
        if asked.line_px is not None or asked.objective is not None:
            raise CalibrationError(
                "a check takes no --line, --objective or --camera-pixel; the rig file names them"
            )
    elif asked.bead_um is not None:
        raise CalibrationError("--bead is for 'calibrate check'; a pixel is measured by a ruling")
    if keep and not asked.rig_named:
        raise CalibrationError(
            "a result is kept for the rig that the picture was taken with; name it with --rig, or "
            "omit --operator to only see the result"
        )
    if keep and asked.objective is not None:
        raise CalibrationError(
            "--objective and --camera-pixel are for a picture of another rig, which is not kept "
            "here; omit them, or omit --operator"
        )


def outcome_of_picture(
    config: RigConfig, procedure: str, asked: PictureRequest, out: Path | None
) -> tuple[Outcome, Path | None, CalibrationRecord | None]:
    """Measure the picture, or hold it against what is in force (in ``out`` where that is there).

    Returns
    -------
    outcome
    path, record : the calibration file in force, and what is in it

    Raises
    ------
    CalibrationError
        One line: a picture that cannot be read or is not this rig's, or nothing in it to measure.
    """
    image = read_picture(asked.image)
    path, record = known_calibration(config)
    if out is not None and out.exists():
        path, record = out, load_calibration(out)
    if asked.rig_named and asked.objective is None:
        require_own(record, set_up_of(config, config.objective), path)
        _require_size(config, record, asked.image, (image.shape[1], image.shape[0]))
    if procedure == "check":
        if record is None:
            raise CalibrationError(
                "there is no calibration to be checked; run 'sfcscope calibrate pixel' first"
            )
        outcome = check_picture(image, record, asked.division_um, asked.bead_um)
        details = outcome.details | {"image": asked.image.name}
        return replace(outcome, details=details), path, record
    expected = _expected(config, asked)
    outcome = measure_picture(image, asked.division_um, asked.line_px, asked.length_um, expected)
    details = outcome.details | {"plausibility": _checked(expected)}
    return replace(outcome, details=details), path, record


def _require_size(
    config: RigConfig, record: CalibrationRecord | None, image: Path, seen_px: tuple[int, int]
) -> None:
    """Refuse a picture that this rig's camera cannot have given: scaled, cropped, or binned."""
    camera = config.camera
    binning = camera.binning if isinstance(camera, BaslerCameraConfig) else 1
    given_px = _frame_px(config, record)
    if given_px is None:
        raise CalibrationError(
            f"{config.name}: how large its camera's pictures are is not known, so {image.name} "
            "cannot be told from another's; state width_px and height_px under [camera]"
        )
    if seen_px == given_px:
        return
    other = binning * given_px[0] / seen_px[0]
    alike = seen_px[0] * given_px[1] == seen_px[1] * given_px[0]
    looks = f"; it looks as if taken at binning {other:.0f}" if alike and other in (1, 2, 4) else ""
    raise CalibrationError(
        f"{image}: {seen_px[0]}x{seen_px[1]} px, but the camera of {config.name} gives "
        f"{given_px[0]}x{given_px[1]} at binning {binning}{looks}; take the picture with this rig, "
        "whole and not scaled, or name the rig that it is from"
    )


def _frame_px(config: RigConfig, record: CalibrationRecord | None) -> tuple[int, int] | None:
    """Width and height of the rig's frames, after binning; None where nothing says so."""
    camera = config.camera
    if isinstance(camera, SceneCameraConfig):
        return camera.width_px, camera.height_px
    if isinstance(camera, BaslerCameraConfig) and camera.width_px and camera.height_px:
        return camera.width_px, camera.height_px
    if record is not None and record.image is not None:
        x_px, y_px = record.image.centre_px
        return round(2 * x_px + 1), round(2 * y_px + 1)
    return None


def _expected(config: RigConfig, asked: PictureRequest) -> float | None:
    """Size of a pixel by camera and objective; None where nobody has named them."""
    if asked.objective is not None and asked.camera_pixel_um is not None:
        return asked.camera_pixel_um / asked.objective
    return expected_um_per_px(config) if asked.rig_named else None


def _checked(expected_um_per_px: float | None) -> str:
    if expected_um_per_px is not None:
        return f"within 20 % of {expected_um_per_px:.4f} um per pixel, by camera and objective"
    return (
        "not checked: camera and objective are not known; state --rig, or --objective and "
        "--camera-pixel"
    )
