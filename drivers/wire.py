"""One serial line: the only code that reads or writes a port."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Self

import serial
from serial.tools import list_ports

from drivers.errors import BadReply, DeviceError, PortError, ReplyTimeout
from drivers.socket_port import SocketPort
from drivers.transcript import Transcript

_SLICE_S = 0.005
"""Longest single wait in the operating system: bounds how late an urgent stop is noticed."""

_PATIENCE_S = 0.030
"""A reply that is on its way takes about 12 ms; an urgent stop waits no longer than this."""

_WRITE_TIMEOUT_S = 0.5


class Preempted(DeviceError):
    """Waiting for a reply was cut short because a stop is due. The reply may still come."""


class Wire:
    """Bytes to and from one instrument, with deadlines.

    Works on anything that pyserial opens: ``COM3``, ``/dev/ttyUSB0``, ``socket://host:port``.
    Not opened by the constructor. One exchange at a time: hold the wire as a context manager
    around a write and the reads that belong to it; other threads wait.

    Attributes
    ----------
    url : str
        What was asked for.
    device : str
        What messages call it: the instrument's name and the url.
    urgent : threading.Event
        Set by whoever needs the wire at once for a stop: a read in progress then gives up after
        30 ms with Preempted, whatever its deadline. Cleared by the one who stops.
    transcript : Transcript
    """

    def __init__(
        self,
        url: str,
        *,
        device: str = "port",
        baud: int = 9600,
        rtscts: bool = False,
        transcript: Transcript | None = None,
    ) -> None:
        self.url = url
        self.device = f"{device} at {url}"
        self.urgent = threading.Event()
        self.transcript = transcript if transcript is not None else Transcript()
        self._baud = baud
        self._rtscts = rtscts
        self._lock = threading.RLock()
        self._port: serial.SerialBase | None = None
        self._unread = bytearray()

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def is_open(self) -> bool:
        """True between ``open`` and ``close``; says nothing about the cable."""
        return self._port is not None

    @property
    def is_socket(self) -> bool:
        """True where there is no baud rate to agree upon."""
        return self.url.startswith("socket://")

    @property
    def baud(self) -> int:
        """Symbols per second; 10 make a byte."""
        return self._baud

    def open(self) -> None:
        """Open the port. Nothing is sent. Raises PortError."""
        with self._lock:
            if self._port is not None:
                return
            try:
                self._port = self._opened()
            except (serial.SerialException, OSError, ValueError) as error:
                what = f"cannot open the port: {_misread(self.url) or _reason(error)}"
                raise PortError(self.device, what, _what_to_check(self.url)) from error
            self._unread.clear()

    def close(self) -> None:
        """Let go of the port. Safe to call twice, and after an error."""
        with self._lock:
            if self._port is not None:
                try:
                    self._port.close()
                except (serial.SerialException, OSError):
                    pass  # the cable is out: there is nothing left to close
                self._port = None

    def set_baud(self, baud: int) -> None:
        """Change the rate of the open port; bytes that wait are dropped. Raises PortError."""
        with self._lock:
            self._baud = baud
            if self._port is not None and not self.is_socket:
                try:
                    self._port.baudrate = baud
                    self._port.reset_input_buffer()
                except (serial.SerialException, OSError, ValueError) as error:
                    raise self._vanished(error) from error
            self._unread.clear()

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises PortError."""
        with self._lock:
            try:
                self._live().write(data)
            except (serial.SerialException, OSError) as error:
                raise self._vanished(error) from error
            self.transcript.note(time.perf_counter(), ">", data)

    def read_exactly(self, count: int, timeout_s: float, *, request: bytes = b"") -> bytes:
        """Return ``count`` bytes, whatever they are (a binary reply may hold any value).

        Raises ReplyTimeout (what came so far is consumed and named), Preempted, PortError.
        """
        with self._lock:
            self._await(lambda: len(self._unread) >= count, timeout_s, request)
            return self._take(count)

    def read_until(
        self, end: bytes, timeout_s: float, *, limit: int = 256, request: bytes = b""
    ) -> bytes:
        """Return everything up to and with ``end``.

        Raises ReplyTimeout, BadReply after ``limit`` bytes without ``end``, Preempted, PortError.
        """
        with self._lock:
            self._await(
                lambda: end in self._unread or len(self._unread) >= limit, timeout_s, request
            )
            stop = self._unread.find(end, 0, limit)
            if stop < 0:
                noise = self._take(len(self._unread))
                raise BadReply(
                    self.device,
                    f"{limit} bytes without an end: {noise[:40]!r}...",
                    "check port, baud rate and cable",
                    request=request,
                    reply=noise,
                )
            return self._take(stop + len(end))

    def clear(self) -> bytes:
        """Throw away what has arrived already, without waiting; return it. Raises PortError."""
        with self._lock:
            try:
                if self._live().in_waiting:
                    self._receive()
            except (serial.SerialException, OSError) as error:
                raise self._vanished(error) from error
            return self._take(len(self._unread)) if self._unread else b""

    def discard(self, quiet_s: float, limit_s: float = 1.0) -> bytes:
        """Read until nothing came for ``quiet_s``, at most ``limit_s``; return what came.

        This is the resynchronisation: afterwards a late reply cannot answer the next question.
        Raises PortError.
        """
        with self._lock:
            end_s = time.perf_counter() + limit_s
            quiet_since_s = time.perf_counter()
            while (now_s := time.perf_counter()) < min(end_s, quiet_since_s + quiet_s):
                if self._receive():
                    quiet_since_s = now_s
            return self._take(len(self._unread)) if self._unread else b""

    def _opened(self) -> serial.SerialBase:
        if self.is_socket:
            return SocketPort(self.url, timeout=_SLICE_S, write_timeout=_WRITE_TIMEOUT_S)
        return serial.serial_for_url(
            self.url,
            baudrate=self._baud,
            timeout=_SLICE_S,
            write_timeout=_WRITE_TIMEOUT_S,
            rtscts=self._rtscts,
            exclusive=True,  # a second writer on this line would be a danger, not a convenience
        )

    def _live(self) -> serial.SerialBase:
        if self._port is None:
            raise PortError(self.device, "the port is not open")
        return self._port

    def _receive(self) -> bool:
        """Wait at most one slice for bytes; True when some came."""
        port = self._live()
        try:
            data: bytes = port.read(max(1, port.in_waiting))
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial on POSIX raises TypeError when the descriptor vanishes under a read
            raise self._vanished(error) from error
        self._unread += data
        return bool(data)

    def _await(self, complete: Callable[[], bool], timeout_s: float, request: bytes) -> None:
        start_s = time.perf_counter()
        while not complete():
            if self._receive():
                continue
            waited_s = time.perf_counter() - start_s
            if waited_s >= timeout_s:
                partial = self._take(len(self._unread)) if self._unread else b""
                raise ReplyTimeout(
                    self.device,
                    f"no complete reply to {request!r} within {timeout_s * 1e3:.0f} ms"
                    f" (received {partial!r})",
                    "check that it is switched on and the cable is plugged in",
                    request=request,
                    partial=partial,
                )
            if waited_s >= _PATIENCE_S and self.urgent.is_set():
                raise Preempted(self.device, f"reply to {request!r} abandoned for a stop")

    def _take(self, count: int) -> bytes:
        data = bytes(self._unread[:count])
        del self._unread[:count]
        self.transcript.note(time.perf_counter(), "<", data)
        return data

    def _vanished(self, error: Exception) -> PortError:
        self.transcript.note(time.perf_counter(), "!", _plain(error).encode("ascii", "replace"))
        return PortError(
            self.device,
            f"the port has vanished: {_plain(error)}",
            "plug the cable in again, then reconnect; the position will be read anew",
        )


def _misread(url: str) -> str:
    """Say what is wrong with an address that is none; pyserial's own words name Python's types."""
    address = url.removeprefix("socket://")
    if address == url or re.fullmatch(r"[^/:?]+:\d{1,5}(/?\?.*)?", address):
        return ""
    return "the address is not socket://HOST:PORT"


def _reason(error: Exception) -> str:
    """Say why a port does not open, once: pyserial wraps the system's words in the port's name."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            busy = cause.errno in (errno.EAGAIN, errno.EBUSY)
            return "another program uses it" if busy else os.strerror(cause.errno).lower()
        cause = cause.__cause__ or cause.__context__
    windows = re.search(r"Error\(\d+, (['\"])(.+?)\.?\1", str(error))
    return windows[2].lower() if windows else _plain(error)


def _plain(error: Exception) -> str:
    return str(error).replace("\n", " ")


def _what_to_check(url: str) -> str:
    """Return what a person can do about a port that does not open."""
    if url.startswith("socket://"):
        return "check that what listens there runs, and host and port in the rig file"
    found = ", ".join(sorted(port.device for port in list_ports.comports())) or "none"
    return f"check cable, power and the port's name in the rig file (ports found: {found})"
