"""A stage micrometer: a ruled glass slide, for rehearsing and testing the measure of a pixel.

Ticks as on the usual slide, 1 mm in 100 parts: every fifth longer, every tenth longest. Each is
a dark bar, blurred by optics that are rarely in focus over the whole field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from models.specimen.slide import Float32, Float64, Slide

_CONE = 0.25  # standard deviation of the blur per unit of depth, as in optics.py


@dataclass(frozen=True, slots=True)
class MicrometerLook:
    """How the slide lies under the microscope, and how it is lit.

    Attributes
    ----------
    division_um : float
        Distance of neighbouring ticks.
    line_um : float
        Width of a tick.
    angle_rad : float
        Direction in which the ticks are counted, stage frame.
    origin_um : (x, y) of the middle of the ruling's base, stage frame
    tick_um : lengths of a common, a fifth and a tenth tick
    ticks : number of divisions on each side of the origin
    contrast : of the ticks
    blur_um : standard deviation of the blur in focus
    z_um, tilt_x, tilt_y : depth at the picture's centre, and its slope (um per um)
    light_tilt, vignette : unevenness of the light, relative
    dust : number of specks on the slide
    scratches : number of long thin lines across it
    background, noise_sd : grey levels
    """

    division_um: float = 10.0
    line_um: float = 2.0
    angle_rad: float = 0.0
    origin_um: tuple[float, float] = (0.0, 0.0)
    tick_um: tuple[float, float, float] = (80.0, 110.0, 140.0)
    ticks: int = 50
    contrast: float = 0.6
    blur_um: float = 0.55
    z_um: float = 0.0
    tilt_x: float = 0.0
    tilt_y: float = 0.0
    light_tilt: float = 0.05
    vignette: float = 0.05
    dust: int = 20
    scratches: int = 0
    background: float = 170.0
    noise_sd: float = 2.0


def draw_micrometer(
    rng: np.random.Generator, division_um: float, um_per_px: float
) -> MicrometerLook:
    """Draw how a technician may have laid the slide: any angle, uneven light, dust, half in focus.

    ``um_per_px`` is the nominal size of a pixel: the ruling is laid about the picture's centre.
    """
    field_um = 480.0 * um_per_px
    small = min(1.0, field_um / 237.0)  # what a strong objective sees, it sees in better focus
    return MicrometerLook(
        division_um=division_um,
        line_um=float(rng.uniform(1.2, 2.6)) * max(1.0, division_um / 50.0),
        angle_rad=float(rng.uniform(-math.pi, math.pi)),
        origin_um=(
            float(rng.uniform(-0.2, 0.2)) * field_um,
            float(rng.uniform(-0.2, 0.2)) * field_um,
        ),
        tick_um=(80.0, 110.0, 140.0) if division_um < 50 else (240.0, 300.0, 360.0),
        ticks=50 if division_um < 50 else 5,
        contrast=float(rng.uniform(0.3, 0.85)),
        blur_um=float(rng.uniform(0.4, 0.8)) * max(small, 0.4),
        z_um=float(rng.uniform(-4.0, 4.0)) * small,
        tilt_x=float(rng.uniform(-0.03, 0.03)),
        tilt_y=float(rng.uniform(-0.03, 0.03)),
        light_tilt=float(rng.uniform(0.0, 0.3)),
        vignette=float(rng.uniform(0.0, 0.3)),
        dust=int(rng.integers(0, 60)),
        scratches=int(rng.integers(0, 3)),
        background=float(rng.uniform(90.0, 200.0)),
        noise_sd=float(rng.uniform(0.5, 4.0)),
    )  # fmt: skip


class Micrometer(Slide):
    """The slide as a scene: what a camera sees of it at a stage pose.

    Parameters
    ----------
    look : MicrometerLook
    matrix_um_per_px : (2, 2) image to stage, um per px: the truth that is to be found
    seed : of dust and noise
    width_px, height_px : size of the pictures
    """

    def __init__(
        self,
        look: MicrometerLook,
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
        rng = np.random.default_rng([seed, 31])
        self.look = look
        reach_um = 2.0 * float(np.abs(self._field_um).max())
        self._dust_um = rng.uniform(-reach_um, reach_um, (look.dust * 4, 2))
        self._dust_radius_um = rng.uniform(0.004, 0.03, look.dust * 4) * reach_um
        self._dust_contrast = rng.uniform(0.1, 0.7, look.dust * 4)
        self._scratch = rng.uniform(0.0, 1.0, (look.scratches, 2)) * (math.pi, reach_um)
        self._shine(rng, look.background, look.light_tilt, look.vignette)

    def _transmission(self, pose_um: Float64) -> Float32:
        """Give the share of light (H, W) that passes, with the stage at ``pose_um`` (2,)."""
        look = self.look
        point = self._field_um + (pose_um - np.array(look.origin_um))
        z_um = look.z_um + self._field_um @ np.array([look.tilt_x, look.tilt_y])
        blur = np.sqrt(look.blur_um**2 + (_CONE * z_um) ** 2)
        along = np.array([math.cos(look.angle_rad), math.sin(look.angle_rad)])
        u = point @ along
        v = point @ np.array([-along[1], along[0]])
        shade = np.ones(u.shape)
        nearest = np.round(u / look.division_um)
        for number in (nearest - 1, nearest, nearest + 1):
            away = u - number * look.division_um
            near = np.abs(away) < look.line_um + 4.0 * blur
            shade[near] -= look.contrast * self._tick(number[near], away[near], v[near], blur[near])
        self._lay_dust(shade, pose_um, float(blur.max()))
        for angle, offset_um in self._scratch:
            away = point @ np.array([math.cos(angle), math.sin(angle)]) - (offset_um - 20.0)
            shade *= 1 - 0.25 * np.exp(-0.5 * (away / blur) ** 2)
        return np.asarray(shade.clip(0.03, 1.0), dtype=np.float32)

    def _lay_dust(self, shade: Float64, pose_um: Float64, blur_um: float) -> None:
        """Darken ``shade`` (H, W) where specks lie; each is drawn in the window it needs."""
        for centre_um, radius_um, contrast in zip(
            self._dust_um, self._dust_radius_um, self._dust_contrast, strict=True
        ):
            window, distance_um = self._around(centre_um, pose_um, radius_um + 4.0 * blur_um)
            shade[window] *= 1 - contrast * ndtr((radius_um - distance_um) / blur_um)

    def _tick(self, number: Float64, away: Float64, v: Float64, blur: Float64) -> Float64:
        """Give the darkness (n,), 0 to 1, of ticks ``number`` at distance ``away`` across."""
        look = self.look
        common, fifth, tenth = look.tick_um
        length = np.where(number % 10 == 0, tenth, np.where(number % 5 == 0, fifth, common))
        half = look.line_um / 2
        across = ndtr((away + half) / blur) - ndtr((away - half) / blur)
        # The ticks stand on a base line that is not drawn, a half of the common ones each side.
        lengthways = ndtr((v + common / 2) / blur) * ndtr((length - common / 2 - v) / blur)
        return np.asarray(across * lengthways * (np.abs(number) <= look.ticks))
