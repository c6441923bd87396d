"""What a guardian does: it checks every motion, and stops it when nobody cares."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from drivers.corridor import Corridor, lost_frame
from drivers.deadman import DeadMan
from drivers.errors import (
    DeviceError,
    FrameLost,
    GuardianError,
    LimitError,
    NotNow,
    PortError,
    RefusedCommand,
)
from drivers.guarded_device import GuardedDevice
from drivers.guardian_messages import (
    GuardianSettings,
    Json,
    encode_error,
    encode_pose,
    numbers,
)
from drivers.inbox import MOTION, Inbox
from drivers.permission import Permission
from drivers.pose import Pose
from drivers.readback import Readback
from drivers.wire import Preempted, Wire

_SERVICE_S = 0.020
_RETRY_S = 0.25
_STALE_POSE_S = 0.25
_CORRIDOR_S = 0.045
_MISSES = 3
_RAMP_S = 0.3
_LAST_EFFORT_S = 30.0
_LAST_REST_S = 2.0


class Keeper:
    """Owns one wire and the driver on it. Single-threaded: ``run`` does everything.

    Limits are checked before bytes leave; one move is outstanding at most; a stop waits for
    nothing but the reply on its way. After a fault (no reply in motion, port gone, motion that is
    not what was commanded) the stop is sent until it is confirmed and rest is seen, and motion is
    refused until the host asks to reconnect.
    """

    def __init__(
        self,
        settings: GuardianSettings,
        wire: Wire,
        device: GuardedDevice,
        send: Callable[[Json], None],
    ) -> None:
        self._settings = settings
        self._permission = Permission(wire.device, settings)
        self._wire = wire
        self._device = device
        self._send = send
        self._deadman = DeadMan(settings.deadman_s)
        self._readback = Readback(settings.acceleration_um_s2)
        self._stopping = False
        self.inbox = Inbox(self._interrupt, self._deadman.beat)
        self._pose: Pose | None = None
        self._corridor: Corridor | None = None
        self._connected = False
        self._identified = False
        self._fault = ""
        self._frame_lost = ""
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
            waits = self._identified and self._device.moving is not False
            return (
                (self._service_s if waits else math.inf) if self._stop_confirmed else self._retry_s
            )
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
            # told first: to stop may take longer than the host has patience for an answer
            self._send({"n": number, "error": encode_error(error)})
            self._judge(error, motion=message.get("do") in MOTION)
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
            "confine": self._confine,
            "release": self._release,
            "permit": self._permit,
        }

    def _connect(self, message: Json) -> Json:
        """Open, identify, read the pose. Also the way back after a fault. Moves nothing."""
        self._connected = False
        self._corridor = None
        self._deadman.release()
        self._readback.restart()
        self._wire.close()
        try:
            self._wire.open()
            identity = self._device.connect()
        except DeviceError as error:
            if isinstance(error, FrameLost):
                self._frame_lost = error.what
            if self._identified:  # what was moved once may be moving still
                self._enter_fault(str(error))
            raise
        self._connected = self._identified = True
        self._fault, self._misses, self._stop_confirmed = "", 0, True
        if message.get("new_frame"):
            self._pose, self._frame_lost = None, ""
        pose = self._read_pose()
        return {"identity": identity, "baud": self._wire.baud, "pose": encode_pose(pose)}

    def _read_pose(self) -> Pose:
        if not self._connected:
            raise GuardianError(self._wire.device, "not connected", "connect first")
        before, pose = self._pose, self._device.read_pose()
        self._misses = 0
        wrong, hint = "", "look at the stage, then reconnect"
        if self._deadman.steering:
            wrong = self._readback.check(pose)
        elif before is not None and pose.moving is False and self._corridor is None:
            lost = lost_frame(self._position(before), self._position(pose))
            self._frame_lost = self._frame_lost or lost
        if self._frame_lost and not wrong and not self._fault:
            wrong, hint = self._frame_lost, "find its place again, calibrate, and start anew"
        if wrong:
            self._enter_fault(wrong)
            raise GuardianError(self._wire.device, self._fault, hint)
        self._pose = pose
        return pose

    def _move(self, message: Json) -> Json:
        self._ready()
        target_um = numbers(message["um"])
        (speed_um_s,) = numbers([message["speed"]])
        start_um = self._position(self._pose_at_rest())
        self._permission.check_move(target_um, start_um)
        self._device.move_to(target_um, self._permission.move_speed_um_s(speed_um_s))
        self._corridor = Corridor(tuple(start_um), tuple(target_um))
        return {}

    def _velocity(self, message: Json) -> Json:
        self._ready()
        limits = self._permission.limits
        velocity = limits.clamped(self._wire.device, numbers(message["um_s"]))
        steering = self._deadman.steering
        if self._device.moving is not False and self._corridor is not None:
            raise GuardianError(self._wire.device, "a move is under way", "stop it first")
        pose = self._recent_pose()
        here = (self._readback.predicted_um(time.perf_counter()) if steering else None) or (
            pose.x_um,
            pose.y_um,
        )
        try:
            limits.check_velocity(
                self._wire.device, velocity, here,
                reach_s=self._settings.deadman_s + self._settings.stop_delay_s,
                acceleration_um_s2=self._settings.acceleration_um_s2
                * self._device.acceleration_scale,
            )  # fmt: skip
        except LimitError:
            if steering:
                self._halt()
            raise
        if not steering:
            self._readback.restart(pose)
        sent_s = time.perf_counter()
        self._device.set_velocity(velocity)
        now_s = time.perf_counter()
        self._deadman.steer(now_s, moving=any(velocity))
        self._readback.commanded(sent_s, velocity, now_s - sent_s)
        return {"pose": encode_pose(self._read_pose())} if message.get("pose") else {}

    def _confine(self, message: Json) -> Json:
        """Shrink range and speed to a window about the present place; what moves is stopped."""
        self._ready()
        half_um, speed_um_s = numbers([message["half_um"], message["speed"]])
        if self._moving() is not False:
            self._halt()
        at_um = self._position(self._pose_at_rest())
        self._permission.confine(at_um, half_um, speed_um_s)
        limits = self._permission.limits
        self._device.prepare(limits.max_speed_um_s)  # while nothing can be hit yet
        return {
            "low_um": limits.low_um,
            "high_um": limits.high_um,
            "speed": limits.max_speed_um_s,
        }

    def _release(self, _message: Json) -> Json:
        self._permission.release()
        return {}

    def _permit(self, message: Json) -> Json:
        """Allow moves below the safe height, or forbid them again, once it is above and at rest."""
        if message.get("descent"):
            self._permission.permit_descent()
        else:
            self._ready()
            self._permission.forbid_descent(self._position(self._pose_at_rest()))
        return {}

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
        end_s = time.perf_counter() + (0.0 if self._corridor or self._deadman.steering else _RAMP_S)
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
        return [pose.x_um, pose.y_um, pose.z_um][: len(self._device.axes)]

    def _judge(self, error: DeviceError, *, motion: bool) -> None:
        """Decide whether an error is a fault."""
        harmless = isinstance(error, LimitError | GuardianError | NotNow)
        if harmless or self._fault or not self._connected:
            return
        if isinstance(error, RefusedCommand) and not self._deadman.steering:
            if motion and self._moving() is not False:
                self._halt()  # it may have obeyed an earlier copy of what it now refuses
            return
        self._misses += 1
        vanished = isinstance(error, PortError)
        if motion or vanished or self._moving() is not False or self._misses >= _MISSES:
            self._enter_fault(str(error))

    def _enter_fault(self, why: str) -> None:
        self._fault = why
        self._stop_confirmed = False
        self._halt()
        self._fault = why = self._explained(why)
        self._send({"event": "fault", "why": why})

    def _explained(self, why: str) -> str:
        """Add what the instrument has to say about it, if it still says anything."""
        if not self._stop_confirmed or not self._connected:
            return why
        try:
            complaint = self._device.complaint()
        except DeviceError:
            return why
        return f"{why}; {complaint}" if complaint else why

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
        self._corridor = None
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
            elif self._stop_confirmed and now_s >= self._service_s:
                self._see_to_rest()
            return
        moving = self._moving()
        if moving is False:
            if self._corridor is not None:
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
            if self._corridor is not None:
                self._check_move(self._corridor)
        except Preempted:
            pass  # the stop that cut it short is next
        except DeviceError as error:
            self._judge(error, motion=True)

    def _see_to_rest(self) -> None:
        """After a fault: a stop that is confirmed is one thing, standing still another."""
        self._service_s = time.perf_counter() + _SERVICE_S
        if not self._identified or self._device.moving is False:
            return
        try:
            self._device.service()
        except Preempted:
            pass
        except DeviceError:
            self._stop_confirmed = False
            self._retry_s = 0.0

    def _check_move(self, corridor: Corridor) -> None:
        """See that a move stays between its start and its target, and ends there."""
        over = self._moving() is False
        if not over and self._pose is not None:
            if time.perf_counter() < self._pose.time_s + _CORRIDOR_S:
                return
        position_um = self._position(self._read_pose())
        if over:
            self._corridor = None
        wrong = (corridor.missed(position_um) if over else "") or corridor.strayed(position_um)
        if wrong:
            self._enter_fault(f"{self._wire.device}: {wrong}")

    def _leave(self) -> None:
        """Stop whatever moves once the host has gone, see it at rest, then let go."""
        end_s = time.perf_counter() + _LAST_EFFORT_S
        rest_s = time.perf_counter() + _LAST_REST_S
        self._wire.urgent.clear()
        if self._moving() is not False:
            self._halt()
        while self._identified and (now_s := time.perf_counter()) < end_s:
            if not self._stop_confirmed:
                time.sleep(_RETRY_S)
                self._halt()
            elif self._device.moving is not False and now_s < rest_s:
                time.sleep(_SERVICE_S)
                self._see_to_rest()
            else:
                break
        if self._wire.is_open and self._identified:
            try:
                self._device.disconnect()
            except DeviceError:
                pass  # nobody is left to be told
        self._wire.close()
        self._wire.transcript.close()


def _superseded(device: str) -> GuardianError:
    return GuardianError(device, "the command was cancelled by a stop", "nothing was moved")
