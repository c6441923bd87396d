"""One tree of errors for everything that has a plug.

Every message is one line that says what happened, where, and what to do.
"""

from __future__ import annotations


class DeviceError(Exception):
    """Something about an instrument. ``device`` names it as the user knows it."""

    def __init__(self, device: str, what: str, hint: str = "") -> None:
        self.device = device
        self.what = what
        self.hint = hint
        super().__init__(f"{device}: {what}" + (f"; {hint}" if hint else ""))


class PortError(DeviceError):
    """The port cannot be opened, or has vanished."""


class ReplyTimeout(DeviceError):
    """No reply, or half a reply, before the deadline. ``request`` and ``partial`` are bytes."""

    def __init__(
        self, device: str, what: str, hint: str = "", *, request: bytes = b"", partial: bytes = b""
    ) -> None:
        self.request = request
        self.partial = partial
        super().__init__(device, what, hint)


class BadReply(DeviceError):
    """A reply of the wrong shape. ``request`` and ``reply`` are the bytes on the wire."""

    def __init__(
        self, device: str, what: str, hint: str = "", *, request: bytes = b"", reply: bytes = b""
    ) -> None:
        self.request = request
        self.reply = reply
        super().__init__(device, what, hint)


class RefusedCommand(BadReply):
    """The instrument understood and said no. ``code`` is its own error number."""

    def __init__(
        self,
        device: str,
        what: str,
        hint: str = "",
        *,
        code: int,
        request: bytes = b"",
        reply: bytes = b"",
    ) -> None:
        self.code = code
        super().__init__(device, what, hint, request=request, reply=reply)


class WrongDevice(DeviceError):
    """Something answers on the port, but it is not what the rig file says."""


class LimitError(DeviceError):
    """A target outside the soft limits. Nothing was sent."""


class NotNow(DeviceError):
    """A person has the instrument at the moment. Nothing was moved; ask again later."""


class GuardianError(DeviceError):
    """The guardian of a port has died, or refuses motion after a fault."""


class FrameLost(GuardianError):
    """Positions mean another place than before: its origin is not where it was."""


class CameraError(DeviceError):
    """The camera cannot be opened, has stopped, or delivers something that is no frame."""


class EndOfStream(CameraError):
    """A recording has come to its end. Not a fault."""
