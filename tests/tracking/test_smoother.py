"""The smoother against filterpy's, and against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from models.tracking.motion import MotionModel
from models.tracking.settings import SwimmingMode, TrackerSettings
from models.tracking.smoother import smooth

ONE = TrackerSettings(modes=(SwimmingMode(150.0, 1.0, 60.0, 1.0),))


def test_it_is_the_rauch_tung_striebel_smoother() -> None:
    rng = np.random.default_rng(0)
    time_s = np.cumsum(rng.uniform(0.01, 0.1, 40))
    raw = np.cumsum(rng.normal(0.5, 1.0, (40, 2)), axis=0)
    raw[[7, 8, 20]] = np.nan
    state, covariance = smooth(time_s, raw, ONE)
    model = MotionModel(ONE)
    oracle = model.filter(0, 0.1)
    begin = model.birth(raw[:1])
    oracle.x, oracle.P = begin.mean[0, 0].copy(), begin.covariance[0, 0].copy()
    xs, ps, fs, qs = [oracle.x.copy()], [oracle.P.copy()], [oracle.F], [oracle.Q]
    for k in range(1, 40):
        step = model.filter(0, time_s[k] - time_s[k - 1])
        oracle.predict(F=step.F, Q=step.Q)
        if np.isfinite(raw[k, 0]):
            oracle.update(raw[k])
        xs.append(oracle.x.copy())
        ps.append(oracle.P.copy())
        fs.append(step.F)
        qs.append(step.Q)
    # filterpy takes the transition out of a step at the place of the step itself.
    x, p, _, _ = oracle.rts_smoother(np.array(xs), np.array(ps), Fs=fs, Qs=qs)
    np.testing.assert_allclose(state, x, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(covariance, p[:, ::2, ::2], rtol=1e-8, atol=1e-8)


def test_it_finds_the_mean_path_under_the_yaw() -> None:
    rng = np.random.default_rng(1)
    t = np.arange(90) / 30.0
    path = np.stack([40.0 * t, 5.0 * t], axis=1)
    raw = path + rng.normal(0, 0.3, (90, 2))
    raw[:, 1] += 1.5 * np.sin(2 * np.pi * 11.0 * t)
    state, _ = smooth(t, raw)
    error = np.hypot(*(state[:, :2] - path).T)
    assert error[10:-10].max() < 0.6
    np.testing.assert_allclose(state[10:-10, 2:].mean(axis=0), [40.0, 5.0], atol=1.0)


def test_gaps_are_filled_on_the_path() -> None:
    t = np.arange(60) / 30.0
    path = np.stack([30.0 * t, 30.0 * t], axis=1)
    raw = path.copy()
    raw[20:32] = np.nan
    state, _ = smooth(t, raw)
    np.testing.assert_allclose(state[20:32, :2], path[20:32], atol=0.3)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="measurements"):
        smooth(np.zeros(2), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="increase"):
        smooth(np.zeros(2), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="increase"):
        smooth(np.arange(2.0), np.full((2, 2), np.nan))
