"""The keeper of one port: a process that checks every motion, and stops it when nobody cares.

``python -m drivers.guardian`` reads its settings and then requests from standard input, and
answers on standard output, one JSON object a line (drivers/guardian_messages.py). It imports
nothing heavy: it must start fast, stay small, and share no lock, no garbage collector and no fate
with the program that it guards against.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from queue import SimpleQueue

from drivers.devices import make_device, make_wire
from drivers.errors import DeviceError
from drivers.guardian_messages import GuardianSettings, Json, decode, encode, encode_error
from drivers.keeper import Keeper
from drivers.process import raise_priority

_FAREWELL_S = 1.0
_ENDINGS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
"""A machine that shuts down, or a session that ends, asks all processes at once to end: host and
guardian. Neither may leave the instrument moving."""


class Outbox:
    """Messages on their way to the host. Whoever leaves one never waits.

    A host that does not read fills its pipe; a guardian that waited for it could not stop anything.
    """

    def __init__(self) -> None:
        self._output = os.fdopen(os.dup(1), "wb", buffering=0)
        self._messages: SimpleQueue[Json | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def send(self, message: Json) -> None:
        """Leave a message."""
        self._messages.put(message)

    def close(self) -> None:
        """Deliver what waits, as far as the host still reads."""
        self._messages.put(None)
        self._thread.join(_FAREWELL_S)

    def _carry(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._output.write(encode(message))
            except OSError:
                return  # the host has gone; the end of the input says so too


def main() -> int:
    """Read settings and requests until the input ends."""
    raise_priority()
    outbox = Outbox()
    source = os.fdopen(os.dup(0), "rb")
    try:
        settings = GuardianSettings.from_json(decode(source.readline()))
    except (ValueError, TypeError, KeyError) as error:
        print(f"guardian: no settings on standard input ({error})", file=sys.stderr)
        return 2
    try:
        wire = make_wire(settings)
        device = make_device(settings, wire)
    except DeviceError as error:
        outbox.send({"event": "refused", "error": encode_error(error)})
        outbox.close()
        return 2
    keeper = Keeper(settings, wire, device, outbox.send)

    def fill() -> None:
        try:
            while line := source.readline():
                keeper.inbox.put(decode(line))
        finally:  # whatever ends this thread, an instrument without a host is stopped
            keeper.inbox.end()

    for name in _ENDINGS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: keeper.inbox.end())
    threading.Thread(target=fill, daemon=True).start()
    keeper.run()
    outbox.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
