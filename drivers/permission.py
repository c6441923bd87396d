"""Where an instrument may go at present: its limits, narrower while the pipette is down. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from drivers.errors import GuardianError, LimitError
from drivers.guardian_messages import GuardianSettings
from drivers.limits import SoftLimits

_HEIGHT_TOLERANCE_UM = 0.5


class Permission:
    """Limits in force, and whether moves below the safe height are allowed.

    A stage is confined to a window while the pipette is, or may be, below its safe height; a
    pipette goes below it only with a permit, which whoever has confined the stage gives. Neither
    is forgotten by a reconnection.

    Parameters
    ----------
    device : str
        What messages call it.
    settings : GuardianSettings
    """

    def __init__(self, device: str, settings: GuardianSettings) -> None:
        self._device = device
        self._settings = settings
        self._descent = False
        self._confined = settings.window is not None
        self.limits: SoftLimits = settings.window or settings.limits

    @property
    def confined(self) -> bool:
        """Whether range and speed are those of a window, be it as wide as all."""
        return self._confined

    def confine(self, about_um: Sequence[float], half_um: float, max_speed_um_s: float) -> None:
        """Shrink range and speed to a window about a place. Raises LimitError outside the box."""
        box = self._settings.limits
        self.limits = box.window(self._device, about_um, half_um, max_speed_um_s)
        self._confined = True

    def release(self) -> None:
        """Undo ``confine``."""
        self.limits = self._settings.limits
        self._confined = False

    def move_speed_um_s(self, wanted_um_s: float) -> float:
        """Speed of a planned move: as wanted, but slower in a window. Raises LimitError."""
        if not 0 < wanted_um_s < math.inf:
            raise LimitError(self._device, f"speed {wanted_um_s} um/s is no speed")
        return min(wanted_um_s, self.limits.max_speed_um_s) if self.confined else wanted_um_s

    def permit_descent(self) -> None:
        """Allow moves below the safe height."""
        self._descent = True

    def forbid_descent(self, position_um: Sequence[float]) -> None:
        """Undo ``permit_descent``. Raises GuardianError while it is below the safe height."""
        if self._is_low(position_um):
            raise GuardianError(self._device, "is below its safe height", "raise it first")
        self._descent = False

    def check_move(self, target_um: Sequence[float], start_um: Sequence[float]) -> None:
        """Raise LimitError for a move that may not be."""
        self.limits.check_target(self._device, target_um, start_um)
        if not self._descent and (self._is_low(target_um) or self._is_low(start_um)):
            raise LimitError(
                self._device,
                f"a move below the safe height of {self._settings.safe_z_um:g} um",
                "the stage has to be confined first; nothing was sent",
            )

    def _is_low(self, position_um: Sequence[float]) -> bool:
        safe_um, up = self._settings.safe_z_um, self._settings.up
        return safe_um is not None and up * (position_um[-1] - safe_um) < -_HEIGHT_TOLERANCE_UM
