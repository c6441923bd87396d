"""Waveforms, yaw, modes, random walks: the physics that the scene rests on."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from models.specimen.profiles import profile
from models.specimen.randomness import address, normal_pair, uniform
from models.specimen.scene import Specimen
from models.specimen.swimming import MODE_SHARE, Mode
from models.specimen.waveform import AMPLITUDES, WAVE_RATIOS, yaw_tables
from models.specimen.world import wander


def test_a_beating_tail_drives_the_head_forward_and_from_side_to_side():
    yaw = yaw_tables()
    still = yaw.stride_um[..., 0]
    np.testing.assert_allclose(still, 0, atol=1e-9)
    np.testing.assert_allclose(yaw.table[..., 0, :, :], 0, atol=1e-9)
    assert (yaw.stride_um[..., 1:6] > 0).all()
    # For small amplitudes speed goes with the square of the amplitude, yaw with the amplitude.
    ratio = yaw.stride_um[..., 2] / yaw.stride_um[..., 1]
    assert ((ratio > 3.2) & (ratio < 4.2)).all()
    swing = yaw.lateral_um[..., 2] / yaw.lateral_um[..., 1]
    assert ((swing > 1.6) & (swing < 2.2)).all()


def test_a_vigorous_wave_gives_human_speed_and_yaw():
    yaw = yaw_tables()
    row = int(np.searchsorted(AMPLITUDES, 0.019))
    column = int(np.searchsorted(WAVE_RATIOS, 1.0))
    speed = 14 * yaw.stride_um[1:3, column, row]
    assert ((speed > 20) & (speed < 60)).all()
    assert (yaw.lateral_um[1:3, column, row] > 0.7).all()
    turn = np.degrees(np.ptp(yaw.table[1:3, column, row, :, 2], axis=-1)) / 2
    assert ((turn > 3) & (turn < 25)).all()


@njit
def draw(seed, count):
    values, pairs = np.empty(count), np.empty((count, 2))
    for i in range(count):
        values[i] = uniform(address(seed, i, 3, 1))
        pairs[i] = normal_pair(address(seed, 5, i, 2))
    return values, pairs


def test_random_numbers_depend_on_their_address_alone():
    values, pairs = draw(np.uint64(7), 4000)
    forwards, _ = draw(np.uint64(7), 40)
    np.testing.assert_array_equal(forwards, values[:40])
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(values.std() - 12**-0.5) < 0.01
    assert len(np.unique(values)) > 3990
    np.testing.assert_allclose(pairs.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(pairs.std(axis=0), 1, atol=0.05)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.06


@pytest.mark.parametrize("lag_s", [0.1, 1.0, 10.0])
def test_debris_diffuses(lag_s):
    items = np.arange(1500)
    diffusion = np.full(len(items), 0.15)
    steps = [wander(3, items, diffusion, t + lag_s) - wander(3, items, diffusion, t)
             for t in (0.0, 20.0, 55.0)]  # fmt: skip
    spread = np.mean(np.square(steps), axis=(0, 1))
    np.testing.assert_allclose(spread, 2 * 0.15 * lag_s, rtol=0.2)
    np.testing.assert_array_equal(wander(3, items, diffusion, 0.0), 0)


@pytest.fixture(scope="module")
def crowd():
    return Specimen(profile("exam", density=150), 8)


def test_modes_have_their_proportions(crowd):
    share = np.bincount(crowd.swim.mode, minlength=5) / len(crowd.swim.mode)
    np.testing.assert_allclose(share, MODE_SHARE, atol=0.06)


def test_heading_diffuses_as_its_parameter_says(crowd):
    """<theta^2> = 2 D t, the convention of the servo's test sperm."""
    linear = np.flatnonzero(crowd.swim.mode == Mode.LINEAR) + 1
    turned, expected = [], []
    step = 1 / 60
    for sperm in linear[:260]:
        a = crowd.mean_path_um(sperm, 0.5)
        b = crowd.mean_path_um(sperm, 0.5 + step)
        c = crowd.mean_path_um(sperm, 1.5)
        d = crowd.mean_path_um(sperm, 1.5 + step)
        before, after = (b - a) - crowd.drift_um_s * step, (d - c) - crowd.drift_um_s * step
        angle = np.arctan2(before[0] * after[1] - before[1] * after[0], float(before @ after))
        if crowd.truth_mode(sperm, 1.5) != Mode.LINEAR:
            continue
        parameters = crowd.swim.parameters[sperm - 1, Mode.LINEAR]
        turned.append(angle - parameters[5] * parameters[0])
        expected.append(2 * parameters[6])
    assert np.var(turned) == pytest.approx(np.mean(expected), rel=0.35)


def test_circular_swimmers_go_round(crowd):
    for sperm in np.flatnonzero(crowd.swim.mode == Mode.CIRCULAR)[:20] + 1:
        if crowd.truth_mode(sperm, 2.0) != Mode.CIRCULAR:
            continue
        parameters = crowd.swim.parameters[sperm - 1, Mode.CIRCULAR]
        turn = abs(parameters[5] * parameters[0])
        path = np.array([crowd.mean_path_um(sperm, 0.2 + k * 0.1) for k in range(18)])
        path -= np.arange(18)[:, None] * 0.1 * crowd.drift_um_s
        steps = np.diff(path, axis=0)
        angle = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        assert abs(angle[-1] - angle[0]) / 1.6 == pytest.approx(turn, rel=0.5, abs=0.5)


def test_dead_sperm_only_drift_and_diffuse(crowd):
    dead = np.flatnonzero(crowd.swim.mode == Mode.IMMOTILE) + 1
    moved = np.array([
        crowd.mean_path_um(s, 2.0) - crowd.mean_path_um(s, 1.0) - crowd.drift_um_s for s in dead
    ])  # fmt: skip
    assert 0.02 < np.mean(moved**2) / 2 < 0.06
