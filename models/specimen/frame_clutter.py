"""Tails and unlabelled dark spots of one frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.specimen.frame_background import Background, paint_boxes
from models.types import Float32, Float64

_RIDGE_SCALE_PX = 2.0
_RIDGE_SD = 3.0
_RIDGE_LENGTH_PX = 22
_RIDGE_START_PX = 4.0
_NECK_PX = 7.0
_PROFILE_SPACING_PX = 4
_PROFILE_PX = np.arange(-9.0, 9.01, 0.5)
_TAIL_NOISE_SD = 2.0

_SPOT_NOISE_SD = 4.5
_SPOT_PERCENT = 6.0
_SPOT_AREA_PX2 = (6, 250)
_SPOT_CLEAR_PX = 14.0
_SPOT_FILLING = 0.35


def _distance_to_boxes(shape: tuple[int, ...], boxes_px: Float64) -> Float32:
    free = np.ones(shape, bool)
    paint_boxes(free, boxes_px, 0.0, False)
    if free.all():
        return np.full(shape, np.inf, np.float32)
    distance = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)


def tail_profiles(background: Background, heads_px: Float64) -> tuple[Float64, Float64]:
    """Measure dark ridges that start at a head, at points along them.

    A ridge is at least 22 px long and starts within 4 px of a head's box; points are kept that are
    deeper than two standard deviations of the noise. Faint tails are missed.

    Returns
    -------
    contrast_percent, width_px : (P,) float64
        Depth of the cross profile in percent of the background, and its width at half depth.
    """
    none = np.zeros(0)
    if not len(heads_px):
        return none, none
    dark = -background.raw_percent
    crest, normal_x, normal_y, strength = _ridges(dark)
    spread = strength[background.mask]
    threshold = _RIDGE_SD * 1.4826 * float(np.median(np.abs(spread - np.median(spread))))
    distance = _distance_to_boxes(dark.shape, heads_px)
    crest &= (strength > threshold) & (distance > 0)
    labels, count = ndimage.label(crest, structure=np.ones((3, 3)))
    if not count:
        return none, none
    extent = np.array([max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels)])
    start = np.asarray(ndimage.minimum(distance, labels, np.arange(1, count + 1)))
    keep = np.concatenate([[False], (extent >= _RIDGE_LENGTH_PX) & (start <= _RIDGE_START_PX)])
    # Points beside the head's box measure the head.
    rows, columns = np.nonzero(keep[labels] & (distance > _NECK_PX))
    rows, columns = rows[::_PROFILE_SPACING_PX], columns[::_PROFILE_SPACING_PX]
    if not len(rows):
        return none, none
    x = columns[:, None] + normal_x[rows, columns][:, None] * _PROFILE_PX
    y = rows[:, None] + normal_y[rows, columns][:, None] * _PROFILE_PX
    smooth = cv2.GaussianBlur(dark, (0, 0), 0.5)
    profiles = ndimage.map_coordinates(smooth, [y, x], order=1, mode="nearest")
    noise_percent = 100 * background.noise_sd / background.mean
    return _depth_and_width(profiles, _TAIL_NOISE_SD * noise_percent)


def _ridges(dark: Float32) -> tuple[NDArray[np.bool_], Float32, Float32, Float32]:
    """Crests of dark lines: mask, unit normal x and y, strength (curvature in percent)."""
    smooth = cv2.GaussianBlur(dark, (0, 0), _RIDGE_SCALE_PX)
    gy, gx = np.gradient(smooth)
    gyy, _ = np.gradient(gy)
    gxy, gxx = np.gradient(gx)
    curvature = (gxx + gyy) / 2 - np.sqrt((gxx - gyy) ** 2 / 4 + gxy**2)
    angle = 0.5 * np.arctan2(2 * gxy, gxx - gyy) + np.pi / 2
    normal_x, normal_y = np.cos(angle), np.sin(angle)
    slope = gx * normal_x + gy * normal_y
    valley = curvature < 0
    offset = np.full_like(slope, np.inf)
    np.divide(-slope, curvature, out=offset, where=valley)
    crest = valley & (np.abs(offset) < 0.6)
    return crest, normal_x, normal_y, -curvature * (_RIDGE_SCALE_PX**2 + 1)


def _depth_and_width(profiles: Float64, least_percent: float) -> tuple[Float64, Float64]:
    base = np.median(profiles[:, np.abs(_PROFILE_PX) >= 6], axis=1)
    middle = np.flatnonzero(np.abs(_PROFILE_PX) <= 1.5)
    top = middle[profiles[:, middle].argmax(axis=1)]
    depth = profiles[np.arange(len(profiles)), top] - base
    depths, widths = [], []
    for k in np.flatnonzero(depth > least_percent):
        above = profiles[k] - base[k] > depth[k] / 2
        first = last = int(top[k])
        while first > 0 and above[first - 1]:
            first -= 1
        while last < len(above) - 1 and above[last + 1]:
            last += 1
        depths.append(float(depth[k]))
        widths.append(0.5 * (last - first + 1))
    return np.array(depths), np.array(widths)


def unlabelled_spots(background: Background, labels_px: Float64) -> tuple[Float64, Float64]:
    """Find compact dark spots farther than 14 px from any label.

    Returns
    -------
    diameter_px, contrast_percent : (S,) float64
        Diameter of the disc of equal area, and peak contrast.
    """
    smooth = cv2.GaussianBlur(background.grey, (0, 0), 1.0)
    dark = 100 * (background.field - smooth) / background.field
    noise_percent = 100 * background.noise_sd / background.mean
    labels, count = ndimage.label(
        dark > max(_SPOT_PERCENT, _SPOT_NOISE_SD * noise_percent), structure=np.ones((3, 3))
    )
    if not count:
        return np.zeros(0), np.zeros(0)
    index = np.arange(1, count + 1)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:].astype(np.float64)
    peak = np.asarray(ndimage.maximum(dark, labels, index))
    centre = np.asarray(ndimage.center_of_mass(labels > 0, labels, index)).astype(int)
    distance = _distance_to_boxes(dark.shape, labels_px)
    side = np.array([max(s.stop - s.start for s in box) for box in ndimage.find_objects(labels)])
    keep = (area >= _SPOT_AREA_PX2[0]) & (area <= _SPOT_AREA_PX2[1])
    keep &= distance[centre[:, 0], centre[:, 1]] > _SPOT_CLEAR_PX
    keep &= area >= _SPOT_FILLING * side**2
    frame = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    keep[frame[frame > 0] - 1] = False
    return np.sqrt(4 * area[keep] / np.pi), peak[keep].astype(np.float64)
