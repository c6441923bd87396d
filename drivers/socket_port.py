"""A serial port at the other end of a TCP connection."""

from __future__ import annotations

import select
import socket

from serial import SerialException
from serial.urlhandler import protocol_socket


class SocketPort(protocol_socket.Serial):  # type: ignore[misc]
    """pyserial's ``socket://`` with three repairs.

    ``in_waiting`` counts all bytes, not only the first; ``close`` never leaves the socket open
    when the peer is gone already, and does not sleep for 0.3 s: a rescue has no time for that.
    """

    _socket: socket.socket | None

    def open(self) -> None:
        """Connect. Raises SerialException."""
        super().open()
        if self._socket is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting. Raises SerialException at the end."""
        if self._socket is None:
            raise SerialException("port is closed")
        try:
            if not select.select([self._socket], [], [], 0)[0]:
                return 0
            waiting = len(self._socket.recv(4096, socket.MSG_PEEK))
        except OSError as error:
            raise SerialException(f"read failed: {error}") from error
        if not waiting:
            raise SerialException("socket disconnected")
        return waiting

    def close(self) -> None:
        """Let go of the socket. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.is_open = False
