"""The stage thread: owns the stage, and does what the pilot decides."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from app.config import ServoConfig
from app.core.interlocks import MOVING, Health
from app.core.messages import Arm, Command, Disarm, Mode, MotionState, Stop
from app.core.pilot import Halt, Pilot
from app.core.pose_history import PoseHistory
from app.core.servo import Move, Velocity
from app.runtime.devices import Kept
from app.runtime.mailbox import Inbox, Latest
from app.runtime.timing import Delays
from app.runtime.worker import Board, Worker
from drivers.errors import DeviceError, FrameLost, GuardianError, LimitError, NotNow
from drivers.protocols import Stage
from drivers.types import Pose
from models.types import Float64, Tracks

RENEW_S = 0.050  # a velocity lives 150 ms: renew it, should no frame come
IDLE_POLL_S = 0.050
FAULT_POLL_S = 0.500
RECONNECT_S = 8.0  # the watchdog waits this much longer
READ_EVERY = 3  # a readback costs as much line time as a command
SMOOTHING = 0.1
STALE_AT_LATEST_S = 0.250  # however slow the machine is


class StagePoses(PoseHistory):
    """The pose history, written by the stage thread and read by others as well."""

    def __init__(self, lag_s: float) -> None:
        super().__init__(lag_s)
        self._lock = threading.RLock()

    def read(self, pose: Pose) -> None:
        """Take in a readback."""
        with self._lock:
            super().read(pose)

    def command(self, time_s: float, vx_um_s: float, vy_um_s: float) -> None:
        """Take in a commanded velocity."""
        with self._lock:
            super().command(time_s, vx_um_s, vy_um_s)

    def move(self, time_s: float, to_um: Float64, speed_um_s: float) -> None:
        """Take in a planned move."""
        with self._lock:
            super().move(time_s, to_um, speed_um_s)

    def at(self, time_s: float) -> Float64 | None:
        """Position (2,) um, stage frame; None where it is not known."""
        with self._lock:
            return super().at(time_s)


class StageWorker(Worker):
    """Streams velocities, plans moves, reads poses; stops the stage when it ends, however it ends.

    Parameters
    ----------
    stage : Stage
    poses : StagePoses
    settings : ServoConfig
    frame_rate_hz, move_speed_um_s : float
    refuse_calibration : callable
        From the confirmed objective to why it does not allow motion.
    faults : callable
        What is broken elsewhere; empty when nothing is.
    recalibrated : callable
        Whether the stage has been calibrated again since a wall time.
    """

    def __init__(
        self,
        stage: Stage,
        poses: StagePoses,
        settings: ServoConfig,
        frame_rate_hz: float,
        move_speed_um_s: float,
        refuse_calibration: Callable[[str], str],
        faults: Callable[[], str],
        board: Board,
        recalibrated: Callable[[float], bool] = lambda since_s: False,
    ) -> None:
        super().__init__("stage", board)
        self._stage = stage
        self._poses = poses
        self._pilot = Pilot(settings, poses, frame_rate_hz, move_speed_um_s)
        self._period_s = 1.0 / frame_rate_hz
        self._refuse_calibration = refuse_calibration
        self._faults = faults
        self._recalibrated = recalibrated
        self._lost_s: float | None = None  # wall time at which positions lost their meaning
        self._wake = threading.Event()
        self._frame_s = -math.inf
        self._latency_s = 0.0
        self._interval_s = 1.0 / frame_rate_hz
        self._sent_s = -math.inf
        self._asked_s = -math.inf
        self._unread = 0
        self._broken = False
        self._at_rest = False
        self._touched = False
        self._refusing = False  # the guardian lets nothing move until it is asked to reconnect
        self.commands: Inbox[Command] = Inbox(self._wake)
        self.sightings: Latest[Tracks] = Latest(self._wake)
        self.frame_to_command = Delays()
        self.stop_asked_s = math.inf  # a Stop that this thread has not seen yet

    @property
    def state(self) -> MotionState:
        """The interlocks as of now; FAULT once this thread has died, whatever it did before."""
        if self.failure is not None:
            return MotionState(Mode.FAULT, self.obituary)
        return self._pilot.state

    @property
    def rests(self) -> bool:
        """Whether the stage was read at rest, and nothing is under way."""
        return self._at_rest and not self._pilot.is_driving

    @property
    def error_um(self) -> float:
        """Distance of the target from the centre as the servo sees it; NaN without a target."""
        return self._pilot.error_um

    def submit(self, command: Command) -> None:
        """Leave a command; Stop overtakes all others, and makes them void. Never blocks."""
        if isinstance(command, Stop):
            self.stop_asked_s = min(self.stop_asked_s, time.perf_counter())
            self.commands.void()
        self.commands.put(command)
        if self.failure is not None:  # nobody takes it; of a Stop the watchdog takes care
            self.board.tell(f"{_name(command)}: {self.obituary}", "warning")

    def touch(self) -> None:
        """Note that a person is at work with what moves beside the stage. Never blocks."""
        self._touched = True

    def rank(self, ranking: tuple[int, ...]) -> None:
        """Say what ``FollowBest`` chooses from. Never blocks."""
        self._pilot.ranking = ranking

    def halt(self) -> None:
        """Ask the loop to end at once."""
        super().halt()
        self._wake.set()

    def step(self) -> None:
        """Obey, follow, look."""
        self._wake.wait(self._patience_s())
        self._wake.clear()
        before = self._pilot.state
        if self._touched:
            self._touched = False
            self._pilot.touch(time.perf_counter())
        while (command := self.commands.take()) is not None:
            self._obey(command)
        fresh = self._take_sighting()
        due = fresh or time.perf_counter() - self._sent_s >= RENEW_S
        if due or self._pilot.state.mode not in MOVING:
            self._talk(lambda: self._act(fresh=fresh))
        self._talk(self._listen)
        self._talk(self._look)
        if self._pilot.state != before:
            self._tell(self._pilot.state, before)

    def close(self) -> None:
        """Leave the stage at rest."""
        self._talk(self._stage.stop)

    def _patience_s(self) -> float:
        if self._pilot.moving_by_plan:
            return 0.001
        return FAULT_POLL_S if self._broken else IDLE_POLL_S

    def _take_sighting(self) -> bool:
        """Look at the newest tracks; say whether there were any."""
        sighting = self.sightings.take()
        if sighting is None:
            return False
        now_s = time.perf_counter()
        self._clock_frame(sighting.time_s, now_s)
        self._pilot.see(sighting, now_s)
        return True

    def _clock_frame(self, frame_s: float, now_s: float) -> None:
        """Learn how late and how often frames are looked at: what is stale depends on both."""
        interval_s = min(frame_s - self._frame_s, STALE_AT_LATEST_S)
        self._interval_s += SMOOTHING * (interval_s - self._interval_s)
        self._latency_s += SMOOTHING * (now_s - frame_s - self._latency_s)
        self._frame_s = frame_s

    def _health(self, now_s: float) -> Health:
        limit_s = self._latency_s + 3 * max(self._period_s, self._interval_s)
        return Health(
            frame_age_s=now_s - self._frame_s,
            frame_limit_s=min(limit_s, STALE_AT_LATEST_S),
            pose_age_s=now_s - self._poses.newest_s,
            fault=self._faults(),
        )

    def _obey(self, command: Command) -> None:
        if isinstance(command, Stop):
            self.stop_asked_s = math.inf
            self._talk(self._stage.stop)  # first of all, whatever the mode
        calibration = ""
        if isinstance(command, Arm):
            calibration = self._refuse_calibration(command.objective)
            if self._refusing:
                self._talk(self._reconnect)
                self._take_sighting()
        for void in self.commands.take_void():
            if not isinstance(void, Stop):
                self.board.tell(f"{_name(void)}: void, Stop was pressed after it", "warning")
        now_s = time.perf_counter()
        refusal = self._pilot.obey(command, now_s, self._health(now_s), calibration)
        self.board.tell(
            refusal or _said(command),
            "warning" if refusal else "info",
            command=type(command).__name__,
        )
        if isinstance(command, Stop | Disarm):
            self._talk(lambda: self._act(fresh=False))

    def _reconnect(self) -> None:
        """Before arming after a fault: the guardian refuses motion until it is asked to."""
        if isinstance(self._stage, Kept):
            self.beat_s = time.perf_counter() + RECONNECT_S
            found = self._lost_s is not None and self._recalibrated(self._lost_s)
            self._take_pose(self._stage.reconnect(new_frame=found))
        self._refusing, self._lost_s = False, None

    def _listen(self) -> None:
        """Hear what the guardian did by itself."""
        if not isinstance(self._stage, Kept):
            return
        for kind, why in self._stage.events():
            if kind == "deadman":
                self._end(self._pilot.give_up, f"the stage was stopped: {why}")
            elif kind == "hand":
                self._end(self._pilot.hand_over, why)
            else:
                raise GuardianError("stage", why, "arm again")

    def _take_pose(self, pose: Pose) -> None:
        self._at_rest = pose.moving is False
        self._pilot.read(pose, time.perf_counter())
        if self._broken:
            self._broken = False
            self.board.clear(self.role)

    def _act(self, *, fresh: bool) -> None:
        if math.isfinite(self.stop_asked_s):
            return  # a Stop was pressed while something else was obeyed: it is next
        now_s = time.perf_counter()
        action = self._pilot.act(now_s, self._health(now_s))
        if action is None:
            return
        self._sent_s = now_s
        try:
            match action:
                case Velocity(um_s):
                    if fresh:
                        self.frame_to_command.add(now_s - self._frame_s)
                    self._stage.set_velocity(float(um_s[0]), float(um_s[1]))
                case Move(to_um):
                    self._stage.move_to(float(to_um[0]), float(to_um[1]))
                case Halt():
                    self._stage.stop()
        except LimitError as error:
            self._pilot.give_up(now_s, str(error))
            self.board.tell(str(error), "warning")
            self._stage.stop()
        self._unread += 1

    def _look(self) -> None:
        """Read the pose: every third command while streaming, else at its own pace."""
        now_s = time.perf_counter()
        streaming = self._pilot.state.mode in MOVING and not self._pilot.moving_by_plan
        if streaming:
            wanted = self._unread >= READ_EVERY or now_s - self._asked_s > 0.120
        else:
            wanted = now_s - self._asked_s >= 0.9 * self._patience_s()
        if wanted:
            self._asked_s, self._unread = now_s, 0
            self._take_pose(self._stage.read_pose())

    def _talk(self, exchange: Callable[[], None]) -> None:
        """Talk to the stage; an error stops it and becomes a visible fault.

        That a person has it is no error: it is left alone until the operator resumes.
        """
        try:
            exchange()
        except NotNow as error:
            self._end(self._pilot.hand_over, str(error))
        except DeviceError as error:
            if math.isfinite(self.stop_asked_s):
                return  # cancelled by a Stop that overtook it; this thread sees it next
            if isinstance(error, FrameLost) and self._lost_s is None:
                self._lost_s = time.time()
            first = not self._broken
            self._broken = self._refusing = True
            self._asked_s = time.perf_counter()
            self.board.fault(self.role, error)
            now_s = time.perf_counter()
            self._pilot.act(now_s, self._health(now_s))  # enters FAULT; the Halt is sent below
            if first:
                try:
                    self._stage.stop()
                except DeviceError as silent:
                    self.board.tell(f"the stop was not confirmed: {silent}", "fault")

    def _end(self, end: Callable[[float, str], None], why: str) -> None:
        """End what is under way; following shows why as HOLD, of a planned move it is told here."""
        planned = self._pilot.state.mode is Mode.ARMED and self._pilot.is_driving
        end(time.perf_counter(), why)
        if planned:
            self.board.tell(f"the move has ended: {why}", "warning")

    def _tell(self, state: MotionState, before: MotionState) -> None:
        told = state.mode is Mode.FAULT and state.reason == self._faults()  # the board's own words
        if told and before.mode is Mode.FAULT:
            return
        text = state.mode.value + (f": {state.reason}" if state.reason and not told else "")
        unasked = "warning" if state.mode is Mode.ARMED and state.reason else "info"
        severity = {Mode.HOLD: "warning", Mode.FAULT: "fault"}.get(state.mode, unasked)
        details = {"mode": state.mode.value}
        if state.target is not None:
            details["target"] = str(state.target)
        self.board.tell(text, severity, **details)


def _said(command: Command) -> str:
    if isinstance(command, Stop):
        return command.why
    if isinstance(command, Arm):
        return f"armed, objective {command.objective} confirmed"
    return _name(command)


def _name(command: Command) -> str:
    name = type(command).__name__
    text = "".join(" " + letter.lower() if letter.isupper() else letter for letter in name).strip()
    track_id = getattr(command, "track_id", None)
    return text if track_id is None else f"{text} {track_id}"
