"""Interlocks, servo and pose history as one: what the stage shall do next. Pure.

The stage thread runs it against the clock, the closed-loop tests in virtual time: the same code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from app.config import ServoConfig
from app.core.interlocks import MOVING, Health, Interlocks
from app.core.messages import (
    Arm,
    Command,
    Disarm,
    Follow,
    FollowBest,
    Mode,
    MotionState,
    MoveBy,
    Release,
    Resume,
    Stop,
)
from app.core.pose_history import PoseHistory
from app.core.selection import Target, find_target, may_be_chosen
from app.core.servo import Move, Phase, Servo, Velocity
from calibration.watch import ScaleWatch
from drivers.types import Pose
from models.types import Float64, Tracks

NO_NEARER_S = 2.0  # how long a planned move may take without coming nearer to its end
ARRIVED_UM = 1.0
SETTLED_UM = 5.0  # a move that ends farther from its target has slipped
ASTRAY_UM = 15.0  # a readback farther from dead reckoning is not what was commanded


@dataclass(frozen=True, slots=True)
class Halt:
    """Freeze the stage where it is."""


Action = Velocity | Move | Halt


class Pilot:
    """Decides; never talks to a device.

    Parameters
    ----------
    settings : ServoConfig
    poses : PoseHistory
        Fed by ``read`` and by the commands that ``act`` returns.
    frame_rate_hz : float
    move_speed_um_s : float
        Of planned moves.

    Attributes
    ----------
    ranking : tuple of int
        Best first, as of the newest frame: what ``FollowBest`` chooses from.
    fault : str
        What the stage itself did wrong; cleared by arming.
    """

    def __init__(
        self,
        settings: ServoConfig,
        poses: PoseHistory,
        frame_rate_hz: float,
        move_speed_um_s: float = 2000.0,
    ) -> None:
        self._interlocks = Interlocks(settings.idle_s)
        self._servo_settings = settings
        self._servo = Servo(settings, frame_rate_hz)
        self._scale = ScaleWatch()
        self._poses = poses
        self._move_speed_um_s = move_speed_um_s
        self._tracks = Tracks.empty(0.0)
        self.ranking: tuple[int, ...] = ()
        self._wanted: Move | None = None
        self._move: Move | None = None
        self._move_s = 0.0
        self._nearer_s, self._nearest_um = 0.0, math.inf
        self._rests = 0
        self._driving = False
        self._running = self._halt_first = False
        self._astray = 0
        self._sure = False
        self.fault = ""

    @property
    def state(self) -> MotionState:
        """The interlocks as of now."""
        return self._interlocks.state

    @property
    def phase(self) -> Phase:
        """What the servo is about."""
        return self._servo.phase

    @property
    def error_um(self) -> float:
        """Distance of the target from the centre as the servo last saw it; NaN when it did not."""
        return self._servo.error_um

    @property
    def moving_by_plan(self) -> bool:
        """Whether a planned move is under way: read the pose as often as possible."""
        return self._move is not None

    @property
    def is_driving(self) -> bool:
        """Whether a motion of its own is wanted or under way."""
        return self._interlocks.state.mode in MOVING or not (self._wanted is self._move is None)

    def read(self, pose: Pose, now_s: float) -> None:
        """Take in a readback of the stage, compare it with what was commanded."""
        here_um = np.array((pose.x_um, pose.y_um))
        reckoned_um = self._poses.at(pose.time_s)
        self._poses.read(pose)
        if self._move is not None:
            self._look_at_move(self._move, here_um, pose, now_s)
        elif self._driving and reckoned_um is not None:
            away_um = float(np.linalg.norm(here_um - reckoned_um))
            self._astray = self._astray + 1 if away_um > ASTRAY_UM else 0
            if self._astray >= 3:  # the guardian looks twice, and knows a hand from a fault
                self.fault = (
                    f"the stage is {away_um:.0f} um from where its commands lead; "
                    "check joystick, obstacles and calibration, then arm again"
                )

    def see(self, tracks: Tracks, now_s: float) -> None:
        """Take in the tracks of a new frame."""
        self._tracks = tracks
        state = self._interlocks.state
        if state.mode not in MOVING or state.target is None:
            self._scale.restart()
            return
        target = find_target(tracks, state.target)
        wrong = self._look_at_scale(tracks, state.target)
        self._servo.observe(target, tracks.time_s)
        if self._servo.phase is Phase.LOST:
            self._hold(f"track {state.target} is lost", now_s)
        elif target is not None and self._in_doubt(target):
            self._hold(
                f"track {state.target} met another sperm and may now be on that one; "
                "look, and choose again",
                now_s,
            )
        elif wrong:
            self._interlocks.hold(now_s, wrong)

    def _hold(self, why: str, now_s: float) -> None:
        """Hold, and say beside the reason what may be behind it."""
        suspicion = self._scale.suspicion()
        self._interlocks.hold(now_s, f"{why}; or {suspicion}" if suspicion else why)

    def _look_at_scale(self, tracks: Tracks, target: int) -> str:
        """Say why the calibration cannot be that of this objective; empty when it may be."""
        pose_um = self._poses.at(tracks.time_s)
        if pose_um is None:
            return ""
        return self._scale.observe(tracks.time_s, pose_um, tracks.track_id, tracks.raw_um, target)

    def obey(self, command: Command, now_s: float, health: Health, calibration: str) -> str:
        """Carry out what a person wants; return why not, empty when done.

        Parameters
        ----------
        calibration : str
            Why the calibration does not allow motion; looked at by ``Arm`` alone.
        """
        self.touch(now_s)
        match command:
            case Stop(why):
                self._interlocks.stop(now_s, why)
            case Disarm():
                self._interlocks.stop(now_s, "disarmed")
            case Arm():
                self.fault, self._astray = "", 0
                return self._interlocks.arm(now_s, calibration, health)
            case Release():
                self._release(now_s)
            case Follow(track_id):
                return self._follow(track_id, now_s)
            case FollowBest():
                return self._follow_best(now_s)
            case Resume():
                return self._resume(now_s, health)
            case MoveBy():
                return self._plan(command, now_s, health)
        return ""

    def touch(self, now_s: float) -> None:
        """Note that a person is at work here, also with what is steered elsewhere: not idle."""
        self._interlocks.touch(now_s)

    def give_up(self, now_s: float, why: str) -> None:
        """Forget the motion that is under way: it was refused, or stopped from elsewhere."""
        self._interlocks.hold(now_s, why)
        self._wanted = self._move = None

    def hand_over(self, now_s: float, why: str) -> None:
        """Leave the stage to a person who has it already: nothing more is sent, not even a stop."""
        self.give_up(now_s, why)
        self._halt(now_s)

    def act(self, now_s: float, health: Health) -> Action | None:
        """Say what to send to the stage now; nothing where it shall go on as it does."""
        if self.fault and not health.fault:
            health = Health(health.frame_age_s, health.frame_limit_s, health.pose_age_s, self.fault)
        self._interlocks.tick(now_s, health)
        mode = self._interlocks.state.mode
        by_hand = mode is Mode.ARMED and (self._wanted is not None or self._move is not None)
        if by_hand and health.complaint:  # nobody sees, or knows, where it goes
            self._interlocks.say(now_s, f"the move was stopped: {health.complaint}")
            by_hand = False
        if mode not in MOVING and not by_hand:
            return self._halt(now_s)
        if self._halt_first:
            self._poses.command(now_s, 0.0, 0.0)
            self._halt_first = self._running = False
            return Halt()
        if self._move is not None:
            if now_s - self._nearer_s > NO_NEARER_S:
                self.fault = "a stage move did not end in time; check the stage, then arm again"
            return None
        if by_hand:
            action: Velocity | Move | None = self._wanted
        else:
            action = self._servo.command(now_s, self._poses)
            if self._servo.phase is Phase.FOLLOW:
                self._interlocks.centred(now_s)
        self._driving = True
        if isinstance(action, Velocity):
            self._running = True
            self._poses.command(now_s, float(action.um_s[0]), float(action.um_s[1]))
        elif isinstance(action, Move):
            if self._running:  # a move starts from rest: halt now, it is asked for again after that
                self._poses.command(now_s, 0.0, 0.0)
                self._running = False
                return Halt()
            self._wanted = None
            self._poses.move(now_s, action.to_um, self._move_speed_um_s)
            self._move, self._move_s, self._rests = action, now_s, 0
            self._nearer_s, self._nearest_um = now_s, math.inf
        return action

    def _in_doubt(self, target: Target) -> bool:
        """Whether this may be another sperm than the one that was chosen.

        A person who chooses, or resumes, has looked: only what happens after that counts.
        """
        sure = self._is_sure(target)
        self._sure = self._sure or sure
        return self._sure and not sure

    def _is_sure(self, target: Target) -> bool:
        return target.identity >= self._servo_settings.sure_identity

    def _halt(self, now_s: float) -> Halt | None:
        self._wanted = self._move = None
        self._halt_first = self._running = False
        self._servo.release()
        if not self._driving:
            return None
        self._driving = False
        self._poses.command(now_s, 0.0, 0.0)
        return Halt()

    def _follow(self, track_id: int, now_s: float) -> str:
        refusal = may_be_chosen(self._tracks, track_id)
        target = find_target(self._tracks, track_id)
        if refusal or target is None:
            return refusal
        refusal = self._interlocks.follow(now_s, track_id)
        if not refusal:
            self._servo.choose(target)
            self._sure = False
            self._abandon()  # whoever is chosen is wanted instead
        return refusal

    def _release(self, now_s: float) -> None:
        """Leave who was followed; a planned move towards it ends as well."""
        if self._interlocks.state.mode in MOVING:
            self._abandon()
            self._servo.release()
        self._interlocks.release(now_s)

    def _abandon(self) -> None:
        """Want no planned move any more; one that is under way is halted before all else."""
        self._halt_first = self._halt_first or self._move is not None
        self._wanted = self._move = None

    def _follow_best(self, now_s: float) -> str:
        """Follow the first of the ranking; nobody looks, so it must be certain which one it is."""
        ranking = self.ranking  # once: another thread puts a new one in its place at any time
        if not ranking:
            return "no sperm can be followed yet; wait for a second"
        best = find_target(self._tracks, ranking[0])
        if best is not None and not (best.alone and self._is_sure(best)):
            return (
                f"sperm {best.track_id}, the first in order, is too near to another to be told "
                "from it; wait a moment, or choose one yourself"
            )
        return self._follow(ranking[0], now_s)

    def _resume(self, now_s: float, health: Health) -> str:
        wanted = self._interlocks.state.target
        target = None if wanted is None else find_target(self._tracks, wanted)
        back = target is not None and target.seen and target.alone
        refusal = self._interlocks.resume(now_s, health, target_is_back=back)
        if not refusal and target is not None:
            self._servo.choose(target)
            self._sure = False
        return refusal

    def _plan(self, command: MoveBy, now_s: float, health: Health) -> str:
        under_way = not (self._wanted is self._move is None)
        if self._interlocks.state.mode is not Mode.ARMED or under_way:
            return f"not moved: {self._interlocks.state.mode.value}; arm, and wait for a move's end"
        here_um = self._poses.at(now_s)
        if here_um is None:
            return "not moved: the stage's position is not known"
        if health.complaint:
            return f"not moved: {health.complaint}"
        self._interlocks.say(now_s, "")
        self._wanted = Move(here_um + np.array((command.dx_um, command.dy_um)))
        return ""

    def _look_at_move(self, move: Move, here_um: Float64, pose: Pose, now_s: float) -> None:
        """End a planned move once the stage rests, and see where it rests."""
        started = pose.time_s > self._move_s + self._poses.lag_s
        away_um = float(np.linalg.norm(here_um - move.to_um))
        near = away_um <= SETTLED_UM
        if away_um < self._nearest_um - ARRIVED_UM:
            self._nearest_um, self._nearer_s = away_um, now_s
        if not started or pose.moving or (pose.moving is None and not near):
            return  # unknown is never idle
        # The position may have been read before the status that says at rest: look twice.
        self._rests += 1
        if away_um > ARRIVED_UM and self._rests < 2:
            return
        self._move = None
        if not near:
            self.fault = (
                f"the stage came to rest {away_um:.0f} um from where it was sent; "
                "check for slip and obstacles, then arm again"
            )
