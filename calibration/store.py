"""One calibration file per rig: read strictly, written whole, the previous version kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from calibration.errors import CalibrationError
from calibration.toml_file import TomlError, read_toml, write_toml
from calibration.transform import ImageToStage

VALID_DAYS = 30
SIMULATED = "simulated"  # camera serial and stage of the simulated rig

Pair = tuple[float, float]
NotNegative = Annotated[float, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SetUp(_Strict):
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


class ImageValues(_Strict):
    """Image to stage, with what was left unexplained.

    Attributes
    ----------
    matrix_um_per_px : 2 rows of 2
        Image pixels to stage micrometres.
    centre_px : x, y
        Optical centre, image frame.
    residual_um : float
        Root mean square of the fit.
    """

    matrix_um_per_px: tuple[Pair, Pair]
    centre_px: Pair
    residual_um: NotNegative

    @model_validator(mode="after")
    def _regular(self) -> Self:
        ImageToStage(np.array(self.matrix_um_per_px), np.array(self.centre_px))
        return self


class LatencyValues(_Strict):
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


class CalibrationRecord(_Strict):
    """Everything that was measured about one set-up.

    A measured calibration is valid for 30 days. A calibration by construction states the numbers
    from which the simulated rig is built, so it cannot drift and does not expire; it is refused
    for every other rig.
    """

    version: Literal[1] = 1
    origin: Literal["measured", "construction"]
    date: Date
    operator: str
    software: str = Field(min_length=1)
    set_up: SetUp
    image: ImageValues
    latency: LatencyValues

    @model_validator(mode="after")
    def _construction(self) -> Self:
        if self.origin == "construction" and self.set_up.camera_serial != SIMULATED:
            raise ValueError(
                'origin = "construction" is for the simulated rig only; a real one is "measured"'
            )
        return self

    @property
    def image_to_stage(self) -> ImageToStage:
        """The map from the picture to the stage."""
        return ImageToStage(np.array(self.image.matrix_um_per_px), np.array(self.image.centre_px))

    @property
    def valid_until(self) -> Date | None:
        """Last day of validity; None where nothing can expire."""
        if self.origin == "construction":
            return None
        return self.date + timedelta(days=VALID_DAYS)

    def refusal(self, set_up: SetUp, today: Date) -> str:
        """Say why nothing may move by this calibration; empty when it may."""
        for name in ("camera_serial", "objective", "binning", "stage"):
            mine, wanted = getattr(self.set_up, name), getattr(set_up, name)
            if mine != wanted:
                what = name.replace("_", " ")
                return f"the calibration is for {what} {mine}, not {wanted}; calibrate again"
        if self.date > today:
            return f"the calibration is dated {self.date}, in the future; check the clock"
        if self.valid_until is not None and today > self.valid_until:
            return f"the calibration expired on {self.valid_until}; calibrate again"
        return ""


def load_calibration(path: Path) -> CalibrationRecord:
    """Read a calibration file.

    Raises
    ------
    CalibrationError
        Missing or broken: named with its line, never replaced by a default.
    """
    try:
        return read_toml(path, CalibrationRecord)
    except TomlError as error:
        raise CalibrationError(str(error)) from error


def save_calibration(
    record: CalibrationRecord,
    path: Path,
    reason: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Write ``record``; the file that was there goes to ``history/`` beside it, never lost."""
    if path.exists():
        kept = path.parent / "history" / f"{path.stem}-{now():%Y%m%dT%H%M%S%f}{path.suffix}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, kept)
    write_toml(path, record, f"Calibration of sfcscope. Written because: {reason}")


def nominal_calibration(objective: str, width_px: int, height_px: int) -> CalibrationRecord:
    """Return the numbers from which the simulated rig is built, for frames of that size.

    Raises
    ------
    CalibrationError
        The simulated rig does not have that objective.
    """
    folder = files("calibration") / "nominal"
    name = f"simulated_{objective}.toml"
    if not (folder / name).is_file():
        there = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
        known = ", ".join(entry.removeprefix("simulated_").removesuffix(".toml") for entry in there)
        raise CalibrationError(f"the simulated rig has no {objective} objective; it has {known}")
    with as_file(folder / name) as path:
        record = load_calibration(path)
    centre_px = ((width_px - 1) / 2, (height_px - 1) / 2)
    image = record.image.model_copy(update={"centre_px": centre_px})
    return record.model_copy(update={"image": image})
