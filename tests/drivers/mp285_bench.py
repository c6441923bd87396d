"""A real driver on a real wire to an emulated MP-285, whose insides the test can see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.emulators.mp285 import MP285Emulator
from drivers.mp285.driver import MP285
from drivers.wire import Wire
from tests.emulated import served


class Bench:
    """Driver, wire and controller."""

    def __init__(self, wire: Wire, emulator: MP285Emulator) -> None:
        self.wire = wire
        self.emulator = emulator
        self.driver = MP285(wire, poll_s=0.0, hands_off_s=0.0)

    def settle(self, timeout_s: float = 5.0) -> None:
        """Serve the driver as the guardian does, until the move has ended."""
        end_s = time.perf_counter() + timeout_s
        while self.driver.moving:
            assert time.perf_counter() < end_s, "the move never ends"
            self.driver.service()

    def until(self, condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
        end_s = time.perf_counter() + timeout_s
        while not condition():
            assert time.perf_counter() < end_s
            self.driver.service()

    def true_um(self) -> tuple[float, ...]:
        return self.emulator.plant.load_um(time.perf_counter())

    def sent(self) -> list[bytes]:
        return [data for _, way, data in self.wire.transcript.entries() if way == ">"]


@contextmanager
def bench(
    variant: str = "mp285", fault: str = "", baud: int = 115200, start_um: tuple[float, ...] = ()
) -> Iterator[Bench]:
    emulator = MP285Emulator(variant, baud=baud, time_s=time.perf_counter(), start_um=start_um)
    with served(emulator, fault) as url:
        wire = Wire(url, device="pipette", baud=baud)
        try:
            wire.open()
            yield Bench(wire, emulator)
        finally:
            wire.close()
