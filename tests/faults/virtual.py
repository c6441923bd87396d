"""Driver, wire, guardian and instrument in virtual time: hours of traffic in seconds."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import drivers.brake
import drivers.deadman
import drivers.inbox
import drivers.keeper
import drivers.mp285.driver
import drivers.mp285.link
import drivers.prior.driver
import drivers.prior.line
import drivers.wire
from drivers.emulators.instrument import Instrument
from drivers.errors import DeviceError, FrameLost
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import GuardianSettings, Json, decode_error
from drivers.keeper import Keeper
from drivers.wire import Wire

_SLICE_S = 0.005
_CALL_S = 20e-6  # what a call of the operating system takes, and so time never stands still


class Time(types.SimpleNamespace):
    """Stands in for the time module in whatever waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += max(0.0, duration_s)


class DirectPort:
    """A port whose other end is an instrument in the same process and the same virtual time."""

    def __init__(self, instrument: Instrument, clock: Time) -> None:
        self._instrument = instrument
        self._clock = clock
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self._clock.sleep(_CALL_S)
        self._instrument.receive(data, self._clock.now_s)

    @property
    def in_waiting(self) -> int:
        self._listen(self._clock.now_s)
        return len(self._waiting)

    def read(self, count: int) -> bytes:
        self._clock.sleep(_CALL_S)
        end_s = self._clock.now_s + _SLICE_S
        self._listen(self._clock.now_s)
        while not self._waiting and self._clock.now_s < end_s:
            due_s = self._instrument.next_event_s(self._clock.now_s)
            self._clock.now_s = min(end_s, max(due_s, self._clock.now_s + _CALL_S))
            self._listen(self._clock.now_s)
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        return data

    def close(self) -> None:
        """Nothing to close."""

    def _listen(self, now_s: float) -> None:
        while reply := self._instrument.take_output(now_s):
            self._waiting += reply


class DirectWire(Wire):
    def __init__(self, instrument: Instrument, clock: Time) -> None:
        super().__init__("socket://nowhere", device="instrument")
        self._make = lambda: DirectPort(instrument, clock)

    def _opened(self) -> DirectPort:  # type: ignore[override]
        return self._make()


@contextmanager
def virtual_time() -> Iterator[Time]:
    """Everything of the guardian's process lives in this time, in this thread."""
    clock = Time()
    with pytest.MonkeyPatch.context() as patch:
        for module in (
            drivers.wire, drivers.brake, drivers.keeper, drivers.inbox, drivers.prior.driver,
            drivers.prior.line, drivers.mp285.driver, drivers.mp285.link,
        ):  # fmt: skip
            if hasattr(module, "time"):
                patch.setattr(module, "time", clock)
        yield clock


class VirtualGuardian:
    """A keeper that is called by the test instead of by a pipe."""

    def __init__(
        self,
        instrument: Instrument,
        make: Callable[[Wire], GuardedDevice],
        settings: GuardianSettings,
        clock: Time,
    ) -> None:
        self.wire = DirectWire(instrument, clock)
        self.clock = clock
        self.sent: list[Json] = []
        self.keeper = Keeper(settings, self.wire, make(self.wire), self.sent.append)
        self._number = 0

    def ask(self, do: str, **fields: object) -> Json:
        """A request and its answer; raises the DeviceError that it ends with."""
        self._number += 1
        self.keeper._deadman.beat(self.clock.now_s)
        if do == "stop":
            self.keeper._stop_now([{"n": self._number, "do": "stop"}], [])
        else:
            self.keeper._answer({"n": self._number, "do": do, **fields})
        self.idle(0.0)
        answer = next(m for m in reversed(self.sent) if m.get("n") == self._number)
        if "error" in answer:
            raise decode_error(answer["error"])  # type: ignore[arg-type]
        ok = answer["ok"]
        return ok if isinstance(ok, dict) else {"value": ok}

    def idle(self, duration_s: float, *, beats: bool = True) -> None:
        """Let time pass; the keeper does what falls due."""
        end_s = self.clock.now_s + duration_s
        while True:
            if beats:
                self.keeper._deadman.beat(self.clock.now_s)
            self.keeper._watch()
            if self.clock.now_s >= end_s:
                return
            self.clock.now_s = min(end_s, max(self.clock.now_s + 1e-4, self.keeper._due_s()))

    def faults(self) -> list[str]:
        return [str(m["why"]) for m in self.sent if m.get("event") == "fault"]

    def reconnect(self, tries: int = 20) -> None:
        """Until it works, as an operator would, who finds the place again where it is lost."""
        found = False
        for _ in range(tries):
            try:
                self.ask("connect", new_frame=found)
            except DeviceError as error:
                found |= isinstance(error, FrameLost)
                self.idle(0.1)
            else:
                return
        raise AssertionError("it never came back")
