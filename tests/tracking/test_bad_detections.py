"""What a detector, a camera or a crowd may do to the tracker: it goes on, and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.pipeline import Pipeline
from calibration.transform import ImageToStage
from models.measure.live import LiveMotility
from models.tracking.piles import piled
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Detections, Float64, Tracks, TrackState
from tests.tracking.swimmers import FIELD, detect, step, swim

MOST_S = 0.040
# Of processor time, on a machine whose other programs take its caches.
GENEROUS_S = 0.100
SIZE_UM = np.array([317.0, 238.0])


def timed(tracker: Tracker, time_s: float, seen: Float64) -> tuple[Tracks, float]:
    """Step, and tell the processor time that it took."""
    begin = time.thread_time()
    tracks = step(tracker, time_s, seen)
    return tracks, time.thread_time() - begin


@pytest.mark.parametrize("side_um", [40.0, 80.0, 150.0])
def test_a_cluster_of_sixty_sperm_is_followed_in_time(side_um: float) -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    place = rng.uniform(80.0, 80.0 + side_um, (60, 2))
    heading = rng.uniform(0.0, 2.0 * np.pi, 60)
    velocity = 30.0 * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    taken = []
    for k in range(45):
        # They swim to and fro, so that the cluster stays as it is.
        away = velocity * np.sin(2.0 * np.pi * k / 30.0) / 6.0
        seen = place + away + rng.normal(0.0, 0.4, place.shape)
        tracks, step_s = timed(tracker, k / 30.0, seen[rng.random(60) < 0.92])
        taken.append(step_s)
    assert np.isfinite(tracks.position_um).all()
    assert np.percentile(taken, 90) < MOST_S


def five_hundred(scene: str, frames: int) -> Iterator[Float64]:
    """Detections (500, 2) of each frame, um."""
    rng = np.random.default_rng(0)
    place = rng.uniform(0.0, SIZE_UM, (500, 2))
    if scene == "grid":
        sides = np.linspace(10.0, 307.0, 25), np.linspace(10.0, 228.0, 20)
        place = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    speed = rng.normal(0.0, 1.0, (500, 2)) if scene == "any speed" else np.zeros((500, 2))
    still = {"false": 0, "still and false": 200}.get(scene, 500)
    for k in range(frames):
        seen = place[:still] + k * speed[:still] + rng.normal(0.0, 0.25, (still, 2))
        yield np.concatenate([seen, rng.uniform(0.0, SIZE_UM, (500 - still, 2))])


@pytest.mark.parametrize("scene", ["still", "grid", "any speed", "false", "still and false"])
def test_five_hundred_detections_are_followed_in_time(scene: str) -> None:
    tracker, taken = Tracker(), []
    for k, seen in enumerate(five_hundred(scene, 24)):
        tracks, step_s = timed(tracker, k / 30.0, seen)
        taken.append(step_s)
    assert np.percentile(taken, 90) < GENEROUS_S
    assert np.isfinite(tracks.position_um).all()
    # What was not weighed in full is told.
    assert tracker.overloads > 0 or "false" not in scene
    if scene != "false":
        lasting = 200 if scene == "still and false" else 500
        held = ((tracks.detection >= 0) & (tracks.detection < lasting)).sum()
        assert held > 0.95 * lasting


@pytest.mark.parametrize("sigma_um", [8.0, 15.0, 30.0])
def test_sixty_false_detections_on_one_spot_are_passed_in_time(sigma_um: float) -> None:
    rng, tracker, taken = np.random.default_rng(0), Tracker(), []
    for k in range(24):
        taken.append(timed(tracker, k / 30.0, rng.normal(120.0, sigma_um, (60, 2)))[1])
    assert np.percentile(taken, 90) < MOST_S
    assert tracker.overloads > 0


@pytest.mark.parametrize("sigma_um", [0.0, 1e-6, 1.0, 5.0])
def test_five_hundred_detections_in_a_heap_are_passed_in_time(sigma_um: float) -> None:
    rng, tracker, taken = np.random.default_rng(0), Tracker(), []
    for k in range(24):
        tracks, step_s = timed(tracker, k / 30.0, rng.normal(120.0, sigma_um, (500, 2)))
        taken.append(step_s)
    assert np.percentile(taken, 90) < GENEROUS_S
    assert tracker.overloads > 0
    assert tracker.unusable == 0
    assert len(tracks) > 0


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 300.0))
def test_of_a_heap_the_best_are_kept_and_where_there_is_room_all_are(
    seed: int, wide_um: float
) -> None:
    rng = np.random.default_rng(seed)
    place_um, score = rng.uniform(0.0, wide_um, (400, 2)), rng.uniform(0.0, 1.0, 400)
    bad = piled(place_um, score)
    for k in range(400):
        same = (np.floor(place_um / 4.0) == np.floor(place_um[k] / 4.0)).all(axis=1)
        assert bad[k] == ((score[same] > score[k]).sum() >= 4)


@pytest.mark.parametrize("broken", ["position", "box", "score"])
def test_a_detection_that_is_no_number_is_left_out_and_counted(broken: str) -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    for k in range(30):
        seen = np.array([[30.0, 30.0], [np.nan, np.nan], [99.0 + k, 99.0], [200.0, 50.0]])
        seen = seen + rng.normal(0.0, 0.2, seen.shape)
        box, score = np.full((4, 4), 10.0), np.ones(4)
        if broken != "position":
            seen[1] = (150.0, 150.0)
        if broken == "box":
            box[1, 2] = np.inf
        if broken == "score":
            score[1] = np.nan
        tracks = tracker.step(k / 30.0, seen, box, score, np.ones(4, np.int8), FIELD)
    assert tracker.unusable == 30
    assert (tracks.state == TrackState.CONFIRMED).sum() == 3
    assert sorted(tracks.detection.tolist()) == [0, 2, 3]
    np.testing.assert_array_equal(tracks.raw_um, seen[tracks.detection])
    assert not tracks.detection.flags.writeable


def test_time_that_goes_back_is_refused_and_does_no_harm() -> None:
    tracker = Tracker()
    for k in range(30):
        before = step(tracker, k / 30.0, np.array([[50.0 + k, 50.0]]))
        with pytest.raises(ValueError, match="time"):
            step(tracker, k / 30.0 - 0.01, np.array([[80.0, 80.0]]))
    after = step(tracker, 1.0, np.array([[80.0, 50.0]]))
    assert after.track_id.tolist() == before.track_id.tolist() == [1]


@pytest.mark.parametrize("rate_hz", [9.0, 200.0])
def test_any_frame_rate_has_the_same_sperm_and_speeds(rate_hz: float) -> None:
    world = swim(12, round(4 * rate_hz), seed=3, fps=rate_hz, apart_um=25.0, speed_um_s=25.0)
    rng, tracker = np.random.default_rng(0), Tracker()
    for k, time_s in enumerate(world.time_s):
        seen = detect(world, k, rng, miss=0.02, clutter=0.5)
        tracks, step_s = timed(tracker, float(time_s), seen)
        assert k < 2 or step_s < MOST_S
    told = tracks.state != TrackState.TENTATIVE
    assert 11 <= told.sum() <= 13
    last = world.path_um[-1] - world.path_um[-2]
    speed = np.hypot(*last.T) * rate_hz
    for place, true in zip(world.path_um[-1], speed, strict=True):
        row = np.hypot(*(tracks.position_um - place).T).argmin()
        assert np.hypot(*(tracks.position_um[row] - place)) < 4.0
        assert np.hypot(*tracks.velocity_um_s[row]) == pytest.approx(true, abs=22.0)


def test_dropped_frames_do_not_end_a_track() -> None:
    world = swim(8, 150, seed=4, apart_um=30.0, speed_um_s=30.0)
    rng, tracker = np.random.default_rng(0), Tracker()
    ids: set[int] = set()
    for k, time_s in enumerate(world.time_s):
        if k > 30 and rng.random() < 0.5:
            continue  # the frame never came
        tracks = step(tracker, float(time_s), detect(world, k, rng, miss=0.0, clutter=0.0))
        ids |= set(tracks.track_id[tracks.state == TrackState.CONFIRMED].tolist())
    assert len(ids) == 8


def test_what_is_seen_once_is_never_confirmed() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    for k in range(40):
        seen = rng.uniform((0.0, 0.0), (317.0, 238.0), (1, 2)) if k % 8 == 0 else np.zeros((0, 2))
        tracks = step(tracker, k / 30.0, seen)
        assert (tracks.state == TrackState.TENTATIVE).all()
        assert len(tracks) <= 1


def test_an_overload_is_counted() -> None:
    rng, tracker = np.random.default_rng(0), Tracker(TrackerSettings(max_steps=10.0))
    for k in range(10):
        step(tracker, k / 30.0, rng.uniform(100.0, 112.0, (30, 2)))
    assert tracker.overloads > 0
    transform = ImageToStage.nominal(0.5, 640, 480)
    pipeline = Pipeline(transform, 640, 480, tracker, LiveMotility())
    crowd = Detections.empty()
    found = pipeline.measure(pipeline.follow(1.0, np.zeros(2), crowd), np.zeros(2))
    assert found.overloads == tracker.overloads
