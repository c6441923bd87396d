"""Errors of what is measured with each method: morphometry (Fig. 6) and motility (Fig. 8)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.measure.motility import measure_path
from models.measure.shapes import Flag, measure_shapes
from models.measure.soft import planes_of
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth import Truth
from models.specimen.truth_tables import sperm_rows
from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.training.baselines.registry import SFCNET
from models.training.paper_layout import FIG_6, FIG_8, markdown
from models.training.specimen_threshold import specimen_threshold
from models.training.tables.cell import Cell, Cells, write_json
from models.training.tables.exam import MODALITIES
from models.types import Float64, UInt8

SHAPE_COLUMNS = {
    "head_area_um2": "head area", "head_length_um": "head length", "head_width_um": "head width",
    "head_ellipticity": "head ellipticity", "head_angle_deg": "head angle, deg",
    "tail_length_um": "tail length",
}  # fmt: skip
MOTION_COLUMNS = {
    "vsl_um_s": "VSL", "vcl_um_s": "VCL", "vap_um_s": "VAP", "alh_um": "ALH", "mad_deg": "MAD",
    "lin": "LIN", "wob": "WOB", "str": "STR",
}  # fmt: skip
_SHAPE_SEED, _FILM_SEED = 93_000, 94_000
_FILMS = 2
_FRAME_RATE_HZ = 30.0
_EXPOSURE_S = 0.008
# A track belongs to a sperm in the frames in which it is this near.
_NEAR_UM = 3.0
_LEAST_SHARE = 0.7
# Slower ones do not swim; an error relative to next to nothing says nothing.
_LEAST_VAP_UM_S = 5.0

Errors = dict[str, list[float]]
Scores = Mapping[str, object]
Say = Callable[[str], None]


def fig_6(cells: Cells, methods: Sequence[Cell], scores: Callable[[Cell], Scores], say: Say) -> str:
    """Set the errors of head and tail, with their standard error, of methods that segment."""
    rows: list[tuple[str, Sequence[str]]] = [_papers(FIG_6)]
    for cell in methods:
        scores(cell)

        def measure(cell: Cell = cell) -> Errors:
            return shape_errors(cells.detector(cell), cells.budget.exam_scenes // 2)

        errors = _cached(cells.folder / f"{cell.slug}-outlines.json", say, measure)
        rows.append((f"{cell.method}, here", [_with_error(errors[k]) for k in SHAPE_COLUMNS]))
    columns = tuple(SHAPE_COLUMNS.values())
    return "**Fig. 6: errors of morphometry, %**\n\n" + markdown(columns, rows)


def fig_8(cells: Cells, methods: Sequence[Cell], scores: Callable[[Cell], Scores], say: Say) -> str:
    """Set the errors of motility, with their standard error, of methods that detect."""
    rows: list[tuple[str, Sequence[str]]] = [_papers(FIG_8)]
    frames = cells.budget.film_frames
    for cell in methods:
        threshold = float(str(scores(cell)["score_threshold"] or 0.5))

        def measure(cell: Cell = cell, threshold: float = threshold) -> Errors:
            return motion_errors(cells.detector(cell), frames, threshold)

        errors = _cached(cells.folder / f"{cell.slug}-fig8.json", say, measure)
        rows.append((f"{cell.method}, here", [_with_error(errors[k]) for k in MOTION_COLUMNS]))

    def classical() -> Errors:
        return motion_errors(specimen_threshold(), frames, 0.5)

    errors = _cached(cells.folder / "thresholding-fig8.json", say, classical)
    rows.append(("thresholding, here", [_with_error(errors[k]) for k in MOTION_COLUMNS]))
    columns = tuple(MOTION_COLUMNS.values())
    return "**Fig. 8: errors of motility, %**\n\n" + markdown(columns, rows)


def _papers(figures: Sequence[float]) -> tuple[str, Sequence[str]]:
    return f"{SFCNET}, paper", [f"{value:g}" for value in figures]


def _cached(file: Path, say: Say, measure: Callable[[], Errors]) -> Errors:
    if not file.is_file():
        say(f"measuring {file.stem}")
        write_json(file, dict(measure()))
    errors: Errors = json.loads(file.read_text(encoding="utf-8"))
    return errors


def _with_error(errors: Sequence[float]) -> str:
    if not errors:
        return "-"
    spread = np.std(errors, ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else np.nan
    return f"{np.mean(errors):.1f} ± {spread:.1f} (n {len(errors)})"


def _seen(specimen: Specimen, time_s: float) -> tuple[UInt8, Truth]:
    image = specimen.render(time_s, _EXPOSURE_S, lambda times_s: np.zeros((len(times_s), 2)))
    return image, specimen.truth(time_s, np.zeros(2))


def shape_errors(detector: Detector, scenes: int) -> Errors:
    """Measure sperm in the outlines of a detector, at their true places, and compare.

    Relative errors in percent, of the head's angle in degrees. Only what the outlines let be
    measured counts: heads alone, tails that meet no other. Every second scene is in phase contrast.

    Outlines and not logits, as in the paper: logits of a network that was trained for minutes are
    so soft that nearly every head would be refused as out of focus.
    """
    errors: Errors = {name: [] for name in SHAPE_COLUMNS}
    for k in range(scenes):
        chosen = profile("exam", modality=MODALITIES[k % len(MODALITIES)])
        specimen = Specimen(chosen, _SHAPE_SEED + k)
        image, truth = _seen(specimen, 0.0)
        planes = planes_of(replace(detector.detect(image), logits=None))
        if planes is None:
            continue
        um = specimen.look.um_per_px
        rows = {row["track_id"]: row for row in sperm_rows(specimen, [truth], _FRAME_RATE_HZ)}
        shapes = measure_shapes(planes, truth.box_px, *image.shape)
        unit = np.array([um * um, um, um, 1.0, 1.0, um])
        for values, flags, sperm, asked in zip(
            shapes.values * unit, shapes.flags, truth.sperm_id, truth.visible & truth.whole,
            strict=True,
        ):  # fmt: skip
            if not asked or flags & (Flag.BORDER | Flag.OVERLAP | Flag.BLURRED):
                continue
            for column, found in zip(SHAPE_COLUMNS, values, strict=True):
                true = rows[int(sperm)][column]
                tail = column in ("head_angle_deg", "tail_length_um")
                if not np.isfinite(found) or true == "" or (tail and flags):
                    continue
                if column == "head_angle_deg":
                    errors[column].append(abs(abs(float(found)) - float(str(true))))
                elif float(str(true)) > 0:
                    errors[column].append(100 * abs(float(found) / float(str(true)) - 1))
    return errors


def motion_errors(detector: Detector, frames: int, score: float) -> Errors:
    """Follow sperm through films with the heads that a detector finds, and compare their motion.

    Relative errors in percent, over the frames in which a track lies on its sperm.
    """
    errors: Errors = {name: [] for name in MOTION_COLUMNS}
    for k in range(_FILMS):
        true, found = _paths(Specimen(profile("exam"), _FILM_SEED + k), detector, frames, score)
        for path in true.values():
            for mine, other in _pairs(path, found, frames):
                for column in MOTION_COLUMNS:
                    if np.isfinite(mine[column]) and abs(other[column]) > 1e-6:
                        errors[column].append(100 * abs(mine[column] / other[column] - 1))
    return errors


def _pairs(
    path: Float64, found: Mapping[int, Float64], frames: int
) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Yield the measures of the one track that lies on a path, and of the path itself."""
    times = np.arange(frames) / _FRAME_RATE_HZ
    whole = measure_path(times, path).values
    if not whole["vap_um_s"] >= _LEAST_VAP_UM_S:
        return
    near = {key: np.hypot(*(track - path).T) < _NEAR_UM for key, track in found.items()}
    best = max(near, key=lambda key: int(near[key].sum()), default=None)
    if best is None or near[best].sum() < _LEAST_SHARE * np.isfinite(path[:, 0]).sum():
        return
    here = near[best][:, None]
    mine = measure_path(times, np.where(here, found[best], np.nan)).values
    other = measure_path(times, np.where(here, path, np.nan)).values
    yield mine, other


def _paths(
    specimen: Specimen, detector: Detector, frames: int, score: float
) -> tuple[dict[int, Float64], dict[int, Float64]]:
    """Return the paths (frames, 2) of true sperm and of tracks, um from the picture's corner."""
    um = specimen.look.um_per_px
    view = View.rectangle(0.0, 0.0, specimen.width_px * um, specimen.height_px * um)
    tracker = Tracker()
    true: dict[int, Float64] = defaultdict(lambda: np.full((frames, 2), np.nan))
    found: dict[int, Float64] = defaultdict(lambda: np.full((frames, 2), np.nan))
    for k in range(frames):
        time_s = k / _FRAME_RATE_HZ
        image, truth = _seen(specimen, time_s)
        for row, sperm in enumerate(truth.sperm_id):
            if truth.visible[row] and truth.whole[row]:
                true[int(sperm)][k] = truth.position_px[row] * um
        heads = detector.detect(image).detections
        keep = heads.score >= score
        box_px = heads.box_px[keep]
        tracks = tracker.step(
            time_s, box_px[:, :2].astype(np.float64) * um, box_px, heads.score[keep],
            heads.label[keep], view,
        )  # fmt: skip
        for row, track in enumerate(tracks.track_id):
            found[int(track)][k] = tracks.raw_um[row]
    return true, found
