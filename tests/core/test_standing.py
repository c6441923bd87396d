"""The first place is steady, and a function of time, not of frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.standing import ABSENT_S, BLINK_S, HOLD_S, PATIENCE_S, Candidate, Standing


def play(fps: float, scores_at, until_s: float = 4.0) -> list[tuple[float, int | None]]:  # type: ignore[no-untyped-def]
    """Return when the first place changed, and to whom."""
    standing, found, before = Standing(), [], None
    for k in range(round(until_s * fps) + 1):
        time_s = k / fps
        standing.update(time_s, scores_at(time_s))
        if standing.first != before:
            before = standing.first
            found.append((time_s, before))
    return found


@pytest.mark.parametrize("fps", [9.0, 30.0, 60.0, 200.0])
def test_a_lead_takes_the_place_after_a_second_at_any_frame_rate(fps: float) -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        return {1: Candidate(0.6, 0.02), 2: Candidate(0.8 if time_s >= 1.5 else 0.5, 0.02)}

    found = play(fps, scores)
    assert [track for _, track in found] == [1, 2]
    assert found[0][0] == pytest.approx(HOLD_S, abs=2 / fps)
    assert found[1][0] == pytest.approx(1.5 + HOLD_S, abs=2 / fps)


def test_a_lead_within_the_uncertainty_or_too_short_changes_nothing() -> None:
    within = {1: Candidate(0.60, 0.1), 2: Candidate(0.70, 0.1)}
    assert [t for _, t in play(30.0, lambda s: {1: within[1]} if s == 0 else within)] == [1]

    def in_turns(time_s: float) -> dict[int, Candidate]:
        up = int(time_s / 0.5) % 2 == 1
        return {1: Candidate(0.6), 2: Candidate(0.9 if up else 0.5)}

    assert [t for _, t in play(30.0, in_turns)] == [1]


def test_two_challengers_in_turns_do_not_add_up() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        up = int(time_s / 0.6) % 2 == 0
        return {
            1: Candidate(0.7 if time_s > 1.1 else 0.95),
            2: Candidate(0.9 if up else 0.6), 3: Candidate(0.6 if up else 0.9),
        }  # fmt: skip

    assert [t for _, t in play(30.0, scores)] == [1]


def test_one_that_is_gone_is_replaced_and_one_that_blinks_is_not() -> None:
    def blink(time_s: float) -> dict[int, Candidate]:
        both = {1: Candidate(0.9), 2: Candidate(0.5)}
        return {2: both[2]} if 1.0 < time_s < 1.0 + ABSENT_S - 0.05 else both

    assert [t for _, t in play(30.0, blink)] == [1]

    def gone(time_s: float) -> dict[int, Candidate]:
        return {2: Candidate(0.5)} if time_s > 1.0 else {1: Candidate(0.9), 2: Candidate(0.5)}

    found = play(30.0, gone)
    assert [t for _, t in found] == [1, 2]
    assert found[1][0] == pytest.approx(1.0 + ABSENT_S, abs=0.07)


def test_the_place_is_not_given_while_a_better_one_is_new() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        known = {1: Candidate(0.75, 0.03)}
        return known | {2: Candidate(0.82, 0.03)} if time_s > 0.8 else known

    found = play(30.0, scores)
    assert [t for _, t in found] == [2]
    assert found[0][0] == pytest.approx(0.8 + HOLD_S, abs=0.07)


def test_one_that_wants_something_is_first_only_where_nobody_else_comes() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        wanting = {1: Candidate(0.6, 0.02, wanting=True), 2: Candidate(0.5, 0.02, wanting=True)}
        return wanting | ({3: Candidate(0.7, 0.02)} if time_s > 6.0 and other else {})

    other = True
    assert play(30.0, scores, 12.0) == [(pytest.approx(6.0 + HOLD_S, abs=0.07), 3)]
    other = False
    found = play(30.0, scores, 12.0)
    assert found == [(pytest.approx(HOLD_S + PATIENCE_S, abs=0.07), 1)]


def test_the_heir_of_one_that_has_gone_may_wait_too_and_leads_the_order_meanwhile() -> None:
    standing = Standing()
    for k in range(60):
        standing.update(k / 30, {1: Candidate(0.9), 2: Candidate(0.4, wanting=True)})
    given = 60 + round(30 * (ABSENT_S + PATIENCE_S))
    for k in range(60, given - 3):
        assert standing.update(k / 30, {2: Candidate(0.4, wanting=True)}) == (2,)
        assert standing.changes == 0
    for k in range(given - 3, given + 12):
        standing.update(k / 30, {2: Candidate(0.4, wanting=True)})
    assert standing.first == 2
    assert standing.changes == 1


def test_what_has_no_number_has_no_place() -> None:
    standing = Standing()
    for k in range(40):
        order = standing.update(k / 30, {1: Candidate(float("nan")), 2: Candidate(0.3)})
        assert order == (2,)
    assert standing.first == 2


def test_one_that_comes_and_goes_at_the_border_is_no_heir() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        steady = {3: Candidate(0.74, 0.03)}
        steady |= {1: Candidate(0.9, 0.03)} if time_s < 2.0 else {}
        return steady | ({2: Candidate(0.76, 0.03)} if int(time_s / 0.4) % 2 else {})

    assert [t for _, t in play(30.0, scores)] == [1, 3]


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.3))
def test_one_that_is_missed_in_single_frames_is_not_new_each_time(seed: int, missed: float) -> None:
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.3, 0.9, 8)
    standing, last_s, blinks = Standing(), np.zeros(8), True
    for k in range(40):
        seen = rng.random(8) >= missed if k else np.ones(8, bool)
        blinks &= bool((k / 30 - last_s < BLINK_S - 0.01).all())
        last_s[seen] = k / 30
        standing.update(k / 30, {i: Candidate(float(score[i]), 0.03) for i in np.flatnonzero(seen)})
        assert standing.first is None or k / 30 >= HOLD_S - 1e-9
    if blinks:
        assert standing.first is not None
        assert score[standing.first] > score.max() - 0.05


def with_misses(rng: np.random.Generator, fps: float, missed: float, until_s: float) -> list[bool]:
    """Return in which frames one is seen: missed at random, never for ``BLINK_S`` on end."""
    seen: list[bool] = []
    last = 0
    for k in range(round(until_s * fps) + 1):
        seen.append(k == 0 or rng.random() >= missed or (k + 1 - last) / fps >= BLINK_S - 0.01)
        last = k if seen[-1] else last
    return seen


@pytest.mark.parametrize("fps", [9.0, 30.0, 60.0, 200.0])
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.3))
@settings(deadline=None, max_examples=30)
def test_missed_frames_do_not_put_off_who_takes_the_place(
    fps: float, seed: int, missed: float
) -> None:
    rng = np.random.default_rng(seed)
    holder, other = (with_misses(rng, fps, missed, 5.0) for _ in range(2))

    def scores(time_s: float) -> dict[int, Candidate]:
        k = round(time_s * fps)
        found = {1: Candidate(0.5, 0.02)} if holder[k] else {}
        return found | ({2: Candidate(0.9, 0.02)} if other[k] and time_s >= 2.0 else {})

    seen_s = np.flatnonzero(other) / fps
    begin_s = seen_s[seen_s >= 2.0][0]
    found = play(fps, scores, 5.0)
    assert [track for _, track in found] == [1, 2]
    assert found[1][0] == seen_s[seen_s >= begin_s + HOLD_S - 1e-6][0]


@pytest.mark.parametrize("fps", [9.0, 30.0, 60.0, 200.0])
@pytest.mark.parametrize("unseen", [1, 2])
def test_a_lead_that_is_seen_to_fall_begins_anew_whoever_is_missed(fps: float, unseen: int) -> None:
    # The challenger falls back for a moment: just after a miss of its own, or while the holder is
    # not seen.
    def scores(time_s: float) -> dict[int, Candidate]:
        falls = 2.5 <= time_s < 2.5 + 1.5 / fps
        found = {1: Candidate(0.5, 0.02), 2: Candidate(0.52 if falls else 0.9, 0.02)}
        if time_s < 2.0:
            del found[2]
        if falls if unseen == 1 else 2.5 - 1.5 / fps <= time_s < 2.5:
            found.pop(unseen, None)
        return found

    found = play(fps, scores, 5.0)
    assert [track for _, track in found] == [1, 2]
    assert found[1][0] == pytest.approx(2.5 + HOLD_S, abs=4 / fps)


def test_a_challenger_that_was_gone_for_long_begins_anew() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        there = 2.0 <= time_s and not 2.5 < time_s < 2.6 + BLINK_S
        return {1: Candidate(0.5)} | ({2: Candidate(0.9)} if there else {})

    found = play(30.0, scores, 5.0)
    assert found[1] == (pytest.approx(2.6 + BLINK_S + HOLD_S, abs=0.07), 2)


def test_one_that_was_gone_for_long_is_new() -> None:
    def scores(time_s: float) -> dict[int, Candidate]:
        return {} if 0.5 < time_s < 0.6 + BLINK_S else {1: Candidate(0.5)}

    assert play(30.0, scores) == [(pytest.approx(0.6 + BLINK_S + HOLD_S, abs=0.07), 1)]


def test_every_change_has_its_reason_and_nothing_is_first_of_nothing() -> None:
    standing = Standing()
    assert standing.update(0.0, {}) == ()
    assert standing.first is None
    standing.update(0.1, {4: Candidate(0.5)})
    assert standing.first is None
    standing.update(1.1, {4: Candidate(0.5)})
    assert standing.first == 4
    for k in range(40):
        order = standing.update(1.2 + k / 30, {4: Candidate(0.5), 7: Candidate(0.62)})
    assert order == (7, 4)
    assert standing.change == "7 has led 4 by 0.12 for 1 s"
    assert standing.changes == 1


def test_twenty_steady_sperm_change_places_at_most_twice_a_minute() -> None:
    rng = np.random.default_rng(3)
    true = rng.uniform(0.4, 0.8, 20)
    noise = np.zeros(20)
    standing = Standing()
    for k in range(60 * 30):  # a minute; the noise of scores lasts about a second
        noise = 0.97 * noise + rng.normal(0, 0.03 * np.sqrt(1 - 0.97**2), 20)
        shown = np.clip(true + noise, 0, 1)
        standing.update(k / 30, {i: Candidate(float(s), 0.03) for i, s in enumerate(shown)})
    assert standing.changes <= 2
    assert true[standing.first] > np.sort(true)[-4]  # type: ignore[index]
