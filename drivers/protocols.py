"""What a camera, a stage and a manipulator can do. Small on purpose: a device is their sum."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from drivers.types import Frame, Pose


@runtime_checkable
class Camera(Protocol):
    """A source of frames. Opened, read and closed by one thread."""

    @property
    def name(self) -> str:
        """What the user knows it as, serial number included."""
        ...

    @property
    def width_px(self) -> int:
        """Columns of each frame. Known after ``open``."""
        ...

    @property
    def height_px(self) -> int:
        """Rows of each frame. Known after ``open``."""
        ...

    @property
    def frame_rate_hz(self) -> float:
        """Nominal frame rate. Known after ``open``."""
        ...

    def open(self) -> None:
        """Connect and start to grab. Raises CameraError."""
        ...

    def read(self, timeout_s: float) -> Frame | None:
        """Wait for the newest frame, at most ``timeout_s``; None when none came.

        A failed or incomplete buffer is skipped and counted as a gap in ``Frame.number``.
        Raises CameraError when the camera is gone, EndOfStream at the end of a recording.
        """
        ...

    def close(self) -> None:
        """Stop and let go. Safe to call twice, and after an error."""
        ...


@runtime_checkable
class Stage(Protocol):
    """An XY stage. All positions in the stage frame, micrometres.

    Every call has a deadline and raises DeviceError (see drivers.errors). A target outside the
    soft limits raises LimitError before a byte is sent; it is never clipped.
    """

    def read_pose(self) -> Pose:
        """Position as read back from the controller."""
        ...

    def move_to(self, x_um: float, y_um: float) -> None:
        """Start one absolute move and return. At most one move is outstanding."""
        ...

    def set_velocity(self, vx_um_s: float, vy_um_s: float) -> None:
        """Stream a velocity. It lives 150 ms: unless renewed, the guardian stops the stage."""
        ...

    def stop(self) -> None:
        """Stop all motion now. Never queues, never refused."""
        ...


@runtime_checkable
class Manipulator(Protocol):
    """A three-axis micromanipulator. All positions in the pipette frame, micrometres."""

    def read_pose(self) -> Pose:
        """Position as read back from the controller. Only while idle."""
        ...

    def move_to(self, x_um: float, y_um: float, z_um: float, speed_um_s: float) -> None:
        """Start one absolute move and return. Raises LimitError before a byte is sent."""
        ...

    def stop(self) -> None:
        """Interrupt the move now. Never queues, never refused."""
        ...
