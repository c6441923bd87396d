"""Drawing: sperm and clutter at one pose onto a canvas of relative contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.specimen.clutter import Clutter
from models.specimen.morphology import Anatomy
from models.specimen.optics import Look, Tables, depth_levels
from models.specimen.pose import POINTS, Pose
from models.specimen.splat import splat_bodies, splat_strokes

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def signed_contrast(anatomy: Anatomy, look: Look) -> Float64:
    """Core contrast of each head: negative is darker than the background."""
    sign = 1.0 if look.bright_heads else -1.0
    limit = 1.4 if look.bright_heads else 0.92
    return sign * np.minimum(look.head_contrast * anatomy.brightness, limit)


def pixel_shape(shape_um: Float64, um_per_px: float) -> Float64:
    """Shapes (n, 6) with their two lengths in px."""
    return np.asarray(shape_um * np.array([1 / um_per_px, 1 / um_per_px, 1, 1, 1, 1]))


def draw_sperm(
    canvas: Float32,
    placed: Pose,
    shape_px: Float64,
    contrast: Float64,
    z_um: Float64,
    tables: Tables,
    um_per_px: float,
    rows: tuple[int, int],
) -> None:
    """Add heads and tails at one pose to the canvas.

    Parameters
    ----------
    canvas : (H, W) float32, changed
    placed : where they lie; tails with the amplitude that this pose contributes
    shape_px, contrast, z_um : (n, 6), (n,), (n,) heads; contrast is what this pose contributes
    rows : first row and row step of the field
    """
    splat_strokes(canvas, placed.line_x, placed.line_y, placed.line_sd, placed.line_amplitude,
                  tables.line, tables.step, rows[0], rows[1], -1.0)  # fmt: skip
    splat_bodies(canvas, placed.x, placed.y, placed.ux, placed.uy, shape_px, contrast,
                 z_um, tables.edge, tables.blur_um, um_per_px, rows[0], rows[1], 1.0)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClutterInView:
    """Clutter of one frame, placed in the picture; passes differ by a shift only.

    Bodies (m,) and lines (k, POINTS), px: arguments of the two splats.
    """

    xy: Float64
    axis: Float64
    shape: Float64
    amplitude: Float64
    z_um: Float64
    line: Float64
    line_sd: Float64
    line_amplitude: Float64


def place_clutter(
    clutter: Clutter,
    position_um: Float64,
    tables: Tables,
    um_per_px: float,
    to_px: Float64,
    size_px: tuple[int, int],
) -> ClutterInView:
    """Place the clutter whose groups are at ``position_um`` (groups, 2).

    ``to_px`` (2, 3) maps um to px; ``size_px`` is width, height.
    """
    turn = to_px[:, :2].T
    where = position_um @ turn + to_px[:, 2]
    size = np.array(size_px)
    body = np.flatnonzero(_within(where, size, 20.0 / um_per_px)[clutter.body_group])
    angle = clutter.body_angle[body]
    line = np.flatnonzero(_within(where, size, 80.0 / um_per_px)[clutter.line_group])
    level = depth_levels(clutter.line_z_um[line])
    sd = np.sqrt(tables.blur_um[level] ** 2 + clutter.line_width_um[line] ** 2 / 12) / um_per_px
    points = where[clutter.line_group[line]][:, None, :] + clutter.line_um[line] @ turn
    return ClutterInView(
        xy=where[clutter.body_group[body]] + clutter.body_offset_um[body] @ turn,
        axis=np.ascontiguousarray(
            (np.stack([np.cos(angle), np.sin(angle)], axis=1) @ turn * um_per_px).T
        ),
        shape=pixel_shape(clutter.body_shape[body], um_per_px),
        amplitude=clutter.body_amplitude[body],
        z_um=clutter.body_z_um[body],
        line=points,
        line_sd=np.repeat(sd[:, None], POINTS, axis=1),
        line_amplitude=np.repeat(clutter.line_amplitude[line][:, None], POINTS, axis=1),
    )


def draw_clutter_on(
    canvas: Float32,
    clutter: ClutterInView,
    shift_px: Float64,
    tables: Tables,
    um_per_px: float,
    rows: tuple[int, int],
    weight: float,
) -> None:
    """Add clutter, moved by ``shift_px`` (2,), with ``weight``, the share of the exposure."""
    xy = np.ascontiguousarray((clutter.xy + shift_px).T)
    splat_bodies(canvas, xy[0], xy[1], clutter.axis[0], clutter.axis[1], clutter.shape,
                 clutter.amplitude, clutter.z_um, tables.speck, tables.blur_um, um_per_px,
                 rows[0], rows[1], weight)  # fmt: skip
    line = np.ascontiguousarray(np.moveaxis(clutter.line + shift_px, -1, 0))
    splat_strokes(canvas, line[0], line[1], clutter.line_sd, clutter.line_amplitude,
                  tables.line, tables.step, rows[0], rows[1], weight)  # fmt: skip


def _within(xy_px: Float64, size_px: NDArray[np.int64], margin_px: float) -> NDArray[np.bool_]:
    half = (size_px - 1) / 2
    reach = half + margin_px
    off = np.abs(xy_px - half)
    return np.asarray((off[:, 0] < reach[0]) & (off[:, 1] < reach[1]))


def midpiece_points(anatomy: Anatomy) -> Float64:
    """How many points of each line belong to the midpiece, (lines,)."""
    length = np.maximum(anatomy.tail_length_um, 1e-6)
    return (anatomy.midpiece_um / length * (POINTS - 1))[anatomy.line_owner]


def visible_contrast(
    anatomy: Anatomy, shape_px: Float64, contrast: Float64, look: Look, tables: Tables
) -> Float64:
    """Contrast that is left of each head after blur, positive, (n,)."""
    sigma = look.blur_um(anatomy.z_um) / look.um_per_px
    left = 1.0 - np.exp(-shape_px[:, 0] * shape_px[:, 1] / (2 * sigma**2))
    return np.asarray(np.abs(contrast) * left, dtype=np.float64)
