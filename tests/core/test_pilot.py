"""What the stage is told, step by step, without a stage."""

from __future__ import annotations

import numpy as np
import pytest
from virtual_loop import VirtualLoop

from app.config import ServoConfig
from app.core.interlocks import Health
from app.core.messages import Arm, Disarm, Follow, FollowBest, Mode, MoveBy, Release, Resume, Stop
from app.core.pilot import Halt, Pilot
from app.core.pose_history import PoseHistory
from app.core.servo import Move, Velocity
from drivers.types import Pose
from models.types import Tracks

GOOD = Health(0.0, 0.15, 0.0)


def pose(time_s: float, x_um: float, moving: bool | None = False) -> Pose:
    return Pose(time_s, x_um, 0.0, np.nan, moving)


def moving() -> Pilot:
    """A pilot whose stage is on its way from 0 to 100 um."""
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    assert pilot.obey(Arm("20x"), 0.1, GOOD, "") == ""
    assert pilot.obey(MoveBy(100.0, 0.0), 0.1, GOOD, "") == ""
    action = pilot.act(0.1, GOOD)
    assert isinstance(action, Move)
    np.testing.assert_allclose(action.to_um, (100.0, 0.0))
    assert pilot.moving_by_plan
    return pilot


def test_a_move_ends_when_the_stage_rests_where_it_was_sent() -> None:
    pilot = moving()
    pilot.read(pose(0.11, 0.0), 0.12)  # before the command took effect
    assert pilot.moving_by_plan
    pilot.read(pose(0.15, 50.0, True), 0.16)
    assert pilot.moving_by_plan
    pilot.read(pose(0.2, 99.9), 0.21)
    assert not pilot.moving_by_plan
    assert pilot.fault == ""
    assert pilot.state.mode is Mode.ARMED


def test_a_position_read_before_the_end_is_looked_at_again() -> None:
    pilot = moving()
    pilot.read(pose(0.15, 90.0), 0.16)
    assert pilot.moving_by_plan
    pilot.read(pose(0.17, 100.0), 0.18)
    assert not pilot.moving_by_plan
    assert pilot.fault == ""


def test_m10_a_stage_that_rests_elsewhere_is_a_fault() -> None:
    pilot = moving()
    pilot.read(pose(0.15, 90.0), 0.16)
    pilot.read(pose(0.17, 90.0), 0.18)
    assert "10 um from where it was sent" in pilot.fault
    assert isinstance(pilot.act(0.2, GOOD), Halt)
    assert pilot.state.mode is Mode.FAULT


def test_m6_unknown_is_never_idle() -> None:
    pilot = moving()
    for k in range(20):
        pilot.read(pose(0.15 + k * 0.02, 60.0, None), 0.16 + k * 0.02)
    assert pilot.moving_by_plan
    assert pilot.act(2.2, GOOD) is None
    assert isinstance(pilot.act(2.3, GOOD), Halt)  # the move did not end in time
    assert pilot.state.mode is Mode.FAULT


@pytest.mark.parametrize("command", [Stop(), Disarm()])
def test_m12_a_stop_halts_once_and_nothing_follows(command: Stop | Disarm) -> None:
    pilot = moving()
    assert pilot.obey(command, 0.15, GOOD, "") == ""
    assert isinstance(pilot.act(0.15, GOOD), Halt)
    for k in range(100):
        assert pilot.act(0.2 + k * 0.1, GOOD) is None
    assert pilot.obey(MoveBy(1.0, 0.0), 1.0, GOOD, "") != ""


STALE = [
    (Health(5.0, 0.15, 0.0), "the camera's frames are stale"),
    (Health(0.0, 0.15, 5.0), "the stage's position is stale"),
]


@pytest.mark.parametrize(("health", "why"), STALE)
def test_m8_no_planned_move_begins_with_stale_frames_or_pose(health: Health, why: str) -> None:
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    assert pilot.obey(Arm("20x"), 0.1, GOOD, "") == ""
    assert pilot.obey(MoveBy(500.0, 0.0), 0.15, health, "") == f"not moved: {why}"
    assert pilot.act(0.15, health) is None
    # what was fresh when it was asked for may be stale when it would begin
    assert pilot.obey(MoveBy(500.0, 0.0), 0.16, GOOD, "") == ""
    assert pilot.act(0.2, health) is None
    assert pilot.state.reason == f"the move was stopped: {why}"
    assert pilot.act(0.25, GOOD) is None


@pytest.mark.parametrize(("health", "why"), STALE)
def test_m8_a_planned_move_ends_where_frames_or_pose_become_stale(health: Health, why: str) -> None:
    pilot = moving()
    assert pilot.act(0.15, GOOD) is None
    assert isinstance(pilot.act(0.2, health), Halt)
    assert pilot.state.mode is Mode.ARMED
    assert pilot.state.reason == f"the move was stopped: {why}"
    assert not pilot.moving_by_plan
    for k in range(60):  # nothing of it goes on when all is fresh again
        assert pilot.act(0.3 + 0.1 * k, GOOD) is None
    assert pilot.fault == ""
    pilot.read(pose(7.0, 30.0), 7.0)
    assert pilot.obey(MoveBy(10.0, 0.0), 7.0, GOOD, "") == ""
    assert isinstance(pilot.act(7.0, GOOD), Move)
    assert pilot.state.reason == ""


@pytest.mark.parametrize(("health", "why"), STALE)
def test_m8_a_target_on_its_way_to_the_centre_is_held(health: Health, why: str) -> None:
    loop = VirtualLoop(seed=1)
    loop.run(3.0)
    pilot, tracks, now_s = loop.pilot, loop.tracks, 3.2
    away_um = np.linalg.norm(tracks.position_um - loop.pose_um(now_s), axis=1)
    far = int(tracks.track_id[np.flatnonzero((tracks.state == 1) & (away_um > 70))[0]])
    assert pilot.obey(Follow(far), now_s, GOOD, "") == ""
    while not isinstance(pilot.act(now_s, GOOD), Move):
        now_s += 0.03
        assert now_s < 4.0
    assert isinstance(pilot.act(now_s + 0.03, health), Halt)
    assert (pilot.state.mode, pilot.state.reason) == (Mode.HOLD, why)
    assert pilot.state.target == far
    assert pilot.act(now_s + 0.06, GOOD) is None


def test_who_steers_beside_the_stage_is_not_idle() -> None:
    pilot = Pilot(ServoConfig(idle_s=60.0), PoseHistory(0.026), 30.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    for second in range(0, 300, 30):
        pilot.touch(float(second))
        pilot.act(second + 29.0, GOOD)
        assert pilot.state.mode is Mode.ARMED
    pilot.act(270.0 + 61.0, GOOD)
    assert pilot.state.mode is Mode.DISARMED
    pilot.touch(400.0)  # to be at work arms nothing
    assert pilot.act(400.0, GOOD) is None
    assert pilot.state.mode is Mode.DISARMED


def test_a_refused_move_leaves_nothing_stuck() -> None:
    pilot = moving()
    pilot.give_up(0.12, "outside the limits")
    assert not pilot.moving_by_plan
    assert pilot.obey(MoveBy(10.0, 0.0), 0.13, GOOD, "") == ""
    assert isinstance(pilot.act(0.13, GOOD), Move)


def test_a_new_choice_right_after_a_hold_still_halts_before_it_moves() -> None:
    loop = VirtualLoop(seed=1)
    loop.run(3.0)
    pilot, now_s = loop.pilot, 3.2
    assert pilot.state.mode is Mode.FOLLOWING
    pilot.give_up(now_s, "the guardian stopped the stage")
    assert pilot.state.mode is Mode.HOLD
    tracks = loop.tracks
    away_um = np.linalg.norm(tracks.position_um - loop.pose_um(now_s), axis=1)
    far = int(tracks.track_id[np.flatnonzero((tracks.state == 1) & (away_um > 70))[0]])
    assert pilot.obey(Follow(far), now_s, GOOD, "") == ""
    assert isinstance(pilot.act(now_s, GOOD), Halt)
    assert isinstance(pilot.act(now_s + 0.03, GOOD), Move)


def test_a_move_that_is_asked_for_right_after_a_release_is_made_from_rest() -> None:
    pilot = following(identity=1.0)
    assert isinstance(pilot.act(0.05, GOOD), Velocity)
    assert pilot.obey(Release(), 0.06, GOOD, "") == ""
    assert pilot.obey(MoveBy(500.0, 0.0), 0.06, GOOD, "") == ""
    assert isinstance(pilot.act(0.06, GOOD), Halt)
    action = pilot.act(0.08, GOOD)
    assert isinstance(action, Move)
    assert action.to_um[0] == pytest.approx(500.0, abs=5.0)


def test_who_is_released_on_the_way_to_the_centre_is_gone_to_no_more() -> None:
    pilot = Pilot(ServoConfig(approach_um=3.0), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(near_centre(0.0, 1.0), 0.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    assert pilot.obey(Follow(3), 0.0, GOOD, "") == ""
    assert isinstance(pilot.act(0.0, GOOD), Move)
    pilot.obey(Release(), 0.01, GOOD, "")
    assert pilot.state.mode is Mode.ARMED
    assert isinstance(pilot.act(0.02, GOOD), Halt)
    assert pilot.act(0.04, GOOD) is None
    assert not pilot.is_driving


@pytest.mark.parametrize("released", [True, False])
def test_who_is_chosen_amid_a_planned_move_ends_it_first(released: bool) -> None:
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(near_centre(0.0, 1.0), 0.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    if released:
        pilot = Pilot(ServoConfig(approach_um=3.0), PoseHistory(0.026), 30.0)
        pilot.read(pose(0.0, 0.0), 0.0)
        pilot.see(near_centre(0.0, 1.0), 0.0)
        pilot.obey(Arm("20x"), 0.0, GOOD, "")
        pilot.obey(Follow(3), 0.0, GOOD, "")
    else:
        pilot.obey(MoveBy(9_000.0, 0.0), 0.0, GOOD, "")
    assert isinstance(pilot.act(0.0, GOOD), Move)
    if released:
        pilot.obey(Release(), 0.02, GOOD, "")
    assert pilot.obey(Follow(3), 0.02, GOOD, "") == ""
    assert isinstance(pilot.act(0.02, GOOD), Halt)  # a velocity amid a move would be refused
    assert isinstance(pilot.act(0.04, GOOD), Move if released else Velocity)
    assert pilot.state.mode in (Mode.CENTERING, Mode.FOLLOWING)


def test_a_move_that_a_choice_has_overtaken_is_not_made_later() -> None:
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(near_centre(0.0, 1.0), 0.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    assert pilot.obey(MoveBy(800.0, 0.0), 0.0, GOOD, "") == ""
    assert "wait for a move's end" in pilot.obey(MoveBy(1.0, 0.0), 0.0, GOOD, "")
    assert pilot.obey(Follow(3), 0.0, GOOD, "") == ""
    assert isinstance(pilot.act(0.01, GOOD), Velocity)
    pilot.obey(Release(), 0.02, GOOD, "")
    later = [pilot.act(0.02 * k, GOOD) for k in range(1, 5)]
    assert [type(action) for action in later if action is not None] == [Halt]


def test_s7_a_long_move_may_take_its_time_and_one_that_stands_may_not() -> None:
    pilot = moving()
    pilot.give_up(0.1, "")
    assert isinstance(pilot.act(0.1, GOOD), Halt)
    assert pilot.obey(MoveBy(9_000.0, 0.0), 0.2, GOOD, "") == ""
    assert isinstance(pilot.act(0.2, GOOD), Move)
    for k in range(1, 161):  # 4 s at 2 mm/s, then it stands
        pilot.read(pose(0.2 + 0.025 * k, 50.0 * k, True), 0.2 + 0.025 * k)
        assert pilot.act(0.2 + 0.025 * k, GOOD) is None
    assert pilot.fault == ""
    for k in range(161, 250):
        pilot.read(pose(0.2 + 0.025 * k, 8_000.0, True), 0.2 + 0.025 * k)
        pilot.act(0.2 + 0.025 * k, GOOD)
    assert "did not end in time" in pilot.fault
    assert pilot.state.mode is Mode.FAULT


def test_a_move_from_an_unknown_position_is_refused() -> None:
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.obey(Arm("20x"), 0.1, GOOD, "")
    assert "not known" in pilot.obey(MoveBy(1.0, 0.0), 0.1, GOOD, "")


def near_centre(time_s: float, identity: float) -> Tracks:
    """Return one track 5 um from the centre."""
    pair, one = np.array([[5.0, 0.0]]), np.ones(1)
    return Tracks(
        time_s, np.array([3]), pair, np.zeros((1, 2)), np.zeros((1, 4, 4)), pair, pair, one, one,
        np.ones(1, np.int8), np.ones(1, np.int8), np.zeros(1, np.int64), one * identity,
    )  # fmt: skip


def following(identity: float) -> Pilot:
    """A pilot that has been told to follow track 3."""
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(near_centre(0.0, identity), 0.0)
    assert pilot.obey(Arm("20x"), 0.0, GOOD, "") == ""
    assert pilot.obey(Follow(3), 0.0, GOOD, "") == ""
    return pilot


def test_a_target_that_may_be_another_sperm_now_is_held_and_the_reason_is_told() -> None:
    pilot = following(identity=1.0)
    pilot.see(near_centre(0.033, 0.95), 0.04)
    assert pilot.state.mode is Mode.CENTERING
    pilot.see(near_centre(0.066, 0.6), 0.07)
    assert pilot.state.mode is Mode.HOLD
    assert "track 3 met another sperm" in pilot.state.reason
    assert pilot.state.target == 3


@pytest.mark.parametrize("command", [Follow(3), Resume()])
def test_who_chooses_after_a_meeting_has_looked_and_only_the_next_one_counts(
    command: Follow | Resume,
) -> None:
    pilot = following(identity=1.0)
    pilot.see(near_centre(0.033, 1.0), 0.04)
    pilot.see(near_centre(0.066, 0.5), 0.07)
    assert pilot.obey(command, 0.08, GOOD, "") == ""
    pilot.see(near_centre(0.1, 0.5), 0.11)  # the doubt of before, which fades
    assert pilot.state.mode is Mode.CENTERING
    pilot.see(near_centre(0.133, 1.0), 0.14)
    pilot.see(near_centre(0.166, 0.5), 0.17)  # a new one
    assert pilot.state.mode is Mode.HOLD


def two(gap_um: float, identity: float = 1.0) -> Tracks:
    """Return two tracks, 3 and 4, so far apart."""
    places, ones = np.array([[5.0, 0.0], [5.0 + gap_um, 0.0]]), np.ones(2)
    return Tracks(
        0.0, np.array([3, 4]), places, np.zeros((2, 2)), np.zeros((2, 4, 4)), places, places,
        ones, ones, np.ones(2, np.int8), np.ones(2, np.int8), np.arange(2), ones * identity,
    )  # fmt: skip


@pytest.mark.parametrize(("tracks", "chosen"), [(two(2.0), False), (two(20.0, 0.8), False),
                                               (two(20.0), True)])  # fmt: skip
def test_the_best_is_not_taken_while_it_could_be_mistaken_for_another(
    tracks: Tracks, chosen: bool
) -> None:
    pilot = Pilot(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(tracks, 0.0)
    pilot.ranking = (3, 4)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    refusal = pilot.obey(FollowBest(), 0.0, GOOD, "")
    assert (refusal == "") is chosen
    assert chosen or "too near to another" in refusal
    assert pilot.state.target == (3 if chosen else None)
    # A person who names one has looked.
    assert pilot.obey(Follow(4), 0.0, GOOD, "") == ""


def test_a_ranking_that_another_thread_empties_meanwhile_is_no_crash() -> None:
    class Fleeting(Pilot):
        """Its ranking is gone at the second look."""

        looks = 0

        @property
        def ranking(self) -> tuple[int, ...]:
            self.looks += 1
            return (3, 4) if self.looks == 1 else ()

        @ranking.setter
        def ranking(self, value: tuple[int, ...]) -> None:
            pass

    pilot = Fleeting(ServoConfig(), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(two(20.0), 0.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    assert pilot.obey(FollowBest(), 0.0, GOOD, "") == ""
    assert pilot.state.target == 3


def test_a_rig_may_be_told_to_follow_whatever_the_doubt() -> None:
    pilot = Pilot(ServoConfig(sure_identity=0.0), PoseHistory(0.026), 30.0)
    pilot.read(pose(0.0, 0.0), 0.0)
    pilot.see(near_centre(0.0, 1.0), 0.0)
    pilot.obey(Arm("20x"), 0.0, GOOD, "")
    pilot.obey(Follow(3), 0.0, GOOD, "")
    pilot.see(near_centre(0.033, 0.01), 0.04)
    assert pilot.state.mode is Mode.CENTERING
