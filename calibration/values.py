"""The sections of a calibration file: what each procedure has measured."""

from __future__ import annotations

from datetime import date as Date
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from calibration.transform import ImageToStage

Pair = tuple[float, float]
Triple = tuple[float, float, float]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SetUp(Strict):
    """What the calibration belongs to. Another camera, objective, binning or stage needs its own.

    Attributes
    ----------
    camera_serial, stage : str
        As the instruments state them.
    objective : str
        For example '20x'.
    binning : int
    """

    camera_serial: str = Field(min_length=1)
    objective: str = Field(pattern=r"^\d+x$")
    binning: Literal[1, 2, 4] = 1
    stage: str = Field(min_length=1)


class _Section(Strict):
    """One procedure's part of the file.

    Attributes
    ----------
    measured : date, optional
        The record's date where it is not stated.
    operator : str, optional
        Who accepted it; the record's where it is not stated.
    """

    measured: Date | None = None
    operator: str | None = None


class PixelValues(_Section):
    """Size of a pixel by a ruling or by hand: it checks the stage's calibration.

    Attributes
    ----------
    um_per_px, uncertainty_um_per_px, residual_um : float
        Standard deviation; root mean square of the ticks about an even ruling.
    method : 'ruling' or 'by hand'
    """

    um_per_px: Positive
    uncertainty_um_per_px: NotNegative
    residual_um: NotNegative
    method: Literal["ruling", "by hand"]


class ImageValues(_Section):
    """Image to stage, with what was left unexplained.

    Attributes
    ----------
    matrix_um_per_px : 2 rows of 2
        Image pixels to stage micrometres.
    centre_px : x, y
        Optical centre, image frame.
    residual_um : float
        Root mean square of the fit.
    backlash_um : x, y, optional
    repeatability_um, uncertainty_um_per_px : float, optional
    """

    matrix_um_per_px: tuple[Pair, Pair]
    centre_px: Pair
    residual_um: NotNegative
    backlash_um: Pair | None = None
    repeatability_um: NotNegative | None = None
    uncertainty_um_per_px: NotNegative | None = None

    @model_validator(mode="after")
    def _regular(self) -> Self:
        ImageToStage(np.array(self.matrix_um_per_px), np.array(self.centre_px))
        return self


class LatencyValues(_Section):
    """Delays of the loop, with what was left unexplained.

    Attributes
    ----------
    exposure_to_host_s : float
        Mid exposure until the driver hands the frame over.
    command_to_motion_s : float
        Velocity command handed to the port until the stage moves with it.
    residual_s : float
        Standard deviation of the measurement.
    """

    exposure_to_host_s: float = Field(ge=0, le=1)
    command_to_motion_s: float = Field(ge=0, le=1)
    residual_s: NotNegative


class PipetteValues(_Section):
    """Pipette to image: ``view = origin + matrix @ pose``, micrometres along the stage's axes.

    Attributes
    ----------
    matrix : 2 rows of 3
    origin_um : x, y
    residual_um : float
    direction_deg : float
        Where the shaft comes from, image frame.
    reference_um : x, y, z
        Pose at which drift is checked.
    focus_z_um, touch_down_z_um : float, optional
        Heights, pipette frame: sharpest tip; the dish, as the operator taught it.
    focus_uncertainty_um : float, optional
        Standard deviation of the height of focus.
    """

    matrix: tuple[Triple, Triple]
    origin_um: Pair
    residual_um: NotNegative
    direction_deg: float
    reference_um: Triple
    focus_z_um: float | None = None
    focus_uncertainty_um: NotNegative | None = None
    touch_down_z_um: float | None = None
