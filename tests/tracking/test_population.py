"""The block of records that live tracks are kept in."""

from __future__ import annotations

import numpy as np

from models.tracking.life import live_on
from models.tracking.motion import MotionModel, advance
from models.tracking.population import TRAIL, Population, exchange, record_type
from models.tracking.settings import TrackerSettings
from models.types import Float64
from tests.tracking.swimmers import FIELD


def filled(count: int, seed: int) -> Population:
    """Confirmed tracks in the field, each unlike the others, that were seen for a second."""
    rng, settings = np.random.default_rng(seed), TrackerSettings()
    model, modes = MotionModel(settings), len(settings.modes)
    tracks = Population(modes)
    block = tracks.room(count)
    motion = model.birth(rng.uniform(50.0, 200.0, (count, 2)))
    tracks.resize(count)
    one = block[:count]
    one["track_id"], one["confirmed"] = np.arange(1, count + 1), True
    one["mode_mean"] = motion.mean + rng.normal(0.0, 3.0, motion.mean.shape)
    one["mode_covariance"], one["mode"] = motion.covariance, motion.mode
    one["mean"], one["covariance"] = motion.combined()
    one["covariance"][:, 0, 0] = one["covariance"][:, 1, 1] = 0.5
    one["detectable"], one["seen_s"], one["hits"], one["steps"] = 0.99, 1.0, 31, 30
    one["identity"], one["doubt_until_s"] = 1.0, -np.inf
    one["trail"] = np.nan
    one["trail"][:, :30, 0] = np.arange(1, 31) / 30.0
    one["trail"][:, :30, 1:] = rng.normal(0.0, 1.0, (count, 30, 5))
    return tracks


def end(tracks: Population, own: np.ndarray) -> int:
    """Half a frame later: who is still there?"""
    nothing: Float64 = np.zeros((0, 4))
    label = np.zeros(0, np.int64)
    return live_on(
        tracks.records, own, nothing, label, 1.0, 1 / 30, FIELD.inward, FIELD.offset_um,
        TrackerSettings(), 0,
    )  # fmt: skip


def test_more_room_changes_no_track() -> None:
    tracks = filled(50, 0)
    before = tracks.records.copy()
    block = tracks.room(500)
    assert len(block) >= 550
    for name in ("track_id", "mode_mean", "trail"):
        np.testing.assert_array_equal(tracks.records[name], before[name])
    tracks.resize(3)
    assert tracks.records["track_id"].tolist() == [1, 2, 3]


def test_tracks_that_end_leave_the_others_as_they_were() -> None:
    tracks = filled(8, 1)
    before = tracks.records.copy()
    tracks.records["seen_s"][[0, 3, 4]] = -1.0
    own = np.full(8, -1, np.int64)
    left = end(tracks, own)
    assert left == 5
    kept = [1, 2, 5, 6, 7]
    for name in ("track_id", "mode_mean", "mode_covariance", "mean", "trail", "identity"):
        np.testing.assert_array_equal(tracks.records[:left][name], before[kept][name])


def test_records_move_as_the_batched_filter_moves() -> None:
    tracks, model = filled(6, 2), MotionModel(TrackerSettings())
    one = tracks.records
    one["coasting"][[1, 4]] = True
    motion = model.birth(one["mean"][:, :2])
    motion.mean[:], motion.covariance[:] = one["mode_mean"], one["mode_covariance"]
    expected = model.predict(motion, 0.04, one["coasting"].copy())
    advance(one, *model.matrices(0.04))
    np.testing.assert_allclose(one["mode_mean"], expected.mean, rtol=1e-14)
    np.testing.assert_allclose(one["mode_covariance"], expected.covariance, rtol=1e-14)
    np.testing.assert_allclose(one["mode"], expected.mode, rtol=1e-14)
    mean, covariance = expected.combined()
    np.testing.assert_allclose(one["mean"], mean, rtol=1e-14)
    np.testing.assert_allclose(one["covariance"], covariance, rtol=1e-14)


def test_two_tracks_exchange_their_bodies_but_not_their_past() -> None:
    tracks = filled(3, 3)
    before = tracks.records.copy()
    exchange(tracks.records, 0, 2, 0.5)
    after = tracks.records
    np.testing.assert_array_equal(after["track_id"], before["track_id"])
    for name in ("mode_mean", "mode_covariance", "mode", "mean", "covariance", "seen_s"):
        np.testing.assert_array_equal(after[name][[0, 2]], before[name][[2, 0]])
        np.testing.assert_array_equal(after[name][1], before[name][1])
    for own, other in ((0, 2), (2, 0)):
        trail = sorted(after["trail"][own][~np.isnan(after["trail"][own][:, 0])].tolist())
        past, newer = before["trail"][own], before["trail"][other]
        wanted = [*past[past[:, 0] <= 0.5].tolist(), *newer[newer[:, 0] > 0.5].tolist()]
        assert trail == sorted(wanted)


def test_a_record_holds_the_trail_of_a_second_and_a_half_at_thirty_frames() -> None:
    assert record_type(4)["trail"].shape[0] == TRAIL
    assert TRAIL >= 45
