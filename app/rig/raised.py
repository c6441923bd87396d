"""A stage that is calibrated only while the pipette is up."""

from __future__ import annotations

import math

from calibration.errors import CalibrationError
from drivers.descent import Descent
from drivers.errors import DeviceError
from drivers.pose import Pose
from drivers.protocols import Stage


class RaisedStage:
    """A Stage (drivers.protocols) that looks at the pipette each time before it sets out.

    A calibration drives the stage across the field, farther than the window that is safe with the
    tip down, and while it runs nobody else looks at the pipette: a person may lower it by hand
    while an instruction waits. A velocity that is streamed is looked at when it begins: a look
    takes as long as three commands, and would show in the delay that is measured.

    Parameters
    ----------
    stage : Stage
    pipette : Descent
        Tied to the same stage.
    safe_z_um : float
        Pipette frame; the same as the pipette's.

    Raises
    ------
    CalibrationError
        The pipette is below its safe height, or nobody knows. Nothing has moved.
    """

    def __init__(self, stage: Stage, pipette: Descent, safe_z_um: float) -> None:
        self._stage = stage
        self._pipette = pipette
        self._safe_z_um = safe_z_um
        self._streaming = False
        self._require_raised()

    def read_pose(self) -> Pose:
        """Position as read back. Raises DeviceError."""
        return self._stage.read_pose()

    def move_to(self, x_um: float, y_um: float) -> None:
        """Start one absolute move. Raises CalibrationError, DeviceError, and nothing moves."""
        self._streaming = False
        self._require_raised()
        self._stage.move_to(x_um, y_um)

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        """Stream a velocity. Raises CalibrationError, DeviceError."""
        if not self._streaming:
            self._require_raised()
        self._streaming = bool(vx_um_s or vy_um_s)
        self._stage.set_velocity(vx_um_s, vy_um_s)

    def stop(self) -> None:
        """Stop all motion now; returns when the controller has confirmed."""
        self._streaming = False
        self._stage.stop()

    def _require_raised(self) -> None:
        try:
            pose = self._pipette.read_pose()
        except DeviceError as error:
            raise pipette_unknown(error, self._safe_z_um) from error
        if self._pipette.window is not None:
            where = f"is at {pose.z_um:.1f} um" if math.isfinite(pose.z_um) else "moves"
            raise CalibrationError(
                f"the pipette {where}: raise the pipette above its safe height of "
                f"{self._safe_z_um:g} um, and then calibrate; the stage stays where it is"
            )


def pipette_unknown(error: DeviceError, safe_z_um: float) -> CalibrationError:
    """Say why the stage stays where a pipette does not tell its height."""
    return CalibrationError(
        f"{error}: the pipette's height is not known, and the stage could drag its tip: see to "
        f"it, and raise the pipette above {safe_z_um:g} um; the stage stays"
    )
