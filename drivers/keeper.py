"""What a guardian does: it checks every motion, and stops it when nobody cares."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from drivers.deadman import DeadMan
from drivers.errors import DeviceError, GuardianError, LimitError, PortError, RefusedCommand
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import (
    GuardianSettings,
    Json,
    encode_error,
    encode_pose,
    numbers,
)
from drivers.inbox import MOTION, Inbox
from drivers.pose import Pose
from drivers.readback import Readback
from drivers.wire import Preempted, Wire

_SERVICE_S = 0.020
_RETRY_S = 0.25
_STALE_POSE_S = 0.25
_ARRIVAL_TOLERANCE_UM = 5.0
_CORRIDOR_UM = 20.0
_CORRIDOR_S = 0.045
_MISSES = 3
_RAMP_S = 0.3
_LAST_EFFORT_S = 10.0


class Keeper:
    """Owns one wire and the driver on it. Single-threaded: ``run`` does everything.

    Limits are checked before bytes leave; one move is outstanding at most; a stop waits for
    nothing but the reply on its way. After a fault (no reply in motion, port gone, motion that is
    not what was commanded) the stop is sent until it is confirmed, and motion is refused until
    the host asks to reconnect.
    """

    def __init__(
        self,
        settings: GuardianSettings,
        wire: Wire,
        device: GuardedDevice,
        send: Callable[[Json], None],
    ) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._wire = wire
        self._device = device
        self._send = send
        self._deadman = DeadMan(settings.deadman_s)
        self._readback = Readback()
        self._stopping = False
        self.inbox = Inbox(self._interrupt, self._deadman.beat)
        self._pose: Pose | None = None
        self._start_um: list[float] = []
        self._target_um: list[float] | None = None
        self._connected = False
        self._identified = False
        self._fault = ""
        self._stop_confirmed = True
        self._misses = 0
        self._retry_s = 0.0
        self._service_s = 0.0

    def run(self) -> None:
        """Serve until the host has gone and the instrument stands still."""
        try:
            self._serve()
        finally:  # whatever ends the service, nothing is left moving
            self._leave()

    def _serve(self) -> None:
        while not self.inbox.ended:
            message = self.inbox.take(self._due_s())
            stops, superseded = self.inbox.take_stops()
            if stops and message is not None and message.get("do") in MOTION:
                superseded.append(message)  # it was taken out just before the stop came
                message = None
            if stops:
                self._stop_now(stops, superseded)
            if message is not None:
                self._answer(message)
            self._watch()

    def _interrupt(self) -> None:
        if not self._stopping:
            self._wire.urgent.set()

    def _due_s(self) -> float:
        """When something has to be done even if nothing comes."""
        if self._fault:
            return math.inf if self._stop_confirmed else self._retry_s
        moving = self._moving()
        if moving is False:
            return math.inf
        service_s = math.inf if self._deadman.steering else self._service_s
        return min(self._deadman.due_s(moving), service_s) + 1e-4

    def _moving(self) -> bool | None:
        return self._device.moving if self._connected else False

    def _answer(self, message: Json) -> None:
        number = message.get("n")
        try:
            result = self._actions()[str(message.get("do"))](message)
        except Preempted as error:
            self._send({"n": number, "error": encode_error(_superseded(error.device))})
        except DeviceError as error:
            self._judge(error, motion=message.get("do") in MOTION)
            self._send({"n": number, "error": encode_error(error)})
        except (KeyError, ValueError) as error:
            mistake = GuardianError(self._wire.device, f"request not understood: {error!r}")
            self._send({"n": number, "error": encode_error(mistake)})
        else:
            self._send({"n": number, "ok": result})

    def _actions(self) -> dict[str, Callable[[Json], object]]:
        return {
            "connect": self._connect,
            "pose": lambda _message: encode_pose(self._read_pose()),
            "move": self._move,
            "velocity": self._velocity,
            "transcript": self._transcript,
        }

    def _connect(self, _message: Json) -> Json:
        """Open, identify, read the pose. Also the way back after a fault. Moves nothing."""
        self._connected = False
        self._target_um = None
        self._deadman.release()
        self._readback.restart()
        self._wire.close()
        try:
            self._wire.open()
            identity = self._device.connect()
        except DeviceError as error:
            if self._identified:  # what was moved once may be moving still
                self._enter_fault(str(error))
            raise
        self._connected = self._identified = True
        self._fault, self._misses, self._stop_confirmed = "", 0, True
        pose = self._read_pose()
        return {"identity": identity, "baud": self._wire.baud, "pose": encode_pose(pose)}

    def _read_pose(self) -> Pose:
        if not self._connected:
            raise GuardianError(self._wire.device, "not connected", "connect first")
        self._pose = self._device.read_pose()
        self._misses = 0
        if self._deadman.steering:
            wrong = self._readback.check(self._pose)
            if wrong:
                self._enter_fault(wrong)
                raise GuardianError(self._wire.device, wrong, "look at the stage, then reconnect")
        return self._pose

    def _move(self, message: Json) -> Json:
        self._ready()
        target_um = numbers(message["um"])
        (speed_um_s,) = numbers([message["speed"]])
        pose = self._pose_at_rest()
        self._limits.check_target(self._wire.device, target_um, self._position(pose))
        if not 0 < speed_um_s < math.inf:
            raise LimitError(self._wire.device, f"speed {speed_um_s} um/s is no speed")
        self._device.move_to(target_um, speed_um_s)
        self._start_um, self._target_um = self._position(pose), target_um
        return {}

    def _velocity(self, message: Json) -> Json:
        self._ready()
        velocity = self._limits.clamped(self._wire.device, numbers(message["um_s"]))
        steering = self._deadman.steering
        if self._device.moving is not False and self._target_um is not None:
            raise GuardianError(self._wire.device, "a move is under way", "stop it first")
        pose = self._recent_pose()
        here = (self._readback.predicted_um(time.perf_counter()) if steering else None) or (
            pose.x_um,
            pose.y_um,
        )
        try:
            self._limits.check_velocity(
                self._wire.device, velocity, here,
                reach_s=self._settings.deadman_s + self._settings.stop_delay_s,
                acceleration_um_s2=self._settings.acceleration_um_s2,
            )  # fmt: skip
        except LimitError:
            if steering:
                self._halt()
            raise
        moves = any(velocity)
        if not steering:
            self._readback.restart(pose)
        self._device.set_velocity(velocity)
        now_s = time.perf_counter()
        self._deadman.steer(now_s, moving=moves)
        self._readback.commanded(now_s, velocity)
        return {"pose": encode_pose(self._read_pose())} if message.get("pose") else {}

    def _transcript(self, message: Json) -> list[list[object]]:
        entries = self._wire.transcript.entries()[-int(str(message.get("last", 100))) :]
        return [[time_s, way, data.decode("latin-1")] for time_s, way, data in entries]

    def _ready(self) -> None:
        if self._fault:
            raise GuardianError(
                self._wire.device, f"refuses motion after a fault: {self._fault}", "reconnect"
            )
        if not self._connected:
            raise GuardianError(self._wire.device, "not connected", "connect first")

    def _recent_pose(self) -> Pose:
        pose = self._pose
        if pose is None or time.perf_counter() - pose.time_s > _STALE_POSE_S:
            pose = self._read_pose()
        return pose

    def _pose_at_rest(self) -> Pose:
        """Read the pose once a ramp down has ended. Raises GuardianError if motion goes on."""
        end_s = time.perf_counter() + (
            0.0 if self._target_um or self._deadman.steering else _RAMP_S
        )
        while self._moving() is not False:
            self._device.service()
            if self._moving() is False:
                break
            if time.perf_counter() >= end_s:
                what = "is still moving" if self._moving() else "may be moving, nobody knows"
                hint = "wait for the end of it, or stop it" if self._moving() else "reconnect"
                raise GuardianError(self._wire.device, what, hint)
            if self._wire.urgent.wait(_SERVICE_S):
                raise Preempted(self._wire.device, "abandoned for a stop")
        return self._read_pose()

    def _position(self, pose: Pose) -> list[float]:
        return [pose.x_um, pose.y_um, pose.z_um][: len(self._limits.low_um)]

    def _judge(self, error: DeviceError, *, motion: bool) -> None:
        """Decide whether an error is a fault."""
        if isinstance(error, LimitError | GuardianError) or self._fault or not self._connected:
            return
        if isinstance(error, RefusedCommand) and not self._deadman.steering:
            return
        self._misses += 1
        vanished = isinstance(error, PortError)
        if motion or vanished or self._moving() is not False or self._misses >= _MISSES:
            self._enter_fault(str(error))

    def _enter_fault(self, why: str) -> None:
        self._fault = why
        self._stop_confirmed = False
        self._send({"event": "fault", "why": why})
        self._halt()

    def _halt(self) -> None:
        """Stop; what cannot be confirmed is tried again from ``_watch``.

        Before the instrument has been identified nothing is sent, as nothing has been moved.
        """
        if not self._identified:
            self._wire.urgent.clear()
            return
        self._stopping = True
        self._wire.urgent.clear()
        self._deadman.release()
        self._target_um = None
        self._stop_confirmed = False
        try:
            if not self._wire.is_open:
                self._wire.open()
            self._device.stop()
            self._stop_confirmed = True
        except DeviceError as error:
            self._retry_s = time.perf_counter() + _RETRY_S
            if not self._fault:
                self._fault = str(error)
                self._send({"event": "fault", "why": str(error)})
            self._wire.close()  # a port that has vanished only comes back through a new opening
        finally:
            self._stopping = False
            self._wire.urgent.clear()

    def _stop_now(self, stops: list[Json], superseded: list[Json]) -> None:
        self._halt()
        for message in stops:
            if self._stop_confirmed:
                self._send({"n": message.get("n"), "ok": {}})
            else:
                error = GuardianError(self._wire.device, f"stop not confirmed: {self._fault}")
                self._send({"n": message.get("n"), "error": encode_error(error)})
        for message in superseded:
            error = _superseded(self._wire.device)
            self._send({"n": message.get("n"), "error": encode_error(error)})

    def _watch(self) -> None:
        now_s = time.perf_counter()
        if self._fault:
            if not self._stop_confirmed and now_s >= self._retry_s:
                self._halt()
            return
        moving = self._moving()
        if moving is False:
            if self._target_um is not None:
                self._service()
            return
        why = self._deadman.verdict(now_s, moving)
        if why:
            time.sleep(0.002)  # let the reading thread hand over what waits in the pipe
            why = self._deadman.verdict(time.perf_counter(), moving)
        if why:
            self._halt()
            self._send({"event": "deadman", "why": why})
        elif now_s >= self._service_s and not self._deadman.steering:
            self._service()

    def _service(self) -> None:
        self._service_s = time.perf_counter() + _SERVICE_S
        try:
            self._device.service()
            if self._target_um is not None:
                self._check_move(self._target_um)
        except Preempted:
            pass  # the stop that cut it short is next
        except DeviceError as error:
            self._judge(error, motion=True)

    def _check_move(self, target_um: list[float]) -> None:
        """See that a move stays between its start and its target, and ends there."""
        over = self._moving() is False
        if over:
            self._target_um = None
        elif self._pose is not None and time.perf_counter() < self._pose.time_s + _CORRIDOR_S:
            return
        position_um = self._position(self._read_pose())
        ends = zip(self._start_um, target_um, position_um, strict=True)
        strayed_um = max(max(min(a, b) - at, at - max(a, b)) for a, b, at in ends)
        missed_um = max(abs(b - at) for b, at in zip(target_um, position_um, strict=True))
        if over and missed_um > _ARRIVAL_TOLERANCE_UM:
            self._enter_fault(
                f"{self._wire.device}: a move ended {missed_um:.1f} um off its target"
            )
        elif strayed_um > _CORRIDOR_UM:
            self._enter_fault(
                f"{self._wire.device}: a move strayed {strayed_um:.0f} um off its way"
            )

    def _leave(self) -> None:
        """Stop whatever moves once the host has gone, then let go."""
        end_s = time.perf_counter() + _LAST_EFFORT_S
        self._wire.urgent.clear()
        if self._moving() is not False:
            self._halt()
        while not self._stop_confirmed and time.perf_counter() < end_s:
            time.sleep(_RETRY_S)
            self._halt()
        if self._wire.is_open and self._identified:
            try:
                self._device.disconnect()
            except DeviceError:
                pass  # nobody is left to be told
        self._wire.close()
        self._wire.transcript.close()


def _superseded(device: str) -> GuardianError:
    return GuardianError(device, "the command was cancelled by a stop", "nothing was moved")
