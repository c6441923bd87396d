"""What every Manipulator promises, whichever controller is behind it: emulated, or real."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulated import Emulated, emulated, wait_until
from real_rig import TENTH, TenthPipette, ToldByItself, real_tenth_pipette

import drivers
from drivers.errors import DeviceError, GuardianError, LimitError
from drivers.guarded import GuardedManipulator
from drivers.limits import SoftLimits
from drivers.protocols import Manipulator

LIMITS = SoftLimits((-2000.0, -2000.0, -500.0), (2000.0, 2000.0, 1000.0), 3000.0)
OPTIONS = {"poll_s": 0.0}


REAL = pytest.param("real", marks=pytest.mark.hardware)


@pytest.fixture(scope="module", params=["mp285", "mp285a", "mp285a-early", REAL])
def rig(request):
    if request.param == "real":
        with real_tenth_pipette(request.config, LIMITS) as pipette:
            pipette.move_to(0.0, 0.0, 0.0, 1000.0)
            arrive(pipette)
            yield pipette, ToldByItself(pipette)
        return
    with emulated("mp285", "--variant", request.param, "--baud", "115200") as emulator:
        with GuardedManipulator(emulator.url, LIMITS, baud=115200, options=OPTIONS) as manipulator:
            yield manipulator, emulator


@pytest.fixture
def manipulator(rig) -> GuardedManipulator | TenthPipette:
    return rig[0]


@pytest.fixture
def truth(rig) -> Emulated | ToldByItself:
    return rig[1]


@pytest.fixture
def near_um(truth) -> float:
    """Half a microstep; a real one rests within five of them."""
    return 0.021 if isinstance(truth, Emulated) else 0.2 / TENTH


def arrive(manipulator: Manipulator) -> None:
    wait_until(lambda: manipulator.read_pose().moving is False)


def sent(manipulator: GuardedManipulator) -> list[bytes]:
    return [data for _, way, data in manipulator.transcript(1000) if way == ">"]


def test_is_a_manipulator(manipulator):
    assert isinstance(manipulator, Manipulator)
    assert manipulator.identity.startswith("Sutter MP-285")


@pytest.mark.parametrize(
    ("target_um", "speed_um_s"),
    [((120.0, -80.0, 40.0), 1000.0), ((133.32, 0.52, -7.96), 400.0), ((0.0, 0.0, 0.0), 1310.0)],
)
def test_a_move_ends_at_its_target(manipulator, truth, near_um, target_um, speed_um_s):
    manipulator.move_to(*target_um, speed_um_s)
    assert manipulator.read_pose().moving is not False
    arrive(manipulator)
    pose = manipulator.read_pose()
    assert (pose.x_um, pose.y_um, pose.z_um) == pytest.approx(target_um, abs=near_um)
    assert truth.position_um() == pytest.approx(target_um, abs=near_um)
    assert not truth.moves()


@pytest.mark.parametrize(
    ("target_um", "axis"),
    [((2000.1, 0, 0), "x"), ((0, -2001.0, 0), "y"), ((0, 0, 1000.1), "z"), ((0, 0, -600.0), "z")],
)
def test_a_target_outside_the_limits_is_refused_before_a_byte_is_sent(
    manipulator, truth, target_um, axis
):
    before = [data for data in sent(manipulator) if data[:1] == b"m"]
    with pytest.raises(LimitError, match=f"on axis {axis} is outside the soft limits"):
        manipulator.move_to(*target_um, 500.0)
    assert [data for data in sent(manipulator) if data[:1] == b"m"] == before
    assert not truth.moves()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_target_that_is_no_number_is_refused(manipulator, bad):
    with pytest.raises(DeviceError):
        manipulator.move_to(0.0, bad, 0.0, 500.0)
    with pytest.raises(DeviceError):
        manipulator.move_to(0.0, 0.0, 0.0, bad)
    assert manipulator.read_pose().moving is False


def test_one_move_at_a_time_and_stop_ends_it(manipulator, truth, near_um):
    start_um = truth.position_um()
    away = -1.0 if start_um[0] > 0 else 1.0
    manipulator.move_to(start_um[0] + away * 1500.0, 0.0, 0.0, 1000.0)
    wait_until(truth.moves)
    with pytest.raises(GuardianError, match="still moving"):
        manipulator.move_to(0.0, 0.0, 0.0, 1000.0)
    asked_s = time.perf_counter()
    manipulator.stop()
    # what is only read back is known later than it is
    assert truth.rest_s() - asked_s < (0.1 if isinstance(truth, Emulated) else 1.0)
    pose = manipulator.read_pose()
    assert pose.moving is False
    assert (pose.x_um, pose.y_um, pose.z_um) == pytest.approx(
        truth.position_um(), abs=2.5 * near_um
    )
    assert 0.0 < abs(pose.x_um - start_um[0]) < 800.0
    assert not manipulator.events()
    manipulator.move_to(0.0, 0.0, 0.0, 1310.0)
    arrive(manipulator)


def test_stop_is_never_refused(manipulator, truth, near_um):
    before_um = truth.position_um()
    manipulator.stop()
    manipulator.stop()
    assert truth.position_um() == pytest.approx(before_um, abs=near_um)
    assert manipulator.read_pose().moving is False


HOST = """
import sys, time
from drivers.guarded import GuardedManipulator
from drivers.limits import SoftLimits
limits = SoftLimits((-9000.0,) * 3, (9000.0,) * 3, 3000.0)
manipulator = GuardedManipulator(sys.argv[1], limits)
manipulator.move_to(8000.0, 0.0, 0.0, 1000.0)
print("moving", flush=True)
time.sleep(60)
"""


def test_it_stops_when_its_host_is_killed():
    with emulated("mp285", "--variant", "mp285a") as emulator:
        host = subprocess.Popen(
            [sys.executable, "-c", HOST, emulator.url],
            cwd=Path(drivers.__file__).parents[1],
            stdout=subprocess.PIPE,
        )
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == b"moving\n"
            wait_until(emulator.moves)
            killed_s = time.perf_counter()
            host.kill()
            assert emulator.rest_s(5.0) - killed_s < 0.25
            assert 0.0 < emulator.position_um()[0] < 2000.0
        finally:
            host.kill()
            host.communicate()
