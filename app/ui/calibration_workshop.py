"""What the calibration window needs of a rig. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.runtime.calibration_session import OpenBench
from calibration.store import CalibrationRecord


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the calibration window needs of a rig.

    Attributes
    ----------
    name, objective : str
        As in the rig file.
    open_bench : callable
        From a procedure to a context that gives the rig's bench.
    expected_um_per_px : float
        By camera and objective.
    known : callable
        The calibration file, and what it holds now. Raises CalibrationError.
    note : str
        What is to be said of that file.
    """

    name: str
    objective: str
    open_bench: OpenBench
    expected_um_per_px: float
    known: Callable[[], tuple[Path | None, CalibrationRecord | None]]
    note: str = ""
