"""Where the ticks of a ruling are in a picture: direction, and sub-pixel points on each tick."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from calibration.errors import CalibrationError
from calibration.light import even_light

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

STRIP_PX = 12  # rows averaged along the ticks: each point rests on that many pixels of its tick
MIN_STRIPS = 5  # a shorter line is a speck
_SCALES_PX = (1.3, 2.0, 3.0, 4.5, 7.0, 10.0)
_COHERENCE_PX = 6.0
_STRENGTH = 0.35  # of the strongest ticks: what is weaker is noise, a scratch or glare


@dataclass(frozen=True, slots=True)
class TickPoints:
    """Points on dark or bright lines of one direction.

    Attributes
    ----------
    direction_rad : float
        Across the lines, image frame (x right, y down): where ``u_px`` grows.
    u_px, v_px : (n,) float64
        Across and along the lines, from the picture's middle.
    line : (n,) int64
        Which line each point is on; lines are numbered by rising ``u_px``.
    scale_px : float
        Of the filter that sees the lines best: a third to a half of their width.
    """

    direction_rad: float
    u_px: Float64
    v_px: Float64
    line: Int64
    scale_px: float


def line_directions(image: UInt8, at_most: int = 3) -> list[float]:
    """Rank the directions across which the picture (H, W) holds lines, radians in [0, pi).

    Energy of the gradient, weighted by how much all gradients about a point agree (structure
    tensor; Bigun and Granlund, ICCV 1987): lines count, round dust and noise do not.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.2)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1)

    def around(values: Float32) -> Float32:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), _COHERENCE_PX), dtype=np.float32)

    energy = around(gx * gx + gy * gy)
    double_x, double_y = around(gx * gx - gy * gy), around(2 * gx * gy)
    coherence = np.hypot(double_x, double_y) / np.maximum(energy, 1e-6)
    weight = np.hypot(double_x, double_y) * coherence**3
    turn = 0.5 * np.arctan2(double_y, double_x)
    bins = np.round(turn / math.pi * 180).astype(np.int64) % 180
    votes = np.bincount(bins.ravel(), weight.ravel().astype(np.float64), minlength=180)
    votes = np.convolve(np.concatenate([votes[-4:], votes, votes[:4]]), np.ones(5) / 5, "same")[
        4:-4
    ]
    found: list[float] = []
    left = votes.copy()
    while len(found) < at_most and left.max() > 0.1 * votes.max():
        peak = int(left.argmax())
        near = (np.arange(peak - 2, peak + 3)) % 180
        offset = float((np.arange(-2, 3) * votes[near]).sum() / votes[near].sum())
        found.append(((peak + offset) % 180) * math.pi / 180)
        left[np.arange(peak - 12, peak + 13) % 180] = 0.0
    return found


def tick_points(image: UInt8, direction_rad: float) -> TickPoints:
    """Find the lines across ``direction_rad`` in a picture (H, W).

    Raises
    ------
    CalibrationError
        There is nothing like a line in that direction.
    """
    upright, inside = _turned(image, direction_rad)
    profiles, weights = _strips(upright, inside)
    response, level, scale_px = _line_response(profiles, weights)
    u_px, strip = _peaks(response, level)
    if len(u_px) < 4:
        raise CalibrationError(
            "no lines are seen in the picture; focus on the ruling, and see that it fills the view"
        )
    middle = (np.array(upright.shape[::-1]) - 1) / 2
    v_px = (strip + 0.5) * STRIP_PX - 0.5 - middle[1]
    u_px = u_px - middle[0]
    slope = _common_slope(u_px, v_px, strip)
    turned = direction_rad - math.atan(slope)
    c, s = math.cos(math.atan(slope)), math.sin(math.atan(slope))
    u_px, v_px = c * u_px - s * v_px, s * u_px + c * v_px
    order = np.argsort(u_px)
    u_px, v_px = u_px[order], v_px[order]
    line = np.concatenate([[0], np.cumsum(np.diff(u_px) > 2.5)])
    keep = _long_enough(line, strip[order])
    if not keep.any():
        raise CalibrationError("no lines are seen in the picture; focus on the ruling")
    _, line = np.unique(line[keep], return_inverse=True)
    return TickPoints(turned, u_px[keep], v_px[keep], line.astype(np.int64), scale_px)


def _turned(image: UInt8, direction_rad: float) -> tuple[Float32, Float32]:
    """Turn the picture so that its lines stand upright, without losing corners; and the mask."""
    height, width = image.shape
    size = math.ceil(math.hypot(height, width))
    size += -size % STRIP_PX
    c, s = math.cos(direction_rad), math.sin(direction_rad)
    forward = np.array([[c, s], [-s, c]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.full(2, (size - 1) / 2) - forward @ centre
    matrix = np.concatenate([forward, shift[:, None]], axis=1)
    flat = even_light(image)
    upright = cv2.warpAffine(flat, matrix, (size, size), flags=cv2.INTER_CUBIC, borderValue=1.0)
    inside = cv2.warpAffine(np.ones_like(flat), matrix, (size, size), borderValue=0.0)
    return (
        np.asarray(upright, dtype=np.float32),
        np.asarray(inside > 0.999, dtype=np.float32),
    )


def _strips(upright: Float32, inside: Float32) -> tuple[Float64, Float64]:
    """Mean of each strip of rows, (strips, columns), and how much of it lies in the picture."""
    rows, columns = upright.shape
    shape = (rows // STRIP_PX, STRIP_PX, columns)
    share = inside.reshape(shape).mean(axis=1)
    total = (upright * inside).reshape(shape).mean(axis=1)
    profile = np.where(share > 0, total / np.maximum(share, 1e-6), 1.0)
    return np.asarray(profile, dtype=np.float64), np.asarray(share, dtype=np.float64)


def _line_response(profiles: Float64, weights: Float64) -> tuple[Float64, float, float]:
    """Second derivative across the lines, positive on them; how high their ridges are; the scale.

    Three lines in a wide picture cover less than 1 % of its columns, and each has a lobe of the
    other sign on either side, 0.45 as high: scale and sign (dark or bright lines) are those of the
    ridges with the most energy, however few they are.
    """
    best: tuple[float, Float64, float, float] | None = None
    for scale in _SCALES_PX:
        curved = scale**2 * gaussian_filter1d(profiles, scale, order=2, mode="nearest")
        # Near the border of the picture the profile is made up.
        whole = cv2.erode(weights, np.ones((1, 2 * math.ceil(2 * scale) + 1))) > 0.6
        curved[~whole] = 0.0
        for response in (curved, -curved):
            energy, level = _coherent(response)
            if best is None or energy > best[0]:
                best = energy, response, level, scale
    if best is None or best[0] == 0.0:
        raise CalibrationError("no lines are seen in the picture; focus on the ruling")
    return best[1:]


def _coherent(response: Float64) -> tuple[float, float]:
    """Energy of the ridges that run through MIN_STRIPS strips, and how high half of it is."""
    # A line is there in every strip; noise, specks and the ends of other things are not.
    through = cv2.erode(response, np.ones((MIN_STRIPS, 1)))
    here = through[:, 1:-1]
    ridge = (here > 0) & (here >= through[:, :-2]) & (here > through[:, 2:])
    heights = np.sort(here[ridge])
    if not heights.size:
        return 0.0, 0.0
    energy = np.cumsum(heights**2)
    return float(energy[-1]), float(heights[np.searchsorted(energy, energy[-1] / 2)])


def _peaks(response: Float64, level: float) -> tuple[Float64, Int64]:
    """Sub-pixel columns of the ridges, and the strip of each."""
    # Lines run through neighbouring strips alike, noise does not.
    both = (response[1:] != 0.0) & (response[:-1] != 0.0)
    apart = np.abs(response[1:] - response[:-1])[both]
    noise = 1.05 * float(np.median(apart)) if apart.size else 0.0
    floor = max(5.0 * noise, _STRENGTH * level)
    before, here, after = response[:, :-2], response[:, 1:-1], response[:, 2:]
    inner = (before != 0.0) & (after != 0.0)
    strip, column = np.nonzero(inner & (here > floor) & (here >= before) & (here > after))
    b, h, a = (part[strip, column] for part in (before, here, after))
    return column + 1 + 0.5 * (b - a) / (b - 2 * h + a), strip


def _common_slope(u_px: Float64, v_px: Float64, strip: Int64) -> float:
    """Give the lean of the lines that is left, from points that follow each other.

    From neighbouring strips first, then from strips further apart: over the height of a large
    picture the first is pixels wrong, but near enough to tell whose point is whose.
    """
    slope = 0.0
    for lag in (1, 4, 16):
        leans = []
        for number in range(int(strip.max()) + 1 - lag):
            here, there = u_px[strip == number], u_px[strip == number + lag]
            if here.size and there.size:
                gap = there[None, :] - here[:, None] - slope * lag * STRIP_PX
                leans.append(gap[np.abs(gap) < 1.2])
        steps = np.concatenate(leans) if leans else np.empty(0)
        if steps.size:
            slope += float(np.median(steps)) / (lag * STRIP_PX)
    return slope


def _long_enough(line: Int64, strip: Int64) -> NDArray[np.bool_]:
    """Tell the points on lines from those on specks: a speck is short, a row of specks has gaps."""
    count = np.bincount(line)
    first = np.full(len(count), np.iinfo(np.int64).max)
    last = np.zeros(len(count), np.int64)
    np.minimum.at(first, line, strip)
    np.maximum.at(last, line, strip)
    unbroken = count >= 0.65 * (last - first + 1)
    usual = float(np.median(count[line]))  # of the line that a point is on
    return np.asarray(((count >= max(MIN_STRIPS, 0.4 * usual)) & unbroken)[line])
