"""Who is who after an encounter, and how sure that is."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from models.tracking.identity import MOST_MEETINGS, Meetings
from models.tracking.linkage import Piece, link
from models.tracking.population import Population
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker, warm_up
from models.types import Float64, Tracks, TrackState
from tests.tracking.swimmers import FIELD

FPS = 30.0


def piece(first: int, last: int, velocity: tuple[float, float], *, area: float = 5.5) -> Piece:
    """A straight path through the origin at frame 0."""
    rng = np.random.default_rng(abs(first))
    frame = np.arange(first, last)
    place = frame[:, None] / FPS * np.array(velocity) + rng.normal(0.0, 0.3, (len(frame), 2))
    look = np.column_stack([np.full(len(frame), area), np.zeros(len(frame)), np.zeros(len(frame))])
    return Piece(frame / FPS, place, look)


@pytest.mark.parametrize("angle_deg", [30.0, 60.0, 120.0])
def test_a_path_goes_on_in_its_own_direction(angle_deg: float) -> None:
    turn = np.deg2rad(angle_deg)
    other = (40.0 * np.cos(turn), 40.0 * np.sin(turn))
    before, own, stranger = piece(-30, -3, (40, 0)), piece(3, 10, (40, 0)), piece(4, 10, other)
    assert link(before, own)[0] > link(before, stranger)[0] + 2.0


def test_a_look_is_known_again() -> None:
    before = piece(-30, -3, (40, 0), area=5.5)
    same = link(before, piece(3, 10, (40, 0), area=5.52))[1]
    larger = link(before, piece(3, 10, (40, 0), area=5.8))[1]
    assert same > 1.0
    assert larger < same - 3.0


def test_a_piece_of_its_own_time_scale_counts_the_same_at_any_frame_rate() -> None:
    slow, fast = piece(-30, -3, (40, 0)), piece(3, 10, (40, 0))
    shifted = Piece(slow.time_s + 100.0, slow.place_um, slow.look)
    later = Piece(fast.time_s + 100.0, fast.place_um, fast.look)
    assert link(slow, fast) == pytest.approx(link(shifted, later))


def crowd(count: int) -> tuple[Population, Float64]:
    """Tracks so near that each meets each; and the identities that are told of them then."""
    tracks = Population(1)
    tracks.room(count)
    tracks.resize(count)
    records = tracks.records
    records["track_id"] = np.arange(1, count + 1)
    records["confirmed"], records["identity"], records["doubt_until_s"] = True, 1.0, -np.inf
    records["mean"], records["trail"] = 0.0, np.nan
    return tracks, records["identity"]


def test_encounters_beyond_what_is_kept_in_mind_are_in_doubt_and_counted() -> None:
    none = np.zeros((0, 2), np.int64)
    for count, told, crowded in ((60, 1.0, 0), (70, 0.5, 2)):
        assert (count * (count - 1) / 2 > MOST_MEETINGS) == (crowded > 0)
        meetings, (tracks, identity) = Meetings(TrackerSettings()), crowd(count)
        for k in range(2):
            meetings.update(k / FPS, tracks.records, np.full(count, -1), none)
        assert meetings.crowded == crowded
        assert (identity == told).all()


def follow(paths_um: Float64, side_px: tuple[float, float], seed: int) -> list[Tracks]:
    """Track two sperm (T, 2, 2) that are found as one, between them, below 4 um."""
    rng, tracker = np.random.default_rng(seed), Tracker()
    steps = []
    for k, both in enumerate(paths_um):
        sides = np.array(side_px)
        if np.hypot(*(both[0] - both[1])) < 4.0:
            both, sides = both.mean(axis=0, keepdims=True), sides.mean(keepdims=True)
        seen = both + rng.normal(0.0, 0.25, both.shape)
        sides = sides * np.exp(rng.normal(0.0, 0.04, len(sides)))
        boxes = np.column_stack([seen, sides, sides])
        n = len(seen)
        steps.append(tracker.step(k / FPS, seen, boxes, np.ones(n), np.ones(n, np.int8), FIELD))
    return steps


def names(tracks: Tracks, both_um: Float64) -> list[int]:
    apart = np.hypot(*(both_um[:, None] - tracks.position_um[None]).transpose(2, 0, 1))
    found: list[int] = tracks.track_id[apart.argmin(axis=1)].tolist()
    return found


def touch_and_turn(stay_s: float, *, mirrored: bool = False) -> Float64:
    """Two sperm meet head-on, stay one for a while, and leave to the sides.

    Their paths do not tell which of them went to which side.
    """
    time_s = np.arange(0.0, 4.0 + stay_s, 1.0 / FPS)
    come = 0.5 + 15.0 * np.maximum(2.0 - time_s, 0.0)
    go = 15.0 * np.maximum(time_s - 2.0 - stay_s, 0.0) * (-1.0 if mirrored else 1.0)
    one = np.stack([150.0 + go, 100.0 + come], axis=1)
    other = np.stack([150.0 - go, 100.0 - come], axis=1)
    return np.stack([one, other], axis=1)


def test_sperm_of_different_size_are_told_apart_after_they_were_one() -> None:
    kept = 0
    for seed in range(8):
        paths = touch_and_turn(0.1, mirrored=seed % 2 == 1)
        steps = follow(paths, (13.0, 20.0), seed)
        kept += names(steps[40], paths[40]) == names(steps[-1], paths[-1])
    assert kept >= 7


def test_sperm_that_cannot_be_told_apart_leave_a_doubt() -> None:
    doubted = 0
    for seed in range(6):
        steps = follow(touch_and_turn(0.1), (16.0, 16.0), seed)
        least = min(float(t.identity.min()) for t in steps[60:] if len(t))
        doubted += least < TrackerSettings().doubtful_identity
    assert doubted >= 5


def led_astray(seed: int) -> tuple[Tracks, Float64]:
    """One sperm turns beside a speck, which lies where it was thought to go, and fades again."""
    rng, tracker = np.random.default_rng(seed), Tracker()
    path, tracks = np.array([100.0, 100.0]), Tracks.empty(0.0)
    for k in range(60):
        path = path + np.array((0.3, -0.7) if k >= 30 else (0.9, 0.0))
        place = path + np.array((0.0, 1.2 * np.sin(2.2 * k)))
        seen, sides = place[None], np.array([16.0])
        if 30 <= k < 34:
            speck = (128.0 + 0.7 * (k - 30), 102.5)
            seen, sides = np.array([place, speck]), np.array([16.0, 14.0])
        seen = seen + rng.normal(0.0, 0.25, seen.shape)
        boxes = np.column_stack([seen, sides, sides])
        n = len(seen)
        tracks = tracker.step(k / FPS, seen, boxes, np.ones(n), np.ones(n, np.int8), FIELD)
    return tracks, path


def test_a_name_led_astray_by_a_speck_comes_back_to_its_sperm() -> None:
    for seed in range(8):
        tracks, path = led_astray(seed)
        on_it = np.hypot(*(tracks.position_um - path).T) < 3.0
        assert tracks.track_id[on_it].tolist() == [1]


def test_without_an_encounter_there_is_no_doubt() -> None:
    paths = touch_and_turn(0.0)[:50]
    steps = follow(paths, (16.0, 16.0), 0)
    assert all((t.identity == 1.0).all() for t in steps)
    assert (steps[-1].state == TrackState.CONFIRMED).all()
    empty = Tracks.empty(0.0)
    assert empty.identity.shape == (0,)


def test_warming_up_compiles_all_that_an_encounter_needs() -> None:
    warm_up()
    before = compiled()
    assert before["models.tracking.identity._judge"] >= 1
    assert before["models.tracking.identity._apply"] >= 1
    for seed in range(2):
        follow(touch_and_turn(0.1), (13.0, 20.0), seed)
    assert compiled() == before


def compiled() -> dict[str, int]:
    """How often each kernel of the package was compiled so far."""
    kernels = {}
    for module in [one for name, one in sys.modules.items() if name.startswith("models.tracking.")]:
        for kernel in vars(module).values():
            if isinstance(kernel, Dispatcher):
                kernels[f"{kernel.__module__}.{kernel.__name__}"] = len(kernel.signatures)
    return kernels
