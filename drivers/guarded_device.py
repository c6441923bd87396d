"""What a driver must be able to do so that the guardian can keep it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers.pose import Pose


class GuardedDevice(Protocol):
    """A controller on an open Wire, called by one thread only: the guardian's.

    Soft limits, dead man's switch and the order of commands are the guardian's business; framing,
    deadlines, retries and the meaning of replies are the driver's. Built as
    ``Driver(wire, **options)`` with options that fit into JSON. No method waits longer than its
    exchange: a move is started, then followed with ``service``.

    While the wire's ``urgent`` event is set, reads raise Preempted: let it pass through; the
    guardian then calls ``stop``, which has to cope with a reply that may still arrive.
    """

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes that targets and limits are about: ('x', 'y') or ('x', 'y', 'z')."""
        ...

    @property
    def moving(self) -> bool | None:
        """As last known, without I/O. True from the start of a move until it is known to have
        ended; None after anything that leaves it in doubt.
        """  # noqa: D205
        ...

    @property
    def acceleration_scale(self) -> float:
        """Share of the acceleration of the rig file that the controller is set to, at most 1."""
        ...

    def connect(self, *, anew: bool = False) -> str:
        """Make sure that the right instrument answers, and prepare it. Moves nothing.

        ``anew`` where its power may have been off: what it was set to may be lost.

        Returns a line that names it. Raises WrongDevice saying what was read, ReplyTimeout when
        nothing was, all within 3 s.
        """
        ...

    def read_pose(self) -> Pose:
        """Ask where it is. Raises DeviceError; a doubtful reply is asked for again once."""
        ...

    def on_grid(self, target_um: Sequence[float]) -> tuple[float, ...]:
        """Give the place, one value per axis, um, that the bytes for a target would name.

        No I/O. Half a step of the controller beyond a soft limit is beyond it.
        """
        ...

    def prepare(self, speed_um_s: float) -> None:
        """Set the speed of the moves to come, where that takes a command. Moves nothing."""
        ...

    def move_to(self, target_um: Sequence[float], speed_um_s: float) -> None:
        """Start one absolute move, one value per axis, and return once it is accepted."""
        ...

    def set_velocity(self, velocity_um_s: Sequence[float]) -> None:
        """Run at this velocity from now on. Raises DeviceError where there is no such command."""
        ...

    def service(self) -> None:
        """Do what is due between commands: follow a move, or a stop, to its end.

        Called every few ms. Raises DeviceError when it does not end as it should.
        """
        ...

    def stop(self) -> None:
        """Stop all motion: the bytes first, then the confirmation.

        Works in any state, right after ``Wire.open`` and without ``connect`` too (a rescue has no
        time for more). Raises DeviceError when the controller does not confirm.
        """
        ...

    def lock(self, *, locked: bool) -> None:
        """Keep the hands of a person off, or give them back what they had. Moves nothing."""
        ...

    def hand(self) -> str:
        """Say who has the instrument, where that may be a person; empty where it cannot be.

        Asked after a stop, when motion was not as commanded. From then on the person has it, until
        the next command. Raises DeviceError.
        """
        ...

    def doubt(self) -> str:
        """Take why positions may mean another place than before; empty when they do not. No I/O."""
        ...

    def scale_hint(self, ratio: float) -> str:
        """Say what to set where it goes ``ratio`` times as fast as told, always; empty if unknown.

        No I/O.
        """
        ...

    def complaint(self) -> str:
        """Say what the controller knows of a motion that went wrong; empty when nothing.

        Asked after a stop. Raises DeviceError.
        """
        ...

    def disconnect(self) -> None:
        """Give the instrument back to its operator (joystick on). Moves nothing."""
        ...
