"""What may move, and why: arming, HOLD, FAULT, and the ways between them."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.messages import Mode, MotionState

STALE_FRAME_S = 0.100
STALE_POSE_S = 0.200

MOVING = (Mode.CENTERING, Mode.FOLLOWING)


@dataclass(frozen=True, slots=True)
class Health:
    """What the interlocks judge by.

    Attributes
    ----------
    frame_age_s : float
        Since the newest tracks' mid exposure; infinite before the first frame.
    frame_limit_s : float
        Older is stale: measured latency and three frame periods, at least 100 ms.
    pose_age_s : float
        Since the last readback; infinite before the first.
    fault : str
        What is broken; empty when nothing is.
    """

    frame_age_s: float
    frame_limit_s: float
    pose_age_s: float
    fault: str = ""

    @property
    def complaint(self) -> str:
        """Why nothing may follow now; empty when all is fresh."""
        if self.frame_age_s > max(STALE_FRAME_S, self.frame_limit_s):
            return "the camera's frames are stale"
        if self.pose_age_s > STALE_POSE_S:
            return "the stage's position is stale"
        return ""


class Interlocks:
    """The mode machine. Every method takes the time and returns why it refused, or nothing.

    DISARMED -> ARMED by ``arm``; ARMED -> CENTERING -> FOLLOWING by ``follow`` and ``centred``;
    HOLD keeps the target and waits for a person; Stop and Disarm lead to DISARMED from anywhere but
    FAULT, which only ``arm`` leaves, once nothing is broken any more.

    Parameters
    ----------
    idle_s : float
        Armed without following for this long: disarmed.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._active_s = 0.0
        self.state = MotionState()

    @property
    def may_stream(self) -> bool:
        """Whether the servo may drive the stage."""
        return self.state.mode in MOVING

    def arm(self, now_s: float, calibration_refusal: str, health: Health) -> str:
        """Allow motion, for an operator who has confirmed the objective."""
        refusal = health.fault or calibration_refusal or health.complaint
        if self.state.mode in MOVING:
            refusal = "already armed and moving"
        if refusal:
            if self.state.mode in (Mode.DISARMED, Mode.ARMED, Mode.HOLD):
                self._enter(now_s, Mode.DISARMED, f"not armed: {refusal}")
            return f"not armed: {refusal}"
        self._enter(now_s, Mode.ARMED)
        return ""

    def stop(self, now_s: float, why: str) -> None:
        """Freeze; nothing moves until armed again."""
        if self.state.mode is not Mode.FAULT:
            self._enter(now_s, Mode.DISARMED, why)

    def follow(self, now_s: float, track_id: int) -> str:
        """Accept a target that a person chose; also in place of another one."""
        if self.state.mode in (Mode.DISARMED, Mode.FAULT):
            return f"not following {track_id}: {self.state.mode.value}; arm first"
        self._enter(now_s, Mode.CENTERING, target=track_id)
        return ""

    def centred(self, now_s: float) -> None:
        """Note that the target is in the centre."""
        if self.state.mode is Mode.CENTERING:
            self._enter(now_s, Mode.FOLLOWING, target=self.state.target)

    def release(self, now_s: float) -> None:
        """Stop following, stay armed."""
        if self.state.mode in (*MOVING, Mode.HOLD):
            self._enter(now_s, Mode.ARMED)

    def hold(self, now_s: float, why: str) -> None:
        """Stand still, keep the target in mind, and wait for a person."""
        if self.state.mode in MOVING:
            self._enter(now_s, Mode.HOLD, why, target=self.state.target)

    def say(self, now_s: float, why: str) -> None:
        """Stay armed, and show why a motion without a target was ended; empty takes it away.

        Nothing is kept in mind and nothing resumes by itself, so there is no HOLD to leave: the
        next press is refused for as long as the reason lasts, and counts again after it.
        """
        if self.state.mode is Mode.ARMED and self.state.reason != why:
            self._enter(now_s, Mode.ARMED, why)

    def resume(self, now_s: float, health: Health, *, target_is_back: bool) -> str:
        """Follow the same target again after HOLD."""
        if self.state.mode is not Mode.HOLD:
            return "nothing to resume"
        refusal = health.complaint or ("" if target_is_back else "the target is not in view")
        if refusal:
            return f"not resumed: {refusal}"
        self._enter(now_s, Mode.CENTERING, target=self.state.target)
        return ""

    def tick(self, now_s: float, health: Health) -> None:
        """Look at the clock and at the health; call it often."""
        mode = self.state.mode
        if health.fault:
            if mode is not Mode.FAULT or self.state.reason != health.fault:
                self._enter(now_s, Mode.FAULT, health.fault)
        elif mode in MOVING:
            self._active_s = now_s
            if health.complaint:
                self.hold(now_s, health.complaint)
        elif mode in (Mode.ARMED, Mode.HOLD) and now_s - self._active_s > self._idle_s:
            self._enter(now_s, Mode.DISARMED, f"idle for {self._idle_s:.0f} s")

    def touch(self, now_s: float) -> None:
        """Note that a person did something: not idle."""
        self._active_s = now_s

    def _enter(
        self, now_s: float, mode: Mode, reason: str = "", *, target: int | None = None
    ) -> None:
        self._active_s = now_s
        self.state = MotionState(mode, reason, target)
