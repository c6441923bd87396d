"""What an emulated instrument is to whoever carries its bytes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from drivers.emulators.plant import Plant


@runtime_checkable
class Instrument(Protocol):
    """A controller seen from its serial socket. No thread, no clock: time is an argument.

    Times are monotonic seconds and never go back from one call to the next.
    """

    @property
    def plant(self) -> Plant:
        """The mechanics behind the controller."""
        ...

    @property
    def baud(self) -> int:
        """Symbols per second of its serial port."""
        ...

    @property
    def acknowledgement(self) -> bytes:
        """What it answers to a command that it obeys, with its end."""
        ...

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes that arrived from the host at ``now_s``."""
        ...

    def take_output(self, now_s: float) -> bytes:
        """Give the next reply that is due, whole; empty when none is. Call until empty."""
        ...

    def next_event_s(self, now_s: float) -> float:
        """When ``take_output`` needs to be called again; inf while nothing is pending."""
        ...

    def switch_off(self, now_s: float) -> None:
        """Cut the power: everything stops where it is, and nothing is remembered."""
        ...

    def switch_on(self, now_s: float) -> None:
        """Power up: it counts from zero where it stands, and hears nothing for a while."""
        ...

    def framing_error(self, now_s: float) -> None:
        """Receive a byte without its stop bit."""
        ...

    def touch(self, um: float, now_s: float) -> None:
        """Move it by hand along x, with the joystick or the knobs, if these are not locked."""
        ...
