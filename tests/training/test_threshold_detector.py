"""The classical detector: both polarities, sizes, and what it must not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector import Detector
from models.specimen.profiles import profile
from models.threshold import BRIGHT_FIELD, PHASE_CONTRAST, ThresholdDetector, ThresholdSettings
from models.training.evaluation import evaluate, specimen_frames
from models.training.labelled_frames import LabelledFrames
from models.training.specimen_threshold import (
    SPECIMEN_BRIGHT_FIELD,
    SPECIMEN_PHASE_CONTRAST,
    specimen_threshold,
)
from models.training.tuning import random_search, specimen_settings

CENTRES = [(60.0, 50.0), (200.5, 120.25), (300.0, 200.0)]


def field(polarity: int, centres=CENTRES, *, noise: float = 2.0, radius: float = 5.0) -> np.ndarray:
    y, x = np.mgrid[:240, :360]
    picture = np.full((240, 360), 120.0)
    for cx, cy in centres:
        distance = np.hypot((x - cx) / radius, (y - cy) / (radius * 0.8))
        picture += polarity * 80 / (1 + np.exp(np.minimum(6 * (distance - 1), 50)))
    picture += np.random.default_rng(3).normal(0, noise, picture.shape)
    picture += 8 * (x / 360)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("polarity", [-1, 1])
@pytest.mark.parametrize("automatic", [True, False])
def test_heads_are_found_where_they_are(polarity: int, automatic: bool) -> None:
    chosen = {-1: BRIGHT_FIELD, 1: PHASE_CONTRAST}[polarity]
    detector = ThresholdDetector(None if automatic else chosen)
    perception = detector.detect(field(polarity, radius=6.0))
    assert perception.class_map is None
    found = perception.detections
    assert len(found) == 3
    order = np.argsort(found.box_px[:, 0])
    np.testing.assert_allclose(found.box_px[order, :2], CENTRES, atol=0.8)
    # Boxes about bright heads take their halo in.
    assert ((found.box_px[:, 2] > 10) & (found.box_px[:, 2] < 22)).all()
    assert (np.diff(found.score) <= 0).all()
    assert ((found.score > 0) & (found.score < 1)).all()
    assert not found.label.any()


def test_the_wrong_polarity_finds_nothing() -> None:
    assert len(ThresholdDetector(PHASE_CONTRAST).detect(field(-1)).detections) == 0


def test_an_empty_field_stays_empty() -> None:
    for noise in (0.0, 2.0):
        assert len(ThresholdDetector().detect(field(1, [], noise=noise)).detections) == 0


def test_specks_and_blobs_are_no_heads() -> None:
    detector = ThresholdDetector(BRIGHT_FIELD)
    assert len(detector.detect(field(-1, radius=1.2)).detections) == 0
    assert len(detector.detect(field(-1, [(180.0, 120.0)], radius=28.0)).detections) == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 330), st.integers(20, 210))
def test_a_head_moves_with_its_picture(x: int, y: int) -> None:
    found = ThresholdDetector(BRIGHT_FIELD).detect(field(-1, [(x, y)], noise=1.0)).detections
    assert len(found) == 1
    np.testing.assert_allclose(found.box_px[0, :2], [x, y], atol=0.8)


def test_it_is_a_detector() -> None:
    detector = ThresholdDetector()
    assert isinstance(detector, Detector)
    detector.warm_up(480, 640)
    assert detector.name.startswith("threshold")


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)),
                                 np.zeros((0, 4), np.uint8)])  # fmt: skip
def test_what_is_no_grey_picture_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="grey picture"):
        ThresholdDetector().detect(bad)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 700)])
def test_any_size_is_taken(shape: tuple[int, int]) -> None:
    assert len(ThresholdDetector().detect(np.full(shape, 90, np.uint8)).detections) == 0


@pytest.mark.parametrize("change", [{"polarity": 0}, {"score_by": "size"}, {"smooth_px": 0.0}])
def test_bad_settings_are_named(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ThresholdSettings"):
        ThresholdSettings(**change)


def test_random_search_never_does_worse_than_what_it_started_from() -> None:
    frames = list(specimen_frames(profile("exam"), 40, 2, 1.0, masks=False))
    poor = replace(BRIGHT_FIELD, open_px=0, area_px2=(2.0, 50.0), pad_px=6.0)

    def score(settings: ThresholdSettings) -> float:
        data = LabelledFrames("frames", 2, lambda: iter(frames))
        table = evaluate(ThresholdDetector(settings), [data])
        return float(table["ap50"]) + float(table["f1_10px"])

    best = random_search(frames, poor, trials=6, seed=1)
    assert score(best) > score(poor)
    assert random_search(frames, poor, trials=0, seed=1) == poor


def test_settings_found_on_the_specimen_owe_nothing_to_recordings() -> None:
    found = specimen_settings("brightfield", scenes=1, trials=3, seed=2)
    assert found == specimen_settings("brightfield", scenes=1, trials=3, seed=2)
    assert (found.polarity, found.level) == (-1, ThresholdSettings().level)
    pair = (SPECIMEN_BRIGHT_FIELD, SPECIMEN_PHASE_CONTRAST)
    assert [one.polarity for one in pair] == [-1, 1]
    assert not set(pair) & {BRIGHT_FIELD, PHASE_CONTRAST}


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_thresholding_tuned_on_the_specimen_finds_its_heads(modality: str) -> None:
    frames = list(specimen_frames(profile("exam", modality=modality), 43, 1, 1.0, masks=False))
    data = LabelledFrames("frames", 1, lambda: iter(frames))
    assert float(str(evaluate(specimen_threshold(), [data])["f1_10px"])) > 70
