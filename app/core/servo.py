"""The stage follows a sperm: velocity feed-forward, and a proportional pull to the centre.

Who the target is, and whether it is seen, is the tracker's word; where its mean path leads is told
by a filter of the servo's own, which knows that a head swings.

The command is meant for the instant at which it takes effect: target and stage are both predicted
to then, the stage with the commands that are still in flight. A proportional law alone would lag by
speed/gain; on a pure delay it would be unstable above pi / (2 delay).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from app.config import ServoConfig
from app.core.mean_path import MeanPath
from app.core.pose_history import PoseHistory
from app.core.selection import ALONE_UM, Target
from models.types import Float64

COAST_TRAVEL_UM = 50.0  # the stage never runs farther than this without the target being seen
PULL_SHARE = 0.7  # of what is off: no more is made good before the next frame can tell
STEADY_FRAMES = 3  # seen so often on end beside another, it is no mix-up of one frame
SHARED_S = 1.5  # longer in one with another, nobody can tell who comes out of it
SHARED_FRAMES = 3  # what it may be off after having been one with another: as after so many frames
SAME_UM = 2.0  # so near to its own path it is where the target is, whoever is beside it
SOUND_UM = 5.0  # so near to where it was expected, nothing is odd about a sighting
SOUND_S = 0.2  # for so long after an odd one the way before it counts as well
STRAYED_UM = 4.0  # the mean path so far from the track is not the track's any more
UNTOLD = (0.5, 0.5, 100.0, 100.0)  # variances, um and um/s squared, where a track tells none
CENTRED_UM = 4.0  # within a head's length of the centre: no longer approaching


class Phase(Enum):
    """What the servo is about."""

    IDLE = "idle"
    APPROACH = "approach"  # bringing the target to the centre
    FOLLOW = "follow"  # keeping it there
    SHARED = "shared"  # found as one with another: on along its own mean path, as foretold
    COAST = "coast"  # missed for a frame or two: the last velocity is kept
    WAIT = "wait"  # stopped; resumes if the target is back in time
    LOST = "lost"  # stopped until a person resumes


@dataclass(frozen=True, slots=True)
class Velocity:
    """Stream this velocity (2,), stage frame, um/s."""

    um_s: Float64


@dataclass(frozen=True, slots=True)
class Move:
    """Make one planned move to this position (2,), stage frame, um."""

    to_um: Float64


class Servo:
    """Follows one target. No clock: every time is an argument, monotonic seconds.

    Parameters
    ----------
    settings : ServoConfig
    frame_rate_hz : float
        Tells how many frames fit into a gap.
    """

    def __init__(self, settings: ServoConfig, frame_rate_hz: float) -> None:
        self._settings = settings
        self._period_s = 1.0 / frame_rate_hz
        self._path = MeanPath(frame_rate_hz)
        self._target: Target | None = None
        self._sound: Target | None = None
        self._known_s = -math.inf
        self._seen_at_um: Float64 | None = None
        self._mixed = False  # was found as one with another since it was last seen by itself
        self._steady = 0
        self._velocity_um_s = np.zeros(2)
        self._commanded_s: float | None = None
        self.phase = Phase.IDLE
        self.error_um = math.nan

    def choose(self, target: Target) -> None:
        """Take a new target; the stage keeps the velocity that it has until the next command."""
        self._target = self._sound = target
        self._known_s = target.time_s
        self._begin_path(target)
        self._seen_at_um, self._mixed = None, False
        self.phase = Phase.APPROACH
        self.error_um = math.nan

    def release(self) -> None:
        """Forget the target. The caller stops the stage."""
        self._target = self._sound = None
        self._velocity_um_s = np.zeros(2)
        self._commanded_s = None
        self.phase = Phase.IDLE
        self.error_um = math.nan

    def observe(self, target: Target | None, frame_s: float) -> None:
        """Take in the target as of the frame exposed at ``frame_s``; None when it is not there."""
        last = self._target
        if last is None or self.phase in (Phase.IDLE, Phase.LOST):
            return
        gap_s = frame_s - last.time_s
        back = self.phase is Phase.WAIT or self._mixed
        self._steady = self._steady + 1 if target is not None and target.seen else 0
        if target is not None and self._credible(target, last, gap_s, back=back):
            if min(_astray_um(target, one) for one in (last, self._sound or last)) <= SOUND_UM:
                self._sound = target
            self._target, self._known_s = target, frame_s
            self._seen_at_um, self._mixed = None, False
            self._follow_path(target)
            if self.phase in (Phase.SHARED, Phase.COAST, Phase.WAIT):
                self.phase = Phase.APPROACH
            return
        if self.phase is not Phase.WAIT:
            if target is not None and gap_s <= SHARED_S and self._is_shared(target):
                self._known_s, self.phase, self._mixed = frame_s, Phase.SHARED, True
                self._path.follow(frame_s, None)
                return
            missed = round((frame_s - self._known_s) / self._period_s)
            self.phase = Phase.COAST if missed <= self._settings.missed_frames else Phase.WAIT
        if self.phase is Phase.WAIT and frame_s - self._known_s > self._settings.resume_s:
            self.phase = Phase.LOST

    def command(self, now_s: float, poses: PoseHistory) -> Velocity | Move:
        """Say what the stage shall do now.

        A stage whose position is not known gets the order to stand still.
        """
        target = self._target
        arrival_s = now_s + poses.lag_s
        pose_um = poses.at(arrival_s)
        if target is None or pose_um is None or self.phase in (Phase.IDLE, Phase.WAIT, Phase.LOST):
            return self._stand_still(now_s)
        if self._seen_at_um is None:  # where the stage was when the target was last seen
            seen_at_um = poses.at(target.time_s)
            self._seen_at_um = pose_um if seen_at_um is None else seen_at_um
        if self.phase in (Phase.COAST, Phase.SHARED) and not self._is_near(pose_um):
            self.phase = Phase.WAIT
            return self._stand_still(now_s)
        if self.phase is Phase.COAST:
            self._commanded_s = now_s
            return Velocity(self._velocity_um_s)
        position_um, velocity_um_s = self._path.state()
        ahead_um = position_um + velocity_um_s * (arrival_s - self._path.time_s)
        error_um = ahead_um - pose_um
        self.error_um = float(np.linalg.norm(error_um))
        if self.phase is Phase.APPROACH:
            if self.error_um > self._settings.approach_um:
                self._velocity_um_s = np.zeros(2)
                self._commanded_s = None
                return Move(ahead_um)
            if self.error_um <= CENTRED_UM:
                self.phase = Phase.FOLLOW
        return self._stream(now_s, velocity_um_s + self._pull(error_um))

    def _begin_path(self, target: Target) -> None:
        """Take the track's word for where the mean path is."""
        known = target.covariance
        covariance = np.diag(UNTOLD) if known is None else known
        self._path.begin(target.time_s, target.position_um, target.velocity_um_s, covariance)

    def _follow_path(self, target: Target) -> None:
        """Go on along the mean path; begin anew where the track is elsewhere."""
        self._path.follow(target.time_s, target.measured_um)
        position_um, _ = self._path.state()
        if float(np.linalg.norm(position_um - target.position_um)) > STRAYED_UM:
            self._begin_path(target)

    def _credible(self, target: Target, last: Target, gap_s: float, *, back: bool) -> bool:
        """Whether this is the sperm that was followed.

        Seen, no jump, and if it was away: alone, or told from its neighbour for some frames.
        """
        as_foretold = self._mixed and _astray_um(target, last) <= SAME_UM
        clear = target.alone or as_foretold or self._steady >= STEADY_FRAMES
        if not target.seen or (back and not clear):
            return False
        if self._mixed:  # what comes out of the two goes on where the own path leads, or is not it
            near_um = self._settings.jump_um if target.alone else SOUND_UM
            return _astray_um(target, last) <= near_um * math.sqrt(SHARED_FRAMES)
        if self._is_reached(target, last, gap_s):
            return True
        # The last sighting may have been of something else, for a frame: what goes on as before it
        # is the same sperm.
        sound, sound_s = self._sound, target.time_s - SOUND_S
        if sound is None or sound is last or sound.time_s < sound_s:
            return False
        return self._is_reached(target, sound, target.time_s - sound.time_s)

    def _is_reached(self, target: Target, last: Target, gap_s: float) -> bool:
        """Whether a sperm that swam on from ``last`` may be there."""
        frames = max(1.0, gap_s / self._period_s)
        # What a heading may wander grows with the root of time.
        return _astray_um(target, last) <= self._settings.jump_um * math.sqrt(frames)

    def _pull(self, error_um: Float64) -> Float64:
        """Velocity towards the target: proportional, never faster than it can brake."""
        distance_um = float(np.linalg.norm(error_um))
        if distance_um <= self._settings.deadband_um:
            return np.zeros(2)
        braking_um_s = math.sqrt(self._settings.slew_um_s2 * distance_um)
        gain_1_s = min(self._settings.gain_1_s, PULL_SHARE / self._period_s)
        speed_um_s = min(gain_1_s * distance_um, braking_um_s)
        return np.asarray(error_um * (speed_um_s / distance_um))

    def _stream(self, now_s: float, wanted_um_s: Float64) -> Velocity:
        """Clamp speed and slew, remember, and return the command."""
        speed_um_s = float(np.linalg.norm(wanted_um_s))
        if speed_um_s > self._settings.top_speed_um_s:
            wanted_um_s = wanted_um_s * (self._settings.top_speed_um_s / speed_um_s)
        since_s = self._period_s if self._commanded_s is None else now_s - self._commanded_s
        step_um_s = wanted_um_s - self._velocity_um_s
        size_um_s = float(np.linalg.norm(step_um_s))
        allowed_um_s = self._settings.slew_um_s2 * min(max(since_s, 0.0), 3 * self._period_s)
        if size_um_s > allowed_um_s:
            step_um_s = step_um_s * (allowed_um_s / size_um_s)
        self._velocity_um_s = self._velocity_um_s + step_um_s
        self._commanded_s = now_s
        return Velocity(self._velocity_um_s)

    def _is_shared(self, target: Target) -> bool:
        """Whether a head that is found as one with another lies where the mean path leads.

        It says that the target may be there, not where: the path is never drawn to the other one.
        """
        if target.shared_um is None:
            return False
        position_um, velocity_um_s = self._path.state()
        ahead_um = position_um + velocity_um_s * (target.time_s - self._path.time_s)
        return bool(np.linalg.norm(target.shared_um - ahead_um) <= ALONE_UM)

    def _is_near(self, pose_um: Float64) -> bool:
        """Whether the stage may go on until the next frame without the target having been seen.

        ``pose_um`` is where it will be when a command of now takes effect: the one after it can
        stop it a frame later, and it needs its way to rest.
        """
        speed_um_s = float(np.linalg.norm(self._velocity_um_s))
        to_rest_um = speed_um_s * self._period_s + speed_um_s**2 / (2 * self._settings.slew_um_s2)
        from_um = pose_um if self._seen_at_um is None else self._seen_at_um
        gone_um = float(np.linalg.norm(pose_um - from_um))
        return gone_um + to_rest_um <= COAST_TRAVEL_UM

    def _stand_still(self, now_s: float) -> Velocity:
        self._velocity_um_s = np.zeros(2)
        self._commanded_s = now_s
        return Velocity(self._velocity_um_s)


def _astray_um(target: Target, last: Target) -> float:
    """Distance from where it would be had it swum on straight since ``last``."""
    expected_um = last.position_um + last.velocity_um_s * (target.time_s - last.time_s)
    return float(np.linalg.norm(target.position_um - expected_um))
