"""Association probabilities against the enumeration of every joint event."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.tracking.association import associate, paper_weights
from models.types import Float64, Int64

Scene = tuple[Int64, Int64, Float64, Float64, int]


def random_scene(seed: int, *, tracks: int = 6, measurements: int = 6) -> Scene:
    """start, measurement, weight, miss weight, number of measurements."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, tracks + 1)), int(rng.integers(1, measurements + 1))
    gated = rng.random((n, m)) < rng.uniform(0.1, 1.0)
    start = np.concatenate([[0], np.cumsum(gated.sum(axis=1))]).astype(np.int64)
    measurement = np.nonzero(gated)[1].astype(np.int64)
    weight = 10.0 ** rng.uniform(-4, 5, len(measurement))
    return start, measurement, weight, rng.uniform(0.05, 1.0, n), m


def enumerate_events(scene: Scene) -> tuple[Float64, Float64]:
    start, measurement, weight, miss, _ = scene
    n = len(start) - 1
    options = [
        [(-1, miss[i]), *((e, weight[e]) for e in range(start[i], start[i + 1]))] for i in range(n)
    ]
    missed, paired, total = np.zeros(n), np.zeros(len(weight)), 0.0
    for event in itertools.product(*options):
        used = [measurement[e] for e, _ in event if e >= 0]
        if len(set(used)) < len(used):
            continue
        p = np.prod([w for _, w in event])
        total += p
        for i, (e, _) in enumerate(event):
            if e < 0:
                missed[i] += p
            else:
                paired[e] += p
    return missed / total, paired / total


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=150)
def test_marginals_equal_the_sum_over_all_joint_events(seed: int) -> None:
    scene = random_scene(seed)
    start, measurement, weight, miss, m = scene
    found = associate(start, measurement, weight, np.zeros(len(weight)), miss, m)
    missed, paired = enumerate_events(scene)
    np.testing.assert_allclose(found.missed, missed, atol=1e-12)
    np.testing.assert_allclose(found.paired, paired, atol=1e-12)
    assert found.overloads == 0


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=30)
def test_no_track_and_no_measurement_is_used_more_than_once(seed: int) -> None:
    start, measurement, weight, miss, m = random_scene(seed, tracks=60, measurements=60)
    narrow = np.random.default_rng(seed).uniform(0.0, 12.0, len(weight))
    found = associate(start, measurement, weight, narrow, miss, m, max_steps=500.0)
    per_track = found.missed + np.add.reduceat(np.append(found.paired, 0.0), start[:-1]) * (
        np.diff(start) > 0
    )
    np.testing.assert_allclose(per_track, 1.0, atol=1e-9)
    assert np.bincount(measurement, found.paired, m).max() <= 1.0 + 1e-9


def test_the_order_of_the_tracks_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    weight = 10.0 ** rng.uniform(-2, 3, (7, 6))
    miss = rng.uniform(0.1, 1.0, 7)
    columns = np.tile(np.arange(6), 7)
    start = np.arange(0, 43, 6)
    order = rng.permutation(7)
    a = associate(start, columns, weight.ravel(), np.zeros(42), miss, 6)
    b = associate(start, columns, weight[order].ravel(), np.zeros(42), miss[order], 6)
    np.testing.assert_allclose(a.missed[order], b.missed, atol=1e-12)
    np.testing.assert_allclose(a.paired.reshape(7, 6)[order].ravel(), b.paired, atol=1e-12)


def test_a_cluster_of_a_hundred_tracks_does_not_overflow() -> None:
    # A chain: each track contests one measurement with the next. Weights multiply to 1e800.
    n = 100
    start = np.arange(0, 2 * n + 1, 2)
    measurement = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1).ravel()
    found = associate(
        start, measurement, np.full(2 * n, 1e8), np.zeros(2 * n), np.full(n, 0.1), n + 1
    )
    assert found.overloads == 0
    assert np.isfinite(found.paired).all()
    np.testing.assert_allclose(found.paired.reshape(n, 2).sum(axis=1), 1.0, atol=1e-6)


def test_a_track_that_contests_with_forty_others_is_exact() -> None:
    # Given what the one with the wide gate takes, the others are alone with their measurements.
    n, rng = 40, np.random.default_rng(4)
    wide, own = 10.0 ** rng.uniform(-2, 1, n), 10.0 ** rng.uniform(-1, 2, n)
    start = np.append(np.arange(n + 1), 2 * n)
    measurement = np.tile(np.arange(n), 2)
    weight = np.concatenate([own, wide])
    found = associate(start, measurement, weight, np.zeros(2 * n), np.full(n + 1, 0.1), n)
    taken = wide * 0.1 / (0.1 + own)
    total = 0.1 + taken.sum()
    assert found.overloads == 0
    np.testing.assert_allclose(found.missed[n], 0.1 / total, rtol=1e-12)
    np.testing.assert_allclose(found.paired[n:], taken / total, rtol=1e-12)
    np.testing.assert_allclose(
        found.paired[:n], own / (0.1 + own) * (1.0 - taken / total), rtol=1e-12
    )


@pytest.mark.parametrize("steps", [2.0, 200.0])
def test_a_cluster_that_is_too_wide_is_thinned_and_counted(steps: float) -> None:
    n = 30
    start = np.arange(0, n * n + 1, n)
    measurement = np.tile(np.arange(n), n)
    distance2 = np.full((n, n), 11.0)
    np.fill_diagonal(distance2, 0.1)
    weight = 1e3 * np.exp(-0.5 * distance2)
    found = associate(
        start, measurement, weight.ravel(), distance2.ravel(), np.full(n, 0.1), n,
        max_steps=steps,
    )  # fmt: skip
    assert found.overloads == 1
    own = found.paired.reshape(n, n).diagonal()
    assert (own > 0.9).all()


def test_what_falls_apart_when_it_is_thinned_is_summed_part_by_part() -> None:
    # A clique of 30 that fits with four pairs each at most, and three tracks of six pairs that
    # only a pair far off joins to it.
    n, rng = 30, np.random.default_rng(0)
    few = 10.0 ** rng.uniform(0, 2, 18)
    start = np.concatenate([np.arange(n + 1) * n, n * n + np.array([7, 13, 19])])
    measurement = np.concatenate([np.tile(np.arange(n), n), [0], np.tile(n + np.arange(6), 3)])
    weight = np.concatenate([np.ones(n * n), [5.0], few])
    distance2 = np.concatenate([np.ones(n * n), [11.0], np.ones(18)])
    miss = np.full(n + 3, 0.1)
    found = associate(start, measurement, weight, distance2, miss, n + 6)
    assert found.overloads == 1
    alone = np.arange(0, 19, 6), np.tile(np.arange(6), 3), few, miss[:3], 6
    missed, paired = enumerate_events(alone)
    np.testing.assert_allclose(found.missed[n:], missed, atol=1e-12)
    np.testing.assert_allclose(found.paired[n * n + 1 :], paired, atol=1e-12)
    assert found.paired[n * n] == 0.0


@pytest.mark.parametrize("pairs", [4, 12, 40])
@pytest.mark.parametrize("reach", [20, 100, 500])
def test_the_work_of_a_frame_is_bounded(pairs: int, reach: int) -> None:
    n, most = 500, 3e5
    rng = np.random.default_rng(0)
    near = [np.sort(rng.permutation(reach)[: min(pairs, reach)] + i) % n for i in range(n)]
    start = np.append(0, np.cumsum([len(one) for one in near]))
    measurement = np.concatenate(near)
    distance2 = rng.exponential(3.0, len(measurement))
    weight = 1e3 * np.exp(-0.5 * distance2)
    found = associate(start, measurement, weight, distance2, np.full(n, 0.1), n, max_steps=most)
    assert found.overloads > 0
    # A few milliseconds; what is planned for the last cluster and the last pairs comes on top.
    assert found.work < 8.0 * most
    np.testing.assert_allclose(
        found.missed + np.add.reduceat(found.paired, start[:-1]), 1.0, atol=1e-9
    )


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=30)
def test_what_is_left_out_as_negligible_hardly_matters(seed: int) -> None:
    start, measurement, weight, miss, m = random_scene(seed, tracks=8, measurements=8)
    none = np.zeros(len(weight))
    exact = associate(start, measurement, weight, none, miss, m)
    pruned = associate(start, measurement, weight, none, miss, m, negligible=1e-3)
    np.testing.assert_allclose(pruned.missed, exact.missed, atol=0.02)
    np.testing.assert_allclose(pruned.paired, exact.paired, atol=0.02)


def test_nothing_to_associate() -> None:
    none = np.zeros(0)
    found = associate(np.zeros(1, np.int64), np.zeros(0, np.int64), none, none, none, 5)
    assert len(found.missed) == 0
    found = associate(np.zeros(4, np.int64), np.zeros(0, np.int64), none, none, np.ones(3), 0)
    assert (found.missed == 1.0).all()


def test_the_papers_weights_fall_with_the_distance() -> None:
    weight, miss = paper_weights(np.array([0.0, 1.0, 4.0, 9.0]), 9.0, 2)
    assert (np.diff(weight) < 0.0).all()
    assert np.isfinite(weight).all()
    np.testing.assert_allclose(miss, weight[3])  # a miss weighs what a pair at the gate does
