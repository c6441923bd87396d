"""Everything that is not a sperm: specks, round cells, bubbles, strands. Never labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.specimen.optics import Look
from models.specimen.pose import POINTS
from models.specimen.profiles import Profile

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Clutter:
    """Bodies and lines that drift and diffuse as groups (a cell moves with its granules).

    Attributes
    ----------
    home_um : (groups, 2) float64
        Position at time 0.
    diffusion_um2_s : (groups,) float64
    body_group : (m,) int64
    body_offset_um : (m, 2) float64
    body_angle : (m,) float64
    body_shape : (m, 6) float64
        As Anatomy.head, um.
    body_amplitude : (m,) float64
        Signed contrast; dark is negative.
    body_z_um : (m,) float64
    line_group : (k,) int64
    line_um : (k, POINTS, 2) float64
        Offsets from the group.
    line_width_um, line_amplitude, line_z_um : (k,) float64
    """

    home_um: Float64
    diffusion_um2_s: Float64
    body_group: Int64
    body_offset_um: Float64
    body_angle: Float64
    body_shape: Float64
    body_amplitude: Float64
    body_z_um: Float64
    line_group: Int64
    line_um: Float64
    line_width_um: Float64
    line_amplitude: Float64
    line_z_um: Float64


class _Builder:
    """Collects groups, bodies and lines."""

    def __init__(self) -> None:
        self.homes: list[Float64] = []
        self.diffusion: list[Float64] = []
        self.bodies: list[tuple[Int64, Float64, Float64, Float64, Float64, Float64]] = []
        self.lines: list[tuple[Int64, Float64, Float64, Float64, Float64]] = []
        self.groups = 0

    def add_groups(self, home: Float64, diffusion: Float64) -> Int64:
        self.homes.append(home)
        self.diffusion.append(diffusion)
        first = self.groups
        self.groups += len(home)
        return np.arange(first, self.groups)

    def build(self) -> Clutter:
        group, offset, angle, shape, amplitude, z = (
            np.concatenate(column) for column in zip(*self.bodies, strict=True)
        )
        owner, points, width, contrast, depth = (
            np.concatenate(column) for column in zip(*self.lines, strict=True)
        )
        return Clutter(
            home_um=np.concatenate(self.homes),
            diffusion_um2_s=np.concatenate(self.diffusion),
            body_group=group,
            body_offset_um=offset,
            body_angle=angle,
            body_shape=shape,
            body_amplitude=amplitude,
            body_z_um=z,
            line_group=owner,
            line_um=points,
            line_width_um=width,
            line_amplitude=contrast,
            line_z_um=depth,
        )


def draw_clutter(
    rng: np.random.Generator,
    profile: Profile,
    look: Look,
    size_um: tuple[float, float],
    fields: float,
) -> Clutter:
    """Draw the clutter of a world of ``size_um`` that holds ``fields`` fields of view."""
    builder = _Builder()

    def count(pair: tuple[float, float]) -> int:
        return int(rng.poisson(rng.uniform(*pair) * fields))

    def places(n: int) -> Float64:
        return np.asarray(rng.uniform(0, 1, (n, 2)) * np.asarray(size_um), dtype=np.float64)

    _add_specks(builder, rng, profile, look, places(count(profile.specks)))
    _add_round_cells(builder, rng, look, places(count(profile.round_cells)))
    _add_bubbles(builder, rng, look, places(count(profile.bubbles)))
    _add_strands(builder, rng, look, places(count(profile.strands)))
    return builder.build()


def _add_specks(
    builder: _Builder, rng: np.random.Generator, profile: Profile, look: Look, home: Float64
) -> None:
    n = len(home)
    low, high = profile.speck_diameter_um
    diameter = np.exp(rng.normal(np.log(0.5 * (low + high) * 0.8), 0.33, n)).clip(low * 0.7, high)
    group = builder.add_groups(home, 0.22 / diameter)
    shape = np.zeros((n, 6))
    shape[:, 0] = diameter / 2 * rng.uniform(1.0, 1.35, n)
    shape[:, 1] = diameter / 2
    # Two in five are not round: lobed flakes.
    lobed = rng.random(n) < 0.4
    shape[:, 3] = np.where(lobed, rng.uniform(-0.3, 0.3, n), 0.0)
    shape[:, 4] = np.where(lobed, rng.uniform(-0.25, 0.25, n), 0.0)
    contrast = look.speck_contrast * np.exp(rng.normal(0.0, 0.55, n))
    # One in five is as dark as a head; most of these are much smaller than one.
    dark = rng.random(n) < 0.2
    contrast = np.where(dark, rng.uniform(0.4, 1.2, n) * look.head_contrast, contrast)
    little = dark & (rng.random(n) < profile.little_specks)
    shape[:, :2] *= np.where(
        little, np.minimum(rng.uniform(*profile.little_um, n) / diameter, 1.0), 1.0
    )[:, None]
    bright = rng.random(n) < (0.15 if look.bright_heads else 0.02)
    sign = np.where(bright, 0.6, -1.0)
    z = rng.normal(0, max(look.depth_sd_um, 1.5), n).clip(-9, 9)
    angle = rng.uniform(0, np.pi, n)
    builder.bodies.append((group, np.zeros((n, 2)), angle, shape, sign * contrast, z))
    # Some have a companion, a few have several: crumbs.
    extra = np.where(rng.random(n) < 0.10, 1, 0) + np.where(rng.random(n) < 0.04, 3, 0)
    twin = np.repeat(np.arange(n), extra)
    turn = rng.uniform(0, 2 * np.pi, len(twin))
    apart = diameter[twin] * rng.uniform(0.9, 1.5, len(twin))
    offset = np.stack([np.cos(turn), np.sin(turn)], axis=1) * apart[:, None]
    builder.bodies.append(
        (
            group[twin],
            offset,
            angle[twin],
            shape[twin]
            * np.concatenate(
                [rng.uniform(0.6, 1.2, (len(twin), 2)), np.ones((len(twin), 4))], axis=1
            ),
            (sign * contrast)[twin],
            z[twin],
        )
    )


def _add_round_cells(
    builder: _Builder, rng: np.random.Generator, look: Look, home: Float64
) -> None:
    n = len(home)
    group = builder.add_groups(home, np.full(n, 0.02))
    radius = rng.uniform(4.0, 7.0, n)
    z = rng.normal(0, 1.5, n)
    shape = np.zeros((n, 6))
    shape[:, 0] = radius * rng.uniform(1.0, 1.1, n)
    shape[:, 1] = radius
    inside = -rng.uniform(0.02, 0.12, n)
    none = np.zeros((n, 2))
    builder.bodies.append((group, none, rng.uniform(0, np.pi, n), shape, inside, z))
    turn = np.linspace(0, 2 * np.pi, POINTS)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)[None] * radius[:, None, None]
    wall = -rng.uniform(0.06, 0.20, n)
    builder.lines.append((group, ring, np.full(n, 1.1), wall, z))
    grains = 7
    spread = rng.normal(0, 0.42, (n, grains, 2)) * radius[:, None, None]
    size = rng.uniform(0.5, 1.4, n * grains)
    grain = np.zeros((n * grains, 6))
    grain[:, 0] = size
    grain[:, 1] = size * rng.uniform(0.6, 1.0, n * grains)
    builder.bodies.append(
        (
            np.repeat(group, grains),
            spread.reshape(-1, 2),
            rng.uniform(0, np.pi, n * grains),
            grain,
            -rng.uniform(0.03, 0.22, n * grains),
            np.repeat(z, grains),
        )
    )


def _add_bubbles(builder: _Builder, rng: np.random.Generator, look: Look, home: Float64) -> None:
    n = len(home)
    group = builder.add_groups(home, np.zeros(n))
    radius = rng.uniform(3.0, 8.0, n)
    shape = np.zeros((n, 6))
    shape[:, 0] = shape[:, 1] = radius
    none = np.zeros((n, 2))
    zero = np.zeros(n)
    builder.bodies.append((group, none, zero, shape, -rng.uniform(0.3, 0.7, n), zero))
    builder.bodies.append((group, none, zero, shape * 0.5, rng.uniform(0.3, 0.9, n), zero + 1.0))


def _add_strands(builder: _Builder, rng: np.random.Generator, look: Look, home: Float64) -> None:
    n = len(home)
    group = builder.add_groups(home, np.full(n, 0.005))
    length = rng.uniform(10, 60, n)
    bend = rng.normal(0, 0.02, (n, POINTS)).cumsum(axis=1) * length[:, None] / 12
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + bend
    step = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * (length / POINTS)[:, None, None]
    width = rng.uniform(0.5, 1.6, n)
    contrast = -look.tail_contrast * rng.uniform(0.3, 1.5, n)
    z = rng.normal(0, look.depth_sd_um, n).clip(-9, 9)
    builder.lines.append((group, step.cumsum(axis=1), width, contrast, z))
