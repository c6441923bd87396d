"""All that is known of one sperm, in words and numbers: what a person relies on. No widget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from app.core.messages import Snapshot
from app.core.selection import name_of
from app.ui.loop import RigView
from app.ui.pick import row_of
from app.ui.theme import CLASS_WORDS
from app.ui.track_rows import HIDDEN, UNKNOWN, value_of
from app.ui.verdict_words import Finding, findings, micro
from models.measure.motility import OK
from models.measure.reasons import NAMES
from models.types import SpermClass, TrackState

SHAPE: Final = (
    "head_length_um", "head_width_um", "head_area_um2", "head_ellipticity", "head_angle_deg",
    "tail_length_um",
)  # fmt: skip
MOTION: Final = (
    "vap_um_s", "vsl_um_s", "vcl_um_s", "lin", "str", "wob", "alh_um", "bcf_hz", "mad_deg",
)  # fmt: skip
WEAKEST: Final = 2
"""So many terms that are within their limits are told, the least good first."""
VERDICTS: Final = {1.0: "healthy", 0.0: "not healthy"}
MOTION_NAMES: Final = frozenset(NAMES[measure][0] for measure in MOTION)


@dataclass(frozen=True, slots=True)
class Portrait:
    """What the panel says.

    Attributes
    ----------
    title, score, verdict : str
    why : tuple of str
        A line each, worst first.
    shape, motion : str
        What the numbers rest on, or why there are none.
    numbers : dict of str to str
        By column of sperm.csv.
    """

    title: str
    score: str
    verdict: str
    why: tuple[str, ...]
    shape: str
    motion: str
    numbers: dict[str, str]


def portray(snapshot: Snapshot, track_id: int, rig: RigView) -> Portrait | None:
    """Say all that is known of a track; None when it is out of sight."""
    row = row_of(snapshot, track_id)
    if row is None:
        return None
    tracks, measured = snapshot.tracks, snapshot.measurements
    at = next((k for k, t in enumerate(measured.track_id) if t == track_id), None)
    known = at is not None and at < len(measured.quality)
    quality = measured.quality[at] if at is not None and known else "not measured"
    found = findings(measured.reasons[at] if at is not None and measured.reasons else ())
    grade = measured.grade[at] if at is not None and measured.grade and quality == OK else ""
    label = int(tracks.label[row])
    words = [name_of(tracks, row), CLASS_WORDS[label]]
    if tracks.state[row] == TrackState.COASTING:
        words.append(HIDDEN)
    score, spread = value_of(measured, "score", at), value_of(measured, "score_sd", at)
    healthy = value_of(measured, "healthy", at)
    told = f"{100 * score:.0f}" if math.isfinite(score) else UNKNOWN
    if math.isfinite(score) and math.isfinite(spread):
        told += f" ± {100 * spread:.0f}"
    verdict = VERDICTS.get(value_of(measured, "healthy", at), "not assessed yet")
    why = _why(found, disputed=healthy == 1.0 and label == SpermClass.ABNORMAL)
    if quality != OK:
        why = (f"! {quality}: no speeds yet", *why)
    if not rig.calibrated:
        told, verdict = UNKNOWN, "not assessed"
        why = ("! no calibration: limits in micrometres cannot be applied",)
    if rig.criteria.not_assessed:
        why = (*why, "not assessed: " + ", ".join(rig.criteria.not_assessed))
    return Portrait(
        title="  ".join(word for word in words if word not in ("", UNKNOWN)),
        score=f"Score {told}",
        verdict=verdict,
        why=why,
        shape=_shape(found, value_of(measured, "frames", at)),
        motion=_motion(quality, grade),
        numbers={
            name: number(name, value_of(measured, name, at), rig) for name in (*SHAPE, *MOTION)
        },
    )


def number(measure: str, value: float, rig: RigView) -> str:
    """Write a value with its unit; in pixels where there is no calibration."""
    if not math.isfinite(value):
        return UNKNOWN
    _, unit, decimals = NAMES[measure]
    if not rig.calibrated and "um" in unit:
        value /= rig.image_to_stage.um_per_px ** (2 if unit == "um2" else 1)
        unit = unit.replace("um2", "px²").replace("um", "px")
    joint = "" if unit == "deg" else " "
    return f"{value:.{decimals}f}{joint}{micro(unit).replace('deg', '°')}".rstrip()


def _why(found: tuple[Finding, ...], *, disputed: bool) -> tuple[str, ...]:
    """Sort reasons into what speaks against it, what is weakest, and what is not known."""
    lines = ["! the network calls it abnormal: look yourself"] if disputed else []
    whole = ("head", "carried")  # sentences, not the names of measures
    lines += [f"! {one.text}" for one in found if one.name in whole and not one.known]
    wrong = [one for one in found if one.side]
    lines += [
        f"{'✖' if one.judges and one.side != 'at its limit' else '!'} {_told(one)}" for one in wrong
    ]
    fine = [one for one in found if one.known and not one.side]
    lines += [f"{_told(one)}, within its limits" for one in fine[: max(WEAKEST - len(wrong), 0)]]
    unknown = [one.name for one in found if not one.known and one.name not in whole]
    if unknown and len(unknown) < len(found):
        lines.append("not known: " + ", ".join(unknown))
    return tuple(lines)


def _told(one: Finding) -> str:
    """Write a finding; a verdict's speeds are means over seconds, not those of the last one."""
    return f"mean {one.text}" if one.name in MOTION_NAMES else one.text


def _shape(found: tuple[Finding, ...], heads: float) -> str:
    """Say how many good frames the shape rests on, or why there is none."""
    blind = next((one for one in found if one.name == "head" and not one.known), None)
    if blind is not None:
        return f"Shape: insufficient, {blind.short}"
    if not math.isfinite(heads):
        return "Shape: not assessed yet"
    parts = [f"head {heads:.0f}"]
    for one in found:
        if one.name in ("neck bend", "tail length") and one.frames:
            parts.append(f"{one.name.split()[1 if one.name == 'neck bend' else 0]} {one.frames}")
    return f"Shape, good frames: {', '.join(parts)}"


def _motion(quality: str, grade: str) -> str:
    """Say over how long the speeds were taken, or why there are none."""
    if quality != OK:
        return f"Motion: {quality}"
    return f"Motion, last second: {grade}" if grade else "Motion, last second"
