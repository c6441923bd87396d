"""Image to stage and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ImageToStage:
    """Affine map between image pixels and the specimen, seen from the stage.

    A point of the specimen has the fixed stage-frame coordinate
    ``pose_um + matrix @ (xy_px - centre_px)``: the pose at which it lies in the picture's centre.
    A moving stage therefore moves no sperm.

    Attributes
    ----------
    matrix_um_per_px : (2, 2) float64
        Scale, rotation, shear and mirror in one; any sign, never singular.
    centre_px : (2,) float64
        Optical centre x, y in the image frame: ((W - 1) / 2, (H - 1) / 2) unless measured.
    """

    matrix_um_per_px: Float64
    centre_px: Float64

    def __post_init__(self) -> None:
        if self.matrix_um_per_px.shape != (2, 2) or self.centre_px.shape != (2,):
            raise ValueError("ImageToStage: a 2x2 matrix and a centre of 2 values are needed")
        if not abs(np.linalg.det(self.matrix_um_per_px)) > 1e-9:
            raise ValueError("ImageToStage: the matrix is singular")

    @property
    def um_per_px(self) -> float:
        """Pixel size: the side of a square of the area that one pixel covers."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix_um_per_px))))

    def image_to_stage(self, xy_px: Float64, pose_um: Float64) -> Float64:
        """Map (..., 2) image points, seen at stage pose (2,), to the stage frame, um."""
        return np.asarray(
            pose_um + (xy_px - self.centre_px) @ self.matrix_um_per_px.T, dtype=np.float64
        )

    def stage_to_image(self, xy_um: Float64, pose_um: Float64) -> Float64:
        """Map (..., 2) stage-frame points to where they appear at stage pose (2,), px."""
        inverse = np.linalg.inv(self.matrix_um_per_px)
        return np.asarray(self.centre_px + (xy_um - pose_um) @ inverse.T, dtype=np.float64)

    @staticmethod
    def nominal(um_per_px: float, width_px: int, height_px: int) -> ImageToStage:
        """Square pixels, no rotation, no mirror: a starting point, never a measurement."""
        return ImageToStage(
            np.eye(2) * um_per_px, np.array([(width_px - 1) / 2, (height_px - 1) / 2])
        )
