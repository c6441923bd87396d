"""The batched filter against filterpy's."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import IMMEstimator

from models.tracking.gating import gate
from models.tracking.motion import Motion, MotionModel
from models.tracking.settings import SwimmingMode, TrackerSettings
from models.types import Float64

ONE = TrackerSettings(modes=(SwimmingMode(150.0, 1.0, 60.0, 1.0),))


def see(model: MotionModel, motion: Motion, measured_um: Float64) -> Motion:
    """Correct each track with its own measurement, beyond doubt."""
    covariance = model.innovation_covariance(motion.covariance)
    n = len(measured_um)
    pairs = gate(motion.mean[:, :, :2], covariance, measured_um, 1e9)
    own = pairs.measurement == pairs.track
    assert own.sum() == n
    return model.correct(motion, pairs, own.astype(np.float64), np.ones(n))


def test_one_mode_is_the_kalman_filter_at_any_time_step() -> None:
    rng = np.random.default_rng(0)
    model = MotionModel(ONE)
    place = rng.uniform(0, 50, (5, 2))
    motion = model.birth(place)
    oracles = []
    for i in range(5):
        oracle = model.filter(0, 0.1)
        oracle.x = motion.mean[i, 0].copy()
        oracle.P = motion.covariance[i, 0].copy()
        oracles.append(oracle)
    for _ in range(40):
        step_s = float(rng.uniform(0.005, 0.2))
        place = place + rng.normal(0, 2, (5, 2))
        motion = model.predict(motion, step_s, np.zeros(5, np.bool_))
        motion = see(model, motion, place)
        for i, oracle in enumerate(oracles):
            fresh = model.filter(0, step_s)
            oracle.F, oracle.Q = fresh.F, fresh.Q
            oracle.predict()
            oracle.update(place[i])
            np.testing.assert_allclose(motion.mean[i, 0], oracle.x, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(motion.covariance[i, 0], oracle.P, rtol=1e-9, atol=1e-9)


def test_several_modes_are_interacting_multiple_models() -> None:
    rng = np.random.default_rng(1)
    settings = TrackerSettings()
    model = MotionModel(settings)
    modes = len(settings.modes)
    step_s = 1 / 30
    place = np.array([[10.0, 20.0]])
    motion = model.birth(place)
    filters = []
    for k in range(modes):
        one = model.filter(k, step_s)
        one.x, one.P = motion.mean[0, k].copy(), motion.covariance[0, k].copy()
        filters.append(one)
    oracle = IMMEstimator(filters, motion.mode[0].copy(), model.switching(step_s))
    for _ in range(30):
        place = place + rng.normal(1.0, 0.7, (1, 2))
        motion = see(model, model.predict(motion, step_s, np.zeros(1, np.bool_)), place)
        oracle.predict()
        oracle.update(place[0])
        np.testing.assert_allclose(motion.mode[0], oracle.mu, rtol=1e-7, atol=1e-9)
        mean, covariance = motion.combined()
        np.testing.assert_allclose(mean[0], oracle.x, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(covariance[0], oracle.P, rtol=1e-7, atol=1e-8)


def test_an_unseen_track_keeps_its_prediction() -> None:
    model = MotionModel(TrackerSettings())
    motion = model.predict(model.birth(np.zeros((2, 2))), 0.05, np.zeros(2, np.bool_))
    far = np.full((1, 2), 1e4)
    covariance = model.innovation_covariance(motion.covariance)
    pairs = gate(motion.mean[:, :, :2], covariance, far, 10.0)
    after = model.correct(motion, pairs, np.zeros(0), np.zeros(2))
    np.testing.assert_allclose(after.mean, motion.mean)
    np.testing.assert_allclose(after.covariance, motion.covariance)
    np.testing.assert_allclose(after.mode, motion.mode)


def test_doubt_about_the_measurement_widens_the_estimate() -> None:
    model = MotionModel(ONE)
    motion = model.predict(model.birth(np.zeros((1, 2))), 0.05, np.zeros(1, np.bool_))
    covariance = model.innovation_covariance(motion.covariance)
    two = np.array([[2.0, 0.0], [-2.0, 0.0]])
    pairs = gate(motion.mean[:, :, :2], covariance, two, 100.0)
    doubt = model.correct(motion, pairs, np.array([0.5, 0.5]), np.ones(1))
    np.testing.assert_allclose(doubt.mean[0, 0], 0.0, atol=1e-12)
    sure = see(model, motion, np.zeros((1, 2)))
    assert doubt.covariance[0, 0, 0, 0] > sure.covariance[0, 0, 0, 0]
    assert doubt.covariance[0, 0, 1, 1] == pytest.approx(sure.covariance[0, 0, 1, 1])


def test_two_steps_are_one_of_their_sum() -> None:
    model = MotionModel(ONE)
    here = np.zeros(1, np.bool_)
    motion = model.birth(np.array([[1.0, 2.0]]))
    motion.mean[0, 0, 2:] = (30.0, -10.0)
    twice = model.predict(model.predict(motion, 0.02, here), 0.05, here)
    once = model.predict(motion, 0.07, here)
    np.testing.assert_allclose(twice.mean, once.mean)
    np.testing.assert_allclose(twice.covariance, once.covariance)


def test_a_coasting_track_comes_to_rest() -> None:
    model = MotionModel(ONE)
    motion = model.birth(np.zeros((1, 2)))
    motion.mean[0, 0, 2] = 100.0
    for _ in range(100):
        motion = model.predict(motion, 0.05, np.ones(1, np.bool_))
    assert motion.mean[0, 0, 0] == pytest.approx(100.0 * ONE.coast_decay_s, rel=1e-3)
    assert abs(motion.mean[0, 0, 2]) < 0.1
