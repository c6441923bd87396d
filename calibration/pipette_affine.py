"""Pipette to image: where the tip goes when the manipulator moves, and where it is in focus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError
from calibration.focus_height import focus_height_um
from calibration.tip import Tip

Float64 = NDArray[np.float64]

MAX_RESIDUAL_UM = 1.0
MAX_DRIFT_UM = 5.0
_ABOVE_UM = 1.0


@dataclass(frozen=True, slots=True)
class Sight:
    """The tip as seen at one pose of the manipulator.

    Attributes
    ----------
    pose_um : (x, y, z) pipette frame, as read back
    tip : Tip
    """

    pose_um: tuple[float, float, float]
    tip: Tip


@dataclass(frozen=True, slots=True)
class PipetteAffine:
    """What was measured.

    Attributes
    ----------
    matrix : (2, 3) float64
        View, um per um of the manipulator: ``view = origin + matrix @ pose``. The view is the
        picture in micrometres along the stage's axes, zero at the picture's centre.
    origin_um : (2,) float64
        The tip in the view at the manipulator's zero.
    residual_um : float
        Root mean square distance of the tips seen from the tips expected.
    focus_z_um, focus_sd_um : float
        Height in the pipette frame at which the tip is sharpest, at the place with most heights,
        and its standard deviation; NaN where it is not known.
    direction_deg : float
        Where the shaft comes from, image frame.
    reference_um : (x, y, z) pose at which drift is checked later
    seen_um, told_um : (n, 2) float64
        Each tip in the view, as seen and as the map tells it; empty where the map was read from a
        file.
    used : (n,) bool
        Pictures that the fit believes.
    """

    matrix: Float64
    origin_um: Float64
    residual_um: float
    focus_z_um: float
    direction_deg: float
    reference_um: tuple[float, float, float]
    seen_um: Float64 = field(default_factory=lambda: np.zeros((0, 2)))
    told_um: Float64 = field(default_factory=lambda: np.zeros((0, 2)))
    used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    focus_sd_um: float = math.nan

    def view_um(self, pose_um: Float64) -> Float64:
        """Say where the tip is in the view, (..., 2), at poses (..., 3)."""
        return np.asarray(self.origin_um + pose_um @ self.matrix.T)

    def pose_um(self, view_um: Float64, z_um: float) -> Float64:
        """Say which pose (3,), at height ``z_um``, brings the tip to a point (2,) of the view."""
        flat = np.linalg.solve(
            self.matrix[:, :2], view_um - self.origin_um - self.matrix[:, 2] * z_um
        )
        return np.array((flat[0], flat[1], z_um))


def fit_pipette(
    sights: Sequence[Sight],
    matrix_um_per_px: Float64,
    centre_px: Float64,
    home_um: tuple[float, float, float] | None = None,
) -> PipetteAffine:
    """Fit an affine map to the tips seen; the worst are left out (Tukey's biweight).

    Parameters
    ----------
    sights : sequence of Sight
    matrix_um_per_px : (2, 2) float64
    centre_px : (2,) float64
    home_um : (x, y, z) pose or None
        Where it began, to be the reference for drift: the tip need not have been found there. The
        pose of the first sight where it is not given.

    Raises
    ------
    CalibrationError
        Too few tips, axes that do not span the view, or a residual above the limit.
    """
    if len(sights) < 8:
        raise CalibrationError(
            f"the pipette was found in {len(sights)} pictures only, and 8 are needed; bring its "
            "tip to the middle of the view, focus it, and repeat"
        )
    pose = np.array([sight.pose_um for sight in sights])
    tip_px = np.array([(sight.tip.x_px, sight.tip.y_px) for sight in sights])
    view = (tip_px - centre_px) @ matrix_um_per_px.T
    design = np.column_stack([pose - pose.mean(axis=0), np.ones(len(pose))])
    weight = np.ones(len(pose))
    solution = np.zeros((4, 2))
    off = view
    for turn in range(20):
        root = np.sqrt(weight)[:, None]
        solution = np.asarray(np.linalg.lstsq(design * root, view * root, rcond=None)[0])
        off = view - design @ solution
        distance = np.linalg.norm(off, axis=1)
        scale = max(float(np.median(distance)) / 1.177, 0.05)
        if turn < 6:
            weight = scale / np.maximum(distance, scale)
        else:
            weight = np.maximum(1 - (distance / (5 * scale)) ** 2, 0.0) ** 2
    matrix = solution[:3].T
    spanned = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if spanned[-1] < 0.3 * spanned[0]:
        raise CalibrationError(
            "the tip moves along one line only, whichever axis is driven; check the manipulator's "
            "axes, or see that the whole tip stays in view"
        )
    residual_um = math.sqrt(float((weight * distance**2).sum() / weight.sum()))
    used = weight > 0.1
    if residual_um > MAX_RESIDUAL_UM or used.mean() < 0.6:
        raise CalibrationError(
            f"the tip does not go where the manipulator is sent: {residual_um:.1f} um rms where "
            f"{MAX_RESIDUAL_UM:.1f} um is allowed, {int((~used).sum())} of {len(used)} pictures "
            "left out; focus the tip, see that the pipette is held tight, and repeat"
        )
    believed = [sight for sight, good in zip(sights, used, strict=True) if good]
    focus_um, focus_sd_um = _focus(believed)
    directions = np.array([sight.tip.direction_rad for sight in believed])
    return PipetteAffine(
        matrix=matrix,
        origin_um=solution[3] - matrix @ pose.mean(axis=0),
        residual_um=residual_um,
        focus_z_um=focus_um,
        focus_sd_um=focus_sd_um,
        direction_deg=math.degrees(
            math.atan2(float(np.sin(directions).mean()), float(np.cos(directions).mean()))
        ),
        reference_um=sights[0].pose_um if home_um is None else home_um,
        seen_um=view,
        told_um=view - off,
        used=used,
    )


def _focus(sights: Sequence[Sight]) -> tuple[float, float]:
    """Height of focus from the place with most heights alone: an axis may be mounted aslant.

    Which place that is, is asked of the pictures: any one of them may not show the tip.
    """
    pose_um = np.array([sight.pose_um for sight in sights])
    apart_um = np.linalg.norm(pose_um[:, None, :2] - pose_um[None, :, :2], axis=2)
    beside = apart_um < _ABOVE_UM
    above = beside[beside.sum(axis=1).argmax()]
    return focus_height_um(
        pose_um[above, 2], np.array([sight.tip.blur_px for sight in sights])[above]
    )


def drift_um(
    affine: PipetteAffine, seen: Sight, matrix_um_per_px: Float64, centre_px: Float64
) -> Float64:
    """Say by how much (2,) the tip is beside where the calibration expects it, view."""
    at_px = np.array((seen.tip.x_px, seen.tip.y_px))
    view = matrix_um_per_px @ (at_px - centre_px)
    return np.asarray(view - affine.view_um(np.array(seen.pose_um)))
