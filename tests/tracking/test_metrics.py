"""Identity scores on cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.tracking.metrics import Points, identity_scores


def two_lines(frames: int = 20) -> Points:
    frame = np.repeat(np.arange(frames), 2)
    identity = np.tile([7, 9], frames)
    x = np.arange(frames, dtype=np.float64)
    place = np.stack([np.stack([x, x * 0], 1), np.stack([x, x * 0 + 100.0], 1)], axis=1)
    return Points(frame, identity, place.reshape(-1, 2))


def test_the_truth_scores_one() -> None:
    truth = two_lines()
    scores = identity_scores(truth, replace(truth, identity=truth.identity + 100))
    assert scores.hota == scores.idf1 == scores.mota == pytest.approx(1.0)
    assert (scores.switches, scores.tracks_found, scores.tracks_true) == (0, 2, 2)


def test_identities_swapped_half_way() -> None:
    truth = two_lines()
    late = truth.frame >= 10
    swapped = np.where(late, 16 - truth.identity, truth.identity)
    scores = identity_scores(truth, replace(truth, identity=swapped))
    assert scores.idf1 == pytest.approx(0.5)
    assert scores.switches == 2
    assert scores.det_a == pytest.approx(1.0)
    # Each matched pair shares 10 of the 30 points that either track has.
    assert scores.ass_a == pytest.approx(1.0 / 3.0)
    assert scores.mota == pytest.approx(1.0 - 2.0 / 40.0)


def test_half_the_points_missed_and_as_many_false() -> None:
    truth = two_lines()
    found = replace(
        truth, position=truth.position + np.where(truth.identity == 9, 50.0, 0.0)[:, None]
    )
    scores = identity_scores(truth, found)
    assert scores.det_a == pytest.approx(20.0 / 60.0)
    assert scores.mota == pytest.approx(0.0)
    assert scores.idf1 == pytest.approx(0.5)


def test_an_offset_costs_localisation_alone() -> None:
    truth = two_lines()
    found = replace(truth, position=truth.position + np.array([10.0, 0.0]))
    scores = identity_scores(truth, found, reach=20.0, gate=10.0)
    # Similarity 0.5: matched at the ten thresholds up to it, of nineteen.
    assert scores.hota == pytest.approx(10.0 / 19.0)
    assert scores.idf1 == pytest.approx(1.0)


def test_nothing_found() -> None:
    none = Points(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    scores = identity_scores(two_lines(), none)
    assert scores.hota == scores.idf1 == scores.mota == 0.0
