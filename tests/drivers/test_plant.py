"""The mechanics: motion that could be, exact in time, decided ahead."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.emulators.axis import AxisSettings
from drivers.emulators.plant import Plant, PlantSettings

DEAD_S = 0.018
ACCELERATION = 100_000.0
TOP = 5_500.0


def plant(*, backlash_um: float = 0.0, half_um: float = 10_000.0) -> Plant:
    axis = AxisSettings(-half_um, half_um, backlash_um)
    return Plant(PlantSettings((axis,) * 3, TOP, ACCELERATION, DEAD_S))


commands = st.lists(
    st.tuples(
        st.sampled_from(["move", "run", "halt", "kill"]),
        st.floats(-9_000, 9_000),
        st.floats(0.001, 0.4),
    ),
    min_size=1,
    max_size=8,
)


def play(stage: Plant, script: list[tuple[str, float, float]]) -> float:
    now_s = 1.0
    for what, value, pause_s in script:
        if what == "move":
            stage.move((value, None, None), now_s)
        elif what == "run":
            stage.set_velocity((value, None, None), now_s)
        elif what == "halt":
            stage.halt(now_s)
        else:
            stage.kill(now_s)
        now_s += pause_s
    return now_s


@settings(max_examples=25, deadline=None)
@given(commands)
def test_any_commands_give_a_possible_motion(script):
    stage = plant()
    end_s = play(stage, script) + 0.5
    killed = any(what == "kill" for what, _, _ in script)
    times = np.arange(max(1.0, end_s - 1.8), end_s, 0.001)
    x = np.array([stage.motor_um(t)[0] for t in times])
    v = np.array([stage.velocity_um_s(t)[0] for t in times])
    assert np.all(np.abs(v) <= TOP + 1e-6)
    assert np.all(np.abs(x) <= 10_000 + 1e-6)
    assert np.all(np.abs(np.diff(x)) <= TOP * 0.001 + 1e-6)
    hit = stage.hits(end_s)
    if not hit and not killed:
        assert np.all(np.abs(np.diff(v)) <= ACCELERATION * 0.001 + 1e-6)
        mean = (v[1:] + v[:-1]) / 2
        assert np.allclose(np.diff(x), mean * 0.001, atol=ACCELERATION * 0.001**2)


@settings(max_examples=25, deadline=None)
@given(st.floats(-9_000, 9_000), st.floats(-9_000, 9_000), st.floats(0.0, 1.0))
def test_a_move_ends_at_its_target_whatever_came_before(first, second, pause_s):
    stage = plant()
    stage.move((first, None, None), 1.0)
    stage.move((second, None, None), 1.0 + pause_s)
    assert stage.motor_um(stage.rest_s)[0] == pytest.approx(second, abs=1e-6)
    assert not any(stage.moving(stage.rest_s + 1e-6))


def test_travel_times_are_those_measured_on_a_stage():
    # H101A at SMS and SAS 100: 0.5, 2 and 10 mm took 0.159, 0.303 and 0.655 s, serial line included
    for distance_um, measured_s in ((500.0, 0.159), (2_000.0, 0.303), (10_000.0, 0.655)):
        stage = Plant(PlantSettings((AxisSettings(),) * 3, 40_000.0, ACCELERATION, DEAD_S))
        stage.move((distance_um, None, None), 1.0)
        assert stage.rest_s - 1.0 == pytest.approx(measured_s, abs=0.012)


def test_nothing_moves_before_the_dead_time_and_all_of_it_is_published_ahead():
    stage = plant()
    stage.set_velocity((1_000.0, 0.0, None), 5.0)
    assert stage.moving(5.0)[0]
    assert stage.velocity_um_s(5.0 + DEAD_S)[0] == 0.0
    assert stage.velocity_um_s(5.0 + DEAD_S + 0.011)[0] == pytest.approx(1_000.0)
    before = [stage.load_um(t)[0] for t in np.linspace(5.0, 5.2 + DEAD_S, 50)]
    assert stage.decided_until_s(5.2) == pytest.approx(5.2 + DEAD_S)
    stage.halt(5.2)
    assert [stage.load_um(t)[0] for t in np.linspace(5.0, 5.2 + DEAD_S, 50)] == before


def test_a_velocity_runs_on_without_a_host_until_a_limit_cuts_it():
    stage = plant(half_um=2_000.0)
    stage.set_velocity((-1_000.0, None, None), 1.0)
    assert stage.moving(2.9)[0]
    assert stage.hits(2.9) == set()
    assert stage.motor_um(9.0)[0] == -2_000.0
    assert stage.switches(9.0) == (-1, 0, 0)
    assert stage.hits(9.0) == {(0, -1)}
    stage.clear_hits()
    assert stage.hits(9.0) == set()
    stage.set_velocity((-1_000.0, None, None), 9.0)
    assert stage.motor_um(10.0)[0] == -2_000.0
    stage.set_velocity((1_000.0, None, None), 10.0)
    assert stage.motor_um(11.0)[0] > -1_100.0


def test_backlash_swallows_the_beginning_of_a_reversal():
    stage = plant(backlash_um=3.0)
    stage.move((100.0, None, None), 1.0)
    assert stage.load_um(2.0)[0] == pytest.approx(98.5)
    stage.move((98.0, None, None), 2.0)
    assert stage.load_um(3.0)[0] == pytest.approx(98.5)
    stage.move((90.0, None, None), 3.0)
    assert stage.load_um(4.0)[0] == pytest.approx(91.5)


def test_a_hard_stop_makes_the_count_wrong():
    stage = plant()
    stage.set_velocity((5_000.0, None, None), 1.0)
    stage.kill(1.5, (1.5, 0.0, 0.0))
    assert stage.velocity_um_s(1.5 + DEAD_S)[0] == 0.0
    assert stage.load_um(2.0)[0] - stage.motor_um(2.0)[0] == pytest.approx(1.5)


def test_samples_show_every_bend_of_the_path():
    stage = plant()
    stage.move((3.0, None, None), 1.0)
    times = [sample.time_s for sample in stage.samples(0.9, 1.1, 0.05)]
    assert times == sorted(times)
    assert any(math.isclose(t, 1.0 + DEAD_S) for t in times)
    assert any(math.isclose(t, stage.rest_s) for t in times)
    x = [sample.load_um[0] for sample in stage.samples(0.9, 1.1, 0.05)]
    assert x[0] == 0.0
    assert x[-1] == pytest.approx(3.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(-8_000, 8_000), st.floats(0.001, 0.2), st.floats(50.0, TOP))
def test_an_s_curve_costs_its_time_at_both_ends_and_ends_at_the_target(target, curve_s, top):
    assume(abs(target) > 1e-3)
    stage = plant()
    stage.move((target, None, None), 1.0, speed_um_s=top, curve_s=curve_s)
    took_s = stage.rest_s - 1.0 - DEAD_S
    peak = ACCELERATION / 2 * (math.sqrt(curve_s**2 + 4 * abs(target) / ACCELERATION) - curve_s)
    peak = min(peak, top)
    ramps_s = 2 * (peak / ACCELERATION + curve_s)
    cruise_s = (abs(target) - peak * ramps_s / 2) / peak if peak > 0 else 0.0
    assert took_s == pytest.approx(ramps_s + cruise_s, rel=1e-6, abs=1e-6)
    times = np.linspace(1.0, stage.rest_s + 0.01, 800)
    x = np.array([stage.motor_um(t)[0] for t in times])
    v = np.array([stage.velocity_um_s(t)[0] for t in times])
    assert x[-1] == pytest.approx(target, abs=1e-6)
    assert np.abs(v).max() <= top + 1e-6
    assert np.abs(np.diff(x)).max() <= top * (times[1] - times[0]) + 1e-6  # it never jumps
    slow = plant()
    slow.move((target, None, None), 1.0, speed_um_s=top)
    assert stage.rest_s >= slow.rest_s - 1e-9
