"""A glass slide under the microscope: uneven light, noise, and what a subclass lays on it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
StagePath = Callable[[Float64], Float64]


class Slide(ABC):
    """What a camera sees of a slide at a stage pose.

    Parameters
    ----------
    matrix_um_per_px : (2, 2) image to stage, um per px: the truth that is to be found
    seed : of the noise
    width_px, height_px : size of the pictures
    blur_um : standard deviation of the blur in focus; a shorter way during exposure is not drawn
    noise_sd : grey levels
    """

    def __init__(
        self,
        matrix_um_per_px: Float64,
        seed: int,
        *,
        width_px: int,
        height_px: int,
        blur_um: float,
        noise_sd: float,
    ) -> None:
        self.seed = seed
        self.width_px = width_px
        self.height_px = height_px
        self._matrix = np.asarray(matrix_um_per_px, np.float64)
        self._inverse = np.linalg.inv(self._matrix)
        self._um_per_px = math.sqrt(abs(float(np.linalg.det(self._matrix))))
        x = np.arange(width_px) - (width_px - 1) / 2
        y = np.arange(height_px) - (height_px - 1) / 2
        self._grid_px = np.stack(np.meshgrid(x, y), axis=-1)
        self._field_um = self._grid_px @ self._matrix.T
        self._blur_um = blur_um
        self._noise_sd = noise_sd
        self._light = np.ones((height_px, width_px), dtype=np.float32)
        self._pose: Float64 | None = None
        self._seen = self._light

    def render(
        self,
        time_s: float,
        exposure_s: float,
        stage_um: StagePath,
        pipette_um: StagePath | None = None,
    ) -> UInt8:
        """Take a picture; the slide does not depend on time, the noise does.

        Parameters
        ----------
        time_s : middle of the exposure
        exposure_s : during which the stage may move
        stage_um : true stage pose (n, 2), um, at times (n,), s
        pipette_um : not drawn: nobody holds a needle over such a slide

        Returns
        -------
        (height_px, width_px) uint8
        """
        ends = np.asarray(stage_um(time_s + exposure_s * np.array([-0.4, 0.0, 0.4])), np.float64)
        way_um = float(np.abs(ends[2] - ends[0]).max())
        poses = ends[1:2] if way_um < 0.3 * self._blur_um else ends
        if self._pose is None or len(poses) > 1 or np.abs(poses[0] - self._pose).max() > 1e-3:
            shade = np.mean([self._transmission(pose) for pose in poses], axis=0)
            self._seen = np.asarray(self._light * shade, dtype=np.float32)
            self._pose = poses[0] if len(poses) == 1 else None
        rng = np.random.default_rng([self.seed, 32, round(time_s * 1e6) & 0xFFFFFFFFFFFF])
        grain = rng.standard_normal(self._seen.shape, np.float32) * np.float32(self._noise_sd)
        return np.asarray(np.clip(self._seen + grain + 0.5, 0, 255), dtype=np.uint8)

    @abstractmethod
    def _transmission(self, pose_um: Float64) -> Float32:
        """Give the share of light (H, W) that passes, with the stage at ``pose_um`` (2,)."""

    def _shine(
        self, rng: np.random.Generator, background: float, light_tilt: float, vignette: float
    ) -> None:
        """Light the slide: ``background`` grey levels, falling to one side and to the corners."""
        far = self._grid_px / (self.width_px / 2)
        angle = rng.uniform(0, 2 * math.pi)
        slope = far @ np.array([math.cos(angle), math.sin(angle)])
        light = 1 + light_tilt / 2 * slope - vignette / 2 * (far**2).sum(axis=-1)
        self._light = np.asarray(background * light, dtype=np.float32)

    def _around(
        self, centre_um: Float64, pose_um: Float64, reach_um: float
    ) -> tuple[tuple[slice, slice], Float64]:
        """Pixels within about ``reach_um`` of a point of the slide (2,).

        Returns
        -------
        window : rows and columns
        distance_um : of each pixel in it from the point
        """
        middle_px = np.array([(self.width_px - 1) / 2, (self.height_px - 1) / 2])
        x_px, y_px = middle_px + self._inverse @ (centre_um - pose_um)
        reach_px = reach_um / self._um_per_px
        rows = slice(max(0, math.ceil(y_px - reach_px)), max(0, math.floor(y_px + reach_px)))
        columns = slice(max(0, math.ceil(x_px - reach_px)), max(0, math.floor(x_px + reach_px)))
        offset_um = self._field_um[rows, columns] + (pose_um - centre_um)
        return (rows, columns), np.hypot(offset_um[..., 0], offset_um[..., 1])
