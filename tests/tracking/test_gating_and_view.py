"""Gates and fields of view against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tracking.gating import MOST, gate
from models.tracking.proximity import contested, nearest_fellow_um, nearest_um, shadows_senior
from models.tracking.settings import TrackerSettings
from models.tracking.view import View


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=40)
def test_the_gate_is_the_mahalanobis_ellipse(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k, m = 4, 2, 30
    mean = rng.uniform(-5, 5, (n, k, 2))
    root = rng.normal(0, 2, (n, k, 2, 2))
    covariance = root @ root.swapaxes(-1, -2) + np.eye(2)
    measured = rng.uniform(-12, 12, (m, 2))
    found = gate(mean, covariance, measured, 9.21)
    nu = measured[None, None] - mean[:, :, None]
    d2 = np.einsum("nkmi,nkij,nkmj->nkm", nu, np.linalg.inv(covariance), nu)
    inside = (d2 <= 9.21).any(axis=1)
    assert set(zip(found.track, found.measurement, strict=True)) == set(
        zip(*np.nonzero(inside), strict=True)
    )
    i, j = found.track, found.measurement
    np.testing.assert_allclose(found.distance2, d2[i, :, j].min(axis=1))
    norm = 2 * np.pi * np.sqrt(np.linalg.det(covariance))
    np.testing.assert_allclose(found.density, np.exp(-0.5 * d2[i, :, j]) / norm[i])
    np.testing.assert_array_equal(np.diff(found.start), np.bincount(i, minlength=n))


def test_the_gate_holds_the_share_of_detections_that_it_should() -> None:
    rng = np.random.default_rng(0)
    threshold = TrackerSettings(gate_probability=0.95).gate
    covariance = np.array([[[[4.0, 1.0], [1.0, 2.0]]]])
    z = rng.multivariate_normal([0.0, 0.0], covariance[0, 0], 20000)
    # Each detection has a track of its own, far from the others.
    place = np.stack([100.0 * np.arange(20000), np.zeros(20000)], axis=1)
    tracks = np.tile(covariance, (20000, 1, 1, 1))
    held = len(gate(place[:, None], tracks, place + z, threshold).track) / 20000
    assert held == pytest.approx(0.95, abs=0.005)


def test_depth_is_the_distance_from_the_border_whichever_way_the_camera_is_turned() -> None:
    turn = np.deg2rad(30.0)
    matrix = 0.5 * np.array([[np.cos(turn), np.sin(turn)], [np.sin(turn), -np.cos(turn)]])
    view = View.of_picture(np.array([1000.0, -500.0]), matrix, 640, 480)
    assert view.area_um2 == pytest.approx(320.0 * 240.0)
    px = np.array([[0.0, 0.0], [310.0, 0.0], [0.0, -235.0], [330.0, 0.0]])
    depth = view.depth_um(np.array([1000.0, -500.0]) + px @ matrix.T)
    np.testing.assert_allclose(depth, [120.0, 5.0, 2.5, -5.0])


@pytest.mark.parametrize("corners", [[[0, 0], [1, 1]], [[0, 0], [1, 0], [np.nan, 1]]])
def test_a_view_without_area_is_refused(corners: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="View"):
        View(np.array(corners, dtype=np.float64))


def test_distances_are_those_of_the_nearest() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random((7, 2)), rng.random((5, 2))
    apart = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(nearest_um(a, b), apart.min(axis=1))
    counts = np.array([True, False, True, False, True, True, False])
    fellow = np.hypot(*(a[:, None] - a[None]).transpose(2, 0, 1))
    np.fill_diagonal(fellow, np.inf)
    fellow[:, ~counts] = np.inf
    np.testing.assert_allclose(nearest_fellow_um(a, counts), fellow.min(axis=1))
    assert np.isinf(nearest_um(a, np.zeros((0, 2)))).all()


def test_of_two_tracks_with_one_detection_the_junior_is_marked() -> None:
    place = np.array([[0.0, 0.0], [0.5, 0.0], [9.0, 0.0], [9.5, 0.0], [20.0, 0.0], [20.5, 0.0]])
    confirmed = np.array([True, True, False, True, True, True])
    seen = np.array([True, False, False, True, True, True])
    np.testing.assert_array_equal(
        shadows_senior(place, confirmed, seen, 1.0), [False, True, True, False, False, False]
    )


def test_tracks_that_may_both_have_one_detection_contest_it() -> None:
    start = np.array([0, 1, 3, 4])
    measurement = np.array([0, 0, 1, 1])
    share = np.array([0.6, 0.3, 0.5, 0.01])
    assert contested(start, measurement, share, 2, 0.02).tolist() == [[0, 1]]
    assert contested(start, measurement, share, 2, 0.01).tolist() == [[0, 1], [1, 2]]


def test_of_too_many_measurements_a_track_keeps_the_nearest_and_that_is_told() -> None:
    rng = np.random.default_rng(3)
    place = rng.normal(0.0, 1.0, (200, 2))
    pairs = gate(np.zeros((1, 1, 2)), np.eye(2)[None, None], place, 9.0)
    away2 = (place**2).sum(axis=1)
    assert pairs.thinned == 1
    assert pairs.measurement.tolist() == sorted(np.argsort(away2)[:MOST].tolist())
    assert pairs.distance2 == pytest.approx(away2[pairs.measurement])
    few = gate(np.zeros((1, 1, 2)), np.eye(2)[None, None], place[:MOST], 9.0)
    assert few.thinned == 0
