"""Stopping an instrument until it is confirmed and seen at rest, whatever the line does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from drivers.errors import DeviceError
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import Json
from drivers.wire import Preempted, Wire

SERVICE_S = 0.020
_RETRY_S = 0.25
_LAST_EFFORT_S = 30.0
_LAST_REST_S = 2.0
_TRYING: Json = {"event": "trying"}
"""Said before each try once the host has gone: who waits for the end of that is not to insist."""


class Brake:
    """Stops, remembers why nothing may move, and goes on until the stop has worked.

    Single-threaded, but for ``interrupt``.

    Parameters
    ----------
    wire : Wire
    device : GuardedDevice
    send : callable
        Takes an event for the host.
    let_go : callable
        Called before each stop: whatever motion was under way is void.

    Attributes
    ----------
    fault : str
        Why motion is refused; empty while it is not.
    """

    def __init__(
        self,
        wire: Wire,
        device: GuardedDevice,
        send: Callable[[Json], None],
        let_go: Callable[[], None],
    ) -> None:
        self._wire = wire
        self._device = device
        self._send = send
        self._let_go = let_go
        self._stopping = False
        self._identified = False
        self._retry_s = 0.0
        self._look_s = 0.0
        self.fault = ""
        self.confirmed = True

    @property
    def identified(self) -> bool:
        """Whether the instrument has ever been identified: before, it is not even stopped."""
        return self._identified

    def interrupt(self) -> None:
        """Cut waiting for a reply short. Any thread."""
        if not self._stopping:
            self._wire.urgent.set()

    def restart(self) -> None:
        """Note that the instrument has been identified, and is not in doubt any more."""
        self._identified = True
        self.fault, self.confirmed = "", True

    def due_s(self) -> float:
        """When ``watch`` has something to do after a fault; inf when nothing is left."""
        if not self.confirmed:
            return self._retry_s
        return self._look_s if self._identified and self._device.moving is not False else math.inf

    def enter_fault(self, why: str, *, ask: bool = True) -> None:
        """Stop, and refuse motion from now on; the host is told.

        ``ask`` adds what the instrument has to say about it, if it still says anything.
        """
        self.fault = why
        self.confirmed = False
        self.halt()
        self.fault = why = self._explained(why) if ask else why
        self._send({"event": "fault", "why": why})

    def lose_frame(self, why: str) -> None:
        """Refuse motion as positions mean nothing any more; told in one line. Sends no byte."""
        self.fault = f"{self.fault}; {why}" if self.fault else why
        self._send({"event": "fault", "why": self.fault, "lost": why})

    def halt(self) -> None:
        """Stop; what cannot be confirmed is tried again from ``watch``.

        Before the instrument has been identified nothing is sent, as nothing has been moved.
        """
        if not self._identified:
            self._wire.urgent.clear()
            return
        self._stopping = True
        self._wire.urgent.clear()
        self._let_go()
        self.confirmed = False
        try:
            if not self._wire.is_open:
                self._wire.open()
            self._device.stop()
            self.confirmed = True
        except DeviceError as error:
            self._retry_s = time.perf_counter() + _RETRY_S
            if not self.fault:
                self.fault = str(error)
                self._send({"event": "fault", "why": str(error)})
            self._wire.close()  # a port that has vanished only comes back through a new opening
        finally:
            self._stopping = False
            self._wire.urgent.clear()

    def watch(self, now_s: float) -> None:
        """After a fault: see to it that the stop is confirmed, and then that it rests."""
        if not self.confirmed and now_s >= self._retry_s:
            self.halt()
        elif self.confirmed and now_s >= self._look_s:
            self._see_to_rest()

    def leave(self, moving: bool | None) -> None:
        """Stop whatever moves once the host has gone, see it at rest, then let go."""
        end_s = time.perf_counter() + _LAST_EFFORT_S
        rest_s = time.perf_counter() + _LAST_REST_S
        self._wire.urgent.clear()
        if moving is not False:
            self._send(_TRYING)
            self.halt()
        while self._identified and (now_s := time.perf_counter()) < end_s:
            if not self.confirmed:
                self._send(_TRYING)
                time.sleep(_RETRY_S)
                self.halt()
            elif self._device.moving is not False and now_s < rest_s:
                time.sleep(SERVICE_S)
                self._see_to_rest()
            else:
                break
        if self._wire.is_open and self._identified:
            try:
                self._device.disconnect()
            except DeviceError:
                pass  # nobody is left to be told
        self._wire.close()
        self._wire.transcript.close()

    def _see_to_rest(self) -> None:
        """Look whether it rests: a stop that is confirmed is one thing, standing still another."""
        self._look_s = time.perf_counter() + SERVICE_S
        if not self._identified or self._device.moving is False:
            return
        try:
            self._device.service()
        except Preempted:
            pass
        except DeviceError:
            self.confirmed = False
            self._retry_s = 0.0

    def _explained(self, why: str) -> str:
        if not self.confirmed:
            return why
        try:
            complaint = self._device.complaint()
        except DeviceError:
            return why
        return f"{why}; {complaint}" if complaint else why
