"""A real driver on a real wire to an emulated MP-285, whose insides the test can see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drivers.emulators.faults import FaultyInstrument, parse_faults
from drivers.emulators.links import TcpLink
from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.serve import Server
from drivers.mp285.driver import MP285
from drivers.wire import Wire


class Bench:
    """Driver, wire and controller."""

    def __init__(self, wire: Wire, emulator: MP285Emulator) -> None:
        self.wire = wire
        self.emulator = emulator
        self.driver = MP285(wire, poll_s=0.0)

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
    now_s = time.perf_counter()
    emulator = MP285Emulator(variant, baud=baud, time_s=now_s, start_um=start_um)
    instrument = FaultyInstrument(emulator, parse_faults(fault)) if fault else emulator
    link = TcpLink("127.0.0.1:0")
    server = Server(instrument, link, None)
    thread = threading.Thread(target=server.run, name="sfcscope-emulator", daemon=True)
    thread.start()
    wire = Wire(link.endpoint, device="pipette", baud=baud)
    try:
        wire.open()
        yield Bench(wire, emulator)
    finally:
        wire.close()
        server.end()
        thread.join(2.0)
        link.close()
