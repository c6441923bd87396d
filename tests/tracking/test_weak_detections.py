"""What scores too low to be a head found may continue a faint sperm that swims, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.pipeline import Pipeline
from app.core.selection import find_target
from calibration.transform import ImageToStage
from models.measure.live import LiveMotility
from models.tracking.tracker import Tracker
from models.types import Detections, Float64, Tracks, TrackState
from tests.tracking.swimmers import FIELD, UM_PER_PX

FPS = 30.0
FAINT, CLEAR = 0.6, 0.99


def path_um(frames: int, speed_um_s: float) -> Float64:
    """Along x, with a detector's noise."""
    rng = np.random.default_rng(0)
    along = np.arange(frames) / FPS * speed_um_s
    return np.stack([60.0 + along, np.full(frames, 100.0)], 1) + rng.normal(0, 0.2, (frames, 2))


def follow(speed_um_s: float, score: float, weak_from: int = 40, frames: int = 60) -> list[Tracks]:
    """A sperm that is found until ``weak_from``, and then only weakly."""
    tracker, told = Tracker(), []
    for k, place in enumerate(path_um(frames, speed_um_s)):
        weak = k >= weak_from
        told.append(
            tracker.step(
                k / FPS, place[None], np.full((1, 4), 10.0), np.array([0.3 if weak else score]),
                np.ones(1, np.int8), FIELD, int(weak),
            )
        )  # fmt: skip
    return told


def test_a_faint_sperm_that_swims_is_followed_by_what_is_weak() -> None:
    told = follow(40.0, FAINT)
    assert {t.track_id.tolist()[0] for t in told} == {1}
    for k, tracks in enumerate(told[45:], 45):
        assert tracks.state[0] == TrackState.CONFIRMED
        assert tracks.raw_um[0] == pytest.approx(path_um(60, 40.0)[k])


@pytest.mark.parametrize(
    ("speed_um_s", "score"), [(0.0, FAINT), (40.0, CLEAR)], ids=["rests", "scores well"]
)
def test_what_rests_or_scores_well_is_not_held_by_what_is_weak(
    speed_um_s: float, score: float
) -> None:
    told = follow(speed_um_s, score)
    assert told[39].state.tolist() == [TrackState.CONFIRMED]
    assert np.isnan(told[40].raw_um).all()
    assert len(told[-1]) == 0  # half a second unseen


def test_what_is_weak_begins_no_track() -> None:
    assert all(len(tracks) == 0 for tracks in follow(40.0, FAINT, weak_from=0))


def test_a_speck_that_scores_low_does_not_take_a_swimmer_away() -> None:
    speck = np.array([60.0 + 40.0 * 40 / FPS, 101.0])  # where the sperm is at frame 40
    tracker = Tracker()
    for k, place in enumerate(path_um(60, 40.0)):
        found = np.stack([place, speck]) if k != 40 else speck[None]
        scores = np.array([FAINT, 0.4]) if k != 40 else np.array([0.4])
        n = len(found)
        tracks = tracker.step(
            k / FPS, found, np.full((n, 4), 10.0), scores, np.ones(n, np.int8), FIELD, 1
        )
    assert tracks.track_id.tolist() == [1]
    assert np.hypot(*(tracks.position_um[0] - path_um(60, 40.0)[-1])) < 1.5
    assert tracks.velocity_um_s[0, 0] == pytest.approx(40.0, abs=5.0)


def test_a_track_led_to_a_speck_is_not_held_there() -> None:
    tracker, path = Tracker(), path_um(80, 40.0)
    for k in range(80):
        weak = k >= 40
        place = path[min(k, 40)]
        tracks = tracker.step(
            k / FPS, place[None], np.full((1, 4), 10.0), np.array([0.3 if weak else FAINT]),
            np.ones(1, np.int8), FIELD, int(weak),
        )  # fmt: skip
    assert len(tracks) == 0


def test_a_weak_detection_that_is_no_number_is_left_out_like_any_other() -> None:
    tracker = Tracker()
    for k, place in enumerate(path_um(50, 40.0)):
        weak = k >= 40
        found = np.stack([[np.nan, 1.0], place, [3.0, np.nan]])
        tracks = tracker.step(
            k / FPS, found, np.full((3, 4), 10.0), np.full(3, 0.3 if weak else FAINT),
            np.ones(3, np.int8), FIELD, 2 if weak else 1,
        )  # fmt: skip
        assert tracks.detection.tolist() == [1]
    assert tracker.unusable == 100


def test_the_pipeline_tells_rows_of_the_heads_found_alone_and_the_servo_sees_the_weak_one() -> None:
    transform = ImageToStage.nominal(UM_PER_PX, 640, 480)
    pipeline = Pipeline(transform, 640, 480, Tracker(), LiveMotility())
    rest, other_px = np.zeros(2), np.array([500.0, 400.0])
    for k in range(60):
        place_px = np.array([100.0 + 2.5 * k, 200.0])
        one = _heads([place_px], FAINT if k < 40 else 0.3)
        far = _heads([other_px], CLEAR)
        if k < 40:
            tracks = pipeline.follow(k / FPS, rest, _both(one, far))
        else:
            tracks = pipeline.follow(k / FPS, rest, far, weak=one)
    assert tracks.detection.tolist() == [-1, 0]
    assert np.isfinite(tracks.raw_um).all()
    target = find_target(tracks, 1)
    assert target is not None
    assert target.seen


def _heads(place_px: list[Float64], score: float) -> Detections:
    box = np.array([[*place, 10.0, 10.0] for place in place_px], np.float32)
    return Detections(box, np.full(len(box), score, np.float32), np.ones(len(box), np.int8))


def _both(one: Detections, other: Detections) -> Detections:
    return Detections(
        np.concatenate((one.box_px, other.box_px)),
        np.concatenate((one.score, other.score)),
        np.concatenate((one.label, other.label)),
    )
