"""The mode machine: what may move, for every path that a person or a fault can take."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.core.interlocks import MOVING, Health, Interlocks
from app.core.messages import Mode

GOOD = Health(frame_age_s=0.05, frame_limit_s=0.15, pose_age_s=0.05)
STALE_FRAME = replace(GOOD, frame_age_s=0.2)
STALE_POSE = replace(GOOD, pose_age_s=0.3)
BROKEN = replace(GOOD, fault="the camera was unplugged")


def following() -> Interlocks:
    locks = Interlocks(60.0)
    assert locks.arm(0.0, "", GOOD) == ""
    assert locks.follow(0.0, 7) == ""
    locks.centred(0.1)
    assert locks.state.mode is Mode.FOLLOWING
    return locks


@pytest.mark.parametrize(
    ("calibration", "health", "why"),
    [
        ("the calibration expired on 2026-01-01", GOOD, "expired"),
        ("40x was confirmed, but the rig file says 20x", GOOD, "40x"),
        ("", STALE_FRAME, "frames are stale"),
        ("", STALE_POSE, "position is stale"),
        ("", BROKEN, "unplugged"),
        ("", Health(float("inf"), 0.1, 0.0), "frames are stale"),
    ],
)
def test_m9_arming_is_refused_with_its_reason(calibration: str, health: Health, why: str) -> None:
    locks = Interlocks(60.0)
    assert why in locks.arm(0.0, calibration, health)
    assert locks.state.mode is Mode.DISARMED
    assert why in locks.state.reason
    assert locks.follow(0.0, 1) != ""


@pytest.mark.parametrize("health", [STALE_FRAME, STALE_POSE])
def test_m8_what_is_stale_holds_until_a_person_resumes(health: Health) -> None:
    locks = following()
    locks.tick(1.0, health)
    assert locks.state.mode is Mode.HOLD
    assert locks.state.target == 7
    locks.tick(1.1, GOOD)
    assert locks.state.mode is Mode.HOLD
    assert "stale" in locks.resume(1.2, health, target_is_back=True)
    assert "not in view" in locks.resume(1.2, GOOD, target_is_back=False)
    assert locks.resume(1.3, GOOD, target_is_back=True) == ""
    assert locks.state.mode is Mode.CENTERING


def test_following_is_not_idle_but_being_armed_is() -> None:
    locks = following()
    for second in range(200):
        locks.tick(float(second), GOOD)
    assert locks.state.mode is Mode.FOLLOWING
    locks.release(200.0)
    locks.tick(259.0, GOOD)
    assert locks.state.mode is Mode.ARMED
    locks.tick(260.5, GOOD)
    assert locks.state.mode is Mode.DISARMED
    assert "idle" in locks.state.reason


def test_a_fault_stays_until_it_is_gone_and_a_person_arms() -> None:
    locks = following()
    locks.tick(1.0, BROKEN)
    assert locks.state.mode is Mode.FAULT
    assert "unplugged" in locks.state.reason
    locks.stop(1.1, "Stop pressed")
    locks.tick(1.2, GOOD)
    assert locks.state.mode is Mode.FAULT
    assert locks.arm(1.3, "", BROKEN) != ""
    assert locks.state.mode is Mode.FAULT
    assert locks.arm(1.4, "", GOOD) == ""


class Operators(RuleBasedStateMachine):
    """Whatever is pressed in whatever order: nothing moves without an arming that held."""

    def __init__(self) -> None:
        super().__init__()
        self.locks = Interlocks(60.0)
        self.now_s = 0.0
        self.active_s = 0.0
        self.state = self.locks.state
        self.allowed = False

    @rule(health=st.sampled_from((GOOD, STALE_FRAME, STALE_POSE, BROKEN)), expired=st.booleans())
    def arm(self, health: Health, expired: bool) -> None:
        mode = self.locks.state.mode
        refused = self.locks.arm(self.now_s, "expired" if expired else "", health)
        good = health is GOOD and not expired and mode not in MOVING
        assert (refused == "") == good
        self.allowed = good or (self.allowed and mode in MOVING)

    @rule(track=st.integers(1, 3))
    def follow(self, track: int) -> None:
        refused = self.locks.follow(self.now_s, track)
        assert (refused == "") == self.allowed
        if not refused:
            assert self.locks.state.target == track

    @rule()
    def stop(self) -> None:
        self.locks.stop(self.now_s, "Stop pressed")
        self.allowed = False

    @rule()
    def release(self) -> None:
        self.locks.release(self.now_s)

    @rule()
    def lose(self) -> None:
        self.locks.hold(self.now_s, "lost")

    @rule(back=st.booleans())
    def resume(self, back: bool) -> None:
        self.locks.resume(self.now_s, GOOD, target_is_back=back)

    @rule(health=st.sampled_from((GOOD, STALE_FRAME, BROKEN)), passed_s=st.floats(0.01, 100))
    def wait(self, health: Health, passed_s: float) -> None:
        self.now_s += passed_s
        if self.locks.state.mode in MOVING:
            self.active_s = self.now_s
        idle = self.now_s - self.active_s > 60  # since the last change, over several waits
        self.locks.tick(self.now_s, health)
        if health is BROKEN or idle:
            self.allowed = False

    @precondition(lambda self: not self.allowed)
    @rule()
    def nothing_moves(self) -> None:
        assert not self.locks.may_stream

    @invariant()
    def what_changes_is_active(self) -> None:
        if self.locks.state is not self.state:
            self.state, self.active_s = self.locks.state, self.now_s

    @invariant()
    def a_mode_that_moves_has_a_target(self) -> None:
        state = self.locks.state
        if self.locks.may_stream:
            assert self.allowed
            assert state.target is not None


Operators.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestOperators = Operators.TestCase


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_complaints_follow_the_limits(frame_s: float, limit_s: float, pose_s: float) -> None:
    health = Health(frame_s, limit_s, pose_s)
    assert bool(health.complaint) == (frame_s > max(0.1, limit_s) or pose_s > 0.2)
