"""The rows of a table of frame statistics, and the reference figures."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

Table = dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes
    ----------
    key : str
        Name in tables.
    label : str
        What it is, with its unit.
    scale : 'value' or 'row' or float
        What a deviation is relative to: each reference value, the row's largest magnitude,
        or a fixed amount.
    """

    key: str
    label: str
    scale: str | float = "value"

    def deviation_percent(self, measured: Sequence[float], reference: Sequence[float]) -> float:
        """Return the deviation of largest magnitude, signed, in percent; NaN if unknown."""
        a, b = np.asarray(measured, np.float64), np.asarray(reference, np.float64)
        if a.shape != b.shape or not np.isfinite(a).all():
            return float("nan")
        if self.scale == "value":
            scale = np.where(np.abs(b) > 0, np.abs(b), 1.0)
        elif self.scale == "row":
            scale = np.full(b.shape, np.abs(b).max())
        else:
            scale = np.full(b.shape, float(self.scale))
        relative = (a - b) / scale
        return float(100 * relative[np.abs(relative).argmax()])

    def text(self, values: Sequence[float]) -> str:
        """Return the values as a cell of the table."""
        separator = " " if len(values) > 3 else " / "
        return separator.join(f"{v:.3g}" for v in values)


ROWS: tuple[Row, ...] = (
    Row("background_mean", "background mean, grey level"),
    Row("background_sd", "background sd over the field, grey level"),
    Row("illumination", "illumination, (max - min) / mean of quadratic fit, %"),
    Row("noise_local", "noise sd, local, grey level"),
    Row("noise_temporal", "noise sd, frame to frame / sqrt 2, grey level"),
    Row("noise_correlation_x", "noise correlation at 1, 2, 4 px in x", "row"),
    Row("noise_correlation_y", "noise correlation at 1, 2, 4 px in y", "row"),
    Row("comb_index", "comb index, head / background, grey level"),
    Row("row_shift_x", "shift between even and odd rows in a head, x, px, 50 / 90 %", "row"),
    Row("row_shift_y", "shift between even and odd rows in a head, y, px, 50 / 90 %", "row"),
    Row("sperm_per_frame", "labelled sperm per frame, mean / min / max"),
    Row("box_long", "box long side, px"),
    Row("box_short", "box short side, px"),
    Row("head_long", "head long axis at half contrast, px"),
    Row("head_short", "head short axis at half contrast, px"),
    Row("head_ratio", "head long / short"),
    Row("head_area", "head area at half contrast, px²"),
    Row("head_peak", "head peak contrast, %"),
    Row("head_mean", "head mean contrast, %"),
    Row("radial_profile", "radial profile at 0, 2, 4 ... 20 px, %", "row"),
    Row("rim", "rim of opposite sign, % / px outside the head's edge"),
    Row("edge_profile", "edge profile at 1, 2, 3, 4, 5, 6, 8, 10, 12 px outside, %", "row"),
    Row("tail_contrast", "tail contrast, %"),
    Row("tail_width", "tail width FWHM, px"),
    Row("spots_per_frame", "unlabelled dark spots per frame"),
    Row("spot_diameter", "their diameter, px"),
    Row("spot_contrast", "their contrast, %"),
    Row("displacement", "displacement per frame, px", "row"),
    Row("displacement_99", "displacement, 99 %, px"),
    Row("neighbour", "distance to nearest other head, px"),
)


def reference(name: str) -> Table:
    """Return the figures of a kind of recording.

    Parameters
    ----------
    name : str
        ``svia_1``, ``svia_2``, ``svia_3`` (bright field clips), ``svia`` (their mean) or
        ``visem_52`` (phase contrast). ``..._measured`` gives what this program reads from the
        same recordings, where its method differs from the one that produced the figures.

    Raises
    ------
    KeyError
        No such recording.
    """
    source = resources.files("models.specimen").joinpath("statistics_reference.toml")
    tables = tomllib.loads(source.read_text(encoding="utf-8"))
    if name in ("svia", "svia_measured"):
        suffix = name.removeprefix("svia")
        return _mean([tables[f"svia_{n}{suffix}"] for n in (1, 2, 3)])
    return {key: tuple(float(v) for v in values) for key, values in tables[name].items()}


def _mean(tables: Sequence[dict[str, list[float]]]) -> Table:
    return {
        key: tuple(float(v) for v in np.mean([t[key] for t in tables], axis=0)) for key in tables[0]
    }
