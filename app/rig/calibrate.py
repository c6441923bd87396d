"""The verb ``calibrate``: from a rig file, or a picture, to a result that a person accepts."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from app.config import NOMINAL, RigConfig
from app.rig.build import set_up_of
from app.rig.calibration_bench import calibration_bench
from app.rig.calibration_picture import PictureRequest, outcome_of_picture, require_provenance
from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_picture import write_picture
from app.runtime.calibration_run import accept, measure
from calibration.errors import CalibrationError
from calibration.procedure import Instruction, Progress
from calibration.store import CalibrationRecord, load_calibration

WITH_PICTURE = ("pixel", "stage", "latency", "check-ruling", "check-beads", "pipette")
CHECKS = ("check", "check-ruling", "check-beads", "drift")


def calibrate(
    config: RigConfig,
    procedure: str,
    *,
    image: Path | None = None,
    division_um: float = 10.0,
    line_px: tuple[float, float, float, float] | None = None,
    length_um: float | None = None,
    bead_um: float | None = None,
    rig_named: bool = True,
    objective: float | None = None,
    camera_pixel_um: float | None = None,
    operator: str = "",
    out: Path | None = None,
    picture: Path | None = None,
    ask: bool = False,
) -> dict[str, object]:
    """Run a procedure; save its result where an operator stands for it.

    Parameters
    ----------
    config : the rig
    procedure : of app.runtime.calibration_run.PROCEDURES
    image : picture of a micrometer, instead of the camera's ('pixel'), or of one or of beads to
        hold against what was accepted ('check')
    division_um : of the micrometer
    line_px, length_um : x0, y0, x1, y1 in ``image``, and what that line measures: the manual way
    bead_um : nominal diameter of the beads before the camera ('check-beads') or in ``image``
    rig_named : whether a person said which rig a picture was taken with: without that its pixel
        size is checked against nothing, and nothing is kept
    objective, camera_pixel_um : magnification, and the camera's pixel (times the binning), of a
        picture that comes from another rig: what its pixel size is checked against
    operator : who accepts the result; empty only shows it
    out : calibration file, instead of the rig's own
    picture : file for a picture of what was detected
    ask : whether a person at the keyboard confirms each instruction, and accepts or repeats

    Returns
    -------
    dict
        procedure, value, unit, uncertainty, residual, valid_until, saved, ok and details.

    Raises
    ------
    CalibrationError, DeviceError
        One line; nothing has been saved then.
    """
    show = _asking if ask else _telling
    if image is not None:
        asked = PictureRequest(
            image, division_um, line_px, length_um, bead_um, rig_named, objective, camera_pixel_um
        )
        require_provenance(asked, procedure, bool(operator))
        _require_places(config, procedure, bool(operator), out, picture, image=True)
        # No instrument is needed for what a picture says.
        outcome, path, record = outcome_of_picture(config, procedure, asked, out)
        if not operator:
            return _result(outcome, None, None, picture)
        return _keep(outcome, config, path, record, operator, out, picture)
    _require_places(config, procedure, bool(operator), out, picture)
    if line_px is not None:
        raise CalibrationError("a line by hand (--line) is in a picture; name it with --image")
    _require_bead(procedure, bead_um)
    if objective is not None or camera_pixel_um is not None:
        raise CalibrationError(
            "--objective and --camera-pixel are for a picture (--image); the rig file names those "
            "of a rig"
        )
    with calibration_bench(config, procedure) as rig:
        if out is not None and out.exists():
            rig = replace(rig, path=out, record=load_calibration(out))
        outcome = measure(rig, procedure, division_um, show, bead_um)
        while ask and operator and not _accepted(outcome):
            outcome = measure(rig, procedure, division_um, show, bead_um)
        path, record = rig.path, rig.record
    if not operator:
        return _result(outcome, record if outcome.section is None else None, None, picture)
    return _keep(outcome, config, path, record, operator, out, picture)


def _require_bead(procedure: str, bead_um: float | None) -> None:
    """Refuse beads without their size, and a size without beads."""
    if procedure == "check-beads" and bead_um is None:
        raise CalibrationError("state the diameter of the beads: --bead 10 for 10 um")
    if procedure != "check-beads" and bead_um is not None:
        raise CalibrationError(
            "--bead is for 'calibrate check-beads', and for 'calibrate check' with a picture named "
            "with --image"
        )


def _require_places(
    config: RigConfig,
    procedure: str,
    operator: bool,
    out: Path | None,
    picture: Path | None,
    *,
    image: bool = False,
) -> None:
    """Refuse, before anything moves, a result that could not be kept afterwards."""
    if picture is not None and not image and procedure not in WITH_PICTURE:
        raise CalibrationError(f"there is no picture of what '{procedure}' finds; omit --picture")
    if operator and out is None and config.calibration == NOMINAL:
        raise CalibrationError(
            "the rig file names no calibration file to save to; name one with --out, and then in "
            "the rig file"
        )
    if picture is not None and not picture.absolute().parent.is_dir():
        raise CalibrationError(f"{picture}: there is no folder {picture.parent}; make it first")
    target = out if out is not None else Path(config.calibration)
    if not operator:
        return
    if target.is_dir():
        raise CalibrationError(f"{target} is a folder; name a calibration file in it")
    if procedure in CHECKS and not target.exists():
        raise CalibrationError(
            f"{target}: there is no such calibration to be checked; calibrate pixel or stage first"
        )
    nearest = next(folder for folder in target.absolute().parents if folder.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise CalibrationError(f"{target}: {nearest} cannot be written to; name another place")


def _keep(
    outcome: Outcome,
    config: RigConfig,
    path: Path | None,
    record: CalibrationRecord | None,
    operator: str,
    out: Path | None,
    picture: Path | None,
) -> dict[str, object]:
    target = out or path
    if target is None:
        raise CalibrationError("there is no calibration file to save to; name one with --out")
    if out is not None and out != path:
        record = load_calibration(out) if out.exists() else None
    kept = accept(outcome, set_up_of(config, config.objective), record, target, operator)
    return _result(outcome, kept, target, picture)


def _result(
    outcome: Outcome, record: CalibrationRecord | None, saved: Path | None, picture: Path | None
) -> dict[str, object]:
    if picture is not None:
        if outcome.picture is None:
            raise CalibrationError(f"there is no picture of what '{outcome.procedure}' found")
        write_picture(outcome.picture, picture)
    until = None if record is None else record.valid_until
    return {
        "ok": outcome.ok,
        "procedure": outcome.procedure,
        "value": outcome.value,
        "unit": outcome.unit,
        "uncertainty": outcome.uncertainty,
        "residual": outcome.residual_um,
        "valid_until": None if until is None else until.isoformat(),
        "saved": None if saved is None else str(saved),
        **outcome.details,
    }


def _telling(step: Instruction | Progress) -> None:
    if isinstance(step, Instruction):
        print(step.text, file=sys.stderr)


def _asking(step: Instruction | Progress) -> None:
    if isinstance(step, Instruction):
        print(f"{step.text}\nEnter goes on, Ctrl-C cancels. ", end="", file=sys.stderr, flush=True)
        if not sys.stdin.readline():
            raise KeyboardInterrupt
    else:
        print(f"\r{100 * step.done:3.0f} % {step.text:40}", end="", file=sys.stderr, flush=True)


def _accepted(outcome: Outcome) -> bool:
    """Show a result at the keyboard; False to measure again. Raises KeyboardInterrupt for no."""
    verdict = "" if outcome.ok else f"FAILED: {outcome.details.get('why', '')}\n"
    print(
        f"\n{verdict}{outcome.procedure}: {outcome.value:.5g} {outcome.unit}, uncertainty "
        f"{outcome.uncertainty:.2g}, residual {outcome.residual_um:.3f} um\n"
        "Enter keeps it, r measures again, n or Ctrl-C leaves everything as it was. ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    answer = sys.stdin.readline()
    if not answer or answer.strip().lower() not in ("", "r", "y", "yes"):
        print("Nothing was saved.", file=sys.stderr)
        raise KeyboardInterrupt
    return answer.strip().lower() != "r"
