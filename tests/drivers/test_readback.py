"""Motion is believed to be what was commanded only as long as the poses say so."""

from __future__ import annotations

import math

import pytest

from drivers.commanded import Commanded
from drivers.pose import Pose
from drivers.readback import Readback


def pose(time_s: float, x_um: float, y_um: float = 0.0) -> Pose:
    return Pose(time_s, x_um, y_um, math.nan, True)


def follow(lag_s: float, gain: float = 1.0, amplitude_um_s: float = 300.0) -> str:
    """Stream a sine of velocities to a stage with a lag; what the readback says in the end."""
    readback = Readback()
    readback.restart(pose(10.0, 0.0))
    x_um, wrong = 0.0, ""
    sent: list[tuple[float, float]] = [(0.0, 0.0)]
    for tick in range(120):
        now_s = 10.0 + tick / 30
        v = amplitude_um_s * math.sin(2 * math.pi * 0.7 * tick / 30 + 0.3)
        readback.commanded(now_s, (v, 0.0))
        sent.append((now_s, v))
        for part in range(10):
            t = now_s + part / 300
            x_um += gain * [u for at, u in sent if at <= t - lag_s][-1] / 300
        if tick % 3 == 2:
            wrong = wrong or readback.check(pose(now_s + 1 / 30, x_um))
    return wrong


@pytest.mark.parametrize("lag_s", [0.0, 0.012, 0.033, 0.06, 0.08])
@pytest.mark.parametrize("amplitude_um_s", [30.0, 300.0, 1500.0])
def test_any_lag_of_a_healthy_stage_is_fine(lag_s, amplitude_um_s):
    assert follow(lag_s, amplitude_um_s=amplitude_um_s) == ""


@pytest.mark.parametrize("gain", [0.0, 0.1, -1.0, 2.0, 10.0])
def test_a_wrong_scale_a_mirror_or_a_stuck_stage_is_found(gain):
    assert "does not move as commanded" in follow(0.033, gain)


def test_one_odd_pose_is_not_enough():
    readback = Readback()
    readback.restart(pose(0.0, 0.0))
    readback.commanded(0.0, (100.0, 0.0))
    assert readback.check(pose(0.1, 8.0)) == ""
    assert readback.check(pose(0.2, 80.0)) == ""
    assert readback.check(pose(0.3, 28.0)) == ""
    assert readback.check(pose(0.4, 90.0)) == ""
    assert "um beyond what any lag explains" in readback.check(pose(0.5, 95.0))


def test_displacement_is_the_integral_of_the_velocities():
    commanded, readback = Commanded(), Readback()
    for sink in (commanded.note, readback.commanded):
        sink(1.0, (100.0, -10.0))
        sink(2.0, (0.0, 50.0))
    assert commanded.way_um(0.0, 0.9) == (0.0, 0.0)
    assert commanded.way_um(0.0, 1.5) == pytest.approx((50.0, -5.0))
    assert commanded.way_um(1.5, 3.0) == pytest.approx((50.0, 45.0))
    assert readback.predicted_um(3.0) is None
    readback.check(pose(1.5, 7.0, 8.0))
    assert readback.predicted_um(2.0) == pytest.approx((57.0, 3.0))
