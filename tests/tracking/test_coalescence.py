"""Association without averaging, against the enumeration of every joint event."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.tracking.tracker as tracker_module
from models.tracking.coalescence import Coalescence, best_permutations
from models.tracking.population import record_type
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Float64
from tests.tracking.crossings import cross, seen, study
from tests.tracking.swimmers import step
from tests.tracking.test_association import Scene, random_scene


def enumerate_best(scene: Scene) -> tuple[Float64, Float64]:
    """Marginals over the likeliest event for each set of tracks and set of measurements."""
    start, measurement, weight, miss, _ = scene
    n = len(start) - 1
    options = [
        [(-1, miss[i]), *((e, weight[e]) for e in range(start[i], start[i + 1]))] for i in range(n)
    ]
    best: dict[tuple[frozenset[int], frozenset[int]], tuple[float, tuple[int, ...]]] = {}
    for event in itertools.product(*options):
        pairs = tuple(e for e, _ in event)
        used = [int(measurement[e]) for e in pairs if e >= 0]
        if len(set(used)) < len(used):
            continue
        key = frozenset(i for i, e in enumerate(pairs) if e >= 0), frozenset(used)
        p = float(np.prod([w for _, w in event]))
        if p > best.get(key, (0.0, ()))[0]:
            best[key] = p, pairs
    missed, paired = np.zeros(n), np.zeros(len(weight))
    for p, pairs in best.values():
        for i, e in enumerate(pairs):
            if e < 0:
                missed[i] += p
            else:
                paired[e] += p
    total = sum(p for p, _ in best.values())
    return missed / total, paired / total


@given(seed=st.integers(0, 10**9))
@settings(deadline=None, max_examples=60)
def test_only_the_likeliest_permutation_of_each_set_counts(seed: int) -> None:
    scene = random_scene(seed, tracks=4, measurements=5)
    start, measurement, weight, miss, m = scene
    n = len(start) - 1
    missed, paired = np.zeros(n), np.zeros(len(weight))
    best_permutations(
        start, measurement, weight, np.zeros(n), miss, np.arange(n), np.arange(m), missed, paired
    )
    expected = enumerate_best(scene)
    np.testing.assert_allclose(missed, expected[0], atol=1e-12)
    np.testing.assert_allclose(paired, expected[1], atol=1e-12)


def test_close_and_slow_tracks_count_after_a_while_and_apart_no_more() -> None:
    one = Coalescence(TrackerSettings(coalesce_s=0.15))
    tracks = np.zeros(2, record_type(1))
    tracks["track_id"], tracks["confirmed"] = (4, 7), True
    tracks["covariance"] = np.diag([0.5, 0.5, 100.0, 100.0])

    def rows(time_s: float, mean: Float64) -> list[tuple[int, int]]:
        tracks["mean"] = mean
        return one.rows(time_s, tracks)

    close = np.array([[0.0, 0.0, 40.0, 0.0], [1.0, 0.5, 45.0, 5.0]])
    fast = close * [1.0, 1.0, 1.0, 1.0] + [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 20.0, 0.0]]
    found = [rows(k / 30.0, close) for k in range(8)]
    assert found[:5] == [[]] * 5
    assert found[5:] == [[(0, 1)]] * 3
    assert rows(8 / 30.0, fast) == []
    assert rows(9 / 30.0, close) == []
    tracks["confirmed"] = False
    assert rows(1.0, close) == []


def test_two_that_pass_at_a_shallow_angle_stay_two() -> None:
    sharpened = kept = 0
    for seed in range(6):
        rng, tracker = np.random.default_rng(seed), Tracker()
        head, _ = cross(12.0, 30.0, rng)
        for k in range(len(head)):
            tracks = step(tracker, k / 30.0, seen(head[k], rng, merge=False))
        sharpened += tracker.sharpened
        kept += sorted(tracks.track_id.tolist()) == [1, 2]
    assert sharpened > 10
    assert kept >= 5


@pytest.mark.parametrize("angle_deg", [15.0, 45.0, 90.0])
def test_crossing_sperm_that_are_found_as_one_keep_their_tracks(angle_deg: float) -> None:
    found = study(angle_deg, 12, merge=True)
    assert found["kept"] >= (8 if angle_deg < 30.0 else 12)


def test_the_first_close_pair_of_a_run_waits_for_no_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Coalescence] = []

    class Seen(Coalescence):
        def __init__(self, settings: TrackerSettings) -> None:
            super().__init__(settings)
            made.append(self)

    monkeypatch.setattr(tracker_module, "Coalescence", Seen)
    tracker_module.warm_up()
    assert made[0].clusters > 0
