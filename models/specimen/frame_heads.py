"""Heads of one frame: size, contrast, profiles, and the comb that interlacing leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.specimen.frame_background import Background
from models.types import Float32, Float64

RADII_PX = tuple(range(0, 21, 2))
EDGE_PX = (1, 2, 3, 4, 5, 6, 8, 10, 12)
RIM_PX = tuple(range(1, 21))
_WINDOW_MARGIN_PX = 6
_ISOLATED_PX = 40.0
_PROFILE_REACH_PX = 32


@dataclass(frozen=True, slots=True)
class HeadTable:
    """One row per head; contrasts are positive inside heads whatever the polarity.

    Attributes
    ----------
    long_px, short_px, area_px2 : (N,) float64
        Of the region above half of the peak contrast; axes from second moments.
    peak_percent, mean_percent : (N,) float64
        Contrast in percent of the local background.
    comb : (N,) float64
        Mean difference of a row from the mean of its neighbours, grey levels.
    row_shift_px : (N, 2) float64
        Distance in x and y between the centroids of the even and the odd rows.
    radial_percent : (N, 11) float64
        Contrast on rings around the centre; NaN for heads that are not isolated.
    edge_percent : (N, 20) float64
        Contrast 1 to 20 px outside the region; NaN for heads that are not isolated.
    polarity : int
        1 for heads brighter than the background, -1 for darker.
    """

    long_px: Float64
    short_px: Float64
    area_px2: Float64
    peak_percent: Float64
    mean_percent: Float64
    comb: Float64
    row_shift_px: Float64
    radial_percent: Float64
    edge_percent: Float64
    polarity: int

    def __len__(self) -> int:
        return len(self.long_px)

    @staticmethod
    def concatenate(tables: Sequence[HeadTable]) -> HeadTable:
        """Join the tables of some frames."""
        names = [f.name for f in fields(HeadTable) if f.name != "polarity"]
        columns = {n: np.concatenate([getattr(t, n) for t in tables]) for n in names}
        return HeadTable(**columns, polarity=tables[0].polarity)


def row_comb(grey: Float32) -> Float32:
    """Return how far each row lies from the mean of its neighbours, grey levels."""
    comb = np.zeros_like(grey)
    comb[1:-1] = grey[1:-1] - (grey[:-2] + grey[2:]) / 2
    return comb


def measure_heads(background: Background, boxes_px: Float64, polarity: int) -> HeadTable:
    """Measure the heads in boxes (centre x, y, width, height); those cut by the border left out.

    Parameters
    ----------
    background : Background
    boxes_px : (N, 4) float64
    polarity : 1 or -1
    """
    height, width = background.grey.shape
    smooth = polarity * background.contrast_percent
    raw = polarity * background.raw_percent
    comb = np.abs(row_comb(background.grey))
    corners = np.hstack(
        [boxes_px[:, :2] - boxes_px[:, 2:] / 2, boxes_px[:, :2] + boxes_px[:, 2:] / 2]
    )
    isolated = _isolated(boxes_px)
    rows: list[tuple[Float64, ...]] = []
    for (x_low, y_low, x_high, y_high), alone in zip(corners, isolated, strict=True):
        x0, y0, x1, y1 = int(x_low), int(y_low), int(np.ceil(x_high)), int(np.ceil(y_high))
        if x0 <= 1 or y0 <= 1 or x1 >= width - 1 or y1 >= height - 1:
            continue
        left, top = max(x0 - _WINDOW_MARGIN_PX, 0), max(y0 - _WINDOW_MARGIN_PX, 0)
        window = np.s_[top : y1 + _WINDOW_MARGIN_PX, left : x1 + _WINDOW_MARGIN_PX]
        inside = smooth[y0:y1, x0:x1]
        peak_row, peak_column = np.unravel_index(int(inside.argmax()), inside.shape)
        peak = float(inside[peak_row, peak_column])
        if peak <= 0:
            continue
        labels, _ = ndimage.label(smooth[window] > peak / 2)
        seed = labels[int(peak_row) + y0 - top, int(peak_column) + x0 - left]
        region = ndimage.binary_fill_holes(labels == seed)
        y, x = np.nonzero(region)
        axes = 4 * np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(x, y, bias=True)), 1 / 12))
        profiles = (
            _profiles(raw, region, (top, left), (x.mean() + left, y.mean() + top))
            if alone
            else np.full(len(RADII_PX) + len(RIM_PX), np.nan)
        )
        rows.append((
            axes[::-1], np.array([region.sum(), peak, smooth[window][region].mean()]),
            np.array([comb[window][region].mean()]),
            _row_shift(raw[window], top, peak), profiles,
        ))  # fmt: skip
    block = np.array([np.concatenate(r) for r in rows], np.float64)
    block = block.reshape(len(rows), 8 + len(RADII_PX) + len(RIM_PX))
    radial = block[:, 8 : 8 + len(RADII_PX)]
    return HeadTable(
        block[:, 0], block[:, 1], block[:, 2], block[:, 3], block[:, 4], block[:, 5],
        block[:, 6:8], radial, block[:, 8 + len(RADII_PX) :], polarity,
    )  # fmt: skip


def _isolated(boxes_px: Float64) -> NDArray[np.bool_]:
    if len(boxes_px) < 2:
        return np.ones(len(boxes_px), bool)
    difference = boxes_px[:, None, :2] - boxes_px[None, :, :2]
    distance = np.hypot(difference[..., 0], difference[..., 1])
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.min(axis=1) > _ISOLATED_PX)


def _row_shift(contrast: Float32, first_row: int, peak: float) -> Float64:
    """Distance between the centroids of even and odd rows, weighted by contrast."""
    y, x = np.mgrid[: contrast.shape[0], : contrast.shape[1]]
    weight = np.where(contrast > peak / 4, contrast, 0)
    centres = []
    for parity in (0, 1):
        part = weight * ((y + first_row) % 2 == parity)
        total = max(float(part.sum()), 1e-6)
        centres.append((float((part * x).sum()) / total, float((part * y).sum()) / total))
    return np.abs(np.subtract(centres[0], centres[1]))


def _profiles(
    contrast: Float32,
    region: NDArray[np.bool_],
    corner: tuple[int, int],
    centre_px: tuple[float, float],
) -> Float64:
    """Ring medians around the centre, then medians at distances outside the region."""
    height, width = contrast.shape
    x0, y0 = round(centre_px[0]) - _PROFILE_REACH_PX, round(centre_px[1]) - _PROFILE_REACH_PX
    x1, y1 = x0 + 2 * _PROFILE_REACH_PX + 1, y0 + 2 * _PROFILE_REACH_PX + 1
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    around = contrast[y0:y1, x0:x1]
    y, x = np.mgrid[y0:y1, x0:x1]
    radius = np.hypot(x - centre_px[0], y - centre_px[1])
    outside = np.ones(contrast.shape, np.uint8)[y0:y1, x0:x1]
    rows, columns = np.nonzero(region)
    rows, columns = rows + corner[0] - y0, columns + corner[1] - x0
    known = (rows >= 0) & (rows < outside.shape[0]) & (columns >= 0) & (columns < outside.shape[1])
    outside[rows[known], columns[known]] = 0
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rings = [np.abs(radius - r) <= 1 for r in RADII_PX]
    rings += [np.abs(distance - r) <= 0.5 for r in RIM_PX]
    return np.array([np.median(around[ring]) if ring.any() else np.nan for ring in rings])
