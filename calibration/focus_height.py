"""Height of focus: where the walls of the pipette are thinnest when it is raised."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

Float64 = NDArray[np.float64]

MAX_SD_UM = 0.75
_MIN_HEIGHTS = 5
_MIN_BEND = 0.15  # px of blur per um: a wall that hardly widens tells nothing
_NOISE_PX = 0.03  # the fit never believes a blur to less
_LEAST_SD_UM = 0.1  # what lies across a wall widens it in all pictures alike
_BESIDE = 0.5  # of the way that the focus lies outside the heights looked at
_OUTLIER_PX = 0.08


def focus_height_um(z_um: Float64, blur_px: Float64) -> tuple[float, float]:
    """Give the height at which the blur is least, and its standard deviation.

    A geometrical blur grows in proportion to the distance from focus and adds in squares to that
    of objective and wall: ``blur^2 = b^2 + (k (z - z0))^2``. One branch of that curve tells its
    vertex too, if less well, so the tip is never lowered to look for a focus that lies below it.

    Parameters
    ----------
    z_um, blur_px : (n,) float64
        Height in the pipette frame and half width of the walls, at one place of the dish.

    Returns
    -------
    height, standard deviation : float
        Pipette frame, um; both NaN where the curve does not tell it to ``MAX_SD_UM``.
    """
    nothing = (math.nan, math.nan)
    if len(z_um) < _MIN_HEIGHTS or np.ptp(z_um) < 2.0:
        return nothing
    middle, reach = float((z_um.max() + z_um.min()) / 2), float(np.ptp(z_um))
    at = z_um - middle

    def off(values: Float64) -> Float64:
        thinnest, bend, best = values
        return np.asarray(np.hypot(thinnest, bend * (at - best)) - blur_px)

    starts = (-0.5 * reach, float(at[blur_px.argmin()]), 0.5 * reach)
    fits = [
        least_squares(
            off, (float(blur_px.min()), 0.5, start), loss="soft_l1", f_scale=_OUTLIER_PX,
            bounds=((0.1, 0.0, -1.5 * reach), (20.0, 5.0, 1.5 * reach)),
        )
        for start in starts
    ]  # fmt: skip
    fit = min(fits, key=lambda found: float(found.cost))
    if fit.x[1] < _MIN_BEND:
        return nothing
    # Blurs that are far off count in the scatter as the fit has counted them.
    scatter = max(math.sqrt(2 * float(fit.cost) / (len(at) - 3)), _NOISE_PX)
    normal = fit.jac.T @ fit.jac
    if np.linalg.cond(normal) > 1e10:
        return nothing
    height = float(fit.x[2])
    outside_um = max(abs(height) - reach / 2, 0.0)
    sd_um = math.hypot(
        scatter * math.sqrt(float(np.linalg.inv(normal)[2, 2])), _BESIDE * outside_um, _LEAST_SD_UM
    )
    return (middle + height, sd_um) if sd_um <= MAX_SD_UM else nothing
