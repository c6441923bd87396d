"""The head from the picture itself: the ellipse whose image explains the grey levels best.

The network's outline is drawn towards the usual head: it makes small heads larger and narrow ones
wider. So it only says where to begin and what is tail; size and shape are fitted (``head_image``).
Only even rows are read, which all belong to one moment of an interlaced frame; pixels of the tail
and those nearer to another head are left out. What the fit is off by in the mean (the midpiece
lengthens a dark head, the halo hides the ends of a bright one) is taken off: ``SIZE_OF_FIT``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.measure.head import is_nearest, neighbours
from models.measure.head_image import fit_ellipse
from models.measure.shapes import HEAD_FLAGS, Flag, Shapes
from models.measure.soft import Planes, sample
from models.types import Float32, Float64, Int64, UInt8

GREY_COLUMNS = ("length_px", "width_px", "misfit", "contrast", "blur_px", "turn_rad")
# True = slope x fitted + offset (um), of length and width; dark heads, then bright ones. From
# specimens of the training profile: python -m models.training.head_calibration
SIZE_OF_FIT = np.array(
    [[[0.964, 0.030], [1.036, -0.108]], [[0.993, 0.338], [0.999, 0.101]]], np.float64
)
MOST_MISFIT = 0.07  # of the contrast; two heads in one outline, or a head on a strand, leave more
MOST_BLUR = 0.7  # of the half width; more, and the edge is not resolved
_MOST_PIXELS = 1600
_LEAST_PIXELS = 60
_AROUND_UM, _AROUND_PX = 3.5, 6.0
_COARSE_UM = 0.3  # of finer pixels every second one is enough
_TAIL = 0.3  # probability of tail from which on a pixel is not read
_NEAR_TAIL_PX = 2.0
_LEAST_CONTRAST = 8.0
_OVEREXPOSED = 250.0


def with_grey_heads(
    shapes: Shapes,
    planes: Planes,
    image: UInt8,
    box_px: NDArray[np.floating],
    um_per_px: float,
    rows: Int64 | None = None,
) -> Shapes:
    """Replace area, length, width, ellipticity and bend by those of the picture.

    A head that the picture does not show as one head, or blurred beyond its width, gets no values
    and a flag.

    Parameters
    ----------
    shapes : Shapes
        Of the same frame.
    planes : Planes
    image : (H, W) uint8
    box_px : (N, 4)
        Heads found.
    um_per_px : float
    rows : (K,) int64, optional
        Only these are looked at; the others keep what they had.
    """
    chosen = np.ones(len(shapes), np.bool_)
    if rows is not None:
        chosen[:] = False
        chosen[rows] = True
    chosen &= (shapes.flags & int(HEAD_FLAGS)) == 0
    fitted = fit_heads(image, planes, shapes, box_px, um_per_px, chosen)
    values, flags = shapes.values.copy(), shapes.flags.copy()
    length_px, width_px, misfit, contrast, blur_px, turn_rad = fitted.T
    with np.errstate(invalid="ignore"):
        one_head = misfit <= MOST_MISFIT
        sharp = blur_px <= MOST_BLUR * 0.5 * width_px
    flags[chosen & ~one_head] |= int(Flag.UNLIKE)
    flags[chosen & one_head & ~sharp] |= int(Flag.BLURRED)
    size = SIZE_OF_FIT[(contrast > 0.0).astype(np.int64)]
    long_px = size[:, 0, 0] * length_px + size[:, 0, 1] / um_per_px
    wide_px = size[:, 1, 0] * width_px + size[:, 1, 1] / um_per_px
    long_px, wide_px = np.maximum(long_px, wide_px), np.minimum(long_px, wide_px)
    found = np.stack([0.25 * np.pi * long_px * wide_px, long_px, wide_px, long_px / wide_px], 1)
    values[chosen, :4] = np.where((one_head & sharp)[:, None], found, np.nan)[chosen]
    turned = chosen & one_head & sharp
    values[turned, 4] -= np.degrees(turn_rad[turned])
    return replace(shapes, values=values, flags=flags)


def fit_heads(
    image: UInt8,
    planes: Planes,
    shapes: Shapes,
    box_px: NDArray[np.floating],
    um_per_px: float,
    chosen: NDArray[np.bool_],
) -> Float64:
    """Fit the chosen heads; (N, 6) in the order of GREY_COLUMNS, NaN where the picture shows none.

    Parameters are those of ``with_grey_heads``; ``chosen`` (N,). Length and width are as fitted,
    without ``SIZE_OF_FIT``. ``misfit`` is the root mean square of what is left, relative to the
    contrast; ``contrast`` is that of the core, grey levels, negative of dark heads; ``turn_rad``
    is how far the head's axis lies from where the network saw it.
    """
    box = np.ascontiguousarray(box_px, np.float64).reshape(-1, 4)
    box = np.where(np.isfinite(box), box, -1e4)
    begin = np.stack(
        [*shapes.centre_px.T, shapes.values[:, 1], shapes.values[:, 2], *shapes.axis.T], axis=1
    )
    begin[~chosen] = np.nan
    return np.asarray(_fit_all(image, planes.body, planes.per_px, begin, box, um_per_px))


@njit(cache=True, nogil=True)
def _fit_all(
    image: UInt8, body: Float32, per_px: float, begin: Float64, box: Float64, um_per_px: float
) -> Float64:
    out = np.full((len(begin), 6), np.nan)
    pixel = np.empty((_MOST_PIXELS, 3))
    for i in range(len(begin)):
        if not np.isfinite(begin[i]).all():
            continue
        count, ground, core = _gather(image, body, per_px, begin[i], i, box, um_per_px, pixel)
        if count < _LEAST_PIXELS or core > _OVEREXPOSED or abs(core - ground) < _LEAST_CONTRAST:
            continue
        found, squares = fit_ellipse(pixel[:count], begin[i], ground, core - ground, um_per_px)
        if abs(found[5]) < _LEAST_CONTRAST:
            continue
        out[i, 0], out[i, 1] = 2.0 * np.exp(found[3]), 2.0 * np.exp(found[4])
        out[i, 2] = np.sqrt(squares / count) / abs(found[5])
        out[i, 3], out[i, 4] = found[5], np.exp(found[6])
        out[i, 5] = found[2] - np.arctan2(begin[i, 5], begin[i, 4])
    return out


@njit(cache=True, nogil=True)
def _gather(
    image: UInt8,
    body: Float32,
    per_px: float,
    own: Float64,
    i: int,
    box: Float64,
    um_per_px: float,
    pixel: Float64,
) -> tuple[int, float, float]:
    """Collect x, y and grey level of the pixels to be explained; then ground and core level."""
    height, width = image.shape
    x0, y0, a, b = own[0], own[1], 0.5 * own[2], 0.5 * own[3]
    radius = a + max(_AROUND_UM / um_per_px, _AROUND_PX)
    near = neighbours(i, box, 2.0 * radius)
    step = 2 if um_per_px < _COARSE_UM else 1
    count, grounds, cores, core = 0, 0, 0, 0.0
    ground = np.empty(_MOST_PIXELS)
    top, left = int(max(np.ceil(y0 - radius), 0)), int(max(np.ceil(x0 - radius), 0))
    for y in range(top + top % 2, int(min(y0 + radius, height - 1)) + 1, 2):
        for x in range(left, int(min(x0 + radius, width - 1)) + 1, step):
            dx, dy = x - x0, y - y0
            far = dx * dx + dy * dy
            if far > radius * radius or not is_nearest(x, y, x0, y0, near):
                continue
            p = (dx * own[4] + dy * own[5]) / (a + 0.5)
            q = (dy * own[4] - dx * own[5]) / (b + 0.5)
            if p * p + q * q > 1.0 and _by_tail(body, per_px, x, y):
                continue
            if count == _MOST_PIXELS:
                break
            pixel[count, 0], pixel[count, 1], pixel[count, 2] = x, y, image[y, x]
            count += 1
            if far > (a + 4.0) ** 2:
                ground[grounds] = image[y, x]
                grounds += 1
            if far < max((0.6 * b) ** 2, 2.0):
                core += image[y, x]
                cores += 1
    if cores == 0 or grounds < 10:
        return 0, 0.0, 0.0
    return count, float(np.median(ground[:grounds])), core / cores


@njit(cache=True, nogil=True)
def _by_tail(body: Float32, per_px: float, x: float, y: float) -> bool:
    r = _NEAR_TAIL_PX
    return bool(
        sample(body, per_px, x, y) > _TAIL
        or sample(body, per_px, x - r, y) > _TAIL
        or sample(body, per_px, x + r, y) > _TAIL
        or sample(body, per_px, x, y - r) > _TAIL
        or sample(body, per_px, x, y + r) > _TAIL
    )
