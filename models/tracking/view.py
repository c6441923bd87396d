"""The field of view in the stage frame: what the camera can see of the specimen."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.types import Float64


@dataclass(frozen=True, slots=True)
class View:
    """A convex polygon in the stage frame.

    Attributes
    ----------
    corners_um : (K, 2) float64
        Corners in order, either way round.
    area_um2 : float
    inward, offset_um : (K, 2), (K,) float64
        Unit vector from each side into the field, and the side's place along it.
    """

    corners_um: Float64
    inward: Float64 = field(init=False, repr=False, compare=False)
    offset_um: Float64 = field(init=False, repr=False, compare=False)
    area_um2: float = field(init=False)

    def __post_init__(self) -> None:
        corners = np.asarray(self.corners_um, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[0] < 3 or corners.shape[1] != 2:
            raise ValueError(f"View: {corners.shape} corners, not (K, 2) with K of 3 or more")
        edge = np.roll(corners, -1, axis=0) - corners
        length = np.hypot(edge[:, 0], edge[:, 1])
        if not (np.isfinite(corners).all() and (length > 0).all()):
            raise ValueError("View: corners must be finite and distinct")
        normal = np.stack([-edge[:, 1], edge[:, 0]], axis=1) / length[:, None]
        inside = (normal * (corners.mean(axis=0) - corners)).sum(axis=1)
        normal *= np.sign(inside)[:, None]
        x, y = corners.T
        twice = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
        object.__setattr__(self, "area_um2", float(abs(twice) / 2.0))
        object.__setattr__(self, "inward", normal)
        object.__setattr__(self, "offset_um", (normal * corners).sum(axis=1))

    def depth_um(self, position_um: Float64) -> Float64:
        """Distance of (N, 2) stage-frame points from the border; negative outside."""
        if len(position_um) == 0:
            return np.zeros(0)
        depth: Float64 = (position_um @ self.inward.T - self.offset_um).min(axis=1)
        return depth

    @staticmethod
    def of_picture(
        pose_um: Float64, matrix_um_per_px: Float64, width_px: int, height_px: int
    ) -> View:
        """Field of a picture of that size, seen at stage pose (2,) through a (2, 2) matrix.

        The matrix maps image pixels, counted from the picture's centre, to the stage frame.
        """
        half = np.array([width_px, height_px]) / 2.0
        corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * half
        return View(np.asarray(pose_um, dtype=np.float64) + corners @ matrix_um_per_px.T)

    @staticmethod
    def rectangle(x0_um: float, y0_um: float, x1_um: float, y1_um: float) -> View:
        """Field with sides along the axes of the stage."""
        return View(np.array([[x0_um, y0_um], [x1_um, y0_um], [x1_um, y1_um], [x0_um, y1_um]]))
