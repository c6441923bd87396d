"""A slide of latex beads of one size, for rehearsing and testing the check of a pixel's size.

A bead in water is a strong small lens: focused at its edge it is dark, with a bright middle. The
edge is drawn where the bead ends, under an even blur; fringes of a bead out of focus are not drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import ndtr

from models.specimen.slide import Float32, Float64, Slide

_APART = 1.4  # least distance of two middles, over their diameter: they do not touch
_FILLED = 0.25  # share of the field that beads cover at most: a strong objective sees fewer


@dataclass(frozen=True, slots=True)
class BeadLook:
    """How the slide is made, and how it is lit.

    Attributes
    ----------
    bead_um : float
        Diameter in the middle of all beads.
    scatter : float
        Standard deviation of a diameter, relative.
    beads : int
        In view, about; fewer where they would crowd.
    contrast : float
        Of the dark part.
    middle : float
        Diameter of the bright middle, over the bead's.
    blur_um : standard deviation of the blur
    light_tilt, vignette : unevenness of the light, relative
    background, noise_sd : grey levels
    """

    bead_um: float = 10.0
    scatter: float = 0.015
    beads: int = 14
    contrast: float = 0.45
    middle: float = 0.4
    blur_um: float = 0.5
    light_tilt: float = 0.1
    vignette: float = 0.1
    background: float = 150.0
    noise_sd: float = 2.0


class BeadSlide(Slide):
    """The slide as a scene: what a camera sees of it at a stage pose.

    Parameters
    ----------
    look : BeadLook
    matrix_um_per_px : (2, 2) image to stage, um per px
    seed : of places, sizes and noise
    width_px, height_px : size of the pictures

    Attributes
    ----------
    centre_um : (n, 2) float64
        Where the beads lie, stage frame; over the field in the middle and those around it.
    diameter_um : (n,) float64
    """

    def __init__(
        self,
        look: BeadLook,
        matrix_um_per_px: Float64,
        seed: int = 0,
        *,
        width_px: int = 640,
        height_px: int = 480,
    ) -> None:
        super().__init__(
            matrix_um_per_px, seed, width_px=width_px, height_px=height_px,
            blur_um=look.blur_um, noise_sd=look.noise_sd,
        )  # fmt: skip
        rng = np.random.default_rng([seed, 33])
        self.look = look
        self.centre_um = self._places(rng)
        self.diameter_um = look.bead_um * (1 + rng.normal(0, look.scatter, len(self.centre_um)))
        self._shine(rng, look.background, look.light_tilt, look.vignette)

    def _places(self, rng: np.random.Generator) -> Float64:
        """Draw the middles (n, 2), um, none near another: as many in one field as in the next."""
        look = self.look
        half_um = np.abs(self._field_um).max(axis=(0, 1))
        bead_um2 = math.pi / 4 * look.bead_um**2
        in_view = min(float(look.beads), _FILLED * float(np.prod(2 * half_um)) / bead_um2)
        places: list[Float64] = []
        for field in product((0.0, -2.0, 2.0), repeat=2):
            enough = len(places) + in_view
            for place in (field + rng.uniform(-1, 1, (round(4 * in_view), 2))) * half_um:
                apart = [math.dist(place, other) for other in places]
                if len(places) < enough and min(apart, default=math.inf) > _APART * look.bead_um:
                    places.append(place)
        return np.array(places).reshape(-1, 2)

    def _transmission(self, pose_um: Float64) -> Float32:
        """Give the share of light (H, W) that passes, with the stage at ``pose_um`` (2,)."""
        look = self.look
        blur_um = look.blur_um
        shade = np.ones((self.height_px, self.width_px))
        for centre_um, across_um in zip(self.centre_um, self.diameter_um, strict=True):
            reach_um = across_um / 2 + 4 * blur_um
            window, distance_um = self._around(centre_um, pose_um, reach_um)
            bead = ndtr((across_um / 2 - distance_um) / blur_um)
            middle = ndtr((look.middle * across_um / 2 - distance_um) / blur_um)
            shade[window] += look.contrast * (1.3 * middle - bead)
        return np.asarray(shade, dtype=np.float32)
