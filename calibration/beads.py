"""How large round beads are in a picture: by the half maximum of their outer edge."""

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
UInt8 = NDArray[np.uint8]

MIN_BEADS = 3
MIN_DIAMETER_PX = 10.0  # of the nominal size: an edge is known to about a tenth of a pixel
MAX_SCATTER = 0.10  # of the diameter: latex beads vary by 1 to 3 %
_SIZES = (0.4, 2.5)  # of the nominal size: another objective is to be found, not overlooked
_ROUND = 0.80  # 4 pi area / perimeter^2; 1 for a circle, less for two that touch
_RAYS = 64
_STEP_PX = 0.25


@dataclass(frozen=True, slots=True)
class Beads:
    """Beads of one size.

    Attributes
    ----------
    centre_px : (n, 2) float64
        x, y, image frame.
    diameter_px : (n,) float64
    """

    centre_px: Float64
    diameter_px: Float64

    @property
    def median_px(self) -> float:
        """Diameter in the middle of all."""
        return float(np.median(self.diameter_px))

    @property
    def scatter_px(self) -> float:
        """Standard deviation of a diameter, from the median deviation: dust does not count."""
        return 1.4826 * float(np.median(np.abs(self.diameter_px - self.median_px)))


def measure_beads(image: UInt8, nominal_px: float) -> Beads:
    """Measure the beads in a picture (H, W), about ``nominal_px`` wide.

    What is round, whole and apart from others is a bead. On 64 rays from its middle its edge is
    where, coming from outside, the picture has changed by half of what it changes at the rim, and
    a circle is laid through those points. That is the true edge of a disc under any even blur. A
    bead that is out of focus has a bright or dark fringe, and seems larger by part of it.

    Raises
    ------
    CalibrationError
        Fewer than three beads, beads too small in the picture, or of different sizes.
    """
    if not nominal_px >= MIN_DIAMETER_PX:
        raise CalibrationError(
            f"a bead of {nominal_px:.1f} px is too small to measure ({MIN_DIAMETER_PX:.0f} are "
            "needed); take larger beads or a stronger objective"
        )
    flat = even_light(image)
    found = [_edge(flat, x, y, radius) for x, y, radius in _round_things(flat, nominal_px)]
    beads = _of_one_size(np.array([bead for bead in found if bead is not None]).reshape(-1, 3))
    if len(beads) < MIN_BEADS:
        raise CalibrationError(
            f"{len(beads) or 'no'} beads are seen and {MIN_BEADS} are needed; focus their edges, "
            "and see that they do not touch each other"
        )
    result = Beads(beads[:, :2], beads[:, 2])
    if result.scatter_px > MAX_SCATTER * result.median_px:
        raise CalibrationError(
            f"the beads are not of one size ({result.scatter_px / result.median_px:.0%} of "
            f"scatter, {MAX_SCATTER:.0%} is allowed); focus, and clean the slide"
        )
    return result


def _of_one_size(beads: Float64) -> Float64:
    """Keep those about the commonest size; round specks are of any size, beads of one."""
    if not len(beads):
        return beads
    across = beads[:, 2]
    apart = np.abs(np.log(across[:, None] / across))
    commonest = int((apart < 0.08).sum(axis=1).argmax())
    return np.asarray(beads[apart[commonest] < 0.25])


def _round_things(flat: Float32, nominal_px: float) -> list[tuple[float, float, float]]:
    """Middle x, y and radius, about, of what is round and whole; image frame, px."""
    smooth = cv2.GaussianBlur(flat, (0, 0), 1.0)
    away = np.abs(smooth - float(np.median(smooth)))
    noise = 1.4826 * float(np.median(away))
    mask = (away > max(6 * noise, 0.03)).astype(np.uint8)
    # A bright middle and its dark rim are one bead, also where a thin line parts them.
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = flat.shape
    things = []
    for outline in outlines:
        area, around = cv2.contourArea(outline), cv2.arcLength(outline, closed=True)
        x, y, w, h = cv2.boundingRect(outline)
        whole = x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1
        across = 2 * math.sqrt(area / math.pi)
        fits = _SIZES[0] * nominal_px < across < _SIZES[1] * nominal_px
        if whole and fits and 4 * math.pi * area > _ROUND * around**2:
            (cx, cy), _ = cv2.minEnclosingCircle(outline)
            things.append((float(cx), float(cy), across / 2))
    return things


def _edge(
    flat: Float32, x_px: float, y_px: float, radius_px: float
) -> tuple[float, float, float] | None:
    """Middle and diameter by the edge's half maximum; None where there is no clear edge."""
    reach = 1.6 * radius_px + 3.0
    r = np.arange(0.0, reach, _STEP_PX)
    turn = np.arange(_RAYS) * (2 * math.pi / _RAYS)
    rays_x = x_px + np.cos(turn)[:, None] * r
    rays_y = y_px + np.sin(turn)[:, None] * r
    rays = np.asarray(
        cv2.remap(
            flat, rays_x.astype(np.float32), rays_y.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ), np.float64,
    )  # fmt: skip
    outside = float(np.median(rays[:, r > 1.3 * radius_px + 1.5]))
    # The height is that of the mean of all rays: of one ray it would be the noise's.
    mean = np.abs(gaussian_filter1d(rays.mean(axis=0) - outside, 0.5 / _STEP_PX))
    top = (mean[1:-1] >= mean[:-2]) & (mean[1:-1] > mean[2:]) & (mean[1:-1] > 0.3 * mean.max())
    if not top.any():
        return None
    most = int(np.flatnonzero(top)[-1]) + 1  # the outermost: what is within may be of either sign
    half = (float(rays[:, most].mean()) - outside) / 2
    beyond = (rays[:, most:] - outside) / half < 1.0
    if not beyond.any(axis=1).all():
        return None
    first = most + beyond.argmax(axis=1)
    inner = rays[np.arange(_RAYS), np.maximum(first - 1, 0)] - outside
    outer = rays[np.arange(_RAYS), first] - outside
    share = np.where(
        outer == inner, 0.0, (half - inner) / np.where(outer == inner, 1, outer - inner)
    )
    edge = r[np.maximum(first - 1, 0)] + _STEP_PX * np.clip(share, 0.0, 1.0)
    kept = np.abs(edge - np.median(edge)) < 0.25 * radius_px  # a speck at the rim
    ex, ey = edge[kept] * np.cos(turn[kept]), edge[kept] * np.sin(turn[kept])
    design = np.stack([ex, ey, np.ones(len(ex))], axis=1)
    (a, b, c), *_ = np.linalg.lstsq(design, ex**2 + ey**2, rcond=None)
    middle = np.array((a / 2, b / 2))
    radius = math.sqrt(max(float(c) + float(middle @ middle), 0.0))
    return x_px + float(middle[0]), y_px + float(middle[1]), 2 * radius
