"""What frames look like, in numbers: the same program for recorded frames and for the specimen's.

The rows are those by which bright field and phase contrast recordings of human sperm were
described (statistics_reference.toml holds those figures): background, noise and its correlation,
interlacing, heads, profiles, tails, clutter, motion. A specimen is believable where its rows agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.specimen.frame_background import Background, analyse_background
from models.specimen.frame_clutter import tail_profiles, unlabelled_spots
from models.specimen.frame_heads import (
    EDGE_PX,
    RADII_PX,
    RIM_PX,
    HeadTable,
    measure_heads,
    row_comb,
)
from models.specimen.frame_rows import ROWS, Table
from models.types import Float64, Int64, UInt8

_MATCH_PX = 20.0
_PERCENT_POINTS = (10.0, 50.0, 90.0)


def frame_statistics(
    frames: Sequence[UInt8],
    boxes: Sequence[Float64],
    ids: Sequence[Int64] | None = None,
    *,
    other_boxes: Sequence[Float64] | None = None,
    polarity: int | None = None,
    every: int = 1,
) -> Table:
    """Measure a clip.

    Parameters
    ----------
    frames : sequence of (H, W) uint8
        Consecutive frames of one clip.
    boxes : sequence of (N_i, 4) float64
        Head boxes of each frame: centre x, y, width, height, in px, image frame.
    ids : sequence of (N_i,) int64, optional
        Identities. Without them heads are matched to the mutually nearest within 20 px.
    other_boxes : sequence of (M_i, 4) float64, optional
        Labelled things that are no head (round cells, debris, the pipette): kept out of the
        background and of the clutter.
    polarity : -1 or 1, optional
        Heads darker or brighter than the background; found from the frames if not given.
    every : int
        Look at the pixels of every n-th frame only; motion and counts use all frames.

    Returns
    -------
    dict of str to tuple of float
        By row key, in the order of ``frame_rows.ROWS``; NaN where nothing could be measured.

    Raises
    ------
    ValueError
        No frame, or columns of unequal length.
    """
    if not len(frames) or len(boxes) != len(frames):
        raise ValueError(f"frame_statistics: {len(frames)} frames with {len(boxes)} sets of boxes")
    box_px = [np.asarray(b, np.float64).reshape(-1, 4) for b in boxes]
    others = [np.zeros((0, 4))] * len(frames) if other_boxes is None else list(other_boxes)
    chosen = range(0, len(frames), max(every, 1))
    labelled = [np.vstack([box_px[i], np.asarray(others[i]).reshape(-1, 4)]) for i in chosen]
    backgrounds = [
        analyse_background(frames[i], labels)
        for i, labels in zip(chosen, labelled, strict=True)
    ]  # fmt: skip
    if polarity is None:
        polarity = _polarity(backgrounds, [box_px[i] for i in chosen])
    table: Table = {}
    _background_rows(table, frames, backgrounds, chosen)
    heads = [
        measure_heads(b, box_px[i], polarity) for b, i in zip(backgrounds, chosen, strict=True)
    ]
    _head_rows(table, HeadTable.concatenate(heads), backgrounds)
    tails = [tail_profiles(b, box_px[i]) for b, i in zip(backgrounds, chosen, strict=True)]
    table["tail_contrast"] = _points(np.concatenate([t[0] for t in tails]))
    table["tail_width"] = _points(np.concatenate([t[1] for t in tails]))
    spots = [unlabelled_spots(b, labels) for b, labels in zip(backgrounds, labelled, strict=True)]
    table["spots_per_frame"] = _points(np.array([len(s[0]) for s in spots], np.float64))
    table["spot_diameter"] = _points(np.concatenate([s[0] for s in spots]))
    table["spot_contrast"] = _points(np.concatenate([s[1] for s in spots]))
    _label_rows(table, box_px, ids)
    return table


def _points(values: Float64, points: Sequence[float] = _PERCENT_POINTS) -> tuple[float, ...]:
    if not len(values):
        return (float("nan"),) * len(points)
    return tuple(float(v) for v in np.percentile(values, points))


def _polarity(backgrounds: Sequence[Background], boxes: Sequence[Float64]) -> int:
    """Whether the middle of most boxes is brighter (1) or darker (-1) than its background."""
    inside: list[float] = []
    for background, box_px in zip(backgrounds, boxes, strict=True):
        height, width = background.grey.shape
        for x, y, *_ in box_px:
            column, row = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
            inside.append(float(background.contrast_percent[row, column]))
    return 1 if inside and float(np.median(inside)) > 0 else -1


def _background_rows(
    table: Table, frames: Sequence[UInt8], backgrounds: Sequence[Background], chosen: range
) -> None:
    temporal = []
    for background, i in zip(backgrounds, chosen, strict=True):
        if len(frames) > 1:
            other = frames[i + 1] if i + 1 < len(frames) else frames[i - 1]
            change = (other.astype(np.float32) - background.grey)[background.mask]
            temporal.append(float(change.std()) / 2**0.5)
    table["background_mean"] = (float(np.mean([b.mean for b in backgrounds])),)
    table["background_sd"] = (float(np.mean([b.sd for b in backgrounds])),)
    table["illumination"] = (float(np.median([b.illumination_percent for b in backgrounds])),)
    table["noise_local"] = (float(np.mean([b.noise_sd for b in backgrounds])),)
    table["noise_temporal"] = (float(np.mean(temporal)) if temporal else float("nan"),)
    for axis, key in ((1, "noise_correlation_x"), (0, "noise_correlation_y")):
        lags = np.array([b.correlation(axis) for b in backgrounds])
        table[key] = tuple(float(v) for v in lags.mean(axis=0))


def _head_rows(table: Table, heads: HeadTable, backgrounds: Sequence[Background]) -> None:
    none = float("nan")
    comb = float(np.mean(heads.comb)) if len(heads) else none
    rest = [float(np.mean(np.abs(row_comb(b.grey))[b.mask])) for b in backgrounds]
    table["comb_index"] = (comb, float(np.mean(rest)))
    table["row_shift_x"] = _points(heads.row_shift_px[:, 0], (50, 90))
    table["row_shift_y"] = _points(heads.row_shift_px[:, 1], (50, 90))
    table["head_long"] = _points(heads.long_px)
    table["head_short"] = _points(heads.short_px)
    table["head_ratio"] = _points(heads.long_px / heads.short_px)
    table["head_area"] = _points(heads.area_px2)
    table["head_peak"] = _points(heads.peak_percent)
    table["head_mean"] = _points(heads.mean_percent)
    radial = _median_profile(heads.radial_percent, len(RADII_PX))
    rims = _median_profile(heads.edge_percent, len(RIM_PX))
    edge = np.array([rims[RIM_PX.index(r)] for r in EDGE_PX])
    table["radial_profile"] = tuple(float(v) for v in radial * heads.polarity)
    table["edge_profile"] = tuple(float(v) for v in edge * heads.polarity)
    rim = int(np.nanargmin(rims)) if np.isfinite(rims).any() else 0
    table["rim"] = (float(rims[rim]) * heads.polarity, float(RIM_PX[rim]))


def _median_profile(profiles: Float64, length: int) -> Float64:
    """Return the median over heads; NaN where no head was isolated."""
    known = profiles[np.isfinite(profiles).all(axis=1)] if len(profiles) else profiles
    return np.median(known, axis=0) if len(known) else np.full(length, np.nan)


def _label_rows(table: Table, boxes: Sequence[Float64], ids: Sequence[Int64] | None) -> None:
    counts = np.array([len(b) for b in boxes], np.float64)
    table["sperm_per_frame"] = (float(counts.mean()), float(counts.min()), float(counts.max()))
    every_box = np.vstack(list(boxes))
    table["box_long"] = _points(every_box[:, 2:].max(axis=1, initial=-1.0))
    table["box_short"] = _points(every_box[:, 2:].min(axis=1, initial=1e9))
    steps = np.concatenate(
        [np.zeros(0)]
        + [
            _steps(boxes[i], boxes[i + 1], None if ids is None else (ids[i], ids[i + 1]))
            for i in range(len(boxes) - 1)
        ]
    )
    table["displacement"] = _points(steps)
    table["displacement_99"] = _points(steps, (99,))
    nearest = [
        np.sort(_distances(b, b), axis=1)[:, 1] for b in boxes if len(b) > 1
    ]  # fmt: skip
    table["neighbour"] = _points(np.concatenate([np.zeros(0), *nearest]))


def _distances(a: Float64, b: Float64) -> Float64:
    difference = a[:, None, :2] - b[None, :, :2]
    return np.asarray(np.hypot(difference[..., 0], difference[..., 1]), np.float64)


def _steps(a: Float64, b: Float64, ids: tuple[Int64, Int64] | None) -> Float64:
    """Displacement of each head seen in both frames, px."""
    if not len(a) or not len(b):
        return np.zeros(0)
    d = _distances(a, b)
    if ids is not None:
        row, column = np.nonzero(np.asarray(ids[0])[:, None] == np.asarray(ids[1])[None, :])
        return d[row, column]
    nearest = d.argmin(axis=1)
    mutual = d.argmin(axis=0)[nearest] == np.arange(len(a))
    found = d[np.arange(len(a)), nearest]
    return np.asarray(found[mutual & (found <= _MATCH_PX)], np.float64)


def compare(
    measured: Mapping[str, Sequence[float]],
    expected: Mapping[str, Sequence[float]],
    same_program: Mapping[str, Sequence[float]] | None = None,
    *,
    limit_percent: float = 25.0,
) -> str:
    """Set a specimen beside recordings.

    Parameters
    ----------
    measured : mapping of row key to values
        Of the specimen, as ``frame_statistics`` returns it.
    expected : mapping
        Figures of recordings: ``frame_rows.reference("svia")``.
    same_program : mapping, optional
        What this program reads from those recordings: ``frame_rows.reference("svia_measured")``.
        It tells a specimen that differs from a method that differs.
    limit_percent : float
        A larger deviation is marked ``**``.

    Returns
    -------
    str
        A Markdown table; a deviation is a row's largest, in percent, signed.
    """
    tables = [expected] if same_program is None else [expected, same_program]
    names = ["reference", "same program"][: len(tables)]
    header = ["quantity", *names, "measured", *(f"off {name}" for name in names)]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for row in ROWS:
        if row.key not in measured or any(row.key not in table for table in tables):
            continue
        cells = [row.label, *(row.text(t[row.key]) for t in tables), row.text(measured[row.key])]
        for table in tables:
            deviation = row.deviation_percent(measured[row.key], table[row.key])
            cells.append(f"{deviation:+.0f}%" + (" **" if abs(deviation) > limit_percent else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def deviations(
    measured: Mapping[str, Sequence[float]], reference: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """Return the largest deviation of each row that both tables have, in percent, signed.

    Relative to the reference; for profiles, correlations and other rows that cross zero, relative
    to the row's largest magnitude (``Row.scale``).
    """
    worst: dict[str, float] = {}
    for row in ROWS:
        if row.key in measured and row.key in reference:
            worst[row.key] = row.deviation_percent(measured[row.key], reference[row.key])
    return worst
