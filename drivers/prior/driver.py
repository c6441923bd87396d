"""Prior ProScan II and III with an XY stage."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from drivers.errors import BadReply, DeviceError, RefusedCommand, ReplyTimeout, WrongDevice
from drivers.pose import Pose
from drivers.prior import codec
from drivers.prior.line import QUIET_S, Line
from drivers.wire import Wire

_ACCEPT_S = 0.1
"""How long to wait for the ``R`` of a move before asking whether it runs: by the manual ``R``
comes at the end of the move, controllers in the field answer at once."""

_STOPPED_S = 0.15
"""How long to wait before a stop is sent again: six times the usual answer at 9600 baud."""

_POLL_S = 0.05

_READINGS = 4
_REPORTS = 6
_JITTER_UM = 5.0
_LAG_S = 0.05
_TOP_SPEED_UM_S = 5_000.0


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
        self._line = Line(wire)
        self._unit_um = resolution_um
        self._wanted_um = resolution_um
        self._velocity_in_user_units = velocity_in_user_units
        self._bauds = tuple(bauds)
        self._moving: bool | None = None
        self._following = False
        self._joystick_off = False
        self._speed_um_s: float | None = None
        self._next_poll_s = 0.0
        self._last: tuple[float, float, float] | None = None
        self._speed_now = 0.0

    @property
    def moving(self) -> bool | None:
        """As last known, without I/O."""
        return self._moving

    @property
    def stale_replies(self) -> int:
        """Replies discarded because they answered nothing that was asked."""
        return self._line.stale_replies

    @property
    def resolution_um(self) -> float:
        """Size of the user unit that the controller has confirmed."""
        return self._unit_um

    def connect(self) -> str:
        """Find the controller, and set it up. Moves nothing; stops what still runs.

        Raises WrongDevice with what was read, ReplyTimeout when nothing was, in less than 3 s.
        """
        self._find()
        self._line.ask("COMP", 0, decode=codec.decode_acknowledgement)
        self._line.ask("ERROR", 0, decode=codec.decode_acknowledgement)
        version = self._line.ask("VERSION", decode=codec.decode_integer)
        serial = self._line.ask("SERIAL", decode=_text)
        stage, microsteps_per_um = self._identify_stage()
        self._set_resolution(microsteps_per_um)
        if self._line.ask("$", "S", decode=codec.decode_integer):
            self.stop()
        self._moving = None
        self._last = None
        return f"ProScan {version / 100:.2f} no. {serial}, stage {stage}, {self._unit_um:g} um"

    def read_pose(self) -> Pose:
        """Ask for the position, and whether it moves where that is not known already.

        The protocol has no checksum: a position that the motion since the last one does not
        explain is believed only when a second reading agrees. Raises BadReply when none does.
        """
        reading = self._read_position()
        if self._last is None or not self._explains(self._last, reading, self._speed_now):
            for _ in range(_READINGS):
                before, reading = reading, self._read_position()
                if self._explains(before, reading, max(self._speed_now, _TOP_SPEED_UM_S)):
                    break
            else:
                raise BadReply(
                    self._wire.device, f"no two of {_READINGS} positions agree", "check the cable"
                )
        self._last = reading
        if not self._following and not (self._joystick_off and self._moving is False):
            self._ask_whether_moving()
        return Pose(*reading, float("nan"), self._moving)

    def _read_position(self) -> tuple[float, float, float]:
        """Give middle of the exchange, x and y in um."""
        asked_s = time.perf_counter()
        x, y, _z = self._line.ask("P", decode=_position)
        middle_s = (asked_s + time.perf_counter()) / 2
        return middle_s, x * self._unit_um, y * self._unit_um

    def _explains(
        self,
        first: tuple[float, float, float],
        second: tuple[float, float, float],
        speed_um_s: float,
    ) -> bool:
        reach_um = _JITTER_UM + speed_um_s * (second[0] - first[0] + _LAG_S)
        return max(abs(second[1] - first[1]), abs(second[2] - first[2])) <= reach_um

    def move_to(self, target_um: Sequence[float], speed_um_s: float) -> None:
        """Start one absolute move. Raises DeviceError when it is not known to have started."""
        self._take_over()
        if speed_um_s != self._speed_um_s:
            self._line.ask("SMS", round(speed_um_s), "u", decode=codec.decode_acknowledgement)
            self._speed_um_s = speed_um_s
        x, y = (round(um / self._unit_um) for um in target_um)
        self._following = False
        self._moving = None
        self._speed_now = speed_um_s
        try:
            # never sent twice: a second copy would wait in the controller's queue
            self._line.ask(
                "G", x, y, decode=codec.decode_acknowledgement, tries=1, timeout_s=_ACCEPT_S
            )
        except ReplyTimeout:
            if not self._line.ask("$", "S", decode=codec.decode_integer):
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
        self._speed_now = math.hypot(*velocity_um_s)
        self._moving = True if self._following else None
        self._line.ask("VS", vx, vy, decode=codec.decode_acknowledgement)

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
                    self._line.reply(request, codec.decode_acknowledgement, _STOPPED_S)
            except (BadReply, ReplyTimeout):
                self._wire.discard(QUIET_S, 2 * QUIET_S)
            else:
                return
        raise ReplyTimeout(
            self._wire.device, "the stop was sent but is not confirmed", "switch the stage off"
        )

    def disconnect(self) -> None:
        """Give the joystick back."""
        if self._joystick_off:
            self._line.ask("J", decode=codec.decode_acknowledgement)
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
            heard += self._wire.discard(QUIET_S, 0.3)
            try:
                lines = self._line.report("?", tries=1)
            except ReplyTimeout:
                continue
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

    def _identify_stage(self) -> tuple[str, float]:
        """Read name and scale of the stage, until two reports say the same. Raises DeviceError."""
        seen: set[tuple[str, str]] = set()
        for _ in range(_REPORTS):
            report = codec.decode_block(self._line.report("STAGE"))
            stage = report.get("STAGE", ""), report.get("MICROSTEPS/MICRON", "25")
            if stage in seen:
                break
            seen.add(stage)
        else:
            raise BadReply(
                self._wire.device, f"the reports of the stage differ: {seen}", "check the cable"
            )
        name, microsteps_per_um = stage
        if name in ("", "NONE"):
            raise DeviceError(
                self._wire.device,
                "the controller answers, but no stage is connected to it",
                "switch it off, plug the stage in, switch it on",
            )
        try:
            return name, float(microsteps_per_um)
        except ValueError as error:
            raise BadReply(
                self._wire.device, f"odd scale of the stage: {stage}", "check the cable"
            ) from error

    def _set_resolution(self, microsteps_per_um: float) -> None:
        """Ask for the wanted unit, and believe only what is read back."""
        try:
            self._line.ask("RES", "S", self._wanted_um, decode=codec.decode_acknowledgement)
            (unit_um,) = self._line.agreed("RES", "S", decode=_number)
        except RefusedCommand:
            unit_um = 0.0
        if unit_um <= 0:
            unit_um = self._line.agreed("SS", decode=codec.decode_integer) / microsteps_per_um
        if not 0 < unit_um <= 10:
            raise DeviceError(
                self._wire.device, f"reports a user unit of {unit_um} um", "reset the controller"
            )
        self._unit_um = unit_um

    def _take_over(self) -> None:
        """Switch the joystick off: two hands on one stage make its motion unpredictable."""
        if not self._joystick_off:
            self._line.ask("H", decode=codec.decode_acknowledgement)
            self._joystick_off = True

    def _ask_whether_moving(self) -> None:
        self._moving = None
        self._moving = bool(self._line.ask("$", "S", decode=codec.decode_integer))
        if not self._moving and self._joystick_off:
            self._speed_now = 0.0

    def _confirm_arrival(self, x: int, y: int) -> None:
        """Tell a move that has ended before its ``R`` from one that was never heard."""
        x_now, y_now, _z = self._line.ask("P", decode=_position)
        self._moving = False
        if abs(x_now - x) > 1 or abs(y_now - y) > 1:
            raise ReplyTimeout(
                self._wire.device, f"the move to {x},{y} was not accepted", "try again"
            )


def _position(line: bytes) -> tuple[float, ...]:
    return codec.decode_numbers(line, 3)


def _number(line: bytes) -> tuple[float, ...]:
    return codec.decode_numbers(line, 1)


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")
