"""What a guardian does: it checks every motion, and stops it when nobody cares."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from drivers.brake import SERVICE_S, Brake
from drivers.corridor import Corridor
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
from drivers.frame_of_reference import FrameOfReference
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

_STALE_POSE_S = 0.25
_CORRIDOR_S = 0.045
_MISSES = 3
_RAMP_S = 0.3
_HANDS_OFF_S = 1.0


class Keeper:
    """Owns one wire and the driver on it. Single-threaded: ``run`` does everything.

    Limits are checked before bytes leave; one move is outstanding at most; a stop waits for
    nothing but the reply on its way. After a fault (no reply in motion, port gone, motion that is
    not what was commanded) its brake stops until that is confirmed and rest is seen, and motion is
    refused until the host asks to reconnect. A hand on the joystick is no fault: it is stopped
    once, and then the person has the stage.
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
        self._brake = Brake(wire, device, send, self._let_go)
        self.inbox = Inbox(self._brake.interrupt, self._deadman.beat)
        self._pose: Pose | None = None
        self._corridor: Corridor | None = None
        self._connected = False
        self._frame = FrameOfReference(wire.device)
        self._hand_s = -math.inf
        self._by_hand = False
        self._misses = 0
        self._service_s = 0.0

    def run(self) -> None:
        """Serve until the host has gone and the instrument stands still."""
        try:
            self._serve()
        finally:  # whatever ends the service, nothing is left moving
            self._brake.leave(self._moving())

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

    def _let_go(self) -> None:
        self._deadman.release()
        self._corridor = None

    def _due_s(self) -> float:
        """When something has to be done even if nothing comes."""
        if self._brake.fault:
            return self._brake.due_s()
        moving = self._moving()
        if moving is False:  # a move whose end was seen by the way has still to be looked at
            return math.inf if self._corridor is None else self._service_s
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
        if message.get("new_frame"):
            self._device.doubt()  # an older one; what happens from here on counts again
        try:
            self._wire.open()
            identity = self._device.connect(anew=bool(message.get("new_frame")))
        except DeviceError as error:
            if isinstance(error, FrameLost):
                self._frame.doubt(error.what)
            if self._brake.identified:  # what was moved once may be moving still
                self._brake.enter_fault(str(error), ask=False)
            raise
        self._connected = True
        self._brake.restart()
        self._misses, self._by_hand = 0, False
        self._frame.doubt(str(message.get("lost") or ""))
        if message.get("new_frame"):
            self._pose = None
            self._frame.found()
        pose = self._read_pose()
        if self._permission.confined:
            self._device.lock(locked=True)
        return {"identity": identity, "baud": self._wire.baud, "pose": encode_pose(pose)}

    def _read_pose(self) -> Pose:
        if not self._connected:
            raise GuardianError(self._wire.device, "not connected", "connect first")
        before, pose = self._pose, self._device.read_pose()
        self._misses = 0
        if self._deadman.steering:
            wrong = self._readback.check(pose)
            if wrong:
                raise self._deviates(wrong)
        elif before is not None and pose.moving is False and self._corridor is None:
            self._frame.compare(self._position(before), self._position(pose))
        self._heed_doubt()
        if self._frame.lost:
            if not self._brake.fault:
                self._brake.enter_fault(self._frame.lost)
            raise self._frame.error()
        if self._by_hand and pose.moving is not False:
            self._hand_s = time.perf_counter()
        self._pose = pose
        return pose

    def _heed_doubt(self) -> None:
        """Refuse motion, and tell the host, where the driver doubts its own positions."""
        if self._frame.doubt(self._device.doubt()):
            self._brake.lose_frame(self._frame.lost)

    def _deviates(self, why: str) -> DeviceError:
        """Stop what is not as commanded; a hand on the joystick is told from everything else."""
        ratio = self._readback.ratio() if self._deadman.steering else None
        self._brake.halt()
        hand = hint = ""
        if ratio is not None and not 0.6 < ratio < 1.6:
            hint = self._device.scale_hint(ratio)
            why += f": it goes {ratio:.2g} times as fast as told"
        if not self._brake.fault and not hint:
            try:
                hand = self._device.hand()
            except DeviceError:
                hand = ""  # whoever it is: a line that garbles answers is a fault
        if not hand:
            self._brake.enter_fault(f"{why}; {hint}" if hint else why)
            then = hint or "look at the stage, then reconnect"
            return GuardianError(self._wire.device, why if hint else self._brake.fault, then)
        self._by_hand, self._hand_s = True, time.perf_counter()
        self._send({"event": "hand", "why": f"{hand} ({why})"})
        return NotNow(self._wire.device, f"{hand} ({why})", "let go of it, then resume")

    def _move(self, message: Json) -> Json:
        self._ready()
        target_um = numbers(message["um"])
        (speed_um_s,) = numbers([message["speed"]])
        start_um = self._position(self._pose_at_rest())
        self._permission.check_move(target_um, start_um)
        self._permission.check_move(self._device.on_grid(target_um), start_um)
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
        # what was read before a stop says little of where it rests: one as old would do only amid
        # velocities, which lead on from it
        pose = self._recent_pose() if steering else self._read_pose()
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
                self._brake.halt()
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
            self._brake.halt()
        at_um = self._position(self._pose_at_rest())
        self._permission.confine(at_um, half_um, speed_um_s)
        limits = self._permission.limits
        self._device.lock(locked=True)
        self._device.prepare(limits.max_speed_um_s)  # while nothing can be hit yet
        return {
            "low_um": limits.low_um,
            "high_um": limits.high_um,
            "speed": limits.max_speed_um_s,
        }

    def _release(self, _message: Json) -> Json:
        self._permission.release()
        if self._connected and not self._brake.fault:
            self._device.lock(locked=False)
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
        if self._brake.fault:
            why = f"refuses motion after a fault: {self._brake.fault}"
            raise GuardianError(self._wire.device, why, "reconnect")
        if not self._connected:
            raise GuardianError(self._wire.device, "not connected", "connect first")
        if self._by_hand and time.perf_counter() < self._hand_s + _HANDS_OFF_S:
            raise NotNow(self._wire.device, "somebody has the joystick", "let go, wait a second")
        self._by_hand = False

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
            if self._wire.urgent.wait(SERVICE_S):
                raise Preempted(self._wire.device, "abandoned for a stop")
        return self._read_pose()

    def _position(self, pose: Pose) -> list[float]:
        return [pose.x_um, pose.y_um, pose.z_um][: len(self._device.axes)]

    def _judge(self, error: DeviceError, *, motion: bool) -> None:
        """Decide whether an error is a fault."""
        harmless = isinstance(error, LimitError | GuardianError | NotNow)
        if harmless or self._brake.fault or not self._connected:
            return
        if isinstance(error, RefusedCommand) and not self._deadman.steering:
            if motion and self._moving() is not False:
                self._brake.halt()  # it may have obeyed an earlier copy of what it now refuses
            return
        self._misses += 1
        vanished = isinstance(error, PortError)
        if motion or vanished or self._moving() is not False or self._misses >= _MISSES:
            self._brake.enter_fault(str(error))

    def _stop_now(self, stops: list[Json], superseded: list[Json]) -> None:
        self._brake.halt()
        for message in stops:
            if self._brake.confirmed:
                self._send({"n": message.get("n"), "ok": {}})
            else:
                error = GuardianError(self._wire.device, f"stop not confirmed: {self._brake.fault}")
                self._send({"n": message.get("n"), "error": encode_error(error)})
        for message in superseded:
            error = _superseded(self._wire.device)
            self._send({"n": message.get("n"), "error": encode_error(error)})

    def _watch(self) -> None:
        self._see_to_motion()
        self._heed_doubt()

    def _see_to_motion(self) -> None:
        now_s = time.perf_counter()
        if self._brake.fault:
            self._brake.watch(now_s)
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
            self._brake.halt()
            self._send({"event": "deadman", "why": why})
        elif now_s >= self._service_s and not self._deadman.steering:
            self._service()

    def _service(self) -> None:
        self._service_s = time.perf_counter() + SERVICE_S
        try:
            self._device.service()
            if self._corridor is not None:
                self._check_move(self._corridor)
        except Preempted:
            pass  # the stop that cut it short is next
        except DeviceError as error:
            self._judge(error, motion=True)

    def _check_move(self, corridor: Corridor) -> None:
        """See that a move stays between its start and its target, and ends there."""
        over = self._moving() is False
        if not over and self._pose is not None:
            if time.perf_counter() < self._pose.time_s + _CORRIDOR_S:
                return
        position_um = self._position(self._read_pose())
        if over:
            self._corridor = None
        missed = corridor.missed(position_um) if over else ""
        strayed = corridor.strayed(position_um)
        if missed:
            self._brake.enter_fault(f"{self._wire.device}: {missed}")
        elif strayed:
            self._deviates(f"{self._wire.device}: {strayed}")


def _superseded(device: str) -> GuardianError:
    return GuardianError(device, "the command was cancelled by a stop", "nothing was moved")
