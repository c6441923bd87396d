"""One calibration file per rig: read strictly, written whole, the previous version kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import date as Date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from calibration.errors import CalibrationError
from calibration.toml_file import TomlError, read_toml, write_toml
from calibration.transform import ImageToStage
from calibration.values import (
    ImageValues,
    LatencyValues,
    PipetteValues,
    PixelValues,
    SetUp,
    Strict,
)

__all__ = [
    "SIMULATED",
    "CalibrationRecord",
    "ImageValues",
    "LatencyValues",
    "PipetteValues",
    "PixelValues",
    "SetUp",
    "load_calibration",
    "nominal_calibration",
    "save_calibration",
    "with_section",
]

VALID_DAYS = 30
MAX_DISAGREEMENT = 0.02
_DO = "run 'sfcscope calibrate "
SIMULATED = "simulated"  # camera serial and stage of the simulated rig


class CalibrationRecord(Strict):
    """Everything that was measured about one set-up.

    Each procedure has a section of its own, absent until it was done. What was measured is valid
    for 30 days. A calibration by construction states the numbers
    from which the simulated rig is built, so it cannot drift and does not expire; it is refused
    for every other rig.
    """

    version: Literal[1] = 1
    origin: Literal["measured", "construction"]
    date: Date
    operator: str
    software: str = Field(min_length=1)
    set_up: SetUp
    image: ImageValues | None = None
    latency: LatencyValues | None = None
    pixel: PixelValues | None = None
    pipette: PipetteValues | None = None

    @model_validator(mode="after")
    def _construction(self) -> Self:
        if self.origin == "construction" and self.set_up.camera_serial != SIMULATED:
            raise ValueError(
                'origin = "construction" is for the simulated rig only; a real one is "measured"'
            )
        return self

    @property
    def image_to_stage(self) -> ImageToStage:
        """The map from the picture to the stage. Raises CalibrationError where there is none."""
        if self.image is None:
            raise CalibrationError(f"the stage has not been calibrated; {_DO}stage'")
        return ImageToStage(np.array(self.image.matrix_um_per_px), np.array(self.image.centre_px))

    @property
    def command_to_motion_s(self) -> float:
        """Delay of a velocity command; 0 while it is not known, and then nothing may be armed."""
        return 0.0 if self.latency is None else self.latency.command_to_motion_s

    @property
    def oldest(self) -> Date:
        """When the older of stage and latency was measured: what moves rests on both."""
        needed = [part for part in (self.image, self.latency) if part is not None]
        return min([part.measured or self.date for part in needed], default=self.date)

    @property
    def valid_until(self) -> Date | None:
        """Last day of validity; None where nothing can expire."""
        if self.origin == "construction":
            return None
        return self.oldest + timedelta(days=VALID_DAYS)

    def refusal(self, set_up: SetUp, today: Date) -> str:
        """Say why nothing may move by this calibration; empty when it may."""
        other = self.other_set_up(set_up)
        if other:
            return other
        if self.image is None:
            return f"the stage has not been calibrated; {_DO}stage'"
        if self.latency is None:
            return f"the latency has not been measured; {_DO}latency'"
        newest = max(
            self.date, *(part.measured or self.date for part in (self.image, self.latency))
        )
        if newest > today:
            return f"the calibration is dated {newest}, in the future; check the clock"
        if self.valid_until is not None and today > self.valid_until:
            return f"the calibration expired on {self.valid_until}; calibrate again"
        return self._disagreement()

    def other_set_up(self, set_up: SetUp) -> str:
        """Say what is mounted that this calibration is not for; empty when it is."""
        for name in ("camera_serial", "objective", "binning", "stage"):
            mine, wanted = getattr(self.set_up, name), getattr(set_up, name)
            if mine != wanted:
                what = name.replace("_", " ")
                return f"the calibration is for {what} {mine}, not {wanted}; calibrate again"
        return ""

    def _disagreement(self) -> str:
        """Two ways to the size of a pixel that differ: one of them was done on something else."""
        if self.pixel is None:
            return ""
        ratio = self.image_to_stage.um_per_px / self.pixel.um_per_px
        if abs(ratio - 1) <= MAX_DISAGREEMENT:
            return ""
        return (
            f"stage and micrometer disagree about the pixel size by {abs(ratio - 1):.1%}; "
            "calibrate both again with the same objective"
        )


def with_section(
    old: CalibrationRecord | None,
    set_up: SetUp,
    section: PixelValues | ImageValues | LatencyValues | PipetteValues,
    today: Date,
    operator: str,
    software: str,
) -> CalibrationRecord:
    """Return ``old`` with one section replaced, the others with the dates they had.

    A new map from image to stage drops the pipette's, which was measured through the old one.

    Raises
    ------
    CalibrationError
        ``old`` is for another set-up, or the simulated rig's by construction.
    """
    if old is not None:
        other = old.other_set_up(set_up)
        if other:
            raise CalibrationError(f"{other}, into another file")
        if old.origin == "construction":
            raise CalibrationError(
                "what the simulated rig is built from cannot be measured into; name another file"
            )
    parts: dict[str, object] = {}
    for name in ("pixel", "image", "latency", "pipette"):
        part = None if old is None else getattr(old, name)
        if part is not None and old is not None:
            signed = {
                "measured": part.measured or old.date, "operator": part.operator or old.operator
            }  # fmt: skip
            parts[name] = part.model_copy(update=signed)
    name = {PixelValues: "pixel", ImageValues: "image", LatencyValues: "latency"}.get(
        type(section), "pipette"
    )
    parts[name] = section.model_copy(update={"measured": today, "operator": operator})
    if name == "image":
        parts.pop("pipette", None)
    return CalibrationRecord.model_validate(
        {
            "origin": "measured",
            "date": today,
            "operator": operator,
            "software": software,
            "set_up": set_up,
            **parts,
        }
    )


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
        beside = kept.with_name(kept.name + ".part")
        shutil.copy2(path, beside)
        os.replace(beside, kept)
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
    if record.image is None:
        raise CalibrationError(f"the simulated rig's {name} has no image section; install it again")
    image = record.image.model_copy(update={"centre_px": centre_px})
    return record.model_copy(update={"image": image})
