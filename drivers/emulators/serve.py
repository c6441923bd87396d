"""An emulated instrument as a process of its own, as instruments are.

``python -m drivers.emulators.serve proscan --tcp 127.0.0.1:0`` prints ``ready ENDPOINT`` and how
the line is set, and runs until its standard input is closed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from select import select

from drivers.emulators.faults import FaultyInstrument, parse_faults
from drivers.emulators.instrument import Instrument
from drivers.emulators.links import Link, open_link
from drivers.emulators.plant import Plant
from drivers.emulators.shared_pose import PosePublisher
from drivers.errors import DeviceError
from drivers.process import raise_priority

_BAUDS = ("1200", "2400", "4800", "9600", "19200", "38400", "57600", "115200")
_STEP_S = 0.002
_MOVING_WAKE_S = 0.008
"""Between looks at a moving plant. Its dead time is longer, so nothing is published late."""
_REST_WAKE_S = 0.050


def build(
    kind: str,
    variant: str | None,
    baud: int | None,
    time_s: float,
    stands_at_um: Sequence[float] = (),
) -> Instrument:
    """Make an instrument by name. Raises DeviceError for a variant that does not exist."""
    if kind == "proscan":
        from drivers.emulators.prior import ProScanEmulator

        return ProScanEmulator(variant or "proscan3", baud=baud, time_s=time_s)
    from drivers.emulators.mp285 import MP285Emulator

    return MP285Emulator(variant or "mp285", baud=baud, time_s=time_s, stands_at_um=stands_at_um)


class PathPublisher:
    """Publishes a plant's path as far ahead as it is decided."""

    def __init__(self, plant: Plant, memory: PosePublisher, now_s: float) -> None:
        self._plant = plant
        self._memory = memory
        self._until_s = now_s
        memory.publish(plant.samples(now_s - _STEP_S, now_s, _STEP_S))

    def publish(self, now_s: float) -> float:
        """Append what has been decided since; return when to come again."""
        until_s = self._plant.decided_until_s(now_s)
        if until_s > self._until_s:
            resting = self._plant.rest_s <= self._until_s
            step_s = until_s - self._until_s if resting else _STEP_S
            self._memory.publish(self._plant.samples(self._until_s, until_s, step_s))
            self._until_s = until_s
        resting = self._plant.rest_s <= self._until_s
        return now_s + (_REST_WAKE_S if resting else _MOVING_WAKE_S)


class Server:
    """Carries bytes between one instrument and one plug. One thread."""

    def __init__(self, instrument: Instrument, link: Link, memory: PosePublisher | None) -> None:
        self._instrument = instrument
        self._link = link
        now_s = time.perf_counter()
        self._path = PathPublisher(instrument.plant, memory, now_s) if memory else None
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._ended = False

    def end(self) -> None:
        """Let ``run`` return soon. Any thread, and signal handlers."""
        self._ended = True
        try:
            self._waker.send(b"x")
        except OSError:
            pass  # a full buffer wakes as well; a closed one has ended

    def run(self) -> None:
        """Serve until ``end``."""
        while not self._ended:
            now_s = time.perf_counter()
            data = self._link.read()
            if data:
                self._instrument.receive(data, now_s)
                self._link.set_rate(self._instrument.baud)
            while reply := self._instrument.take_output(now_s):
                self._link.write(reply)
            self._follow_plug()
            due_s = self._instrument.next_event_s(now_s)
            if self._path is not None:
                due_s = min(due_s, self._path.publish(now_s))
            wait_s = min(max(0.0, due_s - time.perf_counter()), 1.0)
            select([self._wake.fileno(), *self._link.descriptors()], [], [], wait_s)
        self._wake.close()
        self._waker.close()

    def _follow_plug(self) -> None:
        if isinstance(self._instrument, FaultyInstrument):
            if self._instrument.unplugged:
                self._link.unplug()
            else:
                self._link.plug_in()


def say_ready(endpoint: str, baud: int, handshake: str) -> None:
    """Print where the instrument can be reached from now on, and how its line is set."""
    print(f"ready {endpoint} {baud} baud 8N1, {handshake}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as the command line says; 2 for a user's mistake."""
    try:
        serve(parse(arguments))
    except DeviceError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options of ``serve``."""
    parser = argparse.ArgumentParser(prog="python -m drivers.emulators.serve", description=__doc__)
    parser.add_argument("kind", choices=("proscan", "mp285"))
    plug = parser.add_mutually_exclusive_group(required=True)
    plug.add_argument("--tcp", metavar="127.0.0.1:PORT", help="port 0 takes any that is free")
    plug.add_argument("--pty", metavar="LINK", help="name of a pseudo-terminal (not on Windows)")
    parser.add_argument("--pose-memory", metavar="NAME", help="publish the true path there")
    parser.add_argument("--variant", help="which controller; see drivers/emulators/README.md")
    parser.add_argument("--baud", metavar="RATE", help="of the serial line, default as the variant")
    parser.add_argument("--fault", metavar="SPEC", default="", help="what shall go wrong")
    parser.add_argument(
        "--stands-at", metavar="X,Y,Z", default="", help="um, of an mp285 whose origin is elsewhere"
    )
    parser.add_argument(
        "--until-interrupted", action="store_true", help="do not end with standard input"
    )
    return parser.parse_args(arguments)


def serve(options: argparse.Namespace, ready: Callable[[str, int, str], None] = say_ready) -> None:
    """Run one instrument until standard input ends. Raises DeviceError.

    ``ready`` is told the endpoint, the line rate and the handshake when it can be reached.
    """
    now_s = time.perf_counter()
    stands_at_um = _place(getattr(options, "stands_at", ""))
    instrument = build(options.kind, options.variant, _rate(options.baud), now_s, stands_at_um)
    rtscts = getattr(instrument, "rtscts", False)
    if options.fault:
        instrument = FaultyInstrument(instrument, parse_faults(options.fault))
    link = open_link(tcp=options.tcp, pty=options.pty, baud=instrument.baud, rtscts=rtscts)
    memory = None
    try:
        if options.pose_memory:
            memory = PosePublisher(options.pose_memory)
        server = Server(instrument, link, memory)
        if not options.until_interrupted:
            threading.Thread(target=_until_end_of_input, args=(server,), daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: server.end())
        _fine_timers()
        raise_priority()
        ready(link.endpoint, instrument.baud, "RTS/CTS" if rtscts else "no flow control")
        server.run()
    finally:
        link.close()
        if memory is not None:
            memory.close()


def _rate(text: str | None) -> int | None:
    """Read a line rate. Raises DeviceError."""
    if text is None:
        return None
    if text not in _BAUDS:
        raise DeviceError(f"--baud {text}", "is no usual rate", f"allowed: {', '.join(_BAUDS)}")
    return int(text)


def _place(text: str) -> tuple[float, ...]:
    """Read X,Y,Z; nothing where there is no text. Raises DeviceError."""
    try:
        place_um = tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError:
        place_um = (0.0,)
    if len(place_um) not in (0, 3):
        raise DeviceError("mp285", f"--stands-at {text!r}", "write three numbers: 0,0,150")
    return place_um


def _until_end_of_input(server: Server) -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would hold up the end of the process
        pass
    server.end()


def _fine_timers() -> None:
    """Ask Windows to wake sleepers every millisecond instead of every 15.6."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.winmm.timeBeginPeriod(1)


if __name__ == "__main__":
    sys.exit(main())
