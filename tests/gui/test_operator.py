"""The operator of a run without a person."""

from __future__ import annotations

import pytest

from app.core.messages import Arm, Follow, FollowBest, Mode, MotionState, Release, Resume
from app.ui.operator import Operator, arming, parse_follow
from tests.gui.stand_in import StandIn


def look(operator: Operator, loop: StandIn, mode: Mode, now_s: float, target: int | None = None):
    loop.commands.clear()
    loop.motion = MotionState(mode, target=target)
    operator.look(loop.advance(), now_s)
    return list(loop.commands)


def test_arms_then_follows_the_best(loop: StandIn) -> None:
    operator = Operator(loop, "best", arming(loop, "20x"))
    assert look(operator, loop, Mode.DISARMED, 0.0) == [Arm("20x")]
    assert look(operator, loop, Mode.DISARMED, 0.5) == []
    assert look(operator, loop, Mode.ARMED, 1.1) == [FollowBest()]
    assert look(operator, loop, Mode.FOLLOWING, 2.5, 3) == []


def test_waits_until_there_is_a_ranking(loop: StandIn) -> None:
    operator = Operator(loop, "best", arming(loop, "20x"))
    loop.motion = MotionState(Mode.ARMED)
    operator.look(loop.advance(ranking=()), 5.0)
    assert loop.commands == []


def test_follows_the_one_that_is_named_once_it_is_seen(loop: StandIn) -> None:
    operator = Operator(loop, 9999, arming(loop, "20x"))
    assert look(operator, loop, Mode.ARMED, 5.0) == []
    seen = int(loop.newest.tracks.track_id[loop.newest.tracks.state == 1][0])
    operator = Operator(loop, seen, arming(loop, "20x"))
    assert look(operator, loop, Mode.ARMED, 5.0) == [Follow(seen)]


def test_none_does_nothing(loop: StandIn) -> None:
    operator = Operator(loop, "none", arming(loop, "20x"))
    for mode in Mode:
        assert look(operator, loop, mode, 5.0, 3) == []


def test_resumes_after_a_hold_and_gives_up_when_the_sperm_is_gone(loop: StandIn) -> None:
    operator = Operator(loop, "best", arming(loop, "20x"))
    seen = int(loop.advance().tracks.track_id[loop.newest.tracks.state == 1][0])
    assert look(operator, loop, Mode.HOLD, 0.0, seen) == [Resume()]
    assert look(operator, loop, Mode.FOLLOWING, 1.5, seen) == []
    assert look(operator, loop, Mode.HOLD, 2.0, 9999) == []
    assert look(operator, loop, Mode.HOLD, 4.0, 9999) == []
    assert look(operator, loop, Mode.HOLD, 5.5, 9999) == [Release()]


def test_a_fault_is_left_to_a_person(loop: StandIn) -> None:
    operator = Operator(loop, "best", arming(loop, "20x"))
    assert look(operator, loop, Mode.FAULT, 5.0) == []


def test_with_a_person_it_arms_never_and_chooses_once(loop: StandIn) -> None:
    operator = Operator(loop, "best", None)
    assert look(operator, loop, Mode.DISARMED, 0.0) == []
    assert look(operator, loop, Mode.ARMED, 2.0) == [FollowBest()]
    assert look(operator, loop, Mode.HOLD, 4.0, 3) == []
    assert look(operator, loop, Mode.ARMED, 6.0) == []


@pytest.mark.parametrize("text", ["", "Best", "-3", "0", "3.5", "no one", "٣"])
def test_what_to_follow_must_be_clear(text: str) -> None:
    with pytest.raises(ValueError, match="'best', 'none' or the number of a track"):
        parse_follow(text)


def test_what_to_follow_is_read() -> None:
    assert [parse_follow(t) for t in ("best", "none", "17")] == ["best", "none", 17]
