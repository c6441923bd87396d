"""Where commanded motion may lead, and what position readings it explains."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.commanded import Commanded
from drivers.corridor import Corridor, lost_frame
from drivers.prior.plausible import Plausible, Reading

speeds = st.floats(-1_500, 1_500)


@settings(deadline=None)
@given(st.lists(st.tuples(speeds, speeds), min_size=1, max_size=40), st.floats(0.0, 0.08))
def test_the_way_with_any_lag_lies_in_the_window(velocities, lag_s):
    commanded = Commanded()
    for tick, velocity in enumerate(velocities):
        commanded.note(tick / 30, velocity)
    from_s, until_s = 0.1, len(velocities) / 30 + 0.1
    way_um = commanded.way_um(from_s - lag_s, until_s - lag_s)
    step_um = 0.02 * 3_000  # between the lags that are looked at
    for um, (low_um, high_um) in zip(way_um, commanded.windows(from_s, until_s), strict=True):
        assert low_um - step_um <= um <= high_um + step_um


def test_the_window_is_tight_at_a_steady_speed_and_grows_with_acceleration():
    widths = []
    for change_um_s in (0.0, 20.0, 200.0, 1_000.0):
        commanded = Commanded()
        for tick in range(60):
            commanded.note(tick / 30, (300.0 + change_um_s * (tick % 2), 0.0))
        low_um, high_um = commanded.windows(1.0, 1.9)[0]
        widths.append(high_um - low_um)
    assert widths[0] < 0.01
    assert widths == sorted(widths)
    assert widths[3] > 100.0


def test_a_slow_exchange_may_have_acted_at_any_time_within_it():
    quick, slow = Commanded(), Commanded()
    quick.note(1.0, (500.0, 0.0), 0.012)
    slow.note(1.0, (500.0, 0.0), 0.230)
    assert slow.windows(0.9, 2.0)[0].high_um - quick.windows(0.9, 2.0)[0].high_um == pytest.approx(
        500.0 * 0.2
    )


def following(plausible: Plausible, speed_um_s: float) -> float:
    """Believe readings of a steady motion; the time of the last."""
    plausible.believe(Reading(0.0, 0.0, 0.0))
    plausible.streamed(0.0, (speed_um_s, 0.0), 0.012)
    for tick in range(1, 20):
        plausible.believe(Reading(tick / 10, speed_um_s * (tick / 10 - 0.024), 0.0))
    return 1.9


@settings(deadline=None)
@given(st.floats(-300, 300), st.floats(-500, 500))
def test_only_what_the_motion_explains_needs_no_second_reading(speed_um_s, error_um):
    plausible = Plausible()
    last_s = following(plausible, speed_um_s)
    reading = Reading(last_s + 0.1, speed_um_s * (last_s + 0.076) + error_um, 0.0)
    allowed_um = 2.5 + 0.003 * abs(speed_um_s)
    if abs(error_um) < allowed_um - 0.01:
        assert plausible.explains(reading)
    elif abs(error_um) > allowed_um + 0.01:
        assert not plausible.explains(reading)


def test_another_motion_is_believed_when_four_readings_lie_on_a_line():
    plausible = Plausible()
    last_s = following(plausible, 100.0)
    odd = [Reading(last_s + 0.1 + k * 0.012, 400.0 + k * 9.0, 50.0) for k in range(4)]
    assert not plausible.explains(odd[0])
    assert not plausible.confirms(odd[:2])
    assert not plausible.confirms(odd[:3])  # faster than anybody asked for
    assert plausible.confirms(odd)
    wild = [Reading(last_s + 0.1 + k * 0.012, 400.0 + 300.0 * (k % 2), 50.0) for k in range(3)]
    assert not plausible.confirms(wild)


@settings(deadline=None)
@given(*[st.floats(-1_000, 1_000)] * 3)
def test_a_corridor_holds_what_lies_between_its_ends(start_um, target_um, share):
    corridor = Corridor((start_um, 0.0), (target_um, 10.0))
    way = abs(share) / 1_000
    assert corridor.strayed((start_um + way * (target_um - start_um), 5.0)) == ""
    assert "strayed" in corridor.strayed((max(start_um, target_um) + 21.0, 5.0))
    assert corridor.missed((target_um + 4.9, 10.0)) == ""
    assert "off its target" in corridor.missed((target_um, 16.0))


@pytest.mark.parametrize(
    ("before_um", "now_um", "lost"),
    [
        ((3_000.0, -20.0), (0.0, 0.0), True),
        ((0.0, 0.0, -800.0), (0.0, 0.04, 0.0), True),
        ((10.0, -15.0), (0.0, 0.0), False),
        ((3_000.0, 0.0), (2_900.0, 0.0), False),
        ((3_000.0, 0.0), (0.0, 2.0), False),
    ],
)
def test_a_position_that_becomes_the_origin_is_a_lost_frame(before_um, now_um, lost):
    assert bool(lost_frame(before_um, now_um)) is lost
    assert math.isfinite(now_um[0])


def test_after_a_contradiction_a_reading_has_to_agree_with_the_one_before_it_too():
    plausible = Plausible()
    plausible.believe(Reading(0.0, 0.0, -3.0))  # 3 um off, which nothing told
    for k in range(6):
        plausible.streamed(0.033 * k, (0.0, 120.0), 0.012)
    true = [Reading(0.13 + 0.012 * k, 0.0, 120.0 * (0.11 + 0.012 * k)) for k in range(4)]
    garbled = Reading(true[2].time_s, 0.0, true[2].y_um - 8.0)  # fits what was believed
    assert plausible.explains(garbled)
    assert not plausible.settles([true[0], true[1], garbled])
    assert plausible.settles([garbled, true[2], true[3]]) == plausible.explains(true[3])


def test_velocities_that_begin_while_it_still_slows_down_ask_for_a_second_reading():
    plausible = Plausible()
    plausible.believe(Reading(0.0, 0.0, 0.0))
    plausible.streamed(0.0, (100.0, 0.0), 0.012)
    plausible.moves(0.0)  # a stop
    plausible.streamed(0.05, (100.0, 0.0), 0.012)
    assert not plausible.explains(Reading(0.1, 5.0, 0.0))
    plausible.moves(0.0)
    plausible.rests()
    plausible.believe(Reading(0.3, 5.0, 0.0))
    plausible.streamed(0.4, (100.0, 0.0), 0.012)
    assert plausible.explains(Reading(0.45, 7.0, 0.0))


def test_a_late_reading_and_two_close_ones_make_no_line_of_a_speed_that_nobody_asked_for():
    plausible = Plausible()
    last_s = following(plausible, 100.0)
    late = [
        Reading(last_s + 0.100, -300.0, 0.0),
        Reading(last_s + 0.174, -228.0, 0.0),
        Reading(last_s + 0.186, -219.0, 0.0),
    ]
    assert not plausible.confirms(late)
    assert plausible.confirms([Reading(last_s + 0.088, -311.6, 0.0), *late])


def test_two_garbled_readings_that_lie_on_a_line_with_a_true_one_are_not_believed():
    plausible = Plausible()
    plausible.believe(Reading(594.634, -278.88, 662.88))
    for time_s, took_s in ((594.673, 0.012), (594.706, 0.074)):  # the last one was sent again
        plausible.streamed(time_s, (-86.1, -83.6), took_s)
    met = [
        Reading(594.786, -292.32, 650.56), Reading(594.798, -293.44, 649.60),
        Reading(594.810, -294.40, 651.84), Reading(594.822, -295.52, 655.60),
    ]  # fmt: skip
    assert not plausible.confirms(met[:3])
    assert not plausible.confirms(met)
    true = [*met[:2], Reading(594.810, -294.40, 648.64)]
    assert plausible.confirms(true)
