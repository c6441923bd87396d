"""Runs a calibration procedure on a rig, and keeps what a person has accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from app.runtime.calibration_outcome import Outcome, pixel_outcome
from app.runtime.calibration_picture import accepted_sizes, check_picture
from calibration.check import check_square
from calibration.errors import CalibrationError
from calibration.latency_procedure import calibrate_latency
from calibration.picture_procedure import lay_beads, lay_ruling, picture_of_slide
from calibration.pipette_affine import MAX_DRIFT_UM
from calibration.pipette_procedure import calibrate_pipette, see_tip
from calibration.pixel_procedure import calibrate_pixel
from calibration.plots import picture_of_chirp, picture_of_star, picture_of_tips
from calibration.procedure import Bench, Instruction, Progress, follow, require_pipette
from calibration.stage_procedure import calibrate_stage
from calibration.store import (
    CalibrationRecord,
    ImageValues,
    LatencyValues,
    PipetteValues,
    SetUp,
    save_calibration,
    with_section,
)

Show = Callable[[Instruction | Progress], None]
PROCEDURES = (
    "pixel", "stage", "latency", "check", "check-ruling", "check-beads", "pipette", "drift",
    "touch-down",
)  # fmt: skip
OF_A_SLIDE = ("check-ruling", "check-beads")


@dataclass(frozen=True, slots=True)
class RigBench:
    """A bench, and the file that belongs to it.

    Attributes
    ----------
    bench : Bench
    set_up : SetUp
        What is mounted.
    path : Path or None
        Of the rig's calibration file, existing or not; None where the rig names none.
    record : CalibrationRecord or None
        What is in force.
    """

    bench: Bench
    set_up: SetUp
    path: Path | None
    record: CalibrationRecord | None


def measure(
    rig: RigBench, procedure: str, division_um: float, show: Show, bead_um: float | None = None
) -> Outcome:
    """Run one procedure. Nothing is saved.

    Parameters
    ----------
    rig : what is calibrated
    procedure : of PROCEDURES
    division_um : of the micrometer ('pixel', 'check-ruling')
    show : takes each step, and returns when the person is ready to go on
    bead_um : nominal diameter of the beads ('check-beads'); the others leave it

    Raises
    ------
    CalibrationError, DeviceError
        As the procedure does; the old calibration stays in force.
    """
    bench = rig.bench
    require_own(rig.record, rig.set_up, rig.path)  # before anything moves
    if procedure == "pixel":
        size, image = follow(calibrate_pixel(bench, division_um), show)
        return pixel_outcome(size, image, "ruling")
    if procedure == "stage":
        return _stage(rig, show)
    if procedure in OF_A_SLIDE:
        return check_slide(rig, procedure, division_um, bead_um, show)
    if rig.record is None:
        raise CalibrationError("calibrate the stage first: run 'sfcscope calibrate stage'")
    affine = rig.record.image_to_stage
    if procedure == "latency":
        latency = follow(calibrate_latency(bench, affine), show)
        return Outcome(
            procedure, latency.sum_s, latency.sum_sd_s, latency.residual_um, "s",
            LatencyValues(
                exposure_to_host_s=latency.exposure_to_host_s,
                command_to_motion_s=latency.command_to_motion_s,
                residual_s=latency.split_sd_s,
            ),
            {
                "command_to_motion_s": latency.command_to_motion_s,
                "exposure_to_host_s": latency.exposure_to_host_s,
                "split_uncertainty": latency.split_sd_s,
                "stamp_error_s": latency.stamp_error_s,
            },
            picture=picture_of_chirp(latency),
        )  # fmt: skip
    if procedure == "pipette":
        return _pipette(rig, show)
    if procedure in ("drift", "touch-down"):
        return look_at_pipette(rig, procedure, show)
    image_values = rig.record.image
    backlash = None if image_values is None else image_values.backlash_um
    check = follow(check_square(bench, affine, backlash or (0.0, 0.0)), show)
    return Outcome(
        procedure, check.scale, 0.0, check.error_um, "ratio", None, {"why": check.why}, check.passed
    )


def require_own(record: CalibrationRecord | None, set_up: SetUp, path: Path | None) -> None:
    """Refuse a file that belongs to something else than what is mounted.

    By it nothing can be checked, and into it nothing of this rig may go.

    Raises
    ------
    CalibrationError
    """
    other = "" if record is None else record.other_set_up(set_up)
    if other:
        where = "" if path is None else f"{path.name}: "
        raise CalibrationError(
            f"{where}{other.removesuffix('; calibrate again')}; name a file of its own in the rig "
            "file, and calibrate into that"
        )


def accept(
    outcome: Outcome,
    set_up: SetUp,
    old: CalibrationRecord | None,
    path: Path,
    operator: str,
) -> CalibrationRecord:
    """Save what a person has accepted; the file before is kept in ``history/`` beside it.

    Parameters
    ----------
    outcome : what was measured
    set_up : what is mounted
    old : what ``path`` holds now; None where there is no file
    path : calibration file
    operator : who accepts it

    Raises
    ------
    CalibrationError
        The file is of another set-up.
    """
    now = datetime.now(UTC)
    if outcome.section is None:
        if old is None:
            raise CalibrationError("there is no calibration to be checked; calibrate first")
        keep_check(outcome, path, operator, now)
        return old
    record = with_section(old, set_up, outcome.section, now.date(), operator, version("sfcscope"))
    save_calibration(record, path, f"calibrate {outcome.procedure} by {operator}")
    return record


def keep_check(outcome: Outcome, path: Path, operator: str, now: datetime) -> None:
    """Append a check, passed or failed, to the list beside the calibration file."""
    line = {
        "time": now.isoformat(timespec="seconds"), "operator": operator, "passed": outcome.ok,
        "check": outcome.procedure, "value": outcome.value, "unit": outcome.unit,
        "residual_um": outcome.residual_um, **outcome.details,
    }  # fmt: skip
    kept = list_of_checks(path)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def list_of_checks(path: Path) -> Path:
    """Return the file beside a calibration file in which its checks are kept."""
    return path.with_name(f"{path.stem}-checks.jsonl")


def check_slide(
    rig: RigBench, procedure: str, division_um: float, bead_um: float | None, show: Show
) -> Outcome:
    """Hold the camera's picture of a micrometer, or of beads, against the accepted pixel size.

    Nothing moves, and no stage is needed.

    Parameters
    ----------
    rig : what is checked
    procedure : 'check-ruling' or 'check-beads'
    division_um : of the micrometer
    bead_um : nominal diameter of the beads
    show : as of ``measure``

    Raises
    ------
    CalibrationError
        No pixel size has been accepted or no bead's size is stated (both before anything is asked),
        or there is nothing in view to measure.
    DeviceError
        The camera fails.
    """
    accepted_sizes(rig.record)
    if procedure == "check-ruling":
        bead_um, text = None, lay_ruling(division_um)
    elif bead_um is None:
        raise CalibrationError("state the diameter of the beads, um")
    else:
        text = lay_beads(bead_um)
    image = follow(picture_of_slide(rig.bench, text), show)
    outcome = check_picture(image, rig.record, division_um, bead_um)
    return replace(outcome, procedure=procedure)


def look_at_pipette(rig: RigBench, procedure: str, show: Show) -> Outcome:
    """Check where the tip is ('drift'), or learn where it touches the dish ('touch-down').

    Nothing moves. Touch-down is taught by the operator, who has brought the tip there by hand.

    Raises
    ------
    CalibrationError
        The pipette has not been calibrated, or is not seen.
    DeviceError
        Camera or manipulator fail.
    """
    values = None if rig.record is None else rig.record.pipette
    if rig.record is None or values is None:
        raise CalibrationError("calibrate the pipette first: run 'sfcscope calibrate pipette'")
    if procedure == "touch-down":
        show(Instruction("Lower the tip by hand until it just touches the dish, and let go."))
        z_um = require_pipette(rig.bench).read_pose().z_um
        taught = values.model_copy(update={"touch_down_z_um": z_um})
        return Outcome(procedure, z_um, 0.0, 0.0, "um", taught, {})
    # Nothing moves, so nothing is asked: a tip that is not seen is said, and one looks again.
    show(Progress("looking for the tip; nothing moves", 0.0))
    affine = rig.record.image_to_stage
    sight = see_tip(rig.bench, affine)
    there = np.array(values.origin_um) + np.array(values.matrix) @ np.array(sight.pose_um)
    at_px = np.array((sight.tip.x_px, sight.tip.y_px))
    seen = affine.matrix_um_per_px @ (at_px - affine.centre_px)
    away_um = float(np.linalg.norm(seen - there))
    fine = away_um <= MAX_DRIFT_UM
    why = "" if fine else "the pipette has slipped or was changed; calibrate it again"
    return Outcome(
        procedure, away_um, values.residual_um, values.residual_um, "um", None,
        {"why": why, "drift_um": (seen - there).tolist()}, fine,
    )  # fmt: skip


def _stage(rig: RigBench, show: Show) -> Outcome:
    found = follow(calibrate_stage(rig.bench), show)
    camera = rig.bench.camera
    (a, b), (c, d) = found.matrix_um_per_px.tolist()
    values = ImageValues(
        matrix_um_per_px=((a, b), (c, d)),
        centre_px=((camera.width_px - 1) / 2, (camera.height_px - 1) / 2),
        residual_um=found.residual_um,
        backlash_um=found.backlash_um,
        repeatability_um=found.repeatability_um,
        uncertainty_um_per_px=found.um_per_px_sd,
    )
    details = {
        "matrix_um_per_px": found.matrix_um_per_px.tolist(),
        "rotation_deg": found.rotation_deg,
        "shear_deg": found.shear_deg,
        "mirrored": found.mirrored,
        "backlash_um": list(found.backlash_um),
        "repeatability_um": found.repeatability_um,
        "drift_um_s": list(found.drift_um_s),
        "moves_used": int(found.used.sum()),
        "moves": len(found.used),
    }
    return Outcome(
        "stage", found.um_per_px, found.um_per_px_sd, found.residual_um, "um/px", values, details,
        picture=picture_of_star(found),
    )  # fmt: skip


def _pipette(rig: RigBench, show: Show) -> Outcome:
    if rig.record is None:
        raise CalibrationError("calibrate the stage first: run 'sfcscope calibrate stage'")
    found = follow(calibrate_pipette(rig.bench, rig.record.image_to_stage), show)
    (a, b, c), (d, e, f) = found.matrix.tolist()
    values = PipetteValues(
        matrix=((a, b, c), (d, e, f)),
        origin_um=(float(found.origin_um[0]), float(found.origin_um[1])),
        residual_um=found.residual_um,
        direction_deg=found.direction_deg,
        reference_um=found.reference_um,
        focus_z_um=found.focus_z_um if np.isfinite(found.focus_z_um) else None,
        focus_uncertainty_um=found.focus_sd_um if np.isfinite(found.focus_sd_um) else None,
    )
    scale = float(np.sqrt(abs(np.linalg.det(found.matrix[:, :2]))))
    details = {
        "matrix": found.matrix.tolist(), "origin_um": found.origin_um.tolist(),
        "focus_z_um": values.focus_z_um, "focus_uncertainty_um": values.focus_uncertainty_um,
        "direction_deg": found.direction_deg,
    }  # fmt: skip
    return Outcome(
        "pipette", scale, found.residual_um / rig.bench.field_um, found.residual_um,
        "um in the picture per um of the manipulator", values, details,
        picture=picture_of_tips(found),
    )  # fmt: skip
