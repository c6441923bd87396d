"""What the pipeline and the target say of a head that two share."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.pipeline import Pipeline
from app.core.selection import find_target
from calibration.transform import ImageToStage
from models.tracking.tracker import Tracker
from models.types import Detections, Measurements, Tracks, TrackState

WIDTH_PX, HEIGHT_PX, UM_PER_PX = 640, 480, 0.5
HERE = np.zeros(2)


class NoMeasurer:
    """Measures nothing."""

    def update(self, tracks: Tracks) -> Measurements:
        return Measurements(tracks.track_id, {}, ("ok",) * len(tracks))


def detections(affine: ImageToStage, places_um: list[tuple[float, float]]) -> Detections:
    n = len(places_um)
    at_px = affine.stage_to_image(np.array(places_um, float).reshape(n, 2), HERE)
    box_px = np.hstack([at_px, np.full((n, 2), 10.0)]).astype(np.float32)
    return Detections(box_px, np.full(n, 0.9, np.float32), np.ones(n, np.int8))


@pytest.fixture
def followed() -> tuple[Pipeline, ImageToStage]:
    """Two sperm 4.5 um apart, seen for two seconds."""
    affine = ImageToStage.nominal(UM_PER_PX, WIDTH_PX, HEIGHT_PX)
    pipeline = Pipeline(affine, WIDTH_PX, HEIGHT_PX, Tracker(), NoMeasurer())
    for k in range(60):
        pipeline.follow(k / 30, HERE, detections(affine, [(0.0, 0.0), (4.5, 0.0)]))
    return pipeline, affine


def test_the_one_without_a_head_is_told_where_the_shared_one_lies(
    followed: tuple[Pipeline, ImageToStage],
) -> None:
    pipeline, affine = followed
    tracks = pipeline.follow(2.0, HERE, detections(affine, [(1.5, 0.0)]))
    alone = np.flatnonzero(tracks.state == TrackState.COASTING)
    assert len(alone) >= 1
    for row in alone:
        target = find_target(tracks, int(tracks.track_id[row]))
        assert target is not None
        assert not target.seen
        assert target.shared_um == pytest.approx((1.5, 0.0), abs=1e-3)


def test_a_detection_that_is_no_number_hides_no_shared_one(
    followed: tuple[Pipeline, ImageToStage],
) -> None:
    pipeline, affine = followed
    tracks = pipeline.follow(2.0, HERE, detections(affine, [(1.5, 0.0), (np.nan, np.nan)]))
    alone = tracks.state == TrackState.COASTING
    assert alone.any()
    np.testing.assert_allclose(tracks.shared_um[alone][:, 0], 1.5, atol=1e-3)


def test_a_head_of_its_own_is_not_shared_and_a_far_one_is_no_ones(
    followed: tuple[Pipeline, ImageToStage],
) -> None:
    pipeline, affine = followed
    tracks = pipeline.follow(2.0, HERE, detections(affine, [(0.0, 0.0), (4.5, 0.0)]))
    assert np.isnan(tracks.shared_um).all()
    tracks = pipeline.follow(2.033, HERE, detections(affine, [(30.0, 0.0)]))
    assert np.isnan(tracks.shared_um).all()
    tracks = pipeline.follow(2.066, HERE, detections(affine, []))
    assert np.isnan(tracks.shared_um).all()
