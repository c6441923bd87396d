"""Prior ProScan II and III with an XY stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.errors import BadReply, DeviceError, RefusedCommand, ReplyTimeout, WrongDevice
from drivers.pose import Pose
from drivers.prior import codec
from drivers.wire import Wire

T = TypeVar("T")

_REPLY_S = 0.3
"""Deadline of a query: 25 times the usual round trip."""

_ACCEPT_S = 0.1
"""How long to wait for the ``R`` of a move before asking whether it runs: by the manual ``R``
comes at the end of the move, controllers in the field answer at once."""

_QUIET_S = 0.05
"""A line that is silent for this long has nothing under way: the longest reply takes 15 ms."""

_POLL_S = 0.05

_GARBLED = frozenset((4, 5, 8, 10, 11, 12, 13, 14, 15, 21))
"""Refusals that a byte garbled on its way to the controller can cause: worth a second try."""

_FACTORY_BAUD = 9600


class ProScan:
    """A GuardedDevice: see there for the promises.

    Parameters
    ----------
    wire : Wire
        Open, except for ``stop`` after a crash, which needs no more than that either.
    resolution_um : float
        User unit of positions that is asked for. What the controller makes of it is honoured.
    velocity_in_user_units : bool
        Whether ``VS`` scales with the resolution. To be found out at commissioning; a wrong
        answer shows as a stage that does not move as commanded.
    bauds : sequence of int
        Rates to try on a tty after the wire's own: a saved rate falls back to 9600 by itself.
    """

    axes = ("x", "y")

    def __init__(
        self,
        wire: Wire,
        *,
        resolution_um: float = 0.1,
        velocity_in_user_units: bool = True,
        bauds: Sequence[int] = (115200, 38400, 9600),
    ) -> None:
        self._wire = wire
        self._unit_um = resolution_um
        self._wanted_um = resolution_um
        self._velocity_in_user_units = velocity_in_user_units
        self._bauds = tuple(bauds)
        self._moving: bool | None = None
        self._following = False
        self._joystick_off = False
        self._speed_um_s: float | None = None
        self._next_poll_s = 0.0
        self.stale_replies = 0

    @property
    def moving(self) -> bool | None:
        """As last known, without I/O."""
        return self._moving

    @property
    def resolution_um(self) -> float:
        """Size of the user unit that the controller has confirmed."""
        return self._unit_um

    def connect(self) -> str:
        """Find the controller, and set it up. Moves nothing; stops what still runs.

        Raises WrongDevice with what was read, ReplyTimeout when nothing was, in less than 3 s.
        """
        self._find()
        self._ask("COMP", 0, decode=codec.decode_acknowledgement)
        self._ask("ERROR", 0, decode=codec.decode_acknowledgement)
        version = self._ask("VERSION", decode=codec.decode_integer)
        serial = self._ask("SERIAL", decode=_text)
        stage = codec.decode_block(self._block("STAGE"))
        name = stage.get("STAGE", "NONE")
        if name == "NONE":
            raise DeviceError(
                self._wire.device,
                "the controller answers, but no stage is connected to it",
                "switch it off, plug the stage in, switch it on",
            )
        self._set_resolution(float(stage.get("MICROSTEPS/MICRON", "25")))
        if self._ask("$", "S", decode=codec.decode_integer):
            self.stop()
        self._moving = None
        return f"ProScan {version / 100:.2f} no. {serial}, stage {name}, {self._unit_um:g} um"

    def read_pose(self) -> Pose:
        """Ask for the position, and whether it moves where that is not known already."""
        asked_s = time.perf_counter()
        x, y, _z = self._ask("P", decode=_position)
        answered_s = time.perf_counter()
        if not self._following and not (self._joystick_off and self._moving is False):
            self._ask_whether_moving()
        middle_s = (asked_s + answered_s) / 2
        unit_um = self._unit_um
        return Pose(middle_s, x * unit_um, y * unit_um, float("nan"), self._moving)

    def move_to(self, target_um: Sequence[float], speed_um_s: float) -> None:
        """Start one absolute move. Raises DeviceError when it is not known to have started."""
        self._take_over()
        if speed_um_s != self._speed_um_s:
            self._ask("SMS", round(speed_um_s), "u", decode=codec.decode_acknowledgement)
            self._speed_um_s = speed_um_s
        x, y = (round(um / self._unit_um) for um in target_um)
        self._following = False
        self._moving = None
        try:
            # never sent twice: a second copy would wait in the controller's queue
            self._ask("G", x, y, decode=codec.decode_acknowledgement, tries=1, timeout_s=_ACCEPT_S)
        except ReplyTimeout:
            if not self._ask("$", "S", decode=codec.decode_integer):
                self._confirm_arrival(x, y)
                return
        self._moving = True
        self._next_poll_s = time.perf_counter() + _POLL_S

    def set_velocity(self, velocity_um_s: Sequence[float]) -> None:
        """Run at this velocity. One round trip."""
        if not self._joystick_off:
            self._take_over()
        unit_um = self._unit_um if self._velocity_in_user_units else 1.0
        vx, vy = (um_s / unit_um for um_s in velocity_um_s)
        self._following = bool(vx or vy)
        self._moving = True if self._following else None
        self._ask("VS", vx, vy, decode=codec.decode_acknowledgement)

    def service(self) -> None:
        """Follow a move, or a ramp down, to its end."""
        now_s = time.perf_counter()
        if self._following or self._moving is False or now_s < self._next_poll_s:
            return
        self._ask_whether_moving()
        self._next_poll_s = time.perf_counter() + _POLL_S

    def stop(self) -> None:
        """Send velocity zero and the controlled stop in one write, then see that both are answered.

        Tried three times, then once the hard stop, after which the position is doubtful. Raises
        DeviceError when nothing is confirmed.
        """
        self._moving = None
        self._following = False
        self._next_poll_s = 0.0
        self._wire.clear()
        for request in (b"VS,0,0\rI\r", b"I\rVS,0,0\r", b"VS,0,0\rI\r", b"K\rVS,0,0\r"):
            self._wire.write(request)
            try:
                for _ in range(2):
                    self._reply(request, codec.decode_acknowledgement, _REPLY_S)
            except (BadReply, ReplyTimeout):
                self._wire.discard(_QUIET_S, 2 * _QUIET_S)
            else:
                return
        raise ReplyTimeout(
            self._wire.device, "the stop was sent but is not confirmed", "switch the stage off"
        )

    def disconnect(self) -> None:
        """Give the joystick back."""
        if self._joystick_off:
            self._ask("J", decode=codec.decode_acknowledgement)
            self._joystick_off = False

    def _find(self) -> None:
        heard = b""
        rates = [self._wire.baud]
        if not self._wire.is_socket:
            rates += [baud for baud in self._bauds if baud != self._wire.baud]
        for attempt, baud in enumerate(rates if len(rates) > 1 else rates * 2):
            if attempt:
                self._wire.set_baud(baud)
            self._wire.write(codec.END)  # ends whatever half a line a predecessor left behind
            heard += self._wire.discard(_QUIET_S, 0.3)
            try:
                lines = self._block("?", tries=1)
            except ReplyTimeout as error:
                heard += error.partial
            except BadReply as error:
                heard += error.reply
            else:
                if any(b"PROSCAN" in line or b"OPTISCAN" in line for line in lines):
                    return
                heard += b"\r".join(lines)
        tried = ", ".join(map(str, rates))
        if heard:
            raise WrongDevice(
                self._wire.device,
                f"what answers is no ProScan (read {heard[:60]!r}, asked at {tried} baud)",
                "check the port in the rig file",
            )
        raise ReplyTimeout(
            self._wire.device, f"no answer at {tried} baud", "check power, cable and port"
        )

    def _set_resolution(self, microsteps_per_um: float) -> None:
        """Ask for the wanted unit, and believe only what is read back."""
        try:
            self._ask("RES", "S", self._wanted_um, decode=codec.decode_acknowledgement)
            (unit_um,) = self._ask("RES", "S", decode=_number)
        except RefusedCommand:
            unit_um = 0.0
        if unit_um <= 0:
            unit_um = self._ask("SS", decode=codec.decode_integer) / microsteps_per_um
        if not 0 < unit_um <= 10:
            raise DeviceError(
                self._wire.device, f"reports a user unit of {unit_um} um", "reset the controller"
            )
        self._unit_um = unit_um

    def _take_over(self) -> None:
        """Switch the joystick off: two hands on one stage make its motion unpredictable."""
        if not self._joystick_off:
            self._ask("H", decode=codec.decode_acknowledgement)
            self._joystick_off = True

    def _ask_whether_moving(self) -> None:
        self._moving = None
        self._moving = bool(self._ask("$", "S", decode=codec.decode_integer))

    def _confirm_arrival(self, x: int, y: int) -> None:
        """Tell a move that has ended before its ``R`` from one that was never heard."""
        x_now, y_now, _z = self._ask("P", decode=_position)
        self._moving = False
        if abs(x_now - x) > 1 or abs(y_now - y) > 1:
            raise ReplyTimeout(
                self._wire.device, f"the move to {x},{y} was not accepted", "try again"
            )

    def _ask(
        self,
        verb: str,
        *values: float | str,
        decode: Callable[[bytes], T],
        tries: int = 2,
        timeout_s: float = _REPLY_S,
    ) -> T:
        """One exchange; after a timeout or a reply of the wrong shape, drain and ask once more."""
        request = codec.encode(verb, *values)
        with self._wire as wire:
            while True:
                tries -= 1
                self.stale_replies += bool(wire.clear())
                wire.write(request)
                try:
                    return self._reply(request, decode, timeout_s)
                except (ReplyTimeout, BadReply) as error:
                    if tries <= 0 or not _may_be_noise(error):
                        raise
                    wire.discard(_QUIET_S)

    def _reply(self, request: bytes, decode: Callable[[bytes], T], timeout_s: float) -> T:
        """Wait for the line that answers; an ``R`` that came late answers nothing."""
        deadline_s = time.perf_counter() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.perf_counter())
            line = self._wire.read_until(codec.END, left_s, request=request)[:-1]
            code = codec.decode_error(line)
            if code is not None:
                raise RefusedCommand(
                    self._wire.device,
                    f"refuses {request!r}: {codec.error_name(code)} (E,{code})",
                    code=code,
                    request=request,
                    reply=line,
                )
            try:
                return decode(line)
            except ValueError as error:
                if line != b"R":
                    raise BadReply(
                        self._wire.device,
                        f"{line!r} is no answer to {request!r}",
                        "check the cable",
                        request=request,
                        reply=line,
                    ) from error
                self.stale_replies += 1

    def _block(self, verb: str, *, tries: int = 2) -> list[bytes]:
        """Ask for a report that ends with ``END``; lines without it.

        After power-up the first report may come cut.
        """
        request = codec.encode(verb)
        with self._wire as wire:
            while True:
                tries -= 1
                wire.clear()
                wire.write(request)
                lines: list[bytes] = []
                try:
                    while not lines or lines[-1] != b"END":
                        lines.append(wire.read_until(codec.END, _REPLY_S, request=request)[:-1])
                        if codec.decode_error(lines[-1]) is not None or len(lines) > 40:
                            raise BadReply(
                                wire.device, f"no report for {request!r}", reply=lines[-1]
                            )
                except (ReplyTimeout, BadReply):
                    if tries <= 0:
                        raise
                    wire.discard(_QUIET_S)
                else:
                    return lines[:-1]


def _may_be_noise(error: ReplyTimeout | BadReply) -> bool:
    return not isinstance(error, RefusedCommand) or error.code in _GARBLED


def _position(line: bytes) -> tuple[float, ...]:
    return codec.decode_numbers(line, 3)


def _number(line: bytes) -> tuple[float, ...]:
    return codec.decode_numbers(line, 1)


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")
