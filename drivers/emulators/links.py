"""Where an emulated instrument's plug ends: a TCP port of this machine, or a pseudo-terminal."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Protocol

from drivers.errors import PortError


class Link(Protocol):
    """One plug, at most one host in it."""

    @property
    def endpoint(self) -> str:
        """What a host opens."""
        ...

    def descriptors(self) -> list[int]:
        """Give what to wait on for input."""
        ...

    def read(self) -> bytes:
        """Return what has arrived, without waiting."""
        ...

    def write(self, data: bytes) -> None:
        """Send; without a host the bytes are lost, as on a wire."""
        ...

    def set_rate(self, baud: int) -> None:
        """Follow the instrument, whose rate its host may change."""
        ...

    def unplug(self) -> None:
        """Pull the plug: the host's port vanishes."""
        ...

    def plug_in(self) -> None:
        """Undo ``unplug``."""
        ...

    def close(self) -> None:
        """Remove the port."""
        ...


class TcpLink:
    """A port on the loopback interface; never reachable from elsewhere.

    A second host waits, unanswered, until the first has gone: a serial line has one end.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        is_port = port.isascii() and port.isdigit() and int(port) < 65536
        if host not in ("127.0.0.1", "localhost") or not is_port:
            raise PortError(
                f"emulator at {address!r}", "is not HOST:PORT on this machine",
                "write 127.0.0.1:0 for any free port",
            )  # fmt: skip
        self._host: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._address = ("127.0.0.1", int(port))
        self.plug_in()

    @property
    def endpoint(self) -> str:
        """For serial_for_url."""
        return f"socket://127.0.0.1:{self._address[1]}"

    def descriptors(self) -> list[int]:
        """Give what to wait on for input."""
        end = self._host or self._listener
        return [end.fileno()] if end is not None else []

    def read(self) -> bytes:
        """Return what has arrived; lets a host in, or notices that it has gone."""
        if self._host is None:
            if self._listener is not None:
                try:
                    self._host, _ = self._listener.accept()
                except BlockingIOError:
                    return b""
                self._host.setblocking(False)
                self._host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            data = self._host.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def write(self, data: bytes) -> None:
        """Send; lost without a host, or where it does not read."""
        if self._host is not None:
            try:
                self._host.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self._drop()

    def set_rate(self, baud: int) -> None:
        """Do nothing: a socket has no rate."""

    def unplug(self) -> None:
        """Cut the connection and refuse new ones."""
        self._drop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def plug_in(self) -> None:
        """Listen, on the same port as before."""
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there the option would let a second server steal the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(self._address)
            listener.listen(4)
        except OSError as error:
            listener.close()
            raise PortError(
                f"emulator at {self.endpoint}", f"cannot listen: {error}", "choose another port"
            ) from error
        listener.setblocking(False)
        self._address = listener.getsockname()
        self._listener = listener

    def close(self) -> None:
        """Remove the port."""
        self.unplug()

    def _drop(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None


if sys.platform != "win32":
    import termios
    import tty

    _RATES = {
        getattr(termios, f"B{baud}"): baud
        for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
    }

    class PtyLink:
        """A pseudo-terminal behind a symbolic link, with a real line rate.

        A host that sets another rate than the instrument's sends and receives noise. With
        ``rtscts`` the instrument says nothing until its host has switched the handshake on: a
        terminal has no such lines, but it tells whether the host asked for them.
        """

        def __init__(self, link: str, baud: int, *, rtscts: bool = False) -> None:
            self._link = Path(link)
            self._baud = baud
            self._rtscts = rtscts
            self._ends: tuple[int, int] | None = None
            self.plug_in()

        @property
        def endpoint(self) -> str:
            """Give the device name for serial_for_url."""
            return str(self._link)

        def descriptors(self) -> list[int]:
            """Give what to wait on for input."""
            return [self._ends[0]] if self._ends is not None else []

        def read(self) -> bytes:
            """Return what has arrived."""
            if self._ends is None:
                return b""
            try:
                return self._seen_at_other_rate(os.read(self._ends[0], 4096))
            except BlockingIOError:
                return b""

        def write(self, data: bytes) -> None:
            """Send; lost where nobody reads and the buffer is full."""
            if self._ends is not None and self._may_send(self._ends[1]):
                try:
                    os.write(self._ends[0], self._seen_at_other_rate(data))
                except BlockingIOError:
                    pass

        def set_rate(self, baud: int) -> None:
            """Follow the instrument."""
            self._baud = baud

        def unplug(self) -> None:
            """Close both ends and remove the name."""
            if self._ends is not None:
                for end in self._ends:
                    os.close(end)
                self._ends = None
                self._link.unlink(missing_ok=True)

        def plug_in(self) -> None:
            """Open a new pair under the old name."""
            if self._ends is not None:
                return
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            try:
                self._link.symlink_to(os.ttyname(slave))
            except OSError as error:
                os.close(master)
                os.close(slave)
                why = error.strerror or str(error)
                raise PortError(
                    f"emulator at {self.endpoint}", f"cannot make the link: {why}",
                    "choose a name that does not exist, in a folder that does",
                ) from error  # fmt: skip
            self._ends = (master, slave)

        def close(self) -> None:
            """Remove the port."""
            self.unplug()

        def _may_send(self, host: int) -> bool:
            return not self._rtscts or bool(termios.tcgetattr(host)[2] & termios.CRTSCTS)

        def _seen_at_other_rate(self, data: bytes) -> bytes:
            host_rate = _RATES.get(termios.tcgetattr(self._ends[1])[4]) if self._ends else None
            if host_rate == self._baud:
                return data
            return bytes([(byte * 7 + 0x8D) & 0xFF | 0x80 for byte in data])


def open_link(*, tcp: str | None, pty: str | None, baud: int, rtscts: bool = False) -> Link:
    """Make the plug that was asked for. Raises PortError."""
    if tcp is not None and rtscts:
        raise PortError(f"emulator at {tcp}", "a socket has no RTS/CTS lines", "use --pty")
    if tcp is not None:
        return TcpLink(tcp)
    if pty is None:
        raise PortError("emulator", "no port was asked for", "give --tcp or --pty")
    if sys.platform == "win32":
        raise PortError(f"emulator at {pty}", "Windows has no pseudo-terminals", "use --tcp")
    return PtyLink(pty, baud, rtscts=rtscts)
