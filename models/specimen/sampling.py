"""Single labelled frames for training: a fresh specimen, with fresh optics, each time."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.specimen.aspect import stick_together, turn_end_on
from models.specimen.clutter import draw_clutter
from models.specimen.drawing import (
    draw_clutter_on,
    draw_sperm,
    midpiece_points,
    pixel_shape,
    place_clutter,
    signed_contrast,
    visible_contrast,
)
from models.specimen.morphology import Anatomy, draw_anatomy
from models.specimen.noise import TILE, compress, correlated_tile, expose, light_field
from models.specimen.optics import Look, Tables, draw_look, make_tables
from models.specimen.patches import draw_patches, draw_patches_on
from models.specimen.pipette import draw_pipette, pipette_blur, splat_pipette
from models.specimen.pose import Pose, flat_yaw, pose
from models.specimen.profiles import FIELD_PX, FIELD_UM2, Profile, profile
from models.specimen.swimming import draw_swim, first_state, glide
from models.specimen.truth import head_boxes, paint

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
UInt8 = NDArray[np.uint8]

_MARGIN_UM = 28.0
_TILES = 6


class Sample(NamedTuple):
    """One labelled frame. Image frame, px.

    Attributes
    ----------
    image : (H, W) uint8
    boxes : (N, 4) float32
        Head boxes: centre x, y, width, height, cut at the border.
    labels : (N,) int8
        SpermClass: 1 normal, 2 abnormal.
    class_map, part_map : (H, W) uint8
        SpermClass and SpermPart of each pixel, whole sperm.
    ignore : (M, 4) float32
        Boxes that are neither right nor wrong to find: heads too faint, too far out of focus,
        or mostly outside.
    """

    image: UInt8
    boxes: Float32
    labels: Int8
    class_map: UInt8
    part_map: UInt8
    ignore: Float32


@cache
def _tiles(name: str, modality: str) -> tuple[Float32, ...]:
    """Noise of several grain sizes, made once in a process."""
    rng = np.random.default_rng(7)
    made = []
    chosen = profile(name, modality=modality)
    for k in range(_TILES):
        if k == 0:
            corr_x, corr_y = chosen.noise_x, chosen.noise_y
        else:
            sx, sy = rng.uniform(0.05, 1.3, 2)
            lags = np.arange(5.0)
            corr_x = tuple(np.exp(-(lags**2) / (4 * sx**2)))
            corr_y = tuple(np.exp(-(lags**2) / (4 * sy**2)))
        made.append(correlated_tile(rng, corr_x, corr_y))
    return tuple(made)


@cache
def _yaw() -> Float64:
    return np.ascontiguousarray(flat_yaw())


def training_profile(rng: np.random.Generator) -> Profile:
    """Return profile ``train``: of bright field 3 of 4 times, else of phase contrast."""
    return profile("train", modality="phase" if rng.random() < 0.25 else "brightfield")


def training_sample(
    rng: np.random.Generator,
    height_px: int,
    width_px: int,
    *,
    base: Profile | None = None,
) -> Sample:
    """Draw one labelled frame of a fresh specimen with fresh optics.

    Parameters
    ----------
    rng : source of all randomness: the same state gives the same sample
    height_px, width_px : size of the frame or crop
    base : profile to draw from; None draws one by ``training_profile``

    Returns
    -------
    Sample
    """
    if base is None:
        base = training_profile(rng)
    look = draw_look(base, rng)
    gap_s = look.field_gap_s
    tables = make_tables(look)
    um = look.um_per_px
    size = (width_px * um + 2 * _MARGIN_UM, height_px * um + 2 * _MARGIN_UM)
    if base.density_range is not None:
        # Sperm per pixel, so that high magnifications do not give empty crops.
        fields = size[0] * size[1] / (um * um * FIELD_PX[0] * FIELD_PX[1])
        per_field = float(np.exp(rng.uniform(*np.log(base.density_range))))
    else:
        fields = size[0] * size[1] / FIELD_UM2
        per_field = base.density_per_field
    count = min(int(rng.poisson(per_field * fields)), 400)
    anatomy = draw_anatomy(
        rng,
        count,
        abnormal_fraction=base.abnormal_fraction,
        wet=base.wet,
        head_spread=look.head_spread,
        tail_spread=look.tail_spread,
        depth_sd_um=look.depth_sd_um,
    )
    # A profile that is frozen shows none of these, and draws no random numbers for them.
    if base.end_on > 0:
        anatomy = turn_end_on(rng, anatomy, base.end_on, base.dim_end_on)
    swim = draw_swim(rng, anatomy, pace=float(rng.uniform(*base.pace)))
    state = first_state(rng, swim, size)
    if base.clumped > 0:
        state = stick_together(rng, anatomy, state, base.clumped)
    patches = draw_patches(rng, anatomy, base) if base.light_centre + base.thick_neck > 0 else None
    clutter = draw_clutter(rng, base, look, size, fields)
    to_px = np.array([[1 / um, 0.0, -_MARGIN_UM / um], [0.0, 1 / um, -_MARGIN_UM / um]])
    canvas = np.zeros((height_px, width_px), np.float32)

    rows = ((0, 2, -0.5), (1, 2, 0.5)) if gap_s > 0 else ((0, 1, 0.0),)
    exposure_s = float(rng.uniform(0.002, 0.018))
    poses = 2 if exposure_s > 0.005 else 1
    heads = signed_contrast(anatomy, look)
    shape_px = pixel_shape(anatomy.head, um)
    share = np.full(count, 1.0 / poses)
    for first, step, side in rows:
        for k in range(poses):
            dt = side * gap_s + exposure_s * ((k + 0.5) / poses - 0.5)
            placed = pose(anatomy, glide(state, swim, dt), share, look, tables, _yaw(), to_px)
            draw_sperm(
                canvas, placed, shape_px, heads / poses, anatomy.z_um, tables, um, (first, step)
            )
            if patches is not None:
                draw_patches_on(
                    canvas, patches, placed, heads / poses, anatomy.z_um, tables, um, (first, step)
                )
    placed_clutter = place_clutter(
        clutter, clutter.home_um, tables, um, to_px, (width_px, height_px)
    )
    draw_clutter_on(canvas, placed_clutter, np.zeros(2), tables, um, (0, 1), 1.0)
    if rng.random() < base.pipette_probability:
        _draw_pipette_on(canvas, rng, look, tables)

    pattern = _tiles(base.name, base.modality)[int(rng.integers(_TILES))]
    shift = rng.integers(0, TILE, 4)
    fixed = tile_window(pattern, int(shift[0]), int(shift[1]), height_px, width_px)
    fixed *= np.float32(look.static_sd)
    image = np.empty((height_px, width_px), np.uint8)
    lamp = 1.0 + look.flicker * float(rng.standard_normal())
    light = light_field(look, height_px, width_px)
    expose(canvas, light, fixed, pattern, int(shift[2]), int(shift[3]), look.noise_sd, lamp, image)
    image = compress(image, look.jpeg_quality)

    placed = pose(anatomy, state, np.ones(count), look, tables, _yaw(), to_px)
    return _label(image, placed, shape_px, heads, anatomy, look, tables, base.least_inside)


def _draw_pipette_on(canvas: Float32, rng: np.random.Generator, look: Look, tables: Tables) -> None:
    glass = draw_pipette(rng)
    height, width = canvas.shape
    um = look.um_per_px
    blur = pipette_blur(float(rng.normal(0, 6)), tables.blur_um)
    splat_pipette(canvas, float(rng.uniform(0.1, 0.9) * width), float(rng.uniform(0, 1) * height),
                  glass.direction_rad, glass.outer_um / um, glass.wall_um / um, glass.taper,
                  glass.contrast, blur / um, 0, 1, 1.0)  # fmt: skip


def tile_window(tile: Float32, y: int, x: int, height_px: int, width_px: int) -> Float32:
    """Cut a window from a periodic tile (a copy)."""
    rows = (np.arange(height_px) + y) % TILE
    columns = (np.arange(width_px) + x) % TILE
    return tile[rows[:, None], columns[None, :]]


def _label(
    image: UInt8,
    placed: Pose,
    shape_px: Float64,
    contrast: Float64,
    anatomy: Anatomy,
    look: Look,
    tables: Tables,
    least_inside: float,
) -> Sample:
    height, width = image.shape
    full = head_boxes(
        placed.x, placed.y, placed.ux, placed.uy, shape_px, look.box_margin_um / look.um_per_px
    )
    low = np.maximum(full[:, :2] - full[:, 2:] / 2, -0.5)
    high = np.minimum(full[:, :2] + full[:, 2:] / 2, [width - 0.5, height - 0.5])
    size = high - low
    inside = (size > 1.0).all(axis=1)
    area = np.where(inside, size.clip(0).prod(axis=1), 0.0)
    share = area / full[:, 2:].prod(axis=1)
    strength = visible_contrast(anatomy, shape_px, contrast, look, tables)
    noise = math.hypot(look.noise_sd, look.static_sd) / look.background
    good = inside & (share > least_inside) & (strength > 2 * noise) & (strength > 0.06)
    class_map = np.zeros((height, width), np.uint8)
    part_map = np.zeros((height, width), np.uint8)
    faintest = max(1.2 * noise, 0.015)
    paint(class_map, part_map, anatomy.label, placed.x, placed.y, placed.ux, placed.uy, shape_px,
          strength > 2 * noise, anatomy.line_owner, placed.line_x, placed.line_y, placed.line_sd,
          placed.line_amplitude, midpiece_points(anatomy), faintest)  # fmt: skip
    boxes = np.concatenate([(low + high) / 2, size], axis=1).astype(np.float32)
    return Sample(
        image=image,
        boxes=boxes[good],
        labels=anatomy.label[good],
        class_map=class_map,
        part_map=part_map,
        ignore=boxes[inside & ~good],
    )
