"""What is true of a frame: boxes, masks, parts. Nothing here is needed to render."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Truth:
    """Sperm whose head touches the picture at one time, N rows.

    Attributes
    ----------
    time_s : float
    stage_um : (2,) float64
        Stage pose.
    sperm_id : (N,) int64
        From 1.
    box_px : (N, 4) float64
        Bound of the head as it is seen (its outline and the blur's margin), not cut at the border:
        centre x, y, width, height.
    position_px, position_um : (N, 2) float64
        Centre of the head in the image and in the stage frame.
    mean_path_um : (N, 2) float64
        Position without the head's yawing, stage frame.
    axis_px : (N, 2) float64
        Unit vector along the head towards its tip, image frame.
    label, mode : (N,) int8
        SpermClass; swimming.Mode.
    speed_um_s : (N,) float64
        Speed along the mean path.
    visible : (N,) bool
        Head contrast above twice the noise.
    whole : (N,) bool
        The head lies within the picture.
    contrast : (N,) float64
        What blur leaves of the head's contrast, positive.
    z_um : (N,) float64
        Depth above the focal plane.
    class_map, part_map : (H, W) uint8 or None
        SpermClass and SpermPart, whole sperm, where asked for.
    identity_map : (H, W) uint16 or None
        Sperm_id of the sperm on top.
    """

    time_s: float
    stage_um: Float64
    sperm_id: Int64
    box_px: Float64
    position_px: Float64
    position_um: Float64
    mean_path_um: Float64
    axis_px: Float64
    label: Int8
    mode: Int8
    speed_um_s: Float64
    visible: Bool
    whole: Bool
    contrast: Float64
    z_um: Float64
    class_map: UInt8 | None = None
    part_map: UInt8 | None = None
    identity_map: UInt16 | None = None

    def __len__(self) -> int:
        return len(self.sperm_id)


@njit(nogil=True, cache=True)
def head_boxes(
    x: Float64, y: Float64, ux: Float64, uy: Float64, shape: Float64, margin: float
) -> Float64:
    """Bound each head: (n, 4) centre x, y, width, height, px.

    ``shape`` is that of ``splat_bodies``, px. The outline is walked in 48 steps; the box lies
    ``margin`` px outside it.
    """
    boxes = np.empty((len(x), 4))
    for i in range(len(x)):
        x0 = 1e9
        x1 = -1e9
        y0 = 1e9
        y1 = -1e9
        for k in range(48):
            c = math.cos(2.0 * math.pi * k / 48.0)
            s = math.sin(2.0 * math.pi * k / 48.0)
            r = 1.0 + shape[i, 3] * 2.0 * c * s + shape[i, 4] * c * (4.0 * c * c - 3.0)
            p = r * c
            u = shape[i, 0] * p
            v = shape[i, 1] * (1.0 + shape[i, 2] * max(min(p, 1.0), -1.0)) * r * s
            px = x[i] + u * ux[i] - v * uy[i]
            py = y[i] + u * uy[i] + v * ux[i]
            x0 = min(x0, px)
            x1 = max(x1, px)
            y0 = min(y0, py)
            y1 = max(y1, py)
        boxes[i, 0] = 0.5 * (x0 + x1)
        boxes[i, 1] = 0.5 * (y0 + y1)
        boxes[i, 2] = x1 - x0 + 2.0 * margin
        boxes[i, 3] = y1 - y0 + 2.0 * margin
    return boxes


@njit(nogil=True, cache=True)
def paint(
    class_map: UInt8,
    part_map: UInt8,
    label: Int8,
    x: Float64,
    y: Float64,
    ux: Float64,
    uy: Float64,
    shape: Float64,
    shown: NDArray[np.bool_],
    owner: Int64,
    line_x: Float64,
    line_y: Float64,
    line_sd: Float64,
    line_amplitude: Float64,
    midpiece_points: Float64,
    faintest: float,
) -> None:
    """Paint visible sperm, tails first so that heads lie on top.

    Parameters
    ----------
    class_map, part_map : (H, W) uint8, changed; pass zeros
    label : (n,) class painted; any value, so that identities can be painted too
    shown : (n,) which sperm to paint
    midpiece_points : (lines,) share of the line's points that are midpiece
    faintest : contrast under which a piece of tail is not visible, hence not painted
    """
    height, width = class_map.shape
    for k in range(len(owner)):
        i = owner[k]
        if not shown[i]:
            continue
        points = line_x.shape[1]
        for j in range(points - 1):
            xa = line_x[k, j]
            xb = line_x[k, j + 1]
            if not (math.isfinite(xa) and math.isfinite(xb)):
                break
            if line_amplitude[k, j] < faintest:
                continue
            ya = line_y[k, j]
            yb = line_y[k, j + 1]
            # Half of the apparent width: the half maximum of the blurred line, kept narrow.
            r = min(max(1.18 * line_sd[k, j], 1.0), 2.0)
            part = 2 if j < midpiece_points[k] else 3
            length2 = (xb - xa) ** 2 + (yb - ya) ** 2 + 1e-12
            for yy in range(
                max(math.ceil(min(ya, yb) - r), 0),
                min(math.floor(max(ya, yb) + r), height - 1) + 1,
            ):
                for xx in range(
                    max(math.ceil(min(xa, xb) - r), 0),
                    min(math.floor(max(xa, xb) + r), width - 1) + 1,
                ):
                    t = ((xx - xa) * (xb - xa) + (yy - ya) * (yb - ya)) / length2
                    t = min(max(t, 0.0), 1.0)
                    dx = xx - xa - t * (xb - xa)
                    dy = yy - ya - t * (yb - ya)
                    if dx * dx + dy * dy <= r * r:
                        class_map[yy, xx] = label[i]
                        part_map[yy, xx] = part
    for i in range(len(x)):
        if not shown[i]:
            continue
        a = shape[i, 0]
        b = shape[i, 1]
        radius = max(a, b) * 1.5
        for yy in range(
            max(math.ceil(y[i] - radius), 0),
            min(math.floor(y[i] + radius), height - 1) + 1,
        ):
            for xx in range(
                max(math.ceil(x[i] - radius), 0),
                min(math.floor(x[i] + radius), width - 1) + 1,
            ):
                u = (xx - x[i]) * ux[i] + (yy - y[i]) * uy[i]
                v = (yy - y[i]) * ux[i] - (xx - x[i]) * uy[i]
                p = u / a
                q = v / (b * (1.0 + shape[i, 2] * max(min(p, 1.0), -1.0)))
                rho = math.sqrt(p * p + q * q)
                bound = 1.0
                if rho > 1e-6:
                    c = p / rho
                    s = q / rho
                    bound += shape[i, 3] * 2.0 * c * s + shape[i, 4] * c * (4.0 * c * c - 3.0)
                if rho <= bound:
                    class_map[yy, xx] = label[i]
                    part_map[yy, xx] = 1
