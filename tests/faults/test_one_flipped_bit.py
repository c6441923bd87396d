"""Commands that one flipped bit turns into worse ones: nothing may keep on moving, or go far.

Every replacement here is one bit of one byte (or one byte lost) on the way to the controller.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from emulated import served, wait_until

from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.plant import Plant
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import BadReply, DeviceError, FrameLost, GuardianError
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.limits import SoftLimits
from drivers.mp285 import codec
from drivers.prior.driver import ProScan
from drivers.wire import Wire
from tests.faults.garbled import Garbled

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
REACH = SoftLimits((-12_000.0,) * 3, (12_000.0,) * 3, 3_000.0)


@contextmanager
def stage_with(
    heard: dict[bytes, tuple[bytes, int]], said: dict[bytes, tuple[bytes, int]] | None = None
) -> Iterator[tuple[GuardedStage, Garbled]]:
    box = Garbled(ProScanEmulator(time_s=time.perf_counter()))
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0) as stage:
        box.heard, box.said = dict(heard), dict(said or {})
        yield stage, box


def at_um(plant: Plant) -> tuple[float, ...]:
    return plant.motor_um(time.perf_counter())


def rests(plant: Plant) -> None:
    wait_until(lambda: plant.rest_s < time.perf_counter())


def faulty(stage: GuardedStage) -> Callable[[], bool]:
    return lambda: any(kind == "fault" for kind, _ in stage.events())


def test_a_stop_that_becomes_go_home_is_stopped_too():
    with stage_with({}) as (stage, box):
        stage.move_to(6_000.0, 0.0)
        wait_until(lambda: at_um(box.plant)[0] > 2_500.0)
        box.heard = {b"\rI\r": (b"\rM\r", 1)}
        asked_s = time.perf_counter()
        stage.stop()
        rests(box.plant)
        assert time.perf_counter() - asked_s < 2.0
        assert at_um(box.plant)[0] > 1_000.0  # not at home
        wait_until(faulty(stage))


def test_a_stop_that_goes_on_being_ignored_becomes_a_hard_one():
    # acknowledged, and without effect: only K is left
    heard = {b"VS,0,0\rI\r": (b"PS\rPS\r", 99), b"I\rVS,0,0\r": (b"PS\rPS\r", 99)}
    with stage_with({}) as (stage, box):
        stage.set_velocity(500.0, 0.0)
        wait_until(lambda: at_um(box.plant)[0] > 50.0)
        box.heard, box.said = heard, {b",0\r": (b"R\r", 99)}
        stage.stop()
        box.said = {}
        rests(box.plant)


def test_a_speed_that_becomes_drive_into_the_ends_is_stopped():
    with stage_with({b"SMS,": (b"SIS,", 1)}) as (stage, box):
        stage.move_to(100.0, 0.0)  # the speed is taken at the second attempt, far from the start
        wait_until(lambda: stage.read_pose().moving is False)
        rests(box.plant)
        assert not any(box.inner._controller._origin_um)
        assert max(map(abs, at_um(box.plant)[:2])) < 2_000.0
    with stage_with({b"SMS,": (b"SIS,", 99)}) as (stage, box):
        with pytest.raises(DeviceError, match="no complete reply to b'SMS"):
            stage.move_to(100.0, 0.0)
        rests(box.plant)
        assert max(map(abs, at_um(box.plant)[:2])) < 4_000.0


def test_a_standstill_that_becomes_a_creep_is_stopped():
    with stage_with({}) as (stage, box):
        stage.set_velocity(100.0, 0.0)
        box.heard = {b"VS,0,0\r": (b"VS,0,64\r", 1)}
        stage.set_velocity(0.0, 0.0)
        wait_until(lambda: abs(at_um(box.plant)[1]) > 1.0)
        rests(box.plant)
        assert abs(at_um(box.plant)[1]) < 100.0
        wait_until(faulty(stage))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"VS,100,0", b"VS,900,0"),
        (b"VS,100,0", b"VS,100,0,"),
        (b"VS,100,0", b"VS,10,0"),
        (b"VS,100,0", b"VS,100,800"),
    ],
)
def test_a_velocity_that_becomes_another_is_noticed(right, wrong):
    with stage_with({right: (wrong, 1)}) as (stage, box):

        def steer() -> None:
            for _ in range(40):
                stage.set_velocity_and_read_pose(100.0, 0.0)
                box.heard = {right: (wrong, 1)}

        if wrong.startswith(right):
            steer()  # an empty field: the same command
            return
        with pytest.raises(DeviceError, match="does not move as commanded"):
            steer()
        rests(box.plant)
        assert math.hypot(*at_um(box.plant)[:2]) < 400.0


def test_a_target_that_becomes_another_is_left_within_a_quarter_of_a_second():
    with stage_with({b"G,2500,0": (b"G,25000,0", 1)}) as (stage, box):
        stage.move_to(200.0, 0.0)
        wait_until(faulty(stage))
        rests(box.plant)
        assert at_um(box.plant)[0] < 200.0 + 0.25 * 2_000.0


def test_a_move_that_seems_to_have_ended_has_not():
    with stage_with({}, {b"1\r": (b"0\r", 1)}) as (stage, box):
        stage.move_to(1_000.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)
        assert at_um(box.plant)[0] == pytest.approx(1_000.0, abs=0.5)
        assert stage.events() == []


def test_a_refusal_of_what_was_obeyed_already_ends_in_standstill():
    # the first copy is obeyed and its answer lost; the second is refused
    with stage_with({}, {b"R\r": (b"Q\r", 1)}) as (stage, box):
        box.heard = {}
        stage.read_pose()
        stage.set_velocity(0.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)
        box.said = {b"R\r": (b"Q\r", 1), b"E,5\r": (b"E,4\r", 0)}

        def spoil(data: bytes, now_s: float, hear=box.inner.receive, seen=[0]) -> None:  # noqa: B006
            if data.startswith(b"VS,") and not data.startswith(b"VS,0,0"):
                seen[0] += 1
                data = data if seen[0] == 1 else b"VX,1,1\r"
            hear(data, now_s)

        box.receive = spoil
        with pytest.raises(DeviceError, match="refuses"):
            stage.set_velocity(100.0, 0.0)
        rests(box.plant)
        assert at_um(box.plant)[0] < 60.0


def test_compatibility_mode_that_was_never_asked_for_is_left_again():
    emulator = Garbled(ProScanEmulator(time_s=time.perf_counter()), {b"COMP,0": (b"COMP,1", 2)})
    with served(emulator) as url:
        wire = Wire(url, device="stage")
        wire.open()
        try:
            ProScan(wire).connect()
            assert not emulator.inner._controller.compatible
            emulator.heard = {b"COMP,0": (b"COMP,1", 99)}
            with pytest.raises(BadReply, match="stays in compatibility mode"):
                ProScan(wire).connect()
        finally:
            wire.close()


def test_a_set_up_that_moves_the_origin_is_noticed_and_kept_in_mind():
    with stage_with({}) as (stage, box):
        stage.move_to(400.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)
        box.heard = {b"COMP,0": (b"CO\rP,0", 1)}
        with pytest.raises(FrameLost, match="its position has changed while it was set up"):
            stage.reconnect()
        assert box.inner._controller._origin_um[0] == pytest.approx(400.0, abs=0.1)
        with pytest.raises(GuardianError, match="its position has changed"):
            stage.reconnect()
        with pytest.raises(GuardianError, match="refuses motion"):
            stage.move_to(0.0, 0.0)
        assert stage.reconnect(new_frame=True).x_um == 0.0


def test_half_a_line_of_a_predecessor_is_stopped_before_it_goes_far():
    emulator = ProScanEmulator(time_s=time.perf_counter())
    with served(emulator) as url:
        wire = Wire(url, device="stage")
        wire.open()
        try:
            wire.write(b"G,40000,0")  # the cable came out here
            ProScan(wire).connect()
            rests(emulator.plant)
            assert at_um(emulator.plant)[0] < 2_000.0
        finally:
            wire.close()


@contextmanager
def pipette_with(
    heard: dict[bytes, tuple[bytes, int]], said: dict[bytes, tuple[bytes, int]] | None = None
) -> Iterator[tuple[GuardedManipulator, Garbled]]:
    box = Garbled(MP285Emulator(time_s=time.perf_counter(), baud=115200))
    options = {"poll_s": 0.0}
    with (
        served(box) as url,
        GuardedManipulator(url, REACH, baud=115200, deadman_s=1.0, options=options) as pipette,
    ):
        box.heard, box.said = dict(heard), dict(said or {})
        yield pipette, box


def test_a_slow_descent_never_becomes_a_fast_one():
    slow, fast = codec.encode_speed(20, fine=True), codec.encode_speed(20 + 1024, fine=True)
    with pipette_with({slow: (fast, 1)}) as (pipette, box):
        pipette.move_to(0.0, 0.0, -4.0, 20.0)
        speeds = []
        while pipette.read_pose().moving:
            speeds.append(max(map(abs, box.plant.velocity_um_s(time.perf_counter()))))
        assert max(speeds) <= 20.0
        assert at_um(box.plant)[2] == pytest.approx(-4.0)
    with (
        pipette_with({slow: (fast, 9)}) as (pipette, box),
        pytest.raises(DeviceError, match="does not confirm a speed of 20 um/s"),
    ):
        pipette.move_to(0.0, 0.0, -4.0, 20.0)
    assert at_um(box.plant) == (0.0, 0.0, 0.0)


def test_a_short_descent_to_a_garbled_depth_is_cut_short():
    right = codec.encode_move((0, 0, -100))  # 4 um down
    wrong = codec.encode_move((0, 0, -100 - 2**17))  # 5 mm down
    with pipette_with({right: (wrong, 1)}) as (pipette, box):
        pipette.move_to(0.0, 0.0, -4.0, 50.0)
        wait_until(faulty_pipette(pipette))
        rests(box.plant)
        assert at_um(box.plant)[2] > -45.0


def test_a_garbled_scale_is_not_believed():
    # 25 microsteps per um told as 24 or 9: every position would be wrong
    emulator = Garbled(MP285Emulator(time_s=time.perf_counter(), baud=115200))
    status = codec.encode_status(emulator.inner._status)
    wrong = status[:24] + b"\x18" + status[25:]
    emulator.said = {status: (wrong, 1)}
    with (
        served(emulator) as url,
        GuardedManipulator(url, REACH, baud=115200) as pipette,
    ):
        assert "25 microsteps/um" in pipette.identity


def faulty_pipette(pipette: GuardedManipulator) -> Callable[[], bool]:
    return lambda: any(kind == "fault" for kind, _ in pipette.events())
