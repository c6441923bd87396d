"""Power that fails, hands on joystick and knobs, guardians that die or freeze at a bad moment."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from emulated import emulated, served, wait_until

from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import DeviceError, GuardianError, LimitError, NotNow, PortError
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.guardian_messages import GuardianSettings, decode, encode
from drivers.limits import SoftLimits
from drivers.process import end_process, start_module

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
REACH = SoftLimits((-12_000.0,) * 3, (12_000.0,) * 3, 3_000.0)


@contextmanager
def stage_box(**options: float | bool) -> Iterator[tuple[GuardedStage, ProScanEmulator]]:
    box = ProScanEmulator(time_s=time.perf_counter())
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0, options=options) as stage:
        yield stage, box


@contextmanager
def pipette_box(**options: float) -> Iterator[tuple[GuardedManipulator, MP285Emulator]]:
    box = MP285Emulator(time_s=time.perf_counter(), baud=115200)
    with (
        served(box) as url,
        GuardedManipulator(
            url, REACH, baud=115200, deadman_s=1.0, options={"poll_s": 0.0, **options}
        ) as pipette,
    ):
        yield pipette, box


def arrive(instrument: GuardedStage | GuardedManipulator) -> None:
    wait_until(lambda: instrument.read_pose().moving is False)
    instrument.read_pose()  # by now the guardian has checked the arrival


def told(instrument: GuardedStage | GuardedManipulator, kind: str) -> Callable[[], bool]:
    return lambda: any(it == kind for it, _ in instrument.events())


def test_a_stage_that_was_switched_off_and_on_moves_no_more_by_its_old_limits():
    with stage_box() as (stage, box):
        stage.move_to(3_000.0, -1_000.0)
        arrive(stage)
        box.switch_off(time.perf_counter())
        box.switch_on(time.perf_counter())
        with pytest.raises(DeviceError):
            wait_until(lambda: stage.read_pose().moving is None)
        for _ in range(2):
            with pytest.raises(GuardianError, match=r"at the origin, and was at 3000, -1000 um"):
                stage.reconnect()
            with pytest.raises(GuardianError, match="refuses motion after a fault"):
                stage.move_to(100.0, 0.0)
        true_um = box.plant.motor_um(time.perf_counter())
        assert true_um[:2] == pytest.approx((3_000.0, -1_000.0), abs=0.1)
        pose = stage.reconnect(new_frame=True)
        assert (pose.x_um, pose.y_um) == (0.0, 0.0)
        stage.move_to(50.0, 0.0)
        arrive(stage)


def test_a_power_cut_between_two_looks_is_noticed_at_the_second():
    with stage_box() as (stage, box):
        stage.move_to(500.0, 0.0)
        arrive(stage)
        stage.read_pose()
        box._controller.switch_on(time.perf_counter(), 0.0)
        with pytest.raises(GuardianError, match="it was switched off and on"):
            stage.read_pose()
        with pytest.raises(GuardianError, match="refuses motion"):
            stage.set_velocity(10.0, 0.0)


def test_a_manipulator_that_was_switched_off_and_on_is_not_trusted():
    with pipette_box() as (pipette, box):
        pipette.move_to(0.0, 0.0, 800.0, 1_300.0)
        arrive(pipette)
        box.power_cycle(time.perf_counter())
        with pytest.raises(GuardianError, match=r"was at 0, 0, 800 um just now"):
            pipette.read_pose()
        with pytest.raises(GuardianError, match="refuses motion"):
            pipette.move_to(0.0, 0.0, -500.0, 1_000.0)
        assert box.plant.motor_um(time.perf_counter())[2] == pytest.approx(800.0)
        assert pipette.reconnect(new_frame=True).z_um == 0.0


def test_a_planned_move_home_is_no_loss_of_the_frame():
    with stage_box() as (stage, _):
        for target in ((300.0, 0.0), (0.0, 0.0)):
            stage.move_to(*target)
            arrive(stage)
        assert stage.events() == []


def test_power_that_fails_in_motion_is_a_fault_and_nothing_moves_when_it_is_back():
    with (
        emulated("proscan", "--fault", "power:after=1.2:lasting=0.5") as truth,
        GuardedStage(truth.url, WIDE, deadman_s=1.0) as stage,
    ):
        with pytest.raises(DeviceError):
            wait_until(lambda: stage.set_velocity_and_read_pose(800.0, 0.0) is None)
        wait_until(told(stage, "fault"))
        rest_s = truth.rest_s()
        with pytest.raises(GuardianError, match="refuses motion"):
            stage.set_velocity(10.0, 0.0)
        wait_until(lambda: time.perf_counter() > rest_s + 2.0)
        assert not truth.moves()


def test_s8_a_manipulator_that_hangs_is_told_within_2_s_and_not_flooded():
    with (
        emulated("mp285", "--baud", "115200", "--fault", "hang:after=1.0") as truth,
        GuardedManipulator(truth.url, REACH, baud=115200, deadman_s=1.0) as pipette,
    ):
        pipette.move_to(2_000.0, 0.0, 0.0, 500.0)
        wait_until(lambda: truth.position_um()[0] > 600.0)
        asked_s = time.perf_counter()
        with pytest.raises(DeviceError, match="switch the MP-285 off and on"):
            pipette.stop()
        assert time.perf_counter() - asked_s < 2.0
        told_s = time.perf_counter()
        wait_until(lambda: time.perf_counter() > told_s + 3.0)
        sent = [data for at_s, way, data in pipette.transcript(500) if way == ">" and at_s > told_s]
        assert len(sent) <= 1
        with pytest.raises(GuardianError, match="refuses motion"):
            pipette.move_to(0.0, 0.0, 0.0, 500.0)


def test_while_somebody_turns_the_knobs_the_line_is_silent():
    with pipette_box() as (pipette, box):
        assert pipette.read_pose().x_um == 0.0
        box.touch(40.0, time.perf_counter())
        wait_until(lambda: pipette.read_pose().x_um > 0.0)
        with pytest.raises(NotNow, match="somebody turns its knobs; wait a second"):
            pipette.move_to(0.0, 0.0, 0.0, 500.0)
        noticed_s = time.perf_counter()
        wait_until(lambda: (pipette.read_pose(), time.perf_counter() > noticed_s + 0.7)[1])
        sent = [at_s for at_s, way, _ in pipette.transcript(300) if way == ">"]
        assert sent[-1] <= noticed_s
        assert pipette.events() == []  # no fault
        wait_until(lambda: time.perf_counter() > noticed_s + 1.0)
        pipette.move_to(0.0, 0.0, 0.0, 500.0)
        arrive(pipette)
        assert pipette.read_pose().x_um == 0.0


def test_a_hand_on_the_joystick_before_the_first_motion_is_nobodys_fault():
    with stage_box() as (stage, box):
        box.touch(400.0, time.perf_counter())
        wait_until(lambda: stage.read_pose().moving is False)
        assert stage.read_pose().x_um == pytest.approx(400.0, abs=0.5)
        assert stage.events() == []


def push_while_it_follows(stage: GuardedStage, box: ProScanEmulator) -> None:
    def push() -> None:
        for _ in range(100):
            stage.set_velocity_and_read_pose(50.0, 0.0)
            box.touch(-400.0, time.perf_counter())

    with pytest.raises(NotNow, match="somebody has the joystick"):
        push()


def test_whoever_takes_the_joystick_while_it_follows_has_the_stage():
    with stage_box(joystick_live=True) as (stage, box):
        stage.set_velocity_and_read_pose(50.0, 0.0)
        assert box._controller.joystick
        push_while_it_follows(stage, box)
        assert [kind for kind, _ in stage.events()] == ["hand"]
        box.touch(300.0, time.perf_counter())  # the person goes on, and nothing holds it back
        wait_until(lambda: stage.read_pose().moving is not False)
        pushed_s = time.perf_counter()
        wait_until(lambda: stage.read_pose().moving is False)
        with pytest.raises(NotNow, match="somebody has the joystick"):
            stage.set_velocity(10.0, 0.0)
        wait_until(lambda: time.perf_counter() > pushed_s + 1.5)
        stage.set_velocity_and_read_pose(10.0, 0.0)  # no fault: nothing had to be reconnected
        assert stage.events() == []


def test_a_joystick_that_was_switched_on_behind_our_back_is_a_hand_too():
    with stage_box() as (stage, box):
        stage.set_velocity_and_read_pose(50.0, 0.0)
        assert not box._controller.joystick
        box._controller.joystick = True
        push_while_it_follows(stage, box)
        wait_until(lambda: box.plant.rest_s < time.perf_counter())


def test_motion_that_nobody_commanded_is_a_fault_where_the_joystick_is_off():
    with stage_box() as (stage, box):
        stage.set_velocity_and_read_pose(50.0, 0.0)

        def steer() -> None:
            for _ in range(100):
                stage.set_velocity_and_read_pose(50.0, 0.0)
                box.plant.set_velocity((-900.0, 0.0, None), time.perf_counter())

        with pytest.raises(GuardianError, match="does not move as commanded"):
            steer()
        wait_until(lambda: box.plant.rest_s < time.perf_counter())
        with pytest.raises(GuardianError, match="refuses motion after a fault"):
            stage.set_velocity(10.0, 0.0)


def test_with_the_pipette_down_the_joystick_is_off():
    with stage_box(joystick_live=True) as (stage, box):
        stage.confine(200.0, 300.0)
        assert not box._controller.joystick
        stage.move_to(20.0, 0.0)
        arrive(stage)
        assert not box._controller.joystick
        stage.reconnect()
        assert not box._controller.joystick
        stage.release()
        assert box._controller.joystick


def test_a_stop_ends_what_a_hand_does_and_gives_the_joystick_back():
    with stage_box(joystick_live=True) as (stage, box):
        stage.set_velocity(50.0, 0.0)
        real = box._controller.halt
        box._controller.halt = lambda at_s: None  # the hand goes on after the first stop
        box._controller.run = lambda *_: None
        box.touch(30_000.0, time.perf_counter())
        stage.stop()
        wait_until(lambda: not box._controller.joystick)
        box._controller.halt = real
        wait_until(lambda: box._controller.joystick)
        assert box.plant.rest_s < time.perf_counter()


def test_the_joystick_is_given_back_when_the_guardian_dies():
    with stage_box() as (stage, box):
        stage.set_velocity(100.0, 0.0)
        assert not box._controller.joystick
        psutil.Process(stage.guardian_pid).kill()
        wait_until(lambda: box._controller.joystick)
        assert box.plant.rest_s < time.perf_counter()


def test_a_rescue_is_tried_until_the_port_is_back():
    # guardian dead and cable out at the same time: the stage is stopped when the cable is back
    with (
        emulated("proscan", "--fault", "unplug:after=1.2:lasting=1.2") as truth,
        GuardedStage(truth.url, WIDE, deadman_s=3.0) as stage,
    ):
        stage.set_velocity(300.0, 0.0)
        wait_until(truth.moves)
        with pytest.raises(PortError):
            wait_until(lambda: stage.set_velocity(300.0, 0.0))
        psutil.Process(stage.guardian_pid).kill()
        assert truth.moves()
        truth.rest_s()
        stage.stop()
        assert [why for kind, why in stage.events() if kind == "died"][-1].endswith("was stopped")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process for a while")
def test_a_guardian_that_freezes_is_replaced_by_its_host():
    with emulated("proscan") as truth, GuardedStage(truth.url, WIDE, deadman_s=1.0) as stage:
        stage.set_velocity(500.0, 0.0)
        wait_until(truth.moves)
        frozen_s = time.perf_counter()
        os.kill(stage.guardian_pid, signal.SIGSTOP)
        with pytest.raises(GuardianError, match="has not answered within"):
            stage.set_velocity(500.0, 0.0)
        assert truth.rest_s() - frozen_s < 2.5


def test_a_host_that_does_not_read_cannot_keep_its_guardian_from_stopping():
    with emulated("proscan") as truth:
        guardian = start_module("drivers.guardian", [])
        assert guardian.stdin is not None
        assert guardian.stdout is not None
        settings = GuardianSettings(
            "proscan", truth.url, "stage", WIDE.low_um, WIDE.high_um, 5_000.0, deadman_s=0.5
        )
        guardian.stdin.write(encode(settings.to_json()))
        guardian.stdin.write(encode({"n": 1, "do": "connect"}))
        guardian.stdin.flush()
        assert "ok" in decode(guardian.stdout.readline())
        for number in range(40):
            guardian.stdin.write(encode({"n": number, "do": "velocity", "um_s": [900.0, 0.0]}))
            for _ in range(30):  # 3 kB of answer each, and nobody takes it
                guardian.stdin.write(encode({"n": number, "do": "transcript", "last": 50}))
        guardian.stdin.flush()
        wait_until(truth.moves)
        sent_s = time.perf_counter()
        wait_until(lambda: not truth.moves())
        assert time.perf_counter() - sent_s < 5.0
        end_process(guardian, 5.0)


def test_a_controller_set_to_gentle_ramps_is_given_more_way_to_brake():
    box = ProScanEmulator(time_s=time.perf_counter())
    box._controller.percent["SAS"] = 2.0  # 2 mm/s^2: 1 mm/s takes 250 um to stop
    limits = SoftLimits((-800.0, -800.0), (800.0, 800.0), 1_000.0)
    with served(box) as url, GuardedStage(url, limits) as stage:
        with pytest.raises(LimitError, match="cannot be stopped before the soft limit"):
            wait_until(lambda: stage.set_velocity(1_000.0, 0.0))
        wait_until(lambda: box.plant.rest_s < time.perf_counter())
        assert 0.0 <= box.plant.motor_um(time.perf_counter())[0] <= 800.0


def test_ramps_are_set_and_known_anew_after_the_power_was_off():
    with stage_box(acceleration_percent=20, s_curve_percent=50) as (stage, box):
        assert (box._controller.percent["SAS"], box._controller.percent["SCS"]) == (20.0, 50.0)
        stage.move_to(100.0, 0.0)
        arrive(stage)
        box.switch_off(time.perf_counter())
        box.switch_on(time.perf_counter())  # with the settings of the factory
        with pytest.raises(DeviceError):
            wait_until(lambda: stage.read_pose().moving is None)
        with pytest.raises(GuardianError, match="at the origin"):
            wait_until(lambda: stage.reconnect().moving is None)
        stage.reconnect(new_frame=True)
        assert (box._controller.percent["SAS"], box._controller.percent["SCS"]) == (20.0, 50.0)


def test_an_end_of_travel_is_told_by_the_name_of_its_switch():
    box = ProScanEmulator(time_s=time.perf_counter() - 100.0)
    far = SoftLimits((-90_000.0, -90_000.0), (90_000.0, 90_000.0), 5_000.0)  # too far
    box.plant.move((56_900.0, 0.0, None), time.perf_counter() - 60.0)
    # A busy machine may not beat for a second: that the guardian then stops is not the question.
    with served(box) as url, GuardedStage(url, far, deadman_s=10.0) as stage:
        stage.move_to(57_400.0, 0.0)
        told: list[tuple[str, str]] = []
        wait_until(lambda: told.extend(stage.events()) or any(kind == "fault" for kind, _ in told))
        assert "limit switch +X" in told[-1][1], told
