"""Instruments by name: the drivers that a guardian can keep."""

from __future__ import annotations

from pathlib import Path

from drivers.errors import DeviceError
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import GuardianSettings
from drivers.transcript import Transcript
from drivers.wire import Wire

KINDS = ("proscan", "mp285")


def make_wire(settings: GuardianSettings) -> Wire:
    """Make the wire that the settings describe, not yet open. Raises DeviceError."""
    try:
        transcript = Transcript(Path(settings.transcript) if settings.transcript else None)
    except OSError as error:
        raise DeviceError(
            f"{settings.name} at {settings.url}",
            f"cannot write the transcript: {error}",
            "choose another file",
        ) from error
    return Wire(
        settings.url,
        device=settings.name,
        baud=settings.baud,
        rtscts=settings.rtscts,
        transcript=transcript,
    )


def make_device(settings: GuardianSettings, wire: Wire) -> GuardedDevice:
    """Make the driver that the settings name. Only its own modules are imported.

    Raises DeviceError for a name or an option that does not exist.
    """
    try:
        if settings.device == "proscan":
            from drivers.prior.driver import ProScan

            return ProScan(wire, **settings.options)  # type: ignore[arg-type]
        if settings.device == "mp285":
            from drivers.mp285.driver import MP285

            return MP285(wire, **settings.options)  # type: ignore[arg-type]
    except TypeError as error:
        raise DeviceError(wire.device, f"unknown option: {error}", "see the rig file") from error
    raise DeviceError(
        wire.device, f"no driver for {settings.device!r}", f"known: {', '.join(KINDS)}"
    )
