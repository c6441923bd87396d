"""Detection scores against hand-computed truths and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from models.training.detection_scores import (
    DetectionScores,
    centre_distances,
    incremental_matches,
)
from models.types import Detections


def found(boxes, scores) -> Detections:
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.zeros(len(boxes), np.int8))


def boxes_at(*centres, size=12.0) -> np.ndarray:
    return np.array([[x, y, size, size] for x, y in centres], np.float64).reshape(-1, 4)


def scored(detections, truth, ignored=None) -> DetectionScores:
    scores = DetectionScores()
    scores.add(detections, truth, ignored)
    return scores


def test_perfect_detections_score_100() -> None:
    truth = boxes_at((20, 20), (50, 80), (90, 30))
    scores = scored(found(truth, [0.9, 0.8, 0.7]), truth)
    assert scores.average_precision() == pytest.approx({"ap": 100, "ap50": 100, "ap75": 100})
    by_distance = scores.by_distance()
    assert (by_distance["f1"], by_distance["centre_error_px"]) == pytest.approx((100, 0))


def test_a_shift_of_one_pixel_costs_iou_as_computed_by_hand() -> None:
    # 10x10 boxes, 1 px apart in x: IoU = 90 / 110 = 0.818, so 7 of the 10 thresholds are met.
    truth = boxes_at((20, 20), size=10)
    moved = truth + np.array([1, 0, 0, 0])
    ap = scored(found(moved, [0.5]), truth).average_precision()
    assert ap == pytest.approx({"ap": 70, "ap50": 100, "ap75": 100})
    # 2 px: 80 / 120 = 0.667, so .50 .55 .60 .65.
    ap = scored(found(truth + np.array([2, 0, 0, 0]), [0.5]), truth).average_precision()
    assert ap == pytest.approx({"ap": 40, "ap50": 100, "ap75": 0})


def test_precision_at_101_recall_points_by_hand() -> None:
    # Hit, miss, hit over two heads: precision 1 up to recall .5, then 2/3 up to 1.
    truth = boxes_at((20, 20), (80, 80))
    hits = found(boxes_at((20, 20), (150, 150), (80, 80)), [0.9, 0.8, 0.7])
    expected = 100 * (51 * 1.0 + 50 * 2 / 3) / 101
    assert scored(hits, truth).average_precision()["ap50"] == pytest.approx(expected)


def test_more_than_a_hundred_heads_are_all_counted() -> None:
    truth = boxes_at(*[(20 * i, 20 * j) for i in range(1, 16) for j in range(1, 16)], size=8)
    assert len(truth) == 225
    scores = scored(found(truth, np.linspace(1, 0.1, 225)), truth)
    assert scores.average_precision()["ap50"] == pytest.approx(100)
    assert scores.by_distance()["f1"] == pytest.approx(100)


def test_a_detection_on_an_ignored_region_counts_as_nothing() -> None:
    truth, cluster = boxes_at((20, 20)), boxes_at((100, 100), size=40)
    both = found(boxes_at((100, 100), (20, 20)), [0.9, 0.8])
    plain, excused = scored(both, truth), scored(both, truth, cluster)
    assert plain.average_precision()["ap50"] == pytest.approx(50)
    assert excused.average_precision()["ap50"] == pytest.approx(100)
    assert plain.by_distance()["precision"] == pytest.approx(50)
    assert excused.by_distance()["precision"] == pytest.approx(100)


def test_a_head_inside_an_ignored_region_is_still_found() -> None:
    truth, region = boxes_at((20, 20)), boxes_at((20, 20), size=60)
    by_distance = scored(found(truth, [0.9]), truth, region).by_distance()
    assert by_distance["f1"] == pytest.approx(100)


def test_one_head_takes_one_detection() -> None:
    truth = boxes_at((20, 20))
    twice = found(boxes_at((20, 20), (23, 24)), [0.9, 0.9])
    by_distance = scored(twice, truth).by_distance()
    assert (by_distance["precision"], by_distance["recall"]) == pytest.approx((50, 100))
    assert by_distance["f1"] == pytest.approx(100 * 2 / 3)


def test_the_threshold_is_the_one_that_serves_f1_best() -> None:
    truth = boxes_at((20, 20), (60, 20))
    mixed = found(boxes_at((20, 20), (63, 24), (200, 200)), [0.9, 0.6, 0.3])
    by_distance = scored(mixed, truth).by_distance()
    assert by_distance["score"] == pytest.approx(0.6, abs=1e-6)
    assert by_distance["f1"] == pytest.approx(100)
    assert by_distance["centre_error_px"] == pytest.approx(2.5)  # 0 and 5 px


def test_distance_is_a_limit() -> None:
    truth = boxes_at((20, 20))
    assert scored(found(boxes_at((29.9, 20)), [1]), truth).by_distance()["f1"] == 100
    assert scored(found(boxes_at((30.1, 20)), [1]), truth).by_distance()["f1"] == 0


def test_nothing_found_and_nothing_labelled() -> None:
    assert scored(Detections.empty(), boxes_at((20, 20))).average_precision()["ap50"] == 0
    assert scored(Detections.empty(), boxes_at((20, 20))).by_distance()["f1"] == 0
    empty = scored(found(boxes_at((5, 5)), [1]), boxes_at())
    assert np.isnan(empty.average_precision()["ap"])
    assert np.isnan(empty.by_distance()["f1"])


def test_frames_are_pooled_not_averaged() -> None:
    scores = DetectionScores()
    scores.add(found(boxes_at((20, 20)), [0.9]), boxes_at((20, 20)))
    scores.add(Detections.empty(), boxes_at((20, 20), (60, 60), (90, 20)))
    assert scores.heads == 4
    assert scores.by_distance()["recall"] == pytest.approx(25)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_every_prefix_has_the_largest_matching(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = boxes_at(*rng.uniform(0, 60, (rng.integers(0, 9), 2)))
    boxes = boxes_at(*rng.uniform(0, 60, (rng.integers(0, 9), 2)))
    score = rng.uniform(size=len(boxes))
    hit = incremental_matches(boxes, score, truth, 10.0)
    order = np.argsort(-score)
    for n in range(1, len(boxes) + 1):
        near = centre_distances(boxes[order[:n]], truth) <= 10.0
        row, column = linear_sum_assignment(~near)
        assert hit[order[:n]].sum() == near[row, column].sum()


def test_recall_of_so_many_detections_a_frame() -> None:
    truth = boxes_at((20, 20), (50, 80), (90, 30), (30, 120))
    places = boxes_at((20, 20), (150, 150), (50, 80), (90, 30), (200, 200))
    mixed = scored(found(places, [0.9, 0.8, 0.7, 0.6, 0.5]), truth)
    recalls = [mixed.recall_at(k) for k in (0, 1, 2, 3, 4, 9)]
    assert recalls == pytest.approx([0, 25, 25, 50, 75, 75])
    # Of equal scores all are taken or none.
    equal = scored(found(places, [0.9, 0.5, 0.5, 0.5, 0.5]), truth)
    assert [equal.recall_at(k) for k in (1, 2, 4, 5)] == pytest.approx([25, 25, 25, 75])
    # What lies on an ignored thing takes no place.
    spared = scored(found(places, [0.9, 0.8, 0.7, 0.6, 0.5]), truth, boxes_at((150, 150)))
    assert spared.recall_at(2) == pytest.approx(50)
    assert np.isnan(DetectionScores().recall_at(5))
