"""The pose between readbacks: exact for a stage that does as it is told after its delay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.pose_history import PoseHistory
from drivers.types import Pose

LAG_S = 0.036
speeds = st.floats(-1000, 1000)


def pose(time_s: float, x_um: float, y_um: float) -> Pose:
    return Pose(time_s, x_um, y_um, np.nan, None)


def stage_at(time_s: float, commands: list[tuple[float, float, float]]) -> np.ndarray:
    """Integral of the commanded velocities, each in effect LAG_S later; starts at 0."""
    x = np.zeros(2)
    for index, (start_s, vx, vy) in enumerate(commands):
        begin_s = start_s + LAG_S
        end_s = commands[index + 1][0] + LAG_S if index + 1 < len(commands) else time_s
        x += np.array((vx, vy)) * max(0.0, min(end_s, time_s) - min(begin_s, time_s))
    return x


def test_nothing_is_known_before_the_first_readback() -> None:
    history = PoseHistory(LAG_S)
    assert history.at(0.0) is None
    history.read(pose(1.0, 5.0, 6.0))
    assert history.at(0.9) is None
    np.testing.assert_allclose(history.at(1.2), (5.0, 6.0))
    assert history.at(1.6) is None  # too long ago to be trusted


@given(st.lists(st.tuples(speeds, speeds), min_size=1, max_size=30), st.floats(0, 1))
def test_dead_reckoning_is_exact_for_an_obedient_stage(
    velocities: list[tuple[float, float]], share: float
) -> None:
    commands = [(k / 30.0, vx, vy) for k, (vx, vy) in enumerate(velocities)]
    history = PoseHistory(LAG_S)
    history.read(pose(-0.001, 0.0, 0.0))
    last_s = commands[-1][0]
    for time_s, vx, vy in commands:
        history.command(time_s, vx, vy)
        if round(time_s * 30) % 3 == 2:
            history.read(pose(time_s + 0.01, *stage_at(time_s + 0.01, commands)))
    wanted_s = share * (last_s + 0.05)
    np.testing.assert_allclose(
        history.at(wanted_s), stage_at(wanted_s, commands), atol=1e-6 * (1 + len(commands))
    )


@given(speeds, st.floats(-20, 20), st.floats(0, 1))
def test_what_dead_reckoning_left_is_spread_evenly(vx: float, slip: float, share: float) -> None:
    history = PoseHistory(LAG_S)
    history.command(-1.0, vx, 0.0)
    history.read(pose(0.0, 0.0, 0.0))
    history.read(pose(0.1, vx * 0.1 + slip, 0.0))
    found = history.at(0.1 * share)
    assert found is not None
    assert found[0] == pytest.approx((vx * 0.1 + slip) * share, abs=1e-9)


def test_readbacks_that_come_late_are_ignored_and_old_ones_forgotten() -> None:
    history = PoseHistory(LAG_S, span_s=1.0)
    for k in range(100):
        history.command(k * 0.1, 10.0, 0.0)
        history.read(pose(k * 0.1, k * 1.0, 0.0))
    history.read(pose(5.0, 1e9, 0.0))
    assert history.at(5.0) is None
    np.testing.assert_allclose(history.at(9.5), (95.0, 0.0), atol=1.0)


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(0, 0.4))
def test_a_planned_move_is_reckoned_along_each_axis_and_not_beyond(
    x_um: float, y_um: float, after_s: float
) -> None:
    history = PoseHistory(LAG_S)
    history.read(pose(0.0, 0.0, 0.0))
    history.move(0.0, np.array((x_um, y_um)), 1000.0)
    found = history.at(after_s)
    way_um = 1000.0 * max(0.0, after_s - LAG_S)
    expected = [np.sign(to) * min(abs(to), way_um) for to in (x_um, y_um)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_velocity_ends_the_plan() -> None:
    history = PoseHistory(LAG_S)
    history.read(pose(0.0, 0.0, 0.0))
    history.move(0.0, np.array((100.0, 0.0)), 1000.0)
    history.command(0.01, 0.0, 0.0)
    np.testing.assert_allclose(history.at(0.3), (0.0, 0.0))
