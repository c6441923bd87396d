"""What the calibration window says: of each procedure, of what is in force, and of a new result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date as Date
from typing import Final

import numpy as np

from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_run import OF_A_SLIDE
from calibration.beads import MAX_SCATTER, MIN_BEADS
from calibration.store import CalibrationRecord
from calibration.values import ImageValues, LatencyValues, PipetteValues, PixelValues

_SOURCES: Final = {"pixel": "Pixel size", "stage": "The stage's"}
NEVER: Final = "never done"
ORDER: Final = (
    "On a new rig: Pixel size, Stage, Delays, and then Check.\n\n"
    "With a slide of known size: Check: ruling or Check: beads; nothing moves.\n\n"
    "With a pipette: Pipette, Touch-down; and Drift whenever it has been touched.\n\n"
    "What is marked ! has to be done before anything can be armed."
)


@dataclass(frozen=True, slots=True)
class Guide:
    """A procedure, as it is offered.

    Attributes
    ----------
    key : str
        Of app.runtime.calibration_run.PROCEDURES.
    title : str
    what : str
        What it measures, and by what.
    needs : str
        What lies under the objective.
    seconds : int
        About, once it is started.
    moves : str
        What moves while it runs; empty where nothing does.
    after : str
        Key of what has to be done before; empty where nothing has. For 'pixel' the stage's map
        does as well: either gives the size of a pixel.
    """

    key: str
    title: str
    what: str
    needs: str
    seconds: int
    moves: str = ""
    after: str = ""


GUIDES: Final = (
    Guide("pixel", "Pixel size", "The size of a pixel, from the ticks of a stage micrometer",
          "a stage micrometer", 5),
    Guide("stage", "Stage", "The map from picture to stage, with backlash; drives a star",
          "a specimen or a textured slide", 40, "The stage moves"),
    Guide("latency", "Delays", "Of pictures and of commands; the stage swings, always onward",
          "a specimen or a textured slide", 15, "The stage moves", "stage"),
    Guide("check", "Check", "Whether the calibration still holds; drives a square twice",
          "a specimen or a textured slide", 10, "The stage moves", "stage"),
    Guide("check-ruling", "Check: ruling", "Whether the pixel size holds, by a stage micrometer",
          "a stage micrometer", 5, "", "pixel"),
    Guide("check-beads", "Check: beads", "Whether the pixel size holds, by beads of known size",
          "latex beads of one size", 5, "", "pixel"),
    Guide("pipette", "Pipette", "The map from manipulator to picture; moves the tip",
          "the pipette, its tip in the middle of the view", 40, "The pipette moves", "stage"),
    Guide("touch-down", "Touch-down", "The height of the dish, which you teach with the tip",
          "the pipette, its tip above the dish", 5, "", "pipette"),
    Guide("drift", "Drift", "Whether the tip is still where the calibration says",
          "the pipette, its tip in view", 5, "", "pipette"),
)  # fmt: skip
GUIDE_OF: Final = {guide.key: guide for guide in GUIDES}


@dataclass(frozen=True, slots=True)
class Line:
    """One number of a result beside the one in force."""

    name: str
    new: str
    old: str = ""


def standing(record: CalibrationRecord | None, key: str) -> str:
    """Say what is in force of a procedure, since when, and by whom."""
    if record is None:
        return NEVER
    if key == "check":
        until = record.valid_until
        return "by construction" if until is None else f"calibration valid until {until}"
    if key in OF_A_SLIDE:
        return _accepted(record)
    section: PixelValues | ImageValues | LatencyValues | PipetteValues | None = {
        "pixel": record.pixel, "stage": record.image, "latency": record.latency,
    }.get(key, record.pipette)  # fmt: skip
    if section is None:
        return NEVER
    if record.origin == "construction":
        return f"{_value(section, key)}, by construction"
    done, who = section.measured or record.date, section.operator or record.operator
    return f"{_value(section, key)}, {done} by {who}".removeprefix(", ")


def missing(record: CalibrationRecord | None, guide: Guide) -> str:
    """Say what has to be done before a procedure; empty when it can be begun."""
    done = {
        "": True,
        "pixel": record is not None and (record.pixel or record.image) is not None,
        "stage": record is not None and record.image is not None,
        "pipette": record is not None and record.pipette is not None,
    }[guide.after]
    return "" if done else f"after: {GUIDE_OF[guide.after].title}"


def is_due(record: CalibrationRecord | None, key: str, today: Date) -> bool:
    """Whether a procedure has to be done before anything can be armed."""
    if key not in ("stage", "latency"):
        return False
    if record is None or (record.image if key == "stage" else record.latency) is None:
        return True
    return record.valid_until is not None and today > record.valid_until


def comparison(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    """Set what was measured beside what is in force."""
    make = {
        "pixel": _pixel, "stage": _stage, "latency": _latency, "pipette": _pipette,
        "touch-down": _touch_down, "check": _check, "drift": _drift,
        "check-ruling": _check_ruling, "check-beads": _check_beads,
    }[outcome.procedure]  # fmt: skip
    return make(outcome, record)


def verdict(outcome: Outcome) -> str:
    """Say in one sentence whether it went well."""
    if outcome.ok:
        return "Passed" if outcome.section is None else "Measured; look at it before you accept"
    return f"Failed: {outcome.details.get('why', '')}"


def _value(section: PixelValues | ImageValues | LatencyValues | PipetteValues, key: str) -> str:
    if isinstance(section, PixelValues):
        return f"{section.um_per_px:.4f} µm/px"
    if isinstance(section, ImageValues):
        return f"{_scale(section):.4f} µm/px"
    if isinstance(section, LatencyValues):
        return f"{1e3 * (section.exposure_to_host_s + section.command_to_motion_s):.0f} ms"
    if key == "touch-down":
        z_um = section.touch_down_z_um
        return "not taught" if z_um is None else f"z {z_um:.1f} µm"
    return "reference" if key == "drift" else f"residual {section.residual_um:.2f} µm"


def _accepted(record: CalibrationRecord) -> str:
    """Say what a slide would be held against; empty where no pixel size has been accepted."""
    sizes = [] if record.pixel is None else [record.pixel.um_per_px]
    sizes += [] if record.image is None else [_scale(record.image)]
    told = " and ".join(dict.fromkeys(f"{size:.4f}" for size in sizes))
    return f"against {told} µm/px" if told else ""


def _scale(section: ImageValues) -> float:
    return math.sqrt(abs(float(np.linalg.det(np.array(section.matrix_um_per_px)))))


def _pixel(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    old = None if record is None else record.pixel
    by_hand = outcome.details.get("method") == "by hand"
    lines = [
        Line("Size of a pixel, µm", _with_sd(outcome.value, outcome.uncertainty, 5),
             "" if old is None else _with_sd(old.um_per_px, old.uncertainty_um_per_px, 5)),
        Line("Ticks off an even ruling, rms",
             f"{outcome.residual_um:.3f} µm" if not by_hand else "by hand: two points",
             "" if old is None else f"{old.residual_um:.3f} µm"),
        Line("Ticks used", str(outcome.details.get("ticks", ""))),
    ]  # fmt: skip
    if old is not None:
        lines.append(Line("Against the old one", _change(outcome.value / old.um_per_px)))
    if record is not None and record.image is not None:
        lines.append(
            Line("Against the stage", _change(outcome.value / _scale(record.image)), "≤ 2 %")
        )
    return tuple(lines)


def _stage(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    old = None if record is None else record.image
    new = outcome.section
    told = outcome.details
    play = [float(v) for v in _listed(told.get("backlash_um"))]
    lines = [
        Line("Scale, µm/px", _with_sd(outcome.value, outcome.uncertainty, 5),
             "" if old is None else _with_sd(_scale(old), old.uncertainty_um_per_px, 5)),
        Line("Residual, rms", f"{outcome.residual_um:.3f} µm",
             "" if old is None else f"{old.residual_um:.3f} µm"),
        Line("Backlash x, y", ", ".join(f"{v:.2f}" for v in play) + " µm",
             "" if old is None or old.backlash_um is None
             else ", ".join(f"{v:.2f}" for v in old.backlash_um) + " µm"),
        Line("Repeatability", f"{_number(told, 'repeatability_um'):.3f} µm",
             "" if old is None or old.repeatability_um is None
             else f"{old.repeatability_um:.3f} µm"),
        Line("Camera turned by", f"{round(_number(told, 'rotation_deg'), 2) + 0.0:.2f}°"
             + (", mirrored" if told.get("mirrored") else "")),
        Line("Moves used", f"{told.get('moves_used')} of {told.get('moves')}"),
    ]  # fmt: skip
    if old is not None and isinstance(new, ImageValues):
        change = np.array(new.matrix_um_per_px) - np.array(old.matrix_um_per_px)
        corner_um = float(np.hypot(*(change @ np.array(new.centre_px))))
        lines.append(Line("The picture's corner moves by", f"{corner_um:.2f} µm"))
    return tuple(lines)


def _latency(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    old, new = None if record is None else record.latency, outcome.section
    if not isinstance(new, LatencyValues):
        return ()
    split = _number(outcome.details, "split_uncertainty")
    return (
        Line("Sum of both delays, ms",
             _with_sd(1e3 * outcome.value, 1e3 * outcome.uncertainty, 1),
             "" if old is None
             else f"{1e3 * (old.exposure_to_host_s + old.command_to_motion_s):.1f}"),
        Line("Command to motion, ms", _with_sd(1e3 * new.command_to_motion_s, 1e3 * split, 1),
             "" if old is None else _with_sd(
                 1e3 * old.command_to_motion_s, 1e3 * old.residual_s, 1)),
        Line("Exposure to host, ms", _with_sd(1e3 * new.exposure_to_host_s, 1e3 * split, 1),
             "" if old is None else _with_sd(
                 1e3 * old.exposure_to_host_s, 1e3 * old.residual_s, 1)),
        Line("Picture off the fit, rms", f"{outcome.residual_um:.3f} µm"),
    )  # fmt: skip


def _pipette(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    old, new = None if record is None else record.pipette, outcome.section
    if not isinstance(new, PipetteValues):
        return ()
    return (
        Line("Residual, rms", f"{new.residual_um:.3f} µm",
             "" if old is None else f"{old.residual_um:.3f} µm"),
        Line("Picture per manipulator", _with_sd(outcome.value, outcome.uncertainty, 4)),
        Line("Shaft comes from", f"{new.direction_deg:.1f}°",
             "" if old is None else f"{old.direction_deg:.1f}°"),
        Line("Height of focus", _focus(new), "" if old is None else _focus(old)),
        Line("Height of the dish", _height(new.touch_down_z_um, "teach it again"),
             "" if old is None else _height(old.touch_down_z_um, "not taught")),
    )  # fmt: skip


def _touch_down(outcome: Outcome, record: CalibrationRecord | None) -> tuple[Line, ...]:
    old = None if record is None or record.pipette is None else record.pipette.touch_down_z_um
    return (Line("Height of the dish", _height(outcome.value), _height(old, "not taught")),)


def _check(outcome: Outcome, _: CalibrationRecord | None) -> tuple[Line, ...]:
    return (
        Line("Off where it should be, rms", f"{outcome.residual_um:.2f} µm", "≤ 1.0 µm"),
        Line("Seen over driven", f"{outcome.value:.4f}", "1 ± 0.01"),
    )


def _check_ruling(outcome: Outcome, _: CalibrationRecord | None) -> tuple[Line, ...]:
    told = outcome.details
    seen = _number(told, "um_per_px")
    return (
        Line("Size of a pixel by this picture, µm",
             _with_sd(seen, seen * outcome.uncertainty / outcome.value, 5)),
        *_against(outcome),
        Line("Ticks off an even ruling, rms", f"{outcome.residual_um:.3f} µm"),
        Line("Ticks used", str(told.get("ticks", ""))),
    )  # fmt: skip


def _check_beads(outcome: Outcome, _: CalibrationRecord | None) -> tuple[Line, ...]:
    told = outcome.details
    median, nominal = _number(told, "median_um"), _number(told, "bead_um")
    allowed = nominal * _number(told, "tolerance")
    return (
        Line("Diameter of the beads",
             _with_sd(median, median * outcome.uncertainty / outcome.value, 2) + " µm",
             f"{nominal:g} ± {allowed:.2g} µm"),
        *_against(outcome),
        Line("Scatter of their diameters, sd", f"{_number(told, 'scatter_um'):.2f} µm",
             f"≤ {MAX_SCATTER * median:.1f} µm"),
        Line("Beads used", str(told.get("beads", "")), f"≥ {MIN_BEADS}"),
    )  # fmt: skip


def _against(outcome: Outcome) -> list[Line]:
    """Give a line for each pixel size in force: how much too large it is by the picture."""
    ratios, sizes = outcome.details.get("ratios"), outcome.details.get("accepted_um_per_px")
    if not isinstance(ratios, dict) or not isinstance(sizes, dict):
        return []
    allowed = f"± {100 * _number(outcome.details, 'tolerance'):g} %"
    return [
        Line(f"{_SOURCES[name]}, {sizes[name]:.5f} µm/px, is off by", _change(ratio), allowed)
        for name, ratio in ratios.items()
    ]


def _drift(outcome: Outcome, _: CalibrationRecord | None) -> tuple[Line, ...]:
    return (Line("Tip off its place", f"{outcome.value:.1f} µm", "≤ 5 µm"),)


def _with_sd(value: float, sd: float | None, decimals: int) -> str:
    spread = "" if sd is None else f" ± {sd:.{decimals}f}"
    return f"{value:.{decimals}f}{spread}"


def _change(ratio: float) -> str:
    return f"{round(100 * (ratio - 1), 2) + 0.0:+.2f} %"


def _height(z_um: float | None, unknown: str = "not found") -> str:
    return unknown if z_um is None else f"z {z_um:.1f} µm"


def _focus(values: PipetteValues) -> str:
    height_um, sd_um = values.focus_z_um, values.focus_uncertainty_um
    if height_um is None or sd_um is None:
        return _height(height_um, "not found: focus higher")
    return f"z {height_um:.1f} ± {sd_um:.1f} µm"


def _listed(value: object) -> list[float]:
    return [float(v) for v in value] if isinstance(value, list) else []


def _number(details: dict[str, object], name: str) -> float:
    value = details.get(name)
    return float(value) if isinstance(value, int | float) else math.nan
