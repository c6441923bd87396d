"""The pipette goes down only where the stage cannot hurt it."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Protocol

from drivers.errors import DeviceError, NotNow
from drivers.limits import SoftLimits
from drivers.pose import Pose
from drivers.protocols import Manipulator


class Confinable(Protocol):
    """A stage whose range and speed can be shrunk to a window."""

    def confine(self, half_um: float, max_speed_um_s: float) -> SoftLimits:
        """Shrink. Raises DeviceError, and nothing is confined."""
        ...

    def release(self) -> None:
        """Undo ``confine``."""
        ...


class Permitted(Manipulator, Protocol):
    """A manipulator whose guardian refuses moves below its safe height without a permit."""

    def reconnect(self, *, new_frame: bool = False) -> Pose:
        """Open and identify anew after a fault. Moves nothing."""
        ...

    def events(self) -> list[tuple[str, str]]:
        """Take what happened unasked: (kind, why)."""
        ...

    def permit_descent(self) -> None:
        """Allow such moves."""
        ...

    def forbid_descent(self) -> None:
        """Refuse them again. Raises GuardianError while it moves, or is below."""
        ...


class Descent:
    """A Manipulator (drivers.protocols) that is tied to a stage. All methods from any thread.

    The stage is confined before the first byte of a move that leads below the safe height, and
    when the pipette is found there, by hand or from an earlier session; it is released once the
    pipette has been read at rest above. A height that is not known from the beginning counts as
    low. A stage that cannot be confined (a fault, no position) keeps the pipette up, and never
    hides where the pipette is: the way up stays open.

    Parameters
    ----------
    pipette : Permitted
    stage : Confinable
    safe_z_um : float
        Pipette frame; the same as its guardian's.
    up : int
        Sign of z that leads away from the glass: 1 or -1.
    half_um, max_speed_um_s : float
        Of the stage's window: it may follow a cell within it, but go nowhere else.

    Raises
    ------
    DeviceError
        The pipette is below its safe height, or nobody knows, and the stage cannot be confined.
    """

    def __init__(
        self,
        pipette: Permitted,
        stage: Confinable,
        safe_z_um: float,
        *,
        up: int = 1,
        half_um: float = 200.0,
        max_speed_um_s: float = 300.0,
    ) -> None:
        self._pipette = pipette
        self._stage = stage
        self._safe_z_um = safe_z_um
        self._up = up
        self._half_um = half_um
        self._max_speed_um_s = max_speed_um_s
        self._lock = threading.RLock()
        self._window: SoftLimits | None = None
        self._told = ""
        self._events: list[tuple[str, str]] = []
        try:
            low = self._is_low(self._pipette.read_pose().z_um)
        except DeviceError:
            low = True
        if low:
            self._confine()

    @property
    def window(self) -> SoftLimits | None:
        """What the stage is confined to; None when it is free."""
        return self._window

    def read_pose(self) -> Pose:
        """Position as read back; releases the stage when it is at rest and above.

        A stage that cannot be confined while the pipette is low is an event, told once. One that
        cannot be released, as after a fault of its own, stays confined until it can.
        """
        with self._lock:
            pose = self._pipette.read_pose()
            if self._is_low(pose.z_um):
                self._confine_or_tell()
            elif self._window is not None and pose.moving is False:
                with suppress(DeviceError):
                    self._pipette.forbid_descent()
                    self._stage.release()
                    self._window = None
            return pose

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        """Start one absolute move. Raises DeviceError, and nothing moves."""
        with self._lock:
            if self._is_low(z_um):
                self._confine()
            if self._window is not None:
                self._pipette.permit_descent()  # a new guardian does not know of it
            self._pipette.move_to(x_um, y_um, z_um, speed_um_s)

    def stop(self) -> None:
        """Interrupt the move now. Waits for nothing else."""
        self._pipette.stop()

    def reconnect(self, *, new_frame: bool = False) -> Pose:
        """After a fault: open and identify anew. Moves nothing, and frees nothing by itself."""
        return self._pipette.reconnect(new_frame=new_frame)

    def events(self) -> list[tuple[str, str]]:
        """Take what happened unasked: (kind, why), kind 'deadman', 'fault' or 'died'."""
        with self._lock:
            own, self._events = self._events, []
        return own + self._pipette.events()

    def _confine_or_tell(self) -> None:
        try:
            self._confine()
        except NotNow:
            return  # somebody moves it; the next reading tries again
        except DeviceError as error:
            if str(error) != self._told:
                self._told = str(error)
                self._events.append(("fault", f"it is low, and the stage is free to move: {error}"))
        else:
            self._told = ""

    def _confine(self) -> None:
        if self._window is None:
            self._window = self._stage.confine(self._half_um, self._max_speed_um_s)

    def _is_low(self, z_um: float) -> bool:
        return not self._up * (z_um - self._safe_z_um) >= 0
