"""Rows of sperm.csv: motility, shape, verdict and place of every sperm of a recording. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.records.export import Column
from models.measure.drift import Drift, find_drift
from models.measure.motility import COLUMNS as MOTILITY
from models.measure.motility import OK, RATIOS, Motility, measure_path, vcl_of_jitter
from models.measure.profile import CriteriaProfile
from models.measure.reasons import reasons, sentence
from models.measure.shape_record import COLUMNS as SHAPE
from models.measure.shape_record import Shape, ShapeRecord
from models.measure.verdict import GRADES, Verdicts, judge, places
from models.types import Float64

# Relative standard uncertainty of speeds and ratios over a track, from specimens.
_SPEED_SD = 0.05
_RATIO_SD = 0.03
# Of a path that was measured, ratios are not known only then.
_AT_REST = "it hardly moves"
# The angle of the paper's rectangle to the picture, which is no bend of the neck.
_IMAGE_ANGLE = "head_image_angle_deg"
_UNITS = ("_um_s", "_um2", "_um", "_deg", "_hz")


@dataclass(frozen=True, slots=True)
class SpermPath:
    """One track of a finished recording.

    Attributes
    ----------
    track_id, first_frame, frames : int
    time_s : (N,) float64
    raw_um : (N, 2) float64
        Associated positions, NaN where there is none.
    """

    track_id: int
    first_frame: int
    frames: int
    time_s: Float64
    raw_um: Float64


@dataclass(frozen=True, slots=True)
class SpermTable:
    """Columns of sperm.csv, what was found of the medium's flow, and the frame rate (Hz)."""

    columns: dict[str, Column]
    drift: Drift
    frame_rate_hz: float


def sperm_table(
    paths: Sequence[SpermPath], shapes: ShapeRecord | None, profile: CriteriaProfile
) -> SpermTable:
    """Measure and judge every sperm.

    Parameters
    ----------
    paths : sequence of SpermPath
    shapes : ShapeRecord or None
        None where the detector does not segment: no head or tail is known.
    profile : CriteriaProfile
    """
    drift = find_drift([(path.time_s, path.raw_um) for path in paths])
    if not paths:
        return SpermTable({}, drift, math.nan)
    motility = [measure_path(p.time_s, drift.without(p.time_s, p.raw_um)) for p in paths]
    none = ShapeRecord(1.0)
    shape = [(shapes or none).shape(path.track_id) for path in paths]
    values = {name: np.array([m.values[name] for m in motility]) for name in MOTILITY}
    values |= {name: np.array([s.values[k] for s in shape]) for k, name in enumerate(SHAPE)}
    rate_hz = np.array([m.frame_rate_hz for m in motility])
    values["swing"] = np.array([m.swing for m in motility])
    values["vcl_noise_um_s"] = np.array([vcl_of_jitter(rate) for rate in rate_hz])
    spread = {name: _SPEED_SD * values[name] for name in MOTILITY if name not in RATIOS}
    spread |= {name: np.full(len(paths), _RATIO_SD) for name in RATIOS}
    spread |= {name: np.array([s.uncertainty[k] for s in shape]) for k, name in enumerate(SHAPE)}
    unknown = np.full(len(paths), np.nan)
    values[_IMAGE_ANGLE], spread[_IMAGE_ANGLE] = unknown, unknown
    if profile.estimators == "paper":
        for told in (values, spread):
            told[_IMAGE_ANGLE], told["head_angle_deg"] = told["head_angle_deg"], unknown
    verdicts = judge(values, profile, spread)
    place = places(verdicts.score)
    words = [
        _reasons(k, motility[k], shape[k], values, spread, verdicts, profile)
        for k in range(len(paths))
    ]
    columns: dict[str, Column] = {
        "track_id": [p.track_id for p in paths],
        "first_frame": [p.first_frame for p in paths],
        "frames": [p.frames for p in paths],
        "duration_s": [float(p.time_s[-1] - p.time_s[0]) for p in paths],
        "quality": [
            m.quality if m.quality != OK or shapes is None else s.why_not or OK
            for m, s in zip(motility, shape, strict=True)
        ],
        **{name: values[name] for name in (*SHAPE, *MOTILITY)},
        "grade": [GRADES[grade] for grade in verdicts.grade],
        "morphology_normal": _flags(verdicts.morphology_normal),
        "motility_normal": _flags(verdicts.motility_normal),
        "healthy": _flags(verdicts.healthy),
        "score": verdicts.score, "rank": _flags(place), "reasons": words,
        "motility_frames": [m.frames for m in motility],
        "motility_duration_s": [m.duration_s for m in motility],
        "frame_rate_hz": rate_hz,
        **{
            name: [None if shapes is None else int(s.frames[k]) for s in shape]
            for name, k in (("head_frames", 0), ("head_angle_frames", 4), ("tail_frames", 5))
        },
        "tail_quality": [s.tail_why_not or OK for s in shape],
        _IMAGE_ANGLE: values[_IMAGE_ANGLE],
        **{
            sd_name(name): np.where(np.isfinite(values[name]), spread[name], np.nan)
            for name in (*SHAPE, _IMAGE_ANGLE, *MOTILITY)
        },
        "score_sd": verdicts.score_sd,
    }  # fmt: skip
    known_hz = rate_hz[np.isfinite(rate_hz)]
    return SpermTable(columns, drift, float(np.median(known_hz)) if len(known_hz) else math.nan)


def sd_name(measure: str) -> str:
    """Name the column of a measure's standard uncertainty: its unit stays the last word."""
    unit = next((one for one in _UNITS if measure.endswith(one)), "")
    return f"{measure.removesuffix(unit)}_sd{unit}"


def _flags(column: Float64) -> list[int | None]:
    """Whole numbers; what is unknown is empty."""
    return [None if math.isnan(one) else int(one) for one in column.tolist()]


def _why_not(motility: Motility, shape: Shape) -> dict[str, str]:
    """Say why what is not known of a sperm is not known."""
    unmeasured = "" if motility.quality == OK else motility.quality
    return {
        **dict.fromkeys(SHAPE, shape.why_not), "tail_length_um": shape.tail_why_not,
        **dict.fromkeys(MOTILITY, unmeasured), **dict.fromkeys(RATIOS, unmeasured or _AT_REST),
    }  # fmt: skip


def _reasons(
    row: int,
    motility: Motility,
    shape: Shape,
    values: dict[str, Float64],
    spread: dict[str, Float64],
    verdicts: Verdicts,
    profile: CriteriaProfile,
) -> str:
    frames = {name: int(shape.frames[k]) for k, name in enumerate(SHAPE)}
    frames |= dict.fromkeys(MOTILITY, motility.frames)
    merits: dict[str, float] = {
        t.measure: float(m[row]) for t, m in zip(profile.term, verdicts.merit, strict=True)
    }
    found = reasons(
        {name: float(column[row]) for name, column in values.items()},
        merits,
        profile,
        {name: float(column[row]) for name, column in spread.items()},
        frames,
        dict.fromkeys(MOTILITY, motility.duration_s),
        _why_not(motility, shape),
        carried=bool(verdicts.carried[row]),
    )
    return sentence(found, profile, motility.frame_rate_hz)
