"""The servo's rules, one by one, without a stage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config import ServoConfig
from app.core.pose_history import PoseHistory
from app.core.selection import Target
from app.core.servo import Move, Phase, Servo, Velocity
from drivers.emulators.plant import Plant, PlantSettings
from drivers.types import Pose

PERIOD_S = 1 / 30
SETTINGS = ServoConfig()


def target(time_s: float, x_um: float = 0.0, y_um: float = 0.0, **more: object) -> Target:
    values: dict[str, object] = {
        "velocity_um_s": np.zeros(2), "seen": True, "alone": True, **more
    }  # fmt: skip
    return Target(1, time_s, np.array((x_um, y_um)), **values)  # type: ignore[arg-type]


def resting(lag_s: float = 0.0) -> PoseHistory:
    poses = PoseHistory(lag_s, trust_s=100.0)
    poses.read(Pose(-1.0, 0.0, 0.0, np.nan, False))
    return poses


def following(velocity: tuple[float, float] = (30.0, 0.0)) -> tuple[Servo, PoseHistory]:
    """A servo that has come to stream the target's own velocity."""
    servo, poses = Servo(SETTINGS, 30.0), resting()
    servo.choose(target(0.0, velocity_um_s=np.array(velocity)))
    for k in range(1, 4):
        servo.observe(target(k * PERIOD_S, velocity_um_s=np.array(velocity)), k * PERIOD_S)
        servo.command(k * PERIOD_S, poses)
    assert servo.phase is Phase.FOLLOW
    return servo, poses


def speed(action: Velocity | Move) -> float:
    assert isinstance(action, Velocity)
    return float(np.linalg.norm(action.um_s))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=1, max_size=20),
    st.floats(0.01, 0.1),
)
def test_speed_and_slew_are_clamped_whatever_the_target_does(
    places: list[tuple[float, float]], step_s: float
) -> None:
    config = ServoConfig(approach_um=1000.0, jump_um=100.0)
    servo, poses = Servo(config, 30.0), resting()
    servo.choose(target(0.0, *places[0], velocity_um_s=np.array((900.0, 900.0))))
    last = np.zeros(2)
    for k, place in enumerate(places, start=1):
        servo.observe(target(k * step_s, *place), k * step_s)
        action = servo.command(k * step_s, poses)
        assert isinstance(action, Velocity)
        assert np.linalg.norm(action.um_s) <= config.top_speed_um_s + 1e-6
        if servo.phase not in (Phase.WAIT, Phase.LOST):
            allowed = config.slew_um_s2 * max(min(step_s, 3 * PERIOD_S), PERIOD_S)
            assert np.linalg.norm(action.um_s - last) <= allowed + 1e-6
        last = action.um_s


def test_a_far_target_is_approached_by_one_planned_move() -> None:
    servo, poses = Servo(SETTINGS, 30.0), resting(lag_s=0.1)
    servo.choose(target(0.0, 100.0, 0.0, velocity_um_s=np.array((50.0, 0.0))))
    action = servo.command(0.1, poses)
    assert isinstance(action, Move)
    np.testing.assert_allclose(action.to_um, (110.0, 0.0))  # where it will be after the delay


def test_within_the_deadband_only_the_feed_forward_is_left() -> None:
    servo, poses = Servo(SETTINGS, 30.0), resting()
    servo.choose(target(0.0, 0.2, 0.0, velocity_um_s=np.array((0.0, 20.0))))
    action = servo.command(0.0, poses)
    assert isinstance(action, Velocity)
    np.testing.assert_allclose(action.um_s, (0.0, 20.0))


def test_m7_one_or_two_missed_frames_keep_the_velocity_and_the_third_stops() -> None:
    servo, poses = following()
    now_s = 3 * PERIOD_S
    kept = speed(servo.command(now_s, poses))
    assert kept > 0
    for missed in (1, 2):
        servo.observe(None, now_s + missed * PERIOD_S)
        assert servo.phase is Phase.COAST
        assert speed(servo.command(now_s + missed * PERIOD_S, poses)) == pytest.approx(kept)
    servo.observe(None, now_s + 3 * PERIOD_S)
    assert servo.phase is Phase.WAIT
    assert speed(servo.command(now_s + 3 * PERIOD_S, poses)) == 0.0


def test_a_dropped_frame_counts_as_missed() -> None:
    servo, _ = following()
    servo.observe(None, 7 * PERIOD_S)  # frames 4, 5 and 6 never came
    assert servo.phase is Phase.WAIT


@pytest.mark.parametrize(
    ("frames", "alone", "phase"),
    [
        (10, True, Phase.APPROACH),  # back in time, no doubt
        (10, False, Phase.WAIT),  # back in time, but it could be its neighbour
        (20, True, Phase.LOST),  # too late
    ],
)
def test_m7_it_resumes_only_the_same_sperm_without_doubt_and_in_time(
    frames: int, alone: bool, phase: Phase
) -> None:
    servo, poses = following((0.0, 0.0))
    for k in range(4, 4 + frames):
        servo.observe(None, k * PERIOD_S)
        servo.command(k * PERIOD_S, poses)
    servo.observe(target((4 + frames) * PERIOD_S, 1.0, 1.0, alone=alone), (4 + frames) * PERIOD_S)
    assert servo.phase is phase


def test_m7_beside_another_it_resumes_only_after_three_frames_on_end() -> None:
    servo, poses = following((0.0, 0.0))
    phases = []
    for k in range(4, 14):
        time_s = k * PERIOD_S
        seen = target(time_s, 1.0, 0.0, alone=False) if k in (8, 9, 11, 12, 13) else None
        servo.observe(seen, time_s)
        servo.command(time_s, poses)
        phases.append(servo.phase)
    assert phases[2:-1] == [Phase.WAIT] * 7  # two frames on end are not enough
    assert phases[-1] is Phase.FOLLOW


def shared(time_s: float, place: tuple[float, float]) -> Target:
    """The target's track, without a head of its own; one that may be its lies at ``place``."""
    return target(time_s, *place, seen=False, alone=False, shared_um=np.array(place))


def test_m7_while_it_is_found_as_one_with_another_its_own_mean_path_is_followed_on() -> None:
    servo, poses = following()
    for k in range(4, 20):
        x_um = 30.0 * k * PERIOD_S
        servo.observe(shared(k * PERIOD_S, (x_um, 1.5)), k * PERIOD_S)
        poses.read(Pose(k * PERIOD_S, x_um, 0.0, np.nan, None))
        action = servo.command(k * PERIOD_S, poses)
        assert servo.phase is Phase.SHARED
        assert isinstance(action, Velocity)
        assert 15.0 < action.um_s[0] < 45.0
    servo.observe(target(20 * PERIOD_S, 20.0, velocity_um_s=np.array((30.0, 0.0))), 20 * PERIOD_S)
    servo.command(20 * PERIOD_S, poses)
    assert servo.phase is Phase.FOLLOW


def test_m7_a_head_that_leaves_the_mean_path_is_not_the_targets() -> None:
    servo, poses = following()
    for k in range(4, 20):  # it swims off across, at 90 um/s
        time_s = k * PERIOD_S
        x_um = 30.0 * time_s
        servo.observe(shared(time_s, (x_um, 90.0 * (k - 4) * PERIOD_S)), time_s)
        poses.read(Pose(time_s, x_um, 0.0, np.nan, None))
        action = servo.command(time_s, poses)
        assert isinstance(action, Velocity)
        assert abs(action.um_s[1]) < 45.0  # never after the other one
    assert speed(action) == 0.0
    assert servo.phase is Phase.WAIT


@pytest.mark.parametrize("speed_um_s", [0.0, 30.0, 60.0, 100.0, 150.0])
def test_m4_nor_does_it_go_on_for_long_or_for_more_than_fifty_micrometres(
    speed_um_s: float,
) -> None:
    """The stage of the emulator, 36 ms behind its commands, which are 55 ms behind the picture."""
    velocity = np.array((speed_um_s, 0.0))
    plant, poses = Plant(PlantSettings(dead_time_s=0.03)), PoseHistory(0.036)
    poses.read(Pose(0.0, 0.0, 0.0, np.nan, None))
    servo = Servo(SETTINGS, 30.0)
    servo.choose(target(0.0, velocity_um_s=velocity))
    last_s, stopped_s = 60 * PERIOD_S, math.inf
    for k in range(1, 150):
        time_s = k * PERIOD_S
        now_s, x_um = time_s + 0.055, speed_um_s * time_s
        seen = target(time_s, x_um, velocity_um_s=velocity)
        servo.observe(seen if time_s <= last_s else shared(time_s, (x_um, 1.0)), time_s)
        if k % 3 == 0:
            x, y = plant.load_um(now_s - 0.01)[:2]
            poses.read(Pose(now_s - 0.01, x, y, np.nan, None))
        action = servo.command(now_s, poses)
        assert isinstance(action, Velocity)
        plant.set_velocity((*action.um_s.tolist(), None), now_s + 0.006)
        poses.command(now_s, *action.um_s.tolist())
        if servo.phase in (Phase.WAIT, Phase.LOST):
            stopped_s = min(stopped_s, time_s)
    assert servo.phase is Phase.LOST
    assert stopped_s - last_s <= 1.5 + 4 * PERIOD_S
    begun, ended = plant.load_um(last_s)[:2], plant.load_um(6.0)[:2]
    assert math.dist(begun, ended) <= 50.0


def after_sharing(frames: int) -> tuple[Servo, PoseHistory, float]:
    """Servo whose target, at 30 um/s, was found as one with another for so many frames."""
    servo, poses = following()
    for k in range(4, 4 + frames):
        time_s = k * PERIOD_S
        servo.observe(shared(time_s, (30.0 * time_s, 1.0)), time_s)
        poses.read(Pose(time_s, 30.0 * time_s, 0.0, np.nan, None))
        servo.command(time_s, poses)
    return servo, poses, (4 + frames) * PERIOD_S


@given(st.floats(30.0, 200.0), st.floats(0, 2 * np.pi), st.integers(1, 40), st.booleans())
@settings(deadline=None, max_examples=40)
def test_m7_what_comes_out_of_the_two_elsewhere_is_not_the_target(
    away_um: float, angle: float, frames: int, alone: bool
) -> None:
    servo, poses, begin_s = after_sharing(frames)
    for k in range(4):
        time_s = begin_s + k * PERIOD_S
        place = 30 * time_s + away_um * np.cos(angle), away_um * np.sin(angle)
        servo.observe(target(time_s, *place, alone=alone), time_s)
        action = servo.command(time_s, poses)
        assert isinstance(action, Velocity)  # no move to the other one
        assert servo.phase in (Phase.COAST, Phase.WAIT)


def test_m7_out_of_the_two_beside_another_it_takes_three_frames_and_the_own_path() -> None:
    for aside_um, taken in ((5.0, True), (10.0, False)):
        servo, poses, begin_s = after_sharing(10)
        phases = []
        for k in range(4):
            time_s = begin_s + k * PERIOD_S
            place = target(
                time_s, 30.0 * time_s, aside_um, alone=False, velocity_um_s=np.array((30.0, 0.0))
            )
            servo.observe(place, time_s)
            servo.command(time_s, poses)
            phases.append(servo.phase in (Phase.APPROACH, Phase.FOLLOW))
        assert phases == [False, False, taken, taken]


def test_lost_is_final_until_it_is_chosen_again() -> None:
    servo, poses = following()
    for k in range(4, 30):
        servo.observe(None, k * PERIOD_S)
    assert servo.phase is Phase.LOST
    servo.observe(target(1.1), 1.1)
    assert servo.phase is Phase.LOST
    assert speed(servo.command(1.1, poses)) == 0.0
    servo.choose(target(1.2))
    assert servo.phase is Phase.APPROACH


@settings(deadline=None)
@given(st.floats(16.0, 1000.0), st.floats(0, 2 * np.pi))
def test_a_jump_is_a_missed_frame(jump_um: float, angle: float) -> None:
    servo, _ = following((0.0, 0.0))
    place = (jump_um * np.cos(angle), jump_um * np.sin(angle))
    servo.observe(target(4 * PERIOD_S, *place), 4 * PERIOD_S)
    assert servo.phase is Phase.COAST


def test_one_sighting_of_something_else_does_not_make_the_next_ones_jumps() -> None:
    servo, poses = following((150.0, 0.0))
    way = {k: 150.0 * k * PERIOD_S for k in range(20)}
    odd = np.array((-250.0, 300.0))  # what the track believes for that frame
    servo.observe(target(4 * PERIOD_S, way[4], 11.0, velocity_um_s=odd), 4 * PERIOD_S)
    servo.command(4 * PERIOD_S, poses)
    for k in range(5, 9):
        back = target(k * PERIOD_S, way[k], velocity_um_s=np.array((150.0, 0.0)))
        servo.observe(back, k * PERIOD_S)
        servo.command(k * PERIOD_S, poses)
        assert servo.phase in (Phase.APPROACH, Phase.FOLLOW)


def test_what_is_neither_on_the_way_before_nor_on_the_last_one_is_a_jump() -> None:
    servo, poses = following((150.0, 0.0))
    servo.observe(target(4 * PERIOD_S, 150 * 4 * PERIOD_S, 11.0), 4 * PERIOD_S)
    servo.command(4 * PERIOD_S, poses)
    servo.observe(target(5 * PERIOD_S, 25.0, 60.0), 5 * PERIOD_S)
    assert servo.phase is Phase.COAST


def test_a_track_that_is_elsewhere_takes_its_mean_path_along() -> None:
    servo, poses = following((0.0, 0.0))
    place = np.array((14.0, 0.0))  # within what a jump may be: the tracker has changed its mind
    servo.observe(target(4 * PERIOD_S, 14.0, measured_um=place), 4 * PERIOD_S)
    servo.command(4 * PERIOD_S, poses)
    assert servo.error_um == pytest.approx(14.0, abs=0.1)


def test_m4_coasting_never_runs_farther_than_fifty_micrometres() -> None:
    servo, poses = following()
    servo.observe(None, 4 * PERIOD_S)
    servo.command(4 * PERIOD_S, poses)
    poses.read(Pose(4 * PERIOD_S, 51.0, 0.0, np.nan, None))
    assert speed(servo.command(4 * PERIOD_S + 0.01, poses)) == 0.0
    assert servo.phase is Phase.WAIT


def test_an_unknown_pose_is_a_reason_to_stand_still() -> None:
    servo = Servo(SETTINGS, 30.0)
    servo.choose(target(0.0, 10.0, 0.0))
    assert speed(servo.command(0.0, PoseHistory(0.03))) == 0.0
