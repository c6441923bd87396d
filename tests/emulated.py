"""Emulated instruments for tests: as processes, or as a thread of this one."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from drivers.emulators.faults import FaultyInstrument, parse_faults
from drivers.emulators.instrument import Instrument
from drivers.emulators.links import TcpLink
from drivers.emulators.serve import Server
from drivers.emulators.shared_pose import PoseReader
from drivers.process import end_process, start_module

_numbers = itertools.count(1)
_HOST = Path(__file__).with_name("drivers") / "host_that_dies.py"


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for what gives no event: another process' plant."""
    end_s = time.perf_counter() + timeout_s
    while not condition():
        assert time.perf_counter() < end_s, "it never happened"
        time.sleep(0.005)


def start_host(url: str, how: str) -> subprocess.Popen[bytes]:
    """Start a program that drives a stage, to be ended; it names its guardian's process first."""
    return subprocess.Popen(
        [sys.executable, str(_HOST), url, how],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


class Witness:
    """Sees where an emulated instrument truly is."""

    def __init__(self, memory: str) -> None:
        self.truth = PoseReader(memory)

    def position_um(self) -> np.ndarray:
        """True position now, (3,) um."""
        return self.truth.at(np.array([time.perf_counter()]))[0]

    def velocity_um_s(self) -> np.ndarray:
        """True velocity as last published, (3,) um/s."""
        return self.truth.latest()[2]

    def moves(self) -> bool:
        return bool(np.any(self.truth.latest()[2]))

    def rest_s(self, timeout_s: float = 10.0) -> float:
        """Wait until it stands still; the time at which it came to rest."""
        wait_until(lambda: not self.moves(), timeout_s)
        rows = self.truth.path()
        moving = np.flatnonzero(np.any(rows[:, 4:] != 0, axis=1))
        rest_s = float(rows[moving[-1], 0]) if len(moving) else 0.0
        wait_until(lambda: time.perf_counter() > rest_s + 0.005)  # the path is published ahead
        return rest_s


class Emulated(Witness):
    """An emulator process, its port, and the truth about its plant."""

    def __init__(self, kind: str, *options: str) -> None:
        memory = f"sfcscope_test_{os.getpid()}_{next(_numbers)}"
        arguments = [kind, "--pose-memory", memory, *options]
        if "--pty" not in options:
            arguments += ["--tcp", "127.0.0.1:0"]
        self.process = start_module("drivers.emulators.serve", arguments)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode().split()
        assert ready[:1] == ["ready"], ready
        self.url = ready[1]
        super().__init__(memory)

    def close(self) -> None:
        self.truth.close()
        end_process(self.process)


@contextmanager
def emulated(kind: str, *options: str) -> Iterator[Emulated]:
    """An emulator process for the time of a test."""
    emulator = Emulated(kind, *options)
    try:
        yield emulator
    finally:
        emulator.close()


@contextmanager
def served(instrument: Instrument, fault: str = "") -> Iterator[str]:
    """An emulator whose insides the test can see, served by a thread; its url."""
    if fault:
        instrument = FaultyInstrument(instrument, parse_faults(fault))
    link = TcpLink("127.0.0.1:0")
    server = Server(instrument, link, None)
    thread = threading.Thread(target=server.run, name="sfcscope emulator", daemon=True)
    thread.start()
    try:
        yield link.endpoint
    finally:
        server.end()
        thread.join(2.0)
        link.close()
