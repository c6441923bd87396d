"""Looks at a rig, one thing after the other, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from calibration.errors import CalibrationError
from drivers.errors import DeviceError
from models.errors import ModelError


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to look at.

    Attributes
    ----------
    name : str
        What a person calls it.
    look : callable
        Returns one line of detail; raises DeviceError, ModelError or CalibrationError.
    hint : str
        What to do where the error itself does not say.
    """

    name: str
    look: Callable[[], str]
    hint: str = ""


class Check(TypedDict):
    """What came out of a probe."""

    name: str
    ok: bool
    detail: str
    hint: str


def run_probes(probes: Sequence[Probe]) -> list[Check]:
    """Look at everything, also after something is wrong."""
    return [_run(probe) for probe in probes]


def _run(probe: Probe) -> Check:
    try:
        detail = probe.look()
    except DeviceError as error:
        what = f"{error.device}: {error.what}"
        return Check(name=probe.name, ok=False, detail=what, hint=error.hint or probe.hint)
    except (ModelError, CalibrationError, OSError) as error:
        detail, _, hint = str(error).partition("; ")
        return Check(name=probe.name, ok=False, detail=detail, hint=hint or probe.hint)
    return Check(name=probe.name, ok=True, detail=detail, hint="")
