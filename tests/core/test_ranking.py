"""Who can be ranked, and in which order."""

from __future__ import annotations

import numpy as np

from app.core.ranking import BORDER_PX, LEAVING_PX, Ranking, rank, wanting
from app.core.selection import find_target, may_be_chosen
from app.core.standing import HOLD_S, PATIENCE_S
from models.types import Measurements, Tracks, TrackState


def tracks_at(places_um: list[tuple[float, float]], **columns: object) -> Tracks:
    n = len(places_um)
    values: dict[str, object] = {
        "time_s": 1.0,
        "track_id": np.arange(1, n + 1),
        "position_um": np.array(places_um, float).reshape(n, 2),
        "velocity_um_s": np.zeros((n, 2)),
        "covariance": np.zeros((n, 4, 4)),
        "raw_um": np.zeros((n, 2)),
        "size_px": np.ones((n, 2)),
        "score": np.ones(n),
        "p_exist": np.ones(n),
        "state": np.full(n, TrackState.CONFIRMED, np.int8),
        "label": np.zeros(n, np.int8),
        "detection": np.arange(n),
        **columns,
    }
    return Tracks(**values)  # type: ignore[arg-type]


def ranked(
    speeds: list[float], places_px: list[tuple[float, float]], **columns: object
) -> tuple[int, ...]:
    tracks = tracks_at(places_px, **columns)
    measured = Measurements(tracks.track_id, {"vap_um_s": np.array(speeds)}, ("ok",) * len(tracks))
    return rank(tracks, np.array(places_px), measured, 640, 480)


MIDDLE = (320.0, 240.0)


def test_the_fastest_is_first() -> None:
    assert ranked([20.0, 80.0, 50.0], [MIDDLE] * 3) == (2, 3, 1)


def test_what_does_not_beat_is_behind_what_does() -> None:
    tracks = tracks_at([MIDDLE] * 3)
    values = {"vap_um_s": np.array([30.0, 8.0, 5.0]), "swing": np.array([0.8, 2.0, 3.0])}
    measured = Measurements(tracks.track_id, values, ("ok",) * 3)
    assert rank(tracks, np.array([MIDDLE] * 3), measured, 640, 480) == (2, 3, 1)


def test_what_cannot_be_known_is_not_ranked() -> None:
    assert ranked([np.nan, 80.0], [MIDDLE] * 2) == (2,)
    assert ranked([500.0, 80.0], [MIDDLE] * 2) == (2,)


def test_near_the_border_nothing_is_ranked() -> None:
    near = [(BORDER_PX - 1, 240.0), (320.0, 479.0 - BORDER_PX + 1), (320.0, 479.0 - BORDER_PX)]
    assert ranked([90.0, 80.0, 10.0], near) == (3,)


def test_only_confirmed_and_seen() -> None:
    state = np.array([TrackState.TENTATIVE, TrackState.COASTING, TrackState.CONFIRMED], np.int8)
    assert ranked([90.0, 80.0, 10.0], [MIDDLE] * 3, state=state) == (3,)


def test_no_tracks_no_ranking() -> None:
    assert (
        rank(Tracks.empty(0.0), np.zeros((0, 2)), Measurements(np.zeros(0, np.int64)), 9, 9) == ()
    )


def test_scores_rank_where_there_are_scores_and_speed_until_then() -> None:
    ranking = Ranking(640, 480)

    def order(time_s: float, scores: list[float]) -> tuple[int, ...]:
        tracks = tracks_at([MIDDLE] * 3, time_s=time_s)
        values = {"vap_um_s": np.array([20.0, 80.0, 50.0]), "score": np.array(scores)}
        measured = Measurements(tracks.track_id, values, ("ok",) * 3)
        return ranking.update(tracks, np.array([MIDDLE] * 3), measured)

    assert order(0.0, [np.nan] * 3) == (2, 3, 1)
    assert order(0.1, [0.9, np.nan, 0.4]) == (2, 3, 1)
    assert not ranking.judged  # so far an order by speed, and no rank
    assert order(1.2, [0.9, np.nan, 0.4]) == (1, 3)
    assert ranking.judged
    assert order(1.3, [0.9, 0.95, 0.4]) == (1, 2, 3)
    assert order(2.4, [0.9, 0.95, 0.4]) == (2, 1, 3)
    assert order(2.5, [np.nan] * 3) == ()
    assert ranking.changes == 1
    assert ranking.change == "2 has led 1 by 0.05 for 1 s"


def test_the_target_and_its_neighbours() -> None:
    tracks = tracks_at([(0.0, 0.0), (4.0, 0.0), (100.0, 0.0)])
    near, far = find_target(tracks, 1), find_target(tracks, 3)
    assert near is not None
    assert far is not None
    assert not near.alone
    assert far.alone
    assert find_target(tracks, 9) is None
    assert "not in view" in may_be_chosen(tracks, 9)
    assert may_be_chosen(tracks, 3) == ""


def test_one_that_fails_a_limit_or_is_not_known_in_all_waits_for_the_first_place() -> None:
    for score, healthy in ((0.9, 0.0), (0.4, 1.0), (0.9, np.nan)):
        ranking = Ranking(640, 480)
        for k in range(345):
            tracks = tracks_at([MIDDLE] * 2, time_s=k / 30)
            values = {
                "vap_um_s": np.array([20.0, 30.0]), "score": np.array([score, np.nan]),
                "healthy": np.array([healthy, np.nan]),
            }  # fmt: skip
            measured = Measurements(tracks.track_id, values, ("ok",) * 2)
            order = ranking.update(tracks, np.array([MIDDLE] * 2), measured)
            if k / 30 < HOLD_S + PATIENCE_S - 0.1:
                assert not ranking.judged
                assert order == (2, 1)  # by speed until then
        assert ranking.judged
        assert order == (1,)
    assert not wanting(Measurements(np.arange(2), {"score": np.full(2, 0.1)}, ("ok",) * 2)).any()


def test_the_first_keeps_its_place_at_the_border_until_it_leaves() -> None:
    ranking = Ranking(640, 480)

    def order(time_s: float, x_px: float, score: float = 0.9) -> tuple[int, ...]:
        places = [(x_px, 240.0), MIDDLE]
        tracks = tracks_at(places, time_s=time_s)
        values = {"vap_um_s": np.array([20.0, 20.0]), "score": np.array([score, 0.5])}
        measured = Measurements(tracks.track_id, values, ("ok", "ok"))
        return ranking.update(tracks, np.array(places), measured)

    order(-1.0, BORDER_PX + 5)
    assert order(0.0, BORDER_PX + 5) == (1, 2)
    for k in range(1, 6):  # another that was not first would not be ranked here
        assert order(float(k), LEAVING_PX + 5) == (1, 2)
    assert order(6.0, LEAVING_PX - 5) == (2,)
    assert order(7.0, LEAVING_PX - 5) == (2,)
    assert order(8.0, LEAVING_PX + 5) == (2,)
    assert ranking.change == "1 leaves; 2 is the best now"
    assert ranking.changes == 1


def test_a_change_says_whether_the_first_was_lost_or_has_no_score() -> None:
    for gone, why in ((True, "is lost"), (False, "has no score")):
        ranking = Ranking(640, 480)
        for k in range(-1, 4):
            tracks = tracks_at([MIDDLE] * 2, time_s=float(k))
            score = np.array([0.9, 0.5])
            if k > 0 and gone:
                tracks = tracks_at([MIDDLE], time_s=float(k), track_id=np.array([2]))
                score = np.array([0.5])
            elif k > 0:
                score = np.array([np.nan, 0.5])
            n = len(tracks)
            measured = Measurements(
                tracks.track_id, {"vap_um_s": np.full(n, 9.0), "score": score}, ("ok",) * n
            )
            ranking.update(tracks, np.array([MIDDLE] * n), measured)
        assert ranking.change == f"1 {why}; 2 is the best now"
