"""The Sutter MP-285 on a wire: one move at a time, and silence while it moves."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from enum import Enum

from drivers.errors import BadReply, DeviceError, LimitError, NotNow, ReplyTimeout
from drivers.mp285 import codec
from drivers.mp285.link import OFF_AND_ON, Link, Microsteps
from drivers.pose import Pose
from drivers.wire import Preempted, Wire

_SETTLE_S = 0.040
_READINGS = 4
_TOLERANCE = 5  # microsteps: the coarse resolution stops at every fifth
_TOP_UM_S = 3000.0  # of the MP-285A; the MP-285 is faster
_SPEED_TRIES = 3
_SOONEST, _LATEST = 0.6, 1.4  # of the time that a move takes at its speed
_HAND_STEPS = 2500  # microsteps from one reading to the next: no knob is turned faster


class State(Enum):
    """Where the conversation stands. In MOVING nothing but the interrupt may be sent."""

    IDLE = "idle"
    MOVING = "moving"
    STOPPING = "stopping"
    FAULT = "fault"


class MP285:
    """Driver of the MP-285 and MP-285A. Implements GuardedDevice.

    The controller gives up a move, or hangs until it is switched off, when any byte but 0x03
    comes in while it moves: positions are read at rest only. All three axes run at the speed of
    the move, so a straight path is not to be had from one move.

    Parameters
    ----------
    wire : Wire
        9600 baud, 8N1 unless set otherwise on the controller; RTS/CTS on some MP-285A.
    microsteps_per_um : float or None
        Scale, where the controller's own word (status block) is wrong for the mechanics.
    speed_scale : float
        True um/s for each um/s of the number that ``V`` takes, as commissioning has measured it.
    poll_s : float or None
        Least time between two position queries; ``read_pose`` gives the last pose until then.
        By default 0.2 s on the MP-285A, 1 s on the MP-285, which serial traffic may crash while
        somebody turns its knobs.
    verify_speed : bool
        Whether the speed is read back before a move: one flipped bit makes 50 um/s the top speed.
        To be switched off only for a controller whose status block does not tell its speed.
    hands_off_s : float
        How long to keep off the line after somebody has turned the knobs: traffic within a second
        crashes some controllers.
    """

    axes = ("x", "y", "z")
    acceleration_scale = 1.0

    def __init__(
        self,
        wire: Wire,
        *,
        microsteps_per_um: float | None = None,
        speed_scale: float = 1.0,
        poll_s: float | None = None,
        verify_speed: bool = True,
        hands_off_s: float = 1.0,
    ) -> None:
        self._link = Link(wire)
        self._device = wire.device
        self._stated_scale = microsteps_per_um
        self._scale = microsteps_per_um or codec.MICROSTEPS_PER_UM
        self._speed_scale = speed_scale
        self._stated_poll_s = poll_s
        self._verify_speed = verify_speed
        self._poll_s = 0.0
        self._state = State.FAULT  # unknown is never idle
        self._pose: Pose | None = None
        self._microsteps: Microsteps = (0, 0, 0)
        self._speed: tuple[int, bool] | None = None
        self._true_speed_um_s = 1.0
        self._patience_s = hands_off_s
        self._hands_off_s = -math.inf
        self._target: Microsteps = (0, 0, 0)
        self._soonest_s = self._latest_s = -math.inf
        self._ended_early = False
        self._deadline_s = math.inf
        self._arrived_s: float | None = None

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        return self._state

    @property
    def moving(self) -> bool | None:
        """As last known, without I/O. None is unknown."""
        return {State.IDLE: False, State.MOVING: True}.get(self._state)

    def connect(self, *, anew: bool = False) -> str:
        """Make sure that an MP-285 answers, stop what still moves, and read where it is.

        It is set up the same way each time, ``anew`` or not.

        Returns
        -------
        str
            Name, firmware and scale.

        Raises
        ------
        WrongDevice
            Something else answers.
        ReplyTimeout
            Nothing answers.
        """
        self._state = State.FAULT
        self._speed = None
        status = self._link.identify()
        self._scale = self._stated_scale or status.microsteps_per_um
        poll_s = 0.2 if status.is_285a else 1.0
        self._poll_s = poll_s if self._stated_poll_s is None else self._stated_poll_s
        for _ in range(2):  # one flipped bit would leave moves relative, with a CR for an answer
            self._link.command(codec.ABSOLUTE)
        self._ask_pose(None)
        self._state = State.IDLE
        model = "MP-285A" if status.is_285a else "MP-285"
        return f"Sutter {model}, firmware {status.version / 100:.2f}, {self._scale:g} microsteps/um"

    def read_pose(self) -> Pose:
        """Where it is, read at rest; while it moves, where it was last, with ``moving`` true.

        While readings creep, as somebody turns the knobs, it is where it was last, with ``moving``
        None; for ``hands_off_s`` after a place that two readings agree upon, that place.

        Raises
        ------
        DeviceError
            No answer, or its state is unknown.
        """
        last = self._pose
        if self._state is State.MOVING and last is not None:
            return Pose(last.time_s, last.x_um, last.y_um, last.z_um, moving=True)
        self._require_idle("read the position")
        if last is not None and time.perf_counter() < max(
            last.time_s + self._poll_s, self._hands_off_s
        ):
            return last
        try:
            return self._ask_pose(self._microsteps)
        except NotNow:
            if last is None:
                raise
            return Pose(last.time_s, last.x_um, last.y_um, last.z_um, moving=None)

    def on_grid(self, target_um: Sequence[float]) -> tuple[float, ...]:
        """Give the nearest place, um, in whole microsteps. No I/O."""
        return tuple([round(round(um * self._scale) / self._scale, 6) for um in target_um])

    def prepare(self, speed_um_s: float) -> None:
        """Do nothing: the speed goes out with the move."""

    def move_to(self, target_um: Sequence[float], speed_um_s: float) -> None:
        """Start one absolute move and return.

        Parameters
        ----------
        target_um : sequence of 3 float
            Pipette frame.
        speed_um_s : float
            Of each axis. Above a number of 1310 the controller moves in coarse steps of 0.2 um.

        Raises
        ------
        LimitError
            Target or speed cannot be sent.
        NotNow
            Its knobs are being turned.
        DeviceError
            It moves, its state is unknown, or it refused the speed. Nothing moves then.
        """
        self._require_idle("move")
        target, command = self._encode(target_um, speed_um_s)
        if time.perf_counter() >= self._hands_off_s:
            self._ask_pose(self._microsteps)
        if time.perf_counter() < self._hands_off_s:
            raise NotNow(self._device, "somebody turns its knobs", "wait a second, then try again")
        self._set_speed(speed_um_s)
        ways = (abs(a - b) for a, b in zip(target, self._microsteps, strict=True))
        self._target = target
        self._arrived_s = None
        self._state = State.MOVING  # from the first byte on: half a command may move it too
        sent_s = self._link.send(command)
        travel_s = max(ways) / self._scale / self._true_speed_um_s
        # a garbled target is only noticed because it takes too long: short moves are not waited
        # for longer than they need
        self._soonest_s = sent_s + _SOONEST * travel_s
        self._latest_s = sent_s + _LATEST * travel_s + _SETTLE_S
        self._ended_early = False
        self._deadline_s = sent_s + 1.8 * travel_s + min(1.0, 0.3 + travel_s)

    def set_velocity(self, velocity_um_s: Sequence[float]) -> None:
        """Refuse: there is no velocity command. Raises DeviceError."""
        raise DeviceError(self._device, "has no velocity command", "move it in planned legs")

    def service(self) -> None:
        """Follow a move to its end, and check that it ended at the target.

        Raises
        ------
        RefusedCommand
            Something else interrupted the move.
        ReplyTimeout
            It did not arrive in time; it was told to stop.
        BadReply
            It is at rest in another place than it should be.
        """
        if self._state is not State.MOVING:
            return
        now_s = time.perf_counter()
        if self._arrived_s is not None:
            if now_s - self._arrived_s >= _SETTLE_S:
                self._finish()
        elif self._has_arrived():
            self._arrived_s = time.perf_counter()
        elif now_s > self._deadline_s:
            self.stop()
            raise ReplyTimeout(
                self._device, f"did not arrive at {self._in_um(self._target)} um in time",
                "it was stopped; look for an obstacle; where it is always slower than its number,"
                " set speed_scale under [pipette] in the rig file",
            )  # fmt: skip

    def stop(self) -> None:
        """Interrupt whatever moves: the byte first, then the confirmation.

        Raises
        ------
        ReplyTimeout
            The controller hangs; its state is unknown.
        """
        self._state = State.STOPPING
        try:
            self._link.interrupt()
            self._ask_pose(None)
        except BaseException:
            self._state = State.FAULT
            raise
        self._state = State.IDLE

    def lock(self, *, locked: bool) -> None:
        """Do nothing: the knobs of the ROE cannot be switched off."""

    def hand(self) -> str:
        """Say nothing: a hand on its knobs is noticed when it is asked where it is."""
        return ""

    def doubt(self) -> str:
        """Say nothing: 0x03 ends a move by a ramp, and the count goes with it."""
        return ""

    def scale_hint(self, ratio: float) -> str:
        """Say nothing: no velocity is streamed to it."""
        return ""

    def complaint(self) -> str:
        """Say nothing: the controller tells of its errors by itself."""
        return ""

    def disconnect(self) -> None:
        """Stop what moves. The knobs of the ROE are never switched off."""
        if self._state is not State.IDLE:
            self.stop()

    def _has_arrived(self) -> bool:
        """Whether the CR that ends a move has come. Waits for nothing."""
        try:
            self._link.acknowledge(b"m", 0.0)
        except BadReply:
            self._state = State.FAULT
            raise
        except ReplyTimeout:
            return self._ended_early and time.perf_counter() >= self._latest_s
        # A CR that comes too soon is the late answer to something else, or a move that a limit
        # switch ended. A question in motion would hang the controller: it waits until the move
        # would have ended.
        self._ended_early = time.perf_counter() < self._soonest_s
        return not self._ended_early

    def _finish(self) -> None:
        pose = self._ask_pose(self._target)
        self._state = State.IDLE
        ways = (abs(a - b) for a, b in zip(self._microsteps, self._target, strict=True))
        if max(ways) > _TOLERANCE:
            raise BadReply(
                self._device,
                f"came to rest at {(pose.x_um, pose.y_um, pose.z_um)} um,"
                f" not at {self._in_um(self._target)} um",
                "look for an obstacle, an end of travel, or a hand on the knobs",
            )
        self._link.command(codec.REFRESH_DISPLAY)  # serial moves do not show on it

    def _set_speed(self, speed_um_s: float) -> None:
        number = max(1.0, speed_um_s / self._speed_scale)
        speed = (int(min(number, 0x7FFF)), number <= codec.FINE_MAX_UM_S)
        if speed != self._speed:
            self._speed = None
            self._true_speed_um_s = self._speed_scale * self._send_speed(*speed)
            self._speed = speed

    def _send_speed(self, speed_um_s: int, fine: bool) -> float:
        """Set the speed; return what the controller has made of it."""
        for _ in range(_SPEED_TRIES):
            self._link.command(codec.encode_speed(speed_um_s, fine=fine))
            if not self._verify_speed:
                return min(speed_um_s, _TOP_UM_S)
            try:
                status = self._link.status()
            except (BadReply, ReplyTimeout):
                continue
            if status.fine == fine and 0 < status.speed_um_s <= speed_um_s:
                return float(status.speed_um_s)
        raise BadReply(
            self._device,
            f"does not confirm a speed of {speed_um_s} um/s",
            "check the cable; nothing was moved",
        )

    def _ask_pose(self, expected: Microsteps | None) -> Pose:
        """Read the position: believed when it is as expected, or when it came before.

        The protocol has no checksum. Raises ReplyTimeout, BadReply when no two readings agree, or
        NotNow when they are those of a hand on the knobs.
        """
        believed = [] if expected is None else [expected]
        error: DeviceError | None = None
        for _ in range(_READINGS):
            try:
                time_s, microsteps = self._link.position()
            except Preempted:
                raise
            except (BadReply, ReplyTimeout) as caught:
                error = caught
                self._link.wire.discard(0.05)
                continue
            except DeviceError:
                self._state = State.FAULT
                raise
            if microsteps in believed:
                if expected is not None and microsteps != expected and self._state is State.IDLE:
                    self._hands_off_s = time.perf_counter() + self._patience_s
                self._microsteps = microsteps
                self._pose = Pose(time_s, *self._in_um(microsteps), moving=False)
                return self._pose
            believed.append(microsteps)
        if self._state is State.IDLE and len(believed) > _READINGS and _by_hand(believed):
            self._hands_off_s = time.perf_counter() + self._patience_s
            raise NotNow(self._device, "somebody turns its knobs", "wait a second, then try again")
        self._state = State.FAULT
        if isinstance(error, ReplyTimeout) and len(believed) <= 1:
            raise ReplyTimeout(self._device, "does not tell its position", OFF_AND_ON) from error
        raise BadReply(
            self._device, f"no two of {_READINGS} position readings agree",
            "keep the knobs still, and check the cable",
        ) from error  # fmt: skip

    def _encode(self, target_um: Sequence[float], speed_um_s: float) -> tuple[Microsteps, bytes]:
        x, y, z = target_um
        try:
            if not 1 <= speed_um_s < math.inf:
                raise ValueError(f"the speed is {speed_um_s} um/s, at least 1 is needed")
            target = (round(x * self._scale), round(y * self._scale), round(z * self._scale))
            return target, codec.encode_move(target)
        except (ValueError, OverflowError) as error:
            raise LimitError(
                self._device, f"no move to {(x, y, z)} um: {error}", "nothing was sent"
            ) from error

    def _require_idle(self, purpose: str) -> None:
        if self._state is State.MOVING:
            raise DeviceError(self._device, f"cannot {purpose} while it moves", "stop it first")
        if self._state is not State.IDLE:
            raise DeviceError(self._device, f"cannot {purpose}: its state is unknown", "reconnect")

    def _in_um(self, microsteps: Microsteps) -> tuple[float, float, float]:
        x, y, z = microsteps
        return x / self._scale, y / self._scale, z / self._scale


def _by_hand(readings: list[Microsteps]) -> bool:
    """Whether each reading is as near to the one before as knobs can turn, the first set aside."""
    pairs = itertools.pairwise(readings[1:])
    return all(
        abs(a - b) <= _HAND_STEPS for one, two in pairs for a, b in zip(one, two, strict=True)
    )
