"""Prior ProScan II and III with an XY stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.errors import BadReply, DeviceError, FrameLost, RefusedCommand, ReplyTimeout
from drivers.pose import Pose
from drivers.prior import codec
from drivers.prior.first_contact import find, identify_stage
from drivers.prior.line import QUIET_S, REPLY_S, Line
from drivers.prior.plausible import Plausible, Reading
from drivers.prior.units import Units
from drivers.wire import Wire

_ACCEPT_S = 0.08
"""How long to wait for the ``R`` of a move before asking whether it runs: by the manual ``R``
comes at the end of the move, controllers in the field answer at once."""

_CAREFUL_S = (0.1, 0.2, 0.3, 0.6)
"""How long a speed may take to be confirmed before everything is stopped: ``SMS`` and ``SAS`` are
one flipped bit from ``SIS``, which drives into the ends and answers there."""

_STOPPED_S = (0.15, 0.15, 0.30, 0.60, 0.30)
"""How long to wait before a stop is sent again: first six times the usual answer at 9600 baud."""

_REST_S = 0.25
"""How long a ramp down may last at full acceleration: twice that of the fastest stage at half."""

_LATE_S = 1.0
"""How long a planned move may take beyond one and a half times what its way needs."""

_REACHED_UM_S = 3_000.0
"""Not every stage is as fast as it is told to be beyond this: commissioning asks for more."""

_POLL_S = 0.05
T = TypeVar("T")

_ROUND_TRIP_S = 0.014
_SLACK_S = 0.003
"""How far the position may belong to another time than the middle of a usual exchange."""

_READINGS = 4
_JOYSTICK_UM_S = 5_000.0
_HARD_AFTER = 3
_HARD_STOPPED = "was stopped hard (K) and may have lost steps: its positions mean another place"


class ProScan:
    """A GuardedDevice: see there for the promises.

    Parameters
    ----------
    wire : Wire
        Open, except for ``stop`` after a crash, which needs no more than that either.
    resolution_um : float
        User unit of positions that is asked for. What the controller makes of it is honoured.
    velocity_in_user_units : bool
        Whether ``VS`` scales with the resolution, against the manual. To be found out at
        commissioning; see ``Units`` for what a wrong answer does.
    acceleration_percent, s_curve_percent : float or None
        ``SAS`` and ``SCS``; by default as they are found.
    joystick_live : bool
        Whether the joystick stays on while the stage is driven, so that a person can take over at
        any time; otherwise it is off from the first command until ``disconnect``.
    bauds : sequence of int
        Rates to try on a tty after the wire's own: a saved rate falls back to 9600 by itself.
    """

    axes = ("x", "y")

    def __init__(
        self,
        wire: Wire,
        *,
        resolution_um: float = 0.1,
        velocity_in_user_units: bool = False,
        acceleration_percent: float | None = None,
        s_curve_percent: float | None = None,
        joystick_live: bool = False,
        bauds: Sequence[int] = (115200, 38400, 9600),
    ) -> None:
        self._wire = wire
        self._line = Line(wire)
        self._units = Units(resolution_um, velocity_in_user_units)
        self._ramps = {"SAS": acceleration_percent, "SCS": s_curve_percent}
        self._bauds = tuple(bauds)
        self._joystick_live = joystick_live
        self._locked = False
        self._plausible = Plausible()
        self._moving: bool | None = None
        self._following = False
        self._joystick_off: bool | None = None  # unknown until we have switched it ourselves
        self._speed_um_s: float | None = None
        self._acceleration_scale = 1.0
        self._ramps_known = False
        self._next_poll_s = 0.0
        self._at_um: tuple[float, float] | None = None
        self._arrival_due_s = math.inf
        self._rest_due_s = math.inf
        self._stops_in_vain = 0
        self._doubt = ""

    @property
    def moving(self) -> bool | None:
        """As last known, without I/O."""
        return self._moving

    @property
    def acceleration_scale(self) -> float:
        """Share of its full acceleration that the controller is set to."""
        return self._acceleration_scale

    @property
    def stale_replies(self) -> int:
        """Replies discarded because they answered nothing that was asked."""
        return self._line.stale_replies

    @property
    def resolution_um(self) -> float:
        """Size of the user unit that the controller has confirmed."""
        return self._units.um

    def connect(self, *, anew: bool = False) -> str:
        """Find the controller, and set it up. Moves nothing; stops what still runs.

        Its ramps are set and read at the first time, and ``anew``, as a power cut may have changed
        them; not each time, as the words for that are one flipped bit from ``SIS``.
        Raises WrongDevice with what was read, ReplyTimeout when nothing was, in less than 3 s.
        """
        find(self._line, self._bauds)
        self._plausible.forget()
        self._moving = self._speed_um_s = None
        self._following = False
        self._joystick_off = None  # it may have been switched off and on
        if self._line.ask("$", "S", decode=codec.decode_integer):
            self.stop()
        before = self._line.agreed("PS", decode=_position)
        self._leave_compatibility_mode()
        self._line.ask("ERROR", 0, decode=codec.decode_acknowledgement, tries=3)
        if self._line.agreed("PS", decode=_position) != before:
            # COMP,0 is one flipped bit from CO and P,0
            raise FrameLost(
                self._wire.device,
                "its position has changed while it was set up and nothing moved",
                "let go of the joystick; find its place again, calibrate, and start anew",
            )
        version = self._line.ask("VERSION", decode=codec.decode_integer, tries=3)
        serial = self._line.ask("SERIAL", decode=_text, tries=3)
        stage, microsteps_per_um = identify_stage(self._line)
        self._units.settle(self._line, microsteps_per_um)
        if anew or not self._ramps_known:
            self._set_ramps()
        return f"ProScan {version / 100:.2f} no. {serial}, stage {stage}, {self._units.um:g} um"

    def read_pose(self) -> Pose:
        """Ask for the position, and whether it moves where that is not known already.

        The protocol has no checksum: a position that the motion since the last one does not
        explain is believed only when a second reading agrees. Raises BadReply when none does.
        On a line that has spoilt something lately each needs a second one: a garbled velocity is
        acknowledged like any other, and a garbled position may be just where it should have led.
        """
        reading = self._read_position()
        if self._line.noisy or not self._plausible.explains(reading):
            readings = [reading]
            while not self._plausible.confirms(readings):
                if len(readings) > _READINGS:
                    raise BadReply(
                        self._wire.device,
                        f"no two of {_READINGS} positions agree",
                        "check the cable",
                    )
                reading = self._read_position()
                readings.append(reading)
                if self._plausible.settles(readings):
                    break
        self._plausible.believe(reading)
        self._at_um = reading.x_um, reading.y_um
        if not self._following and not (self._joystick_off and self._moving is False):
            self._ask_whether_moving()
        return Pose(reading.time_s, reading.x_um, reading.y_um, math.nan, self._moving)

    def on_grid(self, target_um: Sequence[float]) -> tuple[float, ...]:
        """Give the nearest place, um, in whole user units. No I/O."""
        return tuple([round(round(um / self._units.um) * self._units.um, 6) for um in target_um])

    def prepare(self, speed_um_s: float) -> None:
        """Set the speed of planned moves, unless it is set already."""
        if speed_um_s != self._speed_um_s:
            self._ask_carefully(
                "SMS", round(speed_um_s), "u",
                decode=codec.decode_acknowledgement, patience_s=_CAREFUL_S[:2],
            )  # fmt: skip
            self._speed_um_s = speed_um_s

    def move_to(self, target_um: Sequence[float], speed_um_s: float) -> None:
        """Start one absolute move. Raises DeviceError when it is not known to have started."""
        self._take_over()
        self._following = False
        self._moving = None
        self._rest_due_s = self._arrival_due_s = math.inf
        self.prepare(speed_um_s)
        x, y = (round(um / self._units.um) for um in target_um)
        self._plausible.moves(speed_um_s)
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
        now_s = time.perf_counter()
        self._next_poll_s = now_s + _POLL_S
        if self._at_um is not None:
            way_um = max(abs(to - at) for to, at in zip(target_um, self._at_um, strict=True))
            travel_s = way_um / min(speed_um_s, _REACHED_UM_S)
            self._arrival_due_s = now_s + 1.5 * travel_s + 2 * self._ramp_s + _LATE_S

    def set_velocity(self, velocity_um_s: Sequence[float]) -> None:
        """Run at this velocity. One round trip."""
        self._take_over()
        vx, vy = map(self._units.per_second, velocity_um_s)
        self._moving, self._following = None, False
        self._arrival_due_s = math.inf
        sent_s = time.perf_counter()
        # no longer than a velocity lives: until it is said again, nobody knows how fast it runs
        self._line.ask("VS", vx, vy, decode=codec.decode_acknowledgement, timeout_s=_ACCEPT_S)
        now_s = time.perf_counter()
        self._plausible.streamed(sent_s, velocity_um_s, now_s - sent_s)
        self._following = bool(vx or vy)
        if self._following:
            self._moving, self._rest_due_s = True, math.inf
        else:
            self._rest_due_s = now_s + self._ramp_s

    def service(self) -> None:
        """Follow a move, or a ramp down, to its end.

        Raises DeviceError when it still moves after it was told to stop, and has had its time, or
        when a move takes half as long again as its way needs, and a second.
        """
        now_s = time.perf_counter()
        if self._following or self._moving is False or now_s < self._next_poll_s:
            return
        self._ask_whether_moving()
        self._next_poll_s = time.perf_counter() + _POLL_S
        if self._moving and time.perf_counter() > self._arrival_due_s:
            raise ReplyTimeout(
                self._wire.device, "a move did not end in time",
                "look for an obstacle; where the stage is slower than move_speed_um_s, lower that",
            )  # fmt: skip
        if self._moving and time.perf_counter() > self._rest_due_s:
            if not self._joystick_off:  # a hand on it goes on after a stop: not after this one
                self._switch_joystick(on=False)
                self.stop()
                return
            self._stops_in_vain += 1
            raise DeviceError(
                self._wire.device,
                f"still moves {self._ramp_s:g} s after it was told to stop",
                "it is told again",
            )

    def stop(self) -> None:
        """Send velocity zero and the controlled stop in one write, then see that both are answered.

        Tried four times in more than a second, then once the hard stop, after which the position
        is doubtful. Where it has gone on moving after three stops, the hard stop comes first.
        Raises DeviceError when nothing is confirmed.
        """
        self._moving = None
        self._following = False
        self._arrival_due_s = math.inf
        self._next_poll_s = 0.0
        self._plausible.moves(0.0)
        requests = [b"VS,0,0\rI\r", b"I\rVS,0,0\r"] * 2 + [codec.HARD_STOP + b"VS,0,0\r"]
        if self._stops_in_vain >= _HARD_AFTER:
            requests.reverse()
        self._wire.clear()
        for request, patience_s in zip(requests, _STOPPED_S, strict=True):
            if codec.HARD_STOP in request:
                self._doubt = _HARD_STOPPED  # heard or not: steps may be lost from here on
            self._wire.write(request)
            try:
                for _ in range(2):
                    self._line.reply(request, codec.decode_acknowledgement, patience_s)
            except (BadReply, ReplyTimeout):
                self._wire.discard(QUIET_S, 2 * QUIET_S)
            else:
                # a joystick that was never taken over: a person may be moving it
                ours = self._joystick_off or self._joystick_live
                self._rest_due_s = time.perf_counter() + self._ramp_s if ours else math.inf
                return
        raise ReplyTimeout(
            self._wire.device, "the stop was sent but is not confirmed", "switch the stage off"
        )

    def disconnect(self) -> None:
        """Give the joystick back."""
        if self._joystick_off is not False:
            self._switch_joystick(on=True)

    def lock(self, *, locked: bool) -> None:
        """Switch the joystick off until further notice; or on, where it is to stay on."""
        self._locked = locked
        if locked or (self._joystick_live and self._joystick_off):
            self._take_over()

    def hand(self) -> str:
        """Say so where the joystick is on. One report, about 60 ms."""
        if b"JOYSTICK ACTIVE" not in self._line.report("?"):
            return ""
        self._joystick_off = False
        self._rest_due_s = math.inf  # the person may go on
        return "somebody has the joystick"

    def doubt(self) -> str:
        """Take why its positions may mean another place: it was stopped hard. No I/O."""
        doubt, self._doubt = self._doubt, ""
        return doubt

    def scale_hint(self, ratio: float) -> str:
        """Say which setting explains that it goes ``ratio`` times as fast as told. No I/O."""
        return self._units.scale_hint(ratio)

    def complaint(self) -> str:
        """Which limit switches are open, or were met since this was asked last. Two round trips."""
        live = self._line.ask("LMT", decode=codec.decode_switches)
        met = codec.switches(self._line.ask("=", decode=codec.decode_integer))
        if len(live) >= 4:
            return "all its limit switches are open: the stage's cable is out, or its power is off"
        return " ".join(f"limit switch {name}" for name in sorted({*live, *met}))

    @property
    def _ramp_s(self) -> float:
        return _REST_S / self._acceleration_scale

    def _read_position(self) -> Reading:
        timeout_s = _ACCEPT_S if self._following else REPLY_S  # nothing is steered meanwhile
        x, y = self._line.ask("PS", decode=_position, timeout_s=timeout_s)
        took_s = time.perf_counter() - self._line.asked_s
        slack_s = _SLACK_S + max(0.0, took_s - _ROUND_TRIP_S) / 2
        middle_s = self._line.asked_s + took_s / 2
        return Reading(middle_s, x * self._units.um, y * self._units.um, slack_s)

    def _leave_compatibility_mode(self) -> None:
        """Set the standard mode, and believe only what is read back."""
        for _ in range(3):
            self._line.ask("COMP", 0, decode=codec.decode_acknowledgement)
            if not self._line.agreed("COMP", decode=codec.decode_integer):
                return
        raise BadReply(self._wire.device, "stays in compatibility mode", "reset the controller")

    def _set_ramps(self) -> None:
        """Set acceleration and S-curve where asked to; the way that braking needs depends on it."""
        for verb, wanted in self._ramps.items():
            if wanted is not None:
                self._ask_carefully(verb, wanted, decode=codec.decode_acknowledgement)
        percent = 0.0
        try:
            for _ in range(_READINGS):
                before, (percent,) = percent, self._ask_carefully("SAS", decode=codec.decode_number)
                if before == percent > 0:
                    break
            else:
                raise BadReply(
                    self._wire.device, "does not tell its acceleration", "check the cable"
                )
        except RefusedCommand:
            percent = 100.0  # older controllers do not know the command
        self._acceleration_scale = min(1.0, percent / 100.0)
        self._ramps_known = True

    def _ask_carefully(
        self,
        verb: str,
        *values: float | str,
        decode: Callable[[bytes], T],
        patience_s: Sequence[float] = _CAREFUL_S,
    ) -> T:
        """Say something that is one flipped bit from ``SIS``: what is not answered is stopped."""
        for number, timeout_s in enumerate(patience_s, 1):
            try:
                return self._line.ask(verb, *values, decode=decode, tries=1, timeout_s=timeout_s)
            except RefusedCommand:
                raise
            except (BadReply, ReplyTimeout):
                self.stop()
                if number == len(patience_s):
                    raise
        raise ValueError("no patience at all")

    def _take_over(self) -> None:
        """Switch the joystick as it shall be while the stage is driven."""
        off = self._locked or not self._joystick_live
        if off != self._joystick_off:
            self._switch_joystick(on=not off)

    def _switch_joystick(self, *, on: bool) -> None:
        self._line.ask("J" if on else "H", decode=codec.decode_acknowledgement)
        self._joystick_off = not on

    def _ask_whether_moving(self) -> None:
        """Ask; rest that was not known before is believed when it is said twice."""
        unknown = self._moving is not False
        self._moving = None
        moving = bool(self._line.ask("$", "S", decode=codec.decode_integer))
        if unknown and not moving:
            moving = bool(self._line.ask("$", "S", decode=codec.decode_integer))
        self._moving = moving
        if not moving:
            self._rest_due_s, self._stops_in_vain = math.inf, 0
            self._plausible.rests()
            if self._joystick_off and self._joystick_live and not self._locked:
                self._switch_joystick(on=True)
        elif not self._joystick_off:
            self._plausible.moves(_JOYSTICK_UM_S)

    def _confirm_arrival(self, x: int, y: int) -> None:
        """Tell a move that has ended before its ``R`` from one that was never heard."""
        x_now, y_now = self._line.ask("PS", decode=_position)
        self._moving = False
        if abs(x_now - x) > 1 or abs(y_now - y) > 1:
            raise ReplyTimeout(
                self._wire.device, f"the move to {x},{y} was not accepted", "try again"
            )


def _position(line: bytes) -> tuple[float, ...]:
    return codec.decode_numbers(line, 2)


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")
