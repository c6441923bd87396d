"""What a number means to a ProScan: the user unit of positions, and that of ``VS``."""

from __future__ import annotations

from drivers.errors import DeviceError, RefusedCommand
from drivers.prior import codec
from drivers.prior.line import Line

_NEAR = 0.35
"""How far a ratio that was read back in motion may be off, as a part of it."""


class Units:
    """Micrometres to the numbers that are sent, and back.

    The manual gives positions in user units (``RES``) and ``VS`` in um/s; whether ``VS`` follows
    the unit all the same is told differently. In um/s, the driver's choice where nothing is
    stated, a wrong choice makes the stage slower than told, by the unit in micrometres; the other
    way round it is as many times too fast.

    Parameters
    ----------
    wanted_um : float
        User unit that is asked for.
    velocity_in_user_units : bool
        Whether ``VS`` counts in user units a second instead of um/s.

    Attributes
    ----------
    um : float
        User unit that the controller has confirmed.

    Sources: ProScan III manual 1.12 and 1.16 (``RES``, ``SS``, ``VS``).
    """

    def __init__(self, wanted_um: float, velocity_in_user_units: bool) -> None:
        self._wanted_um = wanted_um
        self._velocity_in_user_units = velocity_in_user_units
        self.um = wanted_um

    def per_second(self, um_s: float) -> float:
        """Give the number for ``VS``, of a velocity in um/s."""
        return um_s / self.um if self._velocity_in_user_units else um_s

    def scale_hint(self, ratio: float) -> str:
        """Say what to change where the stage goes ``ratio`` times as fast as told; else nothing.

        Only what the other reading of ``VS`` explains is named. Too fast, the stage may still gain
        speed, or have reached its top speed: less than the whole ratio is named too.
        """
        key = "set velocity_in_user_units = {} under [stage] in the rig file"
        if not self._velocity_in_user_units:
            near = abs(ratio / self.um - 1) < _NEAR and self.um < 0.7
            return key.format("true") if near else ""
        fast = self.um < 0.7 and 1.6 < ratio < (1 + _NEAR) / self.um
        return key.format("false") if fast else ""

    def settle(self, line: Line, microsteps_per_um: float) -> None:
        """Ask for the wanted unit, and believe only what is read back.

        A unit that is far from the wanted one may come from a garbled request: it is asked for
        again before it is accepted. Raises DeviceError for one that makes no sense.
        """
        unit_um = 0.0
        try:
            for _ in range(3):
                line.ask("RES", "S", self._wanted_um, decode=codec.decode_acknowledgement)
                (unit_um,) = line.agreed("RES", "S", decode=codec.decode_number)
                if 0.5 <= unit_um / self._wanted_um <= 1.5:
                    break
        except RefusedCommand:
            unit_um = 0.0
        if unit_um <= 0:
            unit_um = line.agreed("SS", decode=codec.decode_integer) / microsteps_per_um
        if not 0 < unit_um <= 10:
            raise DeviceError(
                line.wire.device, f"reports a user unit of {unit_um} um", "reset the controller"
            )
        self.um = unit_um
