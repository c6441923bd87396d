"""What every stage promises (drivers.protocols.Stage), whoever makes it.

A stage is added by one line in STAGES; nothing else here knows what is behind it but the truth
about where the specimen is.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from emulated import Emulated, emulated, wait_until
from real_rig import TENTH, Tenth, ToldByItself, real_stage, rig_config

from drivers.errors import DeviceError, LimitError
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits
from drivers.protocols import Stage

LIMITS = SoftLimits((-3_000.0, -2_000.0), (3_000.0, 2_000.0), max_speed_um_s=2_000.0)
TRUE_UM = 1.0  # half the backlash and one unit

STAGES: dict[str, dict[str, float]] = {
    "proscan2": {"resolution_um": 0.1},
    "proscan3-r-at-end": {"resolution_um": 1.0},
    "proscan3": {"resolution_um": 0.1},
    "proscan3-9600": {"resolution_um": 0.04},
    "proscan3-velocity-units": {"resolution_um": 0.1, "velocity_in_user_units": True},
}
QUICK = ("proscan2", "proscan3-r-at-end")
REAL = pytest.param("real", marks=pytest.mark.hardware)
PARAMS = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in STAGES] + [REAL]


@dataclass
class Rig:
    stage: GuardedStage | Tenth
    truth: Emulated | ToldByItself
    coarse: float = 1.0  # micrometres here for one of the stage's

    @property
    def true_um(self) -> float:
        return TRUE_UM * self.coarse

    @property
    def real(self) -> bool:
        return isinstance(self.stage, Tenth)

    def arrive(self) -> None:
        wait_until(lambda: self.stage.read_pose().moving is False)

    def home(self) -> None:
        self.stage.stop()
        self.arrive()
        self.stage.move_to(0.0, 0.0)
        self.arrive()

    def where_um(self) -> np.ndarray:
        return self.truth.position_um()[:2]


@pytest.fixture(scope="module", params=PARAMS)
def opened(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "real":
        window = [tuple(TENTH * um for um in ends) for ends in (LIMITS.low_um, LIMITS.high_um)]
        if TENTH * rig_config(request.config).servo.top_speed_um_s < 45.0:
            pytest.skip(
                "servo.top_speed_um_s is below 450: too slow for this test of a tenth of it"
            )
        with real_stage(request.config, *window) as there:
            stage = Tenth(there)
            yield Rig(stage, ToldByItself(stage), 1 / TENTH)
        return
    options = STAGES[request.param]
    # the dead man's patience is long where a test, unlike a servo, may be held up by others
    with (
        emulated("proscan", "--variant", request.param) as truth,
        GuardedStage(
            truth.url, LIMITS, options=options, move_speed_um_s=5_000.0, deadman_s=1.0
        ) as stage,
    ):
        yield Rig(stage, truth)


@pytest.fixture
def rig(opened: Rig) -> Rig:
    opened.home()
    opened.stage.events()
    return opened


def test_is_a_stage_and_says_what_it_is(rig: Rig):
    assert isinstance(rig.stage, Stage)
    assert rig.stage.identity


def test_a_pose_is_timed_within_the_call_and_true(rig: Rig):
    before_s = time.perf_counter()
    pose = rig.stage.read_pose()
    assert before_s < pose.time_s < time.perf_counter()
    assert pose.moving is False
    assert math.isnan(pose.z_um)
    assert (pose.x_um, pose.y_um) == pytest.approx(rig.where_um(), abs=rig.true_um)


def test_a_move_returns_at_once_and_ends_at_its_target(rig: Rig):
    rig.stage.move_to(2_500.0, -1_400.0)
    assert rig.stage.read_pose().moving is True
    assert np.abs(rig.where_um() - (2_500.0, -1_400.0)).max() > 10.0
    rig.arrive()
    pose = rig.stage.read_pose()
    assert (pose.x_um, pose.y_um) == pytest.approx((2_500.0, -1_400.0), abs=0.51 * rig.coarse)
    assert rig.where_um() == pytest.approx((2_500.0, -1_400.0), abs=rig.true_um)


def test_outside_the_limits_is_refused_not_clipped(rig: Rig):
    for target in ((3_000.5, 0.0), (0.0, -2_000.5), (math.nan, 0.0), (math.inf, 0.0)):
        with pytest.raises(LimitError, match=r"on axis [xy] is outside the soft limits"):
            rig.stage.move_to(*target)
    with pytest.raises(LimitError):
        rig.stage.set_velocity(math.nan, 0.0)
    assert rig.stage.read_pose().moving is False
    assert rig.where_um() == pytest.approx((0.0, 0.0), abs=rig.true_um)


def test_at_most_one_move_is_outstanding(rig: Rig):
    rig.stage.move_to(1_500.0, 0.0)
    with pytest.raises(DeviceError, match="is still moving"):
        rig.stage.move_to(0.0, 0.0)
    rig.arrive()
    assert rig.where_um() == pytest.approx((1_500.0, 0.0), abs=rig.true_um)


def test_a_velocity_is_kept_in_size_and_direction(rig: Rig):
    rig.stage.set_velocity(400.0, -200.0)
    wait_until(rig.truth.moves)
    poses = [rig.stage.set_velocity_and_read_pose(400.0, -200.0) for _ in range(25)]
    assert poses[-1].moving is True
    times_s = np.array([pose.time_s for pose in poses[5:]])
    way_um = np.array([(pose.x_um, pose.y_um) for pose in poses[5:]])
    slope_um_s = np.polyfit(times_s - times_s[0], way_um, 1)[0]
    assert slope_um_s == pytest.approx((400.0, -200.0), rel=0.05)
    if isinstance(rig.truth, Emulated):
        assert rig.truth.velocity_um_s()[:2] == pytest.approx((400.0, -200.0), rel=0.01)
        true_um = rig.truth.truth.at(times_s[-1:])[0]
        assert way_um[-1] == pytest.approx(true_um[:2], abs=4.0)  # 9 ms
    rig.stage.stop()


def test_velocity_zero_is_standstill(rig: Rig):
    rig.stage.set_velocity(500.0, 500.0)
    wait_until(rig.truth.moves)
    rig.stage.set_velocity(0.0, 0.0)
    rig.truth.rest_s()
    rig.arrive()
    rig.stage.move_to(0.0, 0.0)


@pytest.mark.parametrize("how", ["velocity", "move"])
def test_stop_stops_and_the_next_command_is_obeyed(rig: Rig, how: str):
    if how == "velocity":
        rig.stage.set_velocity(1_500.0, 0.0)
    else:
        rig.stage.move_to(3_000.0, 0.0)
    wait_until(rig.truth.moves)
    asked_s = time.perf_counter()
    rig.stage.stop()
    assert rig.truth.rest_s() - asked_s < 0.25
    stopped_um = rig.where_um()
    assert 0.0 < stopped_um[0] < 2_900.0
    rig.arrive()
    assert rig.where_um() == pytest.approx(stopped_um, abs=rig.true_um if rig.real else 1e-6)
    pose = rig.stage.read_pose()
    assert (pose.x_um, pose.y_um) == pytest.approx(stopped_um, abs=rig.true_um)
    rig.stage.move_to(pose.x_um + 20.0, 0.0)
    rig.arrive()
    assert rig.where_um()[0] == pytest.approx(pose.x_um + 20.0, abs=rig.true_um)


def test_stop_at_rest_is_harmless(rig: Rig):
    for _ in range(3):
        rig.stage.stop()
    rig.arrive()
    assert rig.where_um() == pytest.approx((0.0, 0.0), abs=rig.true_um)
    assert rig.stage.events() == []


def test_many_threads_get_their_own_answers(rig: Rig):
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(10):
            before_s = time.perf_counter()
            pose = rig.stage.read_pose()
            if not (before_s < pose.time_s < time.perf_counter()) or abs(pose.x_um) > rig.true_um:
                wrong.append(pose)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    ways = [way for _, way, _ in rig.stage.transcript(150)]
    assert all(a != b for a, b in itertools.pairwise(ways))
