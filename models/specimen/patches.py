"""Patches: what lies on a head or at its neck and is neither; drawn with it, never labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.specimen.drawing import pixel_shape
from models.specimen.morphology import Anatomy
from models.specimen.optics import Tables
from models.specimen.pose import Pose
from models.specimen.profiles import Profile
from models.specimen.splat import splat_bodies

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Patches:
    """Bodies that move with a head.

    Attributes
    ----------
    owner : (m,) int64
        The sperm.
    along_um, across_um : (m,) float64
        Place in the frame of the head.
    shape : (m, 6) float64
        As Anatomy.head, um.
    amplitude : (m,) float64
        Relative to the head's contrast; negative lightens a dark head.
    """

    owner: Int64
    along_um: Float64
    across_um: Float64
    shape: Float64
    amplitude: Float64

    def __len__(self) -> int:
        return len(self.owner)


def draw_patches(rng: np.random.Generator, anatomy: Anatomy, profile: Profile) -> Patches:
    """Draw the patches of all sperm: light centres of heads, and thick necks.

    A head a little off focus, or with a large vacuole, is dark at its outline and lighter, or
    brighter than the background, inside; the ring about it is brighter than that of others.
    Cytoplasm left at the neck is as dark as a faint head.
    """
    n = len(anatomy)
    light = np.flatnonzero(rng.random(n) < profile.light_centre)
    neck = np.flatnonzero((rng.random(n) < profile.thick_neck) & (anatomy.tail_length_um > 10.0))
    m, k = len(light), len(neck)
    # Wide and light, as wide as the head and dark, narrow and light: what is left is an outline.
    ring, dark, inner = anatomy.head[light], anatomy.head[light], anatomy.head[light]
    ring[:, :2] += rng.uniform(0.6, 1.4, m)[:, None]
    inner[:, :2] *= rng.uniform(0.40, 0.75, m)[:, None]
    inner[:, 2:] = 0.0
    droplet = np.zeros((k, 6))
    droplet[:, 0] = rng.uniform(1.0, 3.0, k)
    droplet[:, 1] = np.minimum(rng.uniform(0.6, 1.3, k), droplet[:, 0])
    back = anatomy.head[neck, 0] + droplet[:, 0] * rng.uniform(0.4, 0.95, k)
    none = np.zeros(2 * m)
    strength = rng.uniform(0.0, 1.0, m)
    return Patches(
        owner=np.concatenate([light, light, light, neck]),
        along_um=np.concatenate([none, rng.uniform(-0.1, 0.2, m) * inner[:, 0], -back]),
        across_um=np.concatenate(
            [none, rng.uniform(-0.15, 0.15, m) * inner[:, 1], rng.uniform(-0.5, 0.5, k)]
        ),
        shape=np.concatenate([ring, dark, inner, droplet]),
        amplitude=np.concatenate(
            [
                -0.35 * strength,
                strength,
                -(0.4 + strength) * rng.uniform(0.8, 1.5, m),
                rng.uniform(0.25, 0.9, k),
            ]
        ),
    )


def draw_patches_on(
    canvas: Float32,
    patches: Patches,
    placed: Pose,
    contrast: Float64,
    z_um: Float64,
    tables: Tables,
    um_per_px: float,
    rows: tuple[int, int],
) -> None:
    """Add patches to the canvas; arguments as ``drawing.draw_sperm``."""
    if not len(patches):
        return
    i = patches.owner
    along, across = patches.along_um / um_per_px, patches.across_um / um_per_px
    ux, uy = placed.ux[i], placed.uy[i]
    splat_bodies(canvas, placed.x[i] + along * ux - across * uy,
                 placed.y[i] + along * uy + across * ux, ux, uy,
                 pixel_shape(patches.shape, um_per_px), patches.amplitude * contrast[i], z_um[i],
                 tables.edge, tables.blur_um, um_per_px, rows[0], rows[1], 1.0)  # fmt: skip
