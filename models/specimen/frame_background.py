"""Background and noise of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Float32, Float64, UInt8

_MEDIAN_PX = 31
# The contrast of a head needs a background in which the head itself has no weight.
_CONTRAST_MEDIAN_PX = 41
_SMOOTH_PX = 8.0
_THRESHOLD_SD = 3.5
_LEAST_THRESHOLD = 1.0  # grey levels: a picture without noise has a background, too
_MARGIN_PX = 4.0
_LABEL_MARGIN_PX = 6.0
_LEAST_PIXELS = 100
_LAGS_PX = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Background:
    """A frame and what is left of it without its objects.

    Attributes
    ----------
    grey : (H, W) float32
        The frame, grey levels.
    level : (H, W) float32
        Local background, grey levels: a median over 31 px, smoothed; noise is what lies over it.
    contrast_percent : (H, W) float32
        The frame smoothed by 1 px, over a wider local background (41 px), in percent of it.
    raw_percent : (H, W) float32
        The same without smoothing.
    mask : (H, W) bool
        Pixels of the background.
    mean, sd, noise_sd : float
        Over the mask, grey levels; noise_sd without the local background.
    illumination_percent : float
        Range of a quadratic fit over its mean.
    field : (H, W) float32
        That fit.
    """

    grey: Float32
    level: Float32
    contrast_percent: Float32
    raw_percent: Float32
    mask: NDArray[np.bool_]
    mean: float
    sd: float
    noise_sd: float
    illumination_percent: float
    field: Float32

    def correlation(self, axis: int, lags_px: Sequence[int] = _LAGS_PX) -> Float64:
        """Return the noise's correlation at some lags along an axis (0 is y, 1 is x)."""
        noise = self.grey - self.level
        noise = np.moveaxis(noise - noise[self.mask].mean(), axis, 1)
        mask = np.moveaxis(self.mask, axis, 1)
        power = float(np.mean(noise[mask] ** 2))
        values = []
        for lag in lags_px:
            both = mask[:, lag:] & mask[:, :-lag]
            known = power > 0 and both.any()
            product = (noise[:, lag:] * noise[:, :-lag])[both]
            values.append(float(np.mean(product)) / power if known else np.nan)
        return np.array(values)


def analyse_background(frame: UInt8, labels_px: Float64) -> Background:
    """Separate a frame's background from its objects.

    Background is what lies farther than 4 px from anything above 3.5 robust standard deviations
    and farther than 6 px from a labelled box.

    Parameters
    ----------
    frame : (H, W) uint8
    labels_px : (N, 4) float64
        Boxes of everything that is labelled: centre x, y, width, height.
    """
    grey = frame.astype(np.float32)
    level = _local_level(frame, _MEDIAN_PX)
    wide = _local_level(frame, _CONTRAST_MEDIAN_PX)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    residual = smooth - level
    robust_sd = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    threshold = max(_THRESHOLD_SD * robust_sd, _LEAST_THRESHOLD)
    quiet = (np.abs(residual) <= threshold).astype(np.uint8)
    mask = cv2.distanceTransform(quiet, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > _MARGIN_PX
    paint_boxes(mask, labels_px, _LABEL_MARGIN_PX, False)
    if mask.sum() < _LEAST_PIXELS:
        mask = quiet.astype(bool) if quiet.sum() >= _LEAST_PIXELS else np.ones(mask.shape, bool)
    values = grey[mask]
    field = quadratic_fit(grey, mask)
    return Background(
        grey=grey,
        level=level,
        contrast_percent=100 * (smooth - wide) / wide,
        raw_percent=100 * (grey - wide) / wide,
        mask=mask,
        mean=float(values.mean()),
        sd=float(values.std()),
        noise_sd=float((grey - level)[mask].std()),
        illumination_percent=100 * float((field.max() - field.min()) / field.mean()),
        field=field,
    )


def _local_level(frame: UInt8, median_px: int) -> Float32:
    median = cv2.medianBlur(np.ascontiguousarray(frame), median_px).astype(np.float32)
    return np.asarray(np.maximum(cv2.GaussianBlur(median, (0, 0), _SMOOTH_PX), 1), np.float32)


def paint_boxes(mask: NDArray[np.bool_], boxes_px: Float64, margin_px: float, value: bool) -> None:
    """Set the pixels of some boxes (centre x, y, width, height) with a margin, in place."""
    half = boxes_px[:, 2:] / 2 + margin_px
    low = np.maximum(np.floor(boxes_px[:, :2] - half), 0).astype(int)
    high = np.maximum(np.ceil(boxes_px[:, :2] + half), 0).astype(int)
    for (x0, y0), (x1, y1) in zip(low, high, strict=True):
        mask[y0:y1, x0:x1] = value


def quadratic_fit(grey: Float32, mask: NDArray[np.bool_]) -> Float32:
    """Fit a quadratic surface to the background and return it over the whole field."""
    height, width = grey.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = 2 * x / width - 1, 2 * y / height - 1
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    # Every seventh pixel: the surface has six parameters, a field a quarter of a million pixels.
    coefficients, *_ = np.linalg.lstsq(terms[mask][::7], grey[mask][::7], rcond=None)
    return np.asarray(terms @ coefficients, np.float32)
