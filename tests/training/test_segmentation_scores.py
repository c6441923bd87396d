"""Segmentation scores against hand-computed truths and the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.segmentation_scores import (
    SegmentationScores,
    confusion_matrix,
    e_measure,
    overlap_scores,
)


def test_overlap_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.uint8)
    found = np.array([[0, 1, 1, 1], [0, 0, 2, 1]], np.uint8)
    scores = SegmentationScores()
    scores.add(found, truth)
    table = scores.scores()
    # background: tp 3, found 3, truth 4; normal: tp 2, found 4, truth 2; abnormal: tp 1, 1, 2
    assert table["dice"] == pytest.approx(100 * (6 / 7 + 4 / 6 + 2 / 3) / 3)
    assert table["miou"] == pytest.approx(100 * (3 / 4 + 2 / 4 + 1 / 2) / 3)
    assert table["sensitivity"] == pytest.approx(100 * (3 / 4 + 2 / 2 + 1 / 2) / 3)
    assert table["precision"] == pytest.approx(100 * (3 / 3 + 2 / 4 + 1 / 1) / 3)
    assert table["foreground"]["dice"] == pytest.approx(100 * (4 / 6 + 2 / 3) / 2)
    # any sperm: tp 4, found 5, truth 4
    assert table["binary"]["dice"] == pytest.approx(100 * 8 / 9)
    assert table["binary"]["precision"] == pytest.approx(100 * 4 / 5)
    assert table["per_image"]["dice"] == pytest.approx(table["dice"])


def test_pooled_over_the_set_differs_from_the_mean_over_images() -> None:
    small, large = np.zeros((4, 4), np.uint8), np.zeros((40, 40), np.uint8)
    small[:2], large[:20] = 1, 1
    scores = SegmentationScores()
    scores.add(small, small)
    scores.add(np.zeros_like(large), large)
    pooled, mean = scores.scores()["sensitivity"], scores.scores()["per_image"]["sensitivity"]
    # pooled: background all; normal 8 of 808. By image: 100 and (100 + 0) / 2.
    assert pooled == pytest.approx((100 + 100 * 8 / 808) / 2)
    assert mean == pytest.approx((100 + 50) / 2)


def test_a_class_that_is_nowhere_has_no_score() -> None:
    only = np.zeros((4, 4), np.uint8)
    only[0] = 1
    scores = overlap_scores(confusion_matrix(only, only))
    assert scores == pytest.approx(dict.fromkeys(("dice", "miou", "sensitivity", "precision"), 100))


def test_maps_that_do_not_fit_are_refused() -> None:
    scores = SegmentationScores()
    with pytest.raises(ValueError, match="differ in size"):
        scores.add(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="above 2"):
        scores.add(np.full((4, 4), 3, np.uint8), np.zeros((4, 4), np.uint8))


def alignment_by_definition(found: np.ndarray, truth: np.ndarray) -> float:
    if not truth.any():
        return float((1 - found).mean())
    if truth.all():
        return float(found.mean())
    a, b = truth - truth.mean(), found - found.mean()
    enhanced = (1 + 2 * a * b / (a * a + b * b + 1e-12)) ** 2 / 4
    return float(enhanced.mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["some", "none", "all"]))
def test_e_measure_is_its_definition_at_each_threshold(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    truth = {"some": rng.random((6, 7)) < 0.3, "none": np.zeros((6, 7), bool),
             "all": np.ones((6, 7), bool)}[kind]  # fmt: skip
    level = rng.integers(0, 256, (6, 7))
    values = [alignment_by_definition((level >= t) * 1.0, truth * 1.0) for t in range(256)]
    largest, mean, adaptive = e_measure(level / 255, truth)
    assert largest == pytest.approx(max(values))
    assert mean == pytest.approx(np.mean(values))
    at = min(2 * level.mean(), 255)
    expected = alignment_by_definition((level >= at) * 1.0, truth * 1.0)
    assert adaptive == pytest.approx(expected)


def test_e_measure_of_masks() -> None:
    truth = np.zeros((20, 20), bool)
    truth[5:9, 5:9] = True
    assert e_measure(truth, truth)[0] == pytest.approx(1)
    assert e_measure(~truth, truth)[2] == pytest.approx(0)
    near = np.roll(truth, 1, axis=0)
    far = np.roll(truth, 10, axis=0)
    assert 1 > e_measure(near, truth)[2] > e_measure(far, truth)[2]
    # A mask's thresholds differ only in the first, which takes the full picture.
    largest, mean, adaptive = e_measure(near, truth)
    full = e_measure(np.ones_like(truth), truth)[2]
    assert largest == pytest.approx(max(adaptive, full))
    assert mean == pytest.approx((255 * adaptive + full) / 256)


def spots(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A soft map and a mask of five spots, 40x60, the map a pixel off."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :60]
    truth, level = np.zeros((40, 60), bool), np.zeros((40, 60))
    for _ in range(5):
        cx, cy = rng.uniform(5, 55), rng.uniform(5, 35)
        truth |= np.hypot(x - cx, y - cy) < 3
        spot = rng.uniform(0.3, 1) * np.exp(-((x - cx - 1) ** 2 + (y - cy) ** 2) / 12)
        level = np.maximum(level, spot)
    return level, truth


# Adaptive, largest and mean of PySODMetrics 1.6.2 for the soft map and for the mask moved by 1 px.
REFERENCE = {
    0: ((0.7078309588499818, 0.969449973769205, 0.6184987443174834),
        (0.9802210577973476, 0.9802210577973476, 0.9773690388609811)),
    1: ((0.7160822408600529, 0.9789136016685099, 0.6701361565410893),
        (0.9808057621138447, 0.9808057621138447, 0.9779514591762417)),
    2: ((0.6890332580601052, 0.9738083657688046, 0.6202156519241313),
        (0.9808942505491065, 0.9808942505491065, 0.9780396019535531)),
}  # fmt: skip


@pytest.mark.parametrize("seed", REFERENCE)
def test_e_measure_is_that_of_the_reference_library(seed: int) -> None:
    level, truth = spots(seed)
    # The library stretches a map to 0 to 1 first, and divides by one pixel less.
    levels = np.round(level * 255)
    stretched = (levels - levels.min()) / (levels.max() - levels.min())
    for found, expected in zip((stretched, np.roll(truth, 1, 1)), REFERENCE[seed], strict=True):
        largest, mean, adaptive = e_measure(found, truth)
        scaled = np.array([adaptive, largest, mean]) * truth.size / (truth.size - 1)
        np.testing.assert_allclose(scaled[:2], expected[:2], rtol=1e-6)
        # Of a soft map its lowest threshold is another one of the 256.
        np.testing.assert_allclose(scaled[2], expected[2], rtol=1e-3)
