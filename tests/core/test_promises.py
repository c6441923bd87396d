"""Promises of following that only many scenes can show, in virtual time."""

from __future__ import annotations

import numpy as np
import pytest

from app.config import ServoConfig
from app.core.interlocks import Health
from app.core.messages import (
    Arm,
    Command,
    Follow,
    FollowBest,
    Mode,
    MoveBy,
    Release,
    Resume,
    Stop,
)
from app.core.pilot import Halt, Pilot
from app.core.pose_history import PoseHistory
from app.core.servo import Velocity
from drivers.pose import Pose
from models.types import Tracks, TrackState

GOOD = Health(0.0, 0.15, 0.0)
PERIOD_S = 1 / 30
TARGET, OTHER = 1, 2


def tracks(
    time_s: float, places: dict[int, np.ndarray], velocity: np.ndarray, identity: float = 1.0,
    unseen: frozenset[int] = frozenset(), shared_um: np.ndarray | None = None,
) -> Tracks:  # fmt: skip
    ids = np.array(sorted(places))
    n = len(ids)
    at_um = np.array([places[int(i)] for i in ids]).reshape(n, 2)
    seen = np.array([int(i) not in unseen for i in ids])
    state = np.where(seen, TrackState.CONFIRMED, TrackState.COASTING).astype(np.int8)
    both = np.full((n, 2), np.nan)
    if shared_um is not None:
        both[ids == TARGET] = shared_um
    return Tracks(
        time_s, ids, at_um, np.tile(velocity, (n, 1)), np.tile(np.eye(4), (n, 1, 1)), at_um,
        np.ones((n, 2)), np.ones(n), np.ones(n), state, np.zeros(n, np.int8),
        np.where(seen, np.arange(n), -1), np.where(ids == TARGET, identity, 1.0),
        shared_um=both,
    )  # fmt: skip


class Scene:
    """A pilot that follows track 1, and a stage that does as it is told."""

    def __init__(self, velocity: np.ndarray) -> None:
        self.poses = PoseHistory(0.03, trust_s=1e9)
        self.pilot = Pilot(ServoConfig(), self.poses, 30.0)
        self.stage_um = np.zeros(2)
        self.speed_um_s = np.zeros(2)
        self.velocity = velocity
        self.time_s = 0.0
        self.read()

    def read(self) -> None:
        pose = Pose(self.time_s, float(self.stage_um[0]), float(self.stage_um[1]), np.nan, None)
        self.pilot.read(pose, self.time_s)

    def step(self, seen: Tracks) -> object:
        self.time_s = seen.time_s + 0.05
        self.stage_um = self.stage_um + self.speed_um_s * PERIOD_S
        self.read()
        self.pilot.see(seen, self.time_s)
        action = self.pilot.act(self.time_s, GOOD)
        if isinstance(action, Velocity):
            self.speed_um_s = action.um_s
        elif isinstance(action, Halt):
            self.speed_um_s = np.zeros(2)
        return action

    def press(self, command: Command) -> str:
        return self.pilot.obey(command, self.time_s, GOOD, "")


def followed(velocity: np.ndarray) -> tuple[Scene, np.ndarray, float]:
    scene, at_um, time_s = Scene(velocity), np.array((2.0, 0.0)), 0.0
    for k in range(6):
        time_s += PERIOD_S
        at_um = at_um + velocity * PERIOD_S
        scene.step(tracks(time_s, {TARGET: at_um}, velocity))
        if k == 1:
            assert scene.press(Arm("20x")) == ""
            assert scene.press(Follow(TARGET)) == ""
    assert scene.pilot.state.mode in (Mode.CENTERING, Mode.FOLLOWING)
    return scene, at_um, time_s


def test_m3_after_a_stop_nothing_moves_for_a_minute() -> None:
    rng = np.random.default_rng(0)
    scene, at_um, time_s = followed(np.array((40.0, 0.0)))
    scene.press(Stop())
    assert isinstance(scene.step(tracks(time_s + PERIOD_S, {TARGET: at_um}, scene.velocity)), Halt)
    wishes = (Follow(TARGET), FollowBest(), Resume(), MoveBy(5.0, 5.0), Release())
    for k in range(1800):
        time_s += PERIOD_S
        scene.pilot.ranking = (TARGET,)
        scene.press(wishes[int(rng.integers(len(wishes)))])
        assert scene.step(tracks(time_s, {TARGET: at_um}, scene.velocity)) is None, k
    assert scene.pilot.state.mode is Mode.DISARMED


@pytest.mark.parametrize("kind", ["occluded", "crossed", "taken over"])
def test_m7_of_a_thousand_encounters_none_moves_the_stage_after_another_sperm(kind: str) -> None:
    held = resumed = 0
    for seed in range(334):
        rng = np.random.default_rng([seed, 7])
        angle = rng.uniform(0, 2 * np.pi)
        velocity = rng.uniform(15, 100) * np.array((np.cos(angle), np.sin(angle)))
        scene, at_um, time_s = followed(velocity)
        gone = int(rng.integers(1, 30))
        crossing = rng.normal(0.0, 60.0, 2)
        other_um = at_um + velocity * 0.2 - crossing * 0.2
        for k in range(45):
            time_s += PERIOD_S
            at_um = at_um + velocity * PERIOD_S
            other_um = other_um + crossing * PERIOD_S
            places = {TARGET: at_um, OTHER: other_um}
            identity, unseen = 1.0, frozenset[int]()
            if kind == "occluded" and k < gone:
                unseen = frozenset({TARGET}) if k < 8 else unseen
                if k >= 8:
                    del places[TARGET]
            elif kind == "crossed" and k < gone:
                del places[TARGET]
            elif kind == "taken over" and k >= 6:  # the track is on the other one now
                places = {TARGET: other_um}
                identity = 0.4
            action = scene.step(tracks(time_s, places, velocity, identity, unseen))
            state = scene.pilot.state
            assert state.target in (TARGET, None)
            fresh = TARGET in places and TARGET not in unseen
            if isinstance(action, Velocity) and np.linalg.norm(action.um_s) > 0:
                assert fresh or k <= 2  # the last velocity for two frames, no longer
                assert not (kind == "taken over" and k >= 6)
            if kind != "taken over" and k == gone + 1 and gone * PERIOD_S > 0.55:
                assert state.mode is Mode.HOLD
        held += scene.pilot.state.mode is Mode.HOLD
        resumed += scene.pilot.state.mode in (Mode.CENTERING, Mode.FOLLOWING)
        assert held + resumed == seed + 1
    if kind == "taken over":
        assert resumed == 0
    else:
        assert held > 50
        assert resumed > 50


def test_m7_a_head_found_for_two_never_draws_the_stage_after_the_other_one() -> None:
    moved = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 77])
        angle = rng.uniform(0, 2 * np.pi)
        velocity = rng.uniform(10, 60) * np.array((np.cos(angle), np.sin(angle)))
        scene, at_um, time_s = followed(velocity)
        twin, _, _ = followed(velocity)
        other_um, crossing = at_um.copy(), velocity + rng.normal(0.0, 40.0, 2)
        for _ in range(60):  # the target is gone for good; the other one swims on alone
            time_s += PERIOD_S
            at_um, other_um = at_um + velocity * PERIOD_S, other_um + crossing * PERIOD_S
            near = np.linalg.norm(other_um - at_um) <= 5.0
            unseen, places = frozenset({TARGET}), {TARGET: at_um, OTHER: other_um}
            for it, shared_um in ((scene, other_um), (twin, at_um)):
                told = shared_um if near else None
                it.step(tracks(time_s, places, velocity, 1.0, unseen, told))
            np.testing.assert_array_equal(scene.speed_um_s, twin.speed_um_s)
            moved += bool(np.any(scene.speed_um_s))
        assert scene.pilot.state.mode is Mode.HOLD
        assert not np.any(scene.speed_um_s)
    assert moved > 300
