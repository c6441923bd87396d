"""A ``VS`` that means something else than the rig file says: told by its name, and stopped."""

from __future__ import annotations

import math
import time

import pytest
from emulated import served, wait_until

from drivers.commanded import Commanded
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import GuardianError, NotNow
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits
from drivers.pose import Pose
from drivers.speed_ratio import speed_ratio

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
UNIT_UM = 0.08  # what these controllers make of 0.1


def steer(stage: GuardedStage, um_s: float) -> None:
    for _ in range(100):
        stage.set_velocity_and_read_pose(um_s, 0.0)


@pytest.mark.parametrize("joystick_live", [True, False])
@pytest.mark.parametrize(
    ("variant", "stated", "um_s", "told", "far_um"),
    [
        ("proscan3-velocity-units", False, 50.0, "true", 5.0),
        ("proscan3-velocity-units", False, 800.0, "true", 40.0),
        ("proscan3", True, 50.0, "false", 150.0),
        ("proscan3", True, 300.0, "false", 900.0),
    ],
)
def test_a_wrong_scale_is_named_and_is_no_hand(variant, stated, um_s, told, far_um, joystick_live):
    box = ProScanEmulator(variant, time_s=time.perf_counter())
    options = {"velocity_in_user_units": stated, "joystick_live": joystick_live}
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0, options=options) as stage:
        with pytest.raises(GuardianError, match="times as fast as told") as caught:
            steer(stage, um_s)
        assert f"set velocity_in_user_units = {told} under [stage]" in str(caught.value)
        assert "\n" not in str(caught.value)
        wait_until(lambda: box.plant.rest_s < time.perf_counter())
        assert abs(box.plant.motor_um(time.perf_counter())[0]) < far_um
        assert [kind for kind, _ in stage.events()] == ["fault"]  # once, and nobody's hand
        with pytest.raises(GuardianError, match="refuses motion after a fault"):
            stage.set_velocity(10.0, 0.0)


@pytest.mark.parametrize(("variant", "stated"), [("proscan3", False), ("proscan2", False),
                                                 ("proscan3-velocity-units", True)])  # fmt: skip
def test_the_right_scale_is_nobodys_fault(variant, stated):
    box = ProScanEmulator(variant, time_s=time.perf_counter())
    options = {"velocity_in_user_units": stated}
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0, options=options) as stage:
        steer(stage, 80.0)
        stage.stop()
        assert stage.events() == []


def test_a_hand_that_pushes_amid_a_velocity_stays_a_hand():
    box = ProScanEmulator(time_s=time.perf_counter())
    options = {"joystick_live": True}
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0, options=options) as stage:

        def push() -> None:
            for number in range(100):
                stage.set_velocity_and_read_pose(50.0, 0.0)
                if number > 10:
                    box.touch(300.0, time.perf_counter())

        with pytest.raises(NotNow, match="somebody has the joystick"):
            push()


def driven(gain: float, lag_s: float, um_s: float = 100.0) -> tuple[Commanded, list[Pose]]:
    commanded = Commanded()
    commanded.note(10.0, (um_s, 0.0))
    times_s = [10.0 + 0.025 * tick for tick in range(20)]
    ways_um = [gain * um_s * max(0.0, at_s - 10.0 - lag_s) for at_s in times_s]
    pairs = zip(times_s, ways_um, strict=True)
    return commanded, [Pose(at_s, x_um, 0.0, math.nan, True) for at_s, x_um in pairs]


@pytest.mark.parametrize("gain", [0.08, 0.5, 1.0, 2.0, 12.5])
@pytest.mark.parametrize("lag_s", [0.0, 0.03, 0.07])
def test_a_constant_ratio_is_found_whatever_the_lag(gain, lag_s):
    assert speed_ratio(*driven(gain, lag_s)) == pytest.approx(gain, rel=0.1)


def test_a_stage_that_stands_turns_back_or_goes_elsewhere_has_no_ratio():
    commanded, poses = driven(1.0, 0.03)
    assert speed_ratio(commanded, poses[:2]) is None
    still = [Pose(pose.time_s, 0.0, 0.0, math.nan, True) for pose in poses]
    assert speed_ratio(commanded, still) is None
    back = [Pose(pose.time_s, -pose.x_um, 0.0, math.nan, True) for pose in poses]
    assert speed_ratio(commanded, back) is None
    aside = [Pose(pose.time_s, 0.1 * pose.x_um, pose.x_um, math.nan, True) for pose in poses]
    assert speed_ratio(commanded, aside) is None
