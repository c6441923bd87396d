"""What the tracker promises, on sperm whose paths are known."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.pipeline import Pipeline
from calibration.transform import ImageToStage
from models.measure.live import LiveMotility
from models.tracking.bench import bench_tracker
from models.tracking.metrics import Points, identity_scores
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.types import Detections, Float64, Tracks, TrackState
from tests.tracking.swimmers import FIELD, UM_PER_PX, World, detect, step, swim


def follow(world: World, seed: int, **noise: float) -> list[Tracks]:
    rng, tracker = np.random.default_rng(seed), Tracker()
    return [
        step(tracker, time_s, detect(world, k, rng, **noise))
        for k, time_s in enumerate(world.time_s)
    ]


def confirmed(steps: list[Tracks]) -> Points:
    rows = [(k, t, t.state != TrackState.TENTATIVE) for k, t in enumerate(steps)]
    return Points(
        np.concatenate([np.full(m.sum(), k) for k, _, m in rows]),
        np.concatenate([t.track_id[m] for _, t, m in rows]),
        np.concatenate([t.position_um[m] for _, t, m in rows]),
    )


def truth(world: World) -> Points:
    frames, count = world.path_um.shape[:2]
    return Points(
        np.repeat(np.arange(frames), count),
        np.tile(np.arange(count), frames),
        world.path_um.reshape(-1, 2),
    )


def test_forty_sperm_keep_their_identities() -> None:
    world = swim(40, 300, seed=1, apart_um=8.0)
    found = confirmed(follow(world, seed=2))
    scores = identity_scores(truth(world), found, reach=10.0, gate=5.0)
    assert scores.idf1 > 0.95
    assert scores.mota > 0.95
    assert scores.switches <= 20


def test_the_papers_kernel_follows_sperm_that_keep_apart() -> None:
    world = swim(5, 120, seed=1, apart_um=60.0, speed_um_s=10.0, diffusion=0.0)
    rng, tracker = np.random.default_rng(0), Tracker(TrackerSettings(kernel="paper"))
    steps = [
        step(tracker, t, detect(world, k, rng, clutter=0.0)) for k, t in enumerate(world.time_s)
    ]
    scores = identity_scores(truth(world), confirmed(steps), reach=10.0, gate=5.0)
    assert scores.switches == 0
    assert scores.idf1 > 0.9
    with pytest.raises(ValueError, match="kernel"):
        TrackerSettings(kernel="cubist")


def test_a_lone_swimmer_is_one_track_with_its_own_speed() -> None:
    world = swim(1, 150, seed=5, diffusion=0.0, speed_um_s=30.0)
    speed = np.linalg.norm(world.path_um[1, 0] - world.path_um[0, 0]) * 30.0
    steps = follow(world, seed=0, clutter=0.0)
    assert len(np.unique(confirmed(steps).identity)) == 1
    late = np.array([np.hypot(*t.velocity_um_s[0]) for t in steps[30:] if len(t)])
    assert np.median(late) == pytest.approx(speed, abs=3.0)


def test_the_head_is_told_beside_the_mean_path() -> None:
    # The stage follows the path; what is written down and compared is where the head was.
    world = swim(10, 120, seed=5, apart_um=40.0, yaw_um=2.0)
    of_path, of_head = [], []
    for k, tracks in enumerate(follow(world, seed=2, miss=0.05, clutter=0.0)):
        for row in np.flatnonzero(tracks.state == TrackState.CONFIRMED) if k > 30 else ():
            one = np.hypot(*(world.head_um[k] - tracks.raw_um[row]).T).argmin()
            of_path.append(tracks.position_um[row] - world.head_um[k, one])
            of_head.append(tracks.head_um[row] - world.head_um[k, one])
        unseen = tracks.detection < 0
        np.testing.assert_array_equal(tracks.head_um[unseen], tracks.position_um[unseen])
    path_um, head_um = (float(np.hypot(*np.array(x).T).mean()) for x in (of_path, of_head))
    assert head_um < 0.7 * path_um
    assert head_um < 0.6


def test_clutter_alone_makes_hardly_any_confirmed_track() -> None:
    world = swim(1, 900, seed=5, speed_um_s=0.0)
    found = confirmed(follow(world, seed=3, clutter=8.0))
    # Thirty seconds of eight false detections a frame, and one real sperm.
    assert len(np.unique(found.identity)) <= 15
    assert np.sort(np.bincount(found.identity))[-1] > 850


@pytest.mark.parametrize("count", [0, 500])
def test_any_number_of_detections(count: int) -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    place = rng.uniform((0.0, 0.0), (317.0, 238.0), (count, 2))
    for k in range(8):
        tracks = step(tracker, k / 30.0, place + rng.normal(0, 0.2, place.shape))
    assert 0.75 * count <= (tracks.state == TrackState.CONFIRMED).sum() <= count
    assert len(np.unique(tracks.track_id)) == len(tracks)


def test_a_dense_clump_is_survived_and_counted() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(TrackerSettings(max_steps=50.0))
    place = rng.uniform(100.0, 120.0, (40, 2))
    for k in range(20):
        tracks = step(tracker, k / 30.0, place + rng.normal(0, 0.5, place.shape))
    assert tracker.overloads > 0
    assert np.isfinite(tracks.position_um).all()


def test_what_is_reported_is_consistent() -> None:
    world = swim(15, 120, seed=9)
    rng, tracker = np.random.default_rng(4), Tracker()
    used: set[int] = set()
    alive: set[int] = set()
    for k, time_s in enumerate(world.time_s):
        seen = detect(world, k, rng)
        tracks = step(tracker, time_s, seen)
        own = tracks.detection >= 0
        np.testing.assert_array_equal(tracks.raw_um[own], seen[tracks.detection[own]])
        assert np.isnan(tracks.raw_um[~own]).all()
        assert np.isnan(tracks.score[~own]).all()
        assert len(np.unique(tracks.detection[own])) == own.sum()
        assert (own | (tracks.state != TrackState.CONFIRMED)).all()
        assert ((tracks.p_exist > 0) & (tracks.p_exist <= 1 + 1e-12)).all()
        assert (np.linalg.eigvalsh(tracks.covariance) > 0).all()
        assert not tracks.position_um.flags.writeable
        ids = set(tracks.track_id.tolist())
        assert not (ids - alive) & used, "an identity was used again"
        used |= ids
        alive = ids


def test_a_missed_sperm_coasts_for_half_a_second_and_is_found_again() -> None:
    tracker = Tracker()
    path = np.stack([50.0 + 1.0 * np.arange(120), np.full(120, 100.0)], axis=1)
    for k in range(60):
        tracks = step(tracker, k / 30.0, path[k : k + 1])
    for k in range(60, 70):
        tracks = step(tracker, k / 30.0, np.zeros((0, 2)))
        assert tracks.state.tolist() == [TrackState.COASTING]
    tracks = step(tracker, 70 / 30.0, path[70:71])
    assert tracks.track_id.tolist() == [1]
    assert tracks.state.tolist() == [TrackState.CONFIRMED]
    for k in range(71, 71 + 14):
        assert len(step(tracker, k / 30.0, np.zeros((0, 2)))) == 1
    for k in range(85, 90):
        tracks = step(tracker, k / 30.0, np.zeros((0, 2)))
    assert len(tracks) == 0


def test_a_track_that_leaves_the_view_ends() -> None:
    tracker = Tracker()
    for k in range(40):
        tracks = step(tracker, k / 30.0, np.array([[150.0, 100.0]]))
    for k in range(40, 46):
        away = View.rectangle(170.0 + 4.0 * k, 0.0, 470.0, 240.0)
        tracks = step(tracker, k / 30.0, np.zeros((0, 2)), away)
    assert len(tracks) == 0


def test_a_head_found_twice_is_one_track() -> None:
    tracker = Tracker()
    for k in range(60):
        here = np.array([[100.0 + k, 100.0]])
        seen = np.concatenate([here, here + np.array([0.0, 1.5])]) if k % 3 == 0 else here
        tracks = step(tracker, k / 30.0, seen)
    assert (tracks.state == TrackState.CONFIRMED).sum() == 1


@pytest.mark.parametrize("angle_deg", [60.0, 90.0, 180.0])
def test_crossing_sperm_keep_their_identities(angle_deg: float) -> None:
    kept = 0
    for seed in range(10):
        rng, tracker = np.random.default_rng(seed), Tracker()
        turn = np.deg2rad(angle_deg)
        along = np.array([[1.0, 0.0], [np.cos(turn), np.sin(turn)]])
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        phase, begin, end = rng.uniform(0, 2 * np.pi, 2), None, None
        for k in range(90):
            away = (k - 45) / 30.0 * np.array([45.0, 40.0])
            swing = 1.2 * np.sin(2 * np.pi * 12.0 * k / 30.0 + phase)
            place = 150.0 + away[:, None] * along + swing[:, None] * across
            seen = place + rng.normal(0, 0.25, (2, 2))
            tracks = step(tracker, k / 30.0, seen[rng.random(2) < 0.95])
            if k in (25, 89) and len(tracks) >= 2:
                apart = np.hypot(*(place[:, None] - tracks.position_um[None]).transpose(2, 0, 1))
                names = tracks.track_id[apart.argmin(axis=1)].tolist()
                begin, end = (names, end) if k == 25 else (begin, names)
        kept += begin == end
    assert kept >= 9


def moving_stage(
    turn_deg: float, *, mirrored: bool, late_s: float = 0.0, speed_um_s: float = 200.0
) -> tuple[list[Tracks], list[Tracks]]:
    """Follow the same heads under a resting and a moving stage, through the whole pipeline.

    What each camera sees are pixels: where the heads were at mid exposure, relative to where the
    stage was then. The pipeline is told poses ``late_s`` later than the pictures.
    """
    world = swim(6, 60, seed=3, field_um=(60.0, 60.0), apart_um=10.0, speed_um_s=20.0)
    turn, size = np.deg2rad(turn_deg), np.array([640, 480])
    matrix = UM_PER_PX * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if mirrored:
        matrix = matrix * np.array([[-1.0], [1.0]])
    centre_px, inverse = (size - 1) / 2, np.linalg.inv(matrix)

    def pose_um(time_s: float, speed: float) -> Float64:
        # To and fro: at full speed along x at the start, and always somewhere else.
        away = speed / 6.0 * np.sin(6.0 * time_s)
        return np.array([30.0 + away, 30.0 - 0.5 * away])

    told = []
    for speed in (0.0, speed_um_s):
        pipeline = Pipeline(
            ImageToStage(matrix, centre_px), 640, 480, Tracker(), LiveMotility()
        )  # fmt: skip
        rng, steps = np.random.default_rng(0), []
        for k, time_s in enumerate(world.time_s.tolist()):
            noise = rng.normal(0.0, 0.2, (6, 2))
            seen = (world.head_um[k] + noise - pose_um(time_s, speed)) @ inverse.T + centre_px
            box = np.concatenate([seen, np.full((6, 2), 10.0)], axis=1).astype(np.float32)
            found = Detections(box, np.ones(6, np.float32), np.ones(6, np.int8))
            steps.append(pipeline.follow(time_s, pose_um(time_s + late_s, speed), found))
        told.append(steps)
    return told[0], told[1]


def worst_speed_difference(rest: list[Tracks], moved: list[Tracks]) -> float:
    """Of all tracks from a second on, um/s; infinite where the tracks themselves differ."""
    worst = 0.0
    for one, other in zip(rest[30:], moved[30:], strict=True):
        if one.track_id.tolist() != other.track_id.tolist():
            return float("inf")
        apart = np.hypot(*(one.velocity_um_s - other.velocity_um_s).T)
        worst = max(worst, float(apart.max(initial=0.0)))
    return worst


@pytest.mark.parametrize("turn_deg", [0.0, 37.0, 250.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_speeds_are_the_same_whether_the_stage_moves_or_rests(
    turn_deg: float, mirrored: bool
) -> None:
    rest, moved = moving_stage(turn_deg, mirrored=mirrored)
    assert len(rest[-1]) == 6
    # Boxes are single precision: 1e-5 um of place, less than that times the frame rate of speed.
    assert worst_speed_difference(rest, moved) < 0.01
    for one, other in zip(rest, moved, strict=True):
        np.testing.assert_allclose(one.position_um, other.position_um, atol=1e-3)


@pytest.mark.parametrize("late_s", [-0.005, 0.005])
def test_poses_of_another_moment_than_the_pictures_would_be_noticed(late_s: float) -> None:
    rest, moved = moving_stage(37.0, mirrored=False, late_s=late_s)
    assert worst_speed_difference(rest, moved) > 1.0


def test_irregular_frames_change_no_speed() -> None:
    rng, tracker = np.random.default_rng(0), Tracker()
    time_s = np.cumsum(rng.choice([1, 1, 1, 2, 3], 120)) / 30.0
    speeds = []
    for t in time_s:
        place = np.array([[20.0 + 40.0 * t, 100.0 + 10.0 * t]]) + rng.normal(0, 0.1, (1, 2))
        if place[0, 0] > 300.0:
            break
        tracks = step(tracker, float(t), place)
        speeds.append(tracks.velocity_um_s[0])
    assert len(np.unique(tracks.track_id)) == 1
    np.testing.assert_allclose(np.mean(speeds[30:], axis=0), [40.0, 10.0], atol=1.0)


@pytest.mark.parametrize(
    ("told", "elected"), [((1, 2, 2, 2), 2), ((0, 1, 0, 1), 1), ((0, 0, 0, 0), 0)]
)
def test_the_class_is_the_one_that_most_frames_say(told: tuple[int, ...], elected: int) -> None:
    tracker, one = Tracker(), np.ones(1)
    for k in range(30):
        label = np.array([told[k % 4]], dtype=np.int8)
        tracks = tracker.step(k / 30.0, np.full((1, 2), 99.0), np.ones((1, 4)), one, label, FIELD)
    assert tracks.label.tolist() == [elected]
    np.testing.assert_allclose(tracks.size_px, 1.0)


def test_the_bench_tells_times_and_overloads() -> None:
    result = bench_tracker(8, frames=60)
    assert result["targets"] == 8
    assert result["overloads"] == 0
    for name in ("step_ms", "step_cpu_ms", "associate_ms", "associate_cpu_ms"):
        times = result[name]
        assert isinstance(times, dict)
        assert 0.0 < times["p50"] <= times["p99"]


def test_the_bench_compares_with_stone_soup_in_the_same_run() -> None:
    pytest.importorskip("stonesoup", reason="Stone Soup is not installed")
    result = bench_tracker(6, frames=40, versus="stonesoup")
    ratio, difference = result["ratio"], result["max_difference"]
    assert isinstance(ratio, float)
    assert isinstance(difference, float)
    assert ratio > 10.0
    assert difference < 1e-9
    with pytest.raises(ValueError, match="stonesoup is known"):
        bench_tracker(6, frames=40, versus="mud")
    with pytest.raises(ValueError, match="1 target"):
        bench_tracker(0)


def test_bad_input_is_refused() -> None:
    tracker = Tracker()
    step(tracker, 1.0, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="time"):
        step(tracker, 1.0, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="time"):
        step(tracker, float("nan"), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="differ in length"):
        tracker.step(
            3.0, np.zeros((2, 2)), np.zeros((1, 4)), np.ones(2), np.ones(2, np.int8), FIELD
        )
    with pytest.raises(ValueError, match="gate_probability"):
        TrackerSettings(gate_probability=1.0)
