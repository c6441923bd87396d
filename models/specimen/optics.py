"""Optics: how depth, objective and contrast method turn a shape into a brightness profile.

Shapes are never rasterised finely and blurred. Each is splatted as a function of the distance to
its edge (heads, cells, specks) or centre line (tails), read from tables made here. In focus the
blur is the point spread (Gaussian, 0.21 wavelength / NA) with that of the camera; a depth z adds
a geometric cone of which half counts as a standard deviation: 0.25 |z|.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from models.specimen.profiles import Profile, Range

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

WAVELENGTH_UM = 0.55
DEPTH_STEP_UM = 0.5
DEPTH_LEVELS = 41  # -10 to +10 um
EDGE_STEP_UM = 0.1
EDGE_FROM_UM = -4.0
EDGE_COUNT = 121  # -4 to +8 um
LINE_STEP = 0.05
LINE_COUNT = 85  # 0 to 4.2 standard deviations
STEP_COUNT = 161  # the normal distribution function from -4 to +4


@dataclass(frozen=True, slots=True)
class Look:
    """Optical properties of one specimen, drawn once from a profile; units as in Profile."""

    bright_heads: bool
    um_per_px: float
    numerical_aperture: float
    depth_sd_um: float
    blur_px: float
    head_contrast: float
    head_spread: float
    rim_ratio: float
    rim_at_um: float
    rim_width_um: float
    tail_contrast: float
    tail_spread: float
    tail_width_um: float
    tail_fringe: float
    speck_contrast: float
    background: float
    tilt: float
    tilt_angle: float
    vignette: float
    noise_sd: float
    static_sd: float
    field_gap_s: float
    flicker: float
    jpeg_quality: int

    @property
    def box_margin_um(self) -> float:
        """How far a box lies outside the outline of a head.

        People draw boxes about what they see, blur included: 2.3 standard deviations in focus,
        and of a bright head the halo too.
        """
        halo = 0.7 * self.rim_width_um if self.bright_heads else 0.0
        return 2.3 * float(self.blur_um(np.zeros(1))[0]) + halo

    def blur_um(self, z_um: Float64) -> Float64:
        """Give the standard deviation of the blur at depth ``z_um`` (any shape), um."""
        spread = 0.21 * WAVELENGTH_UM / self.numerical_aperture
        camera = self.blur_px * self.um_per_px
        cone = 0.25 * np.abs(z_um)
        return np.asarray(np.sqrt(spread**2 + camera**2 + cone**2), dtype=np.float64)


def draw_look(profile: Profile, rng: np.random.Generator) -> Look:
    """Draw the optics of one specimen."""

    def draw(pair: Range) -> float:
        return float(rng.uniform(*pair))

    def happens(share: float) -> bool:
        return share >= 1.0 or float(rng.random()) < share

    quality = draw(profile.jpeg_quality) if happens(profile.jpeg_share) else 0.0
    # Head size on the picture is what a magnification changes: even in its logarithm.
    um_per_px = float(np.exp(rng.uniform(*np.log(profile.um_per_px))))
    return Look(
        bright_heads=profile.modality == "phase",
        um_per_px=um_per_px,
        numerical_aperture=profile.numerical_aperture,
        depth_sd_um=draw(profile.depth_sd_um),
        blur_px=draw(profile.blur_px),
        head_contrast=draw(profile.head_contrast),
        head_spread=profile.head_spread,
        rim_ratio=draw(profile.rim_ratio),
        rim_at_um=draw(profile.rim_at_um),
        rim_width_um=draw(profile.rim_width_um),
        tail_contrast=draw(profile.tail_contrast),
        tail_spread=profile.tail_spread,
        tail_width_um=draw(profile.tail_width_um),
        tail_fringe=0.12,
        speck_contrast=draw(profile.speck_contrast),
        background=draw(profile.background),
        tilt=draw(profile.tilt),
        tilt_angle=float(rng.uniform(0, 2 * np.pi)),
        vignette=draw(profile.vignette),
        noise_sd=draw(profile.noise_sd),
        static_sd=draw(profile.static_sd),
        field_gap_s=draw(profile.field_gap_s) if happens(profile.interlaced_share) else 0.0,
        flicker=draw(profile.flicker),
        jpeg_quality=round(quality) if quality > 0 else 0,
    )


@dataclass(frozen=True, slots=True)
class Tables:
    """What the kernels read.

    Attributes
    ----------
    edge : (DEPTH_LEVELS, EDGE_COUNT) float32
        Brightness about a head's edge, relative to the head's contrast.
    speck : (DEPTH_LEVELS, EDGE_COUNT) float32
        The same for specks, cells and bubbles' walls.
    blur_um : (DEPTH_LEVELS,) float64
    line : (LINE_COUNT,) float32
        Across a stroke, by distance in standard deviations.
    step : (STEP_COUNT,) float32
        Normal distribution function from -4 to 4.
    """

    edge: Float32
    speck: Float32
    blur_um: Float64
    line: Float32
    step: Float32


def make_tables(look: Look) -> Tables:
    """Compute the tables of one look."""
    z = np.linspace(-1.0, 1.0, DEPTH_LEVELS, dtype=np.float64)
    z = np.asarray(z * (DEPTH_LEVELS // 2 * DEPTH_STEP_UM), dtype=np.float64)
    blur = look.blur_um(z)
    d = np.asarray(EDGE_FROM_UM + EDGE_STEP_UM * np.arange(EDGE_COUNT), dtype=np.float64)
    core = ndtr(-d[None, :] / blur[:, None])
    rim = look.rim_ratio
    line_t = np.arange(LINE_COUNT) * LINE_STEP
    line = np.exp(-0.5 * line_t**2) - look.tail_fringe * np.exp(-0.5 * ((line_t - 2.8) / 0.9) ** 2)
    if look.bright_heads:
        # The image of a head is wider than the head: phase is delayed at its edge too.
        wide = ndtr((0.35 - d[None, :]) / blur[:, None])
        edge = _phase_edge(d, z, wide, rim, look)
        speck = _phase_speck(d, z, core, rim)
    else:
        edge = _dark_edge(d, z, core, rim, look)
        speck = edge
    return Tables(
        edge=np.ascontiguousarray(edge, np.float32),
        speck=np.ascontiguousarray(speck, np.float32),
        blur_um=blur,
        line=line.astype(np.float32),
        step=ndtr(np.linspace(-4.0, 4.0, STEP_COUNT)).astype(np.float32),
    )


def _dark_edge(d: Float64, z: Float64, core: Float64, rim: float, look: Look) -> Float64:
    """Bright field: dark core, bright ring; the ring grows above focus and fades below it."""
    strength = rim * np.clip(1.0 + 0.22 * z, 0.25, 1.9)[:, None]
    at = (look.rim_at_um + 0.10 * np.abs(z))[:, None]
    width = (look.rim_width_um + 0.08 * np.abs(z))[:, None]
    ring = np.exp(-0.5 * ((d[None, :] - at) / width) ** 2)
    return np.asarray(core - strength * ring, dtype=np.float64)


def _phase_edge(d: Float64, z: Float64, core: Float64, rim: float, look: Look) -> Float64:
    """Phase contrast: bright core with a thin dark line at its edge, halo, faint dark ring."""
    halo = np.exp(-0.5 * (np.maximum(d - 0.3, 0.0)[None, :] / look.rim_width_um) ** 2)
    line = np.exp(-0.5 * ((d[None, :] - 0.55) / 0.28) ** 2)
    sharp = 0.12 + 0.22 * np.exp(-0.5 * (z / 1.5) ** 2)[:, None]
    inner = 0.18 * np.exp(-0.5 * ((d[None, :] + 1.6) / 0.35) ** 2)
    far = np.exp(-0.5 * ((d[None, :] - 6.0) / 1.2) ** 2)
    grow = np.clip(1.0 + 0.1 * z, 0.6, 1.5)[:, None]
    return np.asarray(
        core + rim * grow * 1.7 * halo * (1.0 - core) - sharp * (line + inner) - 0.06 * rim * far,
        dtype=np.float64,
    )


def _phase_speck(d: Float64, z: Float64, core: Float64, rim: float) -> Float64:
    """Phase contrast, small things: dark core with a thin rim; rings when out of focus."""
    edge = np.exp(-0.5 * ((d[None, :] - 1.1) / 0.5) ** 2)
    away = np.clip((np.abs(z) - 1.2) / 2.5, 0.0, 1.0)[:, None]
    outside = np.maximum(d, 0.0)[None, :]
    period = 1.5 + 0.12 * np.abs(z)[:, None]
    rings = np.cos(2 * np.pi * outside / period) * np.exp(-outside / 2.2)
    focused = core - 0.8 * rim * edge
    return np.asarray((1.0 - away) * focused + away * (0.35 * core + 0.30 * rings))


def depth_levels(z_um: Float64) -> NDArray[np.int64]:
    """Rows of the tables for depths (any shape)."""
    level = np.floor(z_um / DEPTH_STEP_UM + 0.5).astype(np.int64) + DEPTH_LEVELS // 2
    return np.asarray(level.clip(0, DEPTH_LEVELS - 1), dtype=np.int64)
