"""Time stamps of late frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.frame_clock import FrameClock

PERIOD_S = 1 / 30


@given(
    st.floats(-1e6, 1e6),
    st.floats(-5e-5, 5e-5),
    st.lists(st.floats(0.0, 0.05), min_size=60, max_size=120),
    st.integers(0, 4),
)
def test_lateness_is_taken_out(origin_s, drift, lateness_s, prompt_every):
    """Some frames come promptly; the others are told apart from them to 0.2 ms."""
    clock = FrameClock(PERIOD_S)
    for number, late_s in enumerate(lateness_s):
        true_s = 1000.0 + number * PERIOD_S
        stamp_s = origin_s + true_s * (1 + drift)
        late_s = 0.0 if number % (prompt_every + 2) == 0 else late_s
        arrival_s = clock.arrival_s(number, stamp_s, true_s + late_s)
        assert arrival_s <= true_s + late_s
        if number >= 20 and stamp_s:
            assert arrival_s == pytest.approx(true_s, abs=2e-4)


@pytest.mark.parametrize("tick_factor", [0.0, 1e-3, 8.0, 125.0])
def test_stamps_that_do_not_tick_as_stated_are_left_alone(tick_factor):
    clock = FrameClock(PERIOD_S)
    for number in range(60):
        received_s = 50.0 + number * PERIOD_S
        stamp_s = (1.0 + number * PERIOD_S) * tick_factor
        assert clock.arrival_s(number, stamp_s, received_s) == received_s


def test_lost_frames_do_not_matter():
    clock = FrameClock(PERIOD_S)
    for number in range(0, 600, 7):
        true_s = number * PERIOD_S
        assert clock.arrival_s(number, 5.0 + true_s, true_s) == pytest.approx(true_s)
