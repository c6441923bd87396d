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

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes that arrived from the host at ``now_s``."""
        ...

    def take_output(self, now_s: float) -> bytes:
        """Give the next reply that is due, whole; empty when none is. Call until empty."""
        ...

    def next_event_s(self, now_s: float) -> float:
        """When ``take_output`` needs to be called again; inf while nothing is pending."""
        ...
