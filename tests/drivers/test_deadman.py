"""Silence stops motion, in time and only motion."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.deadman import DeadMan


def test_at_rest_nothing_is_asked_for():
    switch = DeadMan(0.15)
    assert switch.verdict(1e9, False) == ""
    assert switch.due_s(False) == math.inf


@pytest.mark.parametrize("moving", [True, None])
def test_without_a_heartbeat_motion_ends_unknown_motion_too(moving):
    switch = DeadMan(0.15)
    switch.beat(10.0)
    assert switch.verdict(10.15, moving) == ""
    assert switch.verdict(10.16, moving) == "no heartbeat for 150 ms"


def test_m4_heartbeats_alone_do_not_keep_a_velocity_alive():
    switch = DeadMan(0.15)
    switch.steer(10.0, moving=True)
    assert switch.steering
    switch.beat(10.1)
    assert switch.verdict(10.14, True) == ""
    assert switch.due_s(True) == pytest.approx(10.15)
    assert switch.verdict(10.16, True) == "no fresh velocity for 150 ms"
    switch.release()
    assert switch.verdict(10.2, True) == ""
    assert not switch.steering


def test_a_velocity_of_zero_needs_no_successor():
    switch = DeadMan(0.15)
    switch.steer(10.0, moving=False)
    switch.beat(20.0)
    assert switch.verdict(20.1, None) == ""


@given(st.lists(st.floats(0.0, 0.149), max_size=20), st.floats(0.151, 5.0))
def test_any_rhythm_faster_than_patience_lives_any_longer_pause_ends(pauses, silence_s):
    switch = DeadMan(0.15)
    now_s = 100.0
    switch.steer(now_s, moving=True)
    for pause_s in pauses:
        now_s += pause_s
        assert switch.verdict(now_s, True) == ""
        switch.steer(now_s, moving=True)
    assert switch.verdict(now_s + silence_s, True)
