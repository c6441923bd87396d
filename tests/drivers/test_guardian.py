"""What the guardian is for: whoever dies, and however, the stage comes to rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from emulated import Emulated, emulated, start_host, wait_until

from drivers.errors import DeviceError, GuardianError, LimitError, PortError, WrongDevice
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.limits import SoftLimits

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)


@pytest.fixture(scope="module")
def shared():
    with emulated("proscan") as emulator:
        yield emulator


@pytest.fixture
def proscan(shared: Emulated) -> Emulated:
    """At rest, anywhere."""
    shared.rest_s()
    return shared


def around(emulator: Emulated, low_um: float, high_um: float, speed_um_s: float) -> SoftLimits:
    """Limits on both axes, relative to where it stands."""
    x_um, y_um, _ = emulator.position_um()
    return SoftLimits((x_um + low_um, y_um + low_um), (x_um + high_um, y_um + high_um), speed_um_s)


def stage_on(emulator: Emulated, **options: object) -> GuardedStage:
    return GuardedStage(emulator.url, WIDE, **options)  # type: ignore[arg-type]


def begun(emulator: Emulated) -> None:
    """Wait until it moves at full speed."""
    wait_until(lambda: np.hypot(*emulator.truth.latest()[2][:2]) > 1_900.0)


@pytest.mark.parametrize("how", ["velocity", "move"])
def test_p1_killing_the_host_leaves_the_stage_at_rest_within_250_ms(proscan, how):
    host = start_host(proscan.url, how)
    guardian = psutil.Process(int(host.stdout.readline().split()[1]))
    begun(proscan)
    killed_s = time.perf_counter()
    host.kill()
    host.wait()
    host.stdout.close()
    assert proscan.rest_s() - killed_s <= 0.250
    guardian.wait(5.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("asked", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_p1_host_and_guardian_asked_to_end_at_once_leave_the_stage_at_rest(proscan, asked):
    # as a machine does that shuts down: neither is left to stop what the other drove
    host = start_host(proscan.url, "velocity")
    guardian = psutil.Process(int(host.stdout.readline().split()[1]))
    begun(proscan)
    asked_s = time.perf_counter()
    guardian.send_signal(getattr(signal, asked))
    host.kill()
    host.wait()
    host.stdout.close()
    assert proscan.rest_s() - asked_s <= 0.250
    guardian.wait(5.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process for a while")
def test_a_host_that_hangs_is_as_good_as_dead(proscan):
    host = start_host(proscan.url, "move")
    host.stdout.readline()
    begun(proscan)
    stopped_s = time.perf_counter()
    os.kill(host.pid, signal.SIGSTOP)
    assert proscan.rest_s() - stopped_s <= 0.300
    host.kill()
    host.wait()
    host.stdout.close()


def test_m4_a_velocity_lives_150_ms(proscan):
    with stage_on(proscan) as stage:
        stage.set_velocity(2_000.0, 0.0)
        begun(proscan)
        rest_s = proscan.rest_s()
        sent_s = next(at_s for at_s, _, data in stage.transcript() if data.startswith(b"VS,"))
        assert 0.150 <= rest_s - sent_s <= 0.300
        wait_until(lambda: ("deadman", "no fresh velocity for 150 ms") in stage.events())
        stage.set_velocity(-100.0, 0.0)  # no fault: a fresh velocity is obeyed again
        wait_until(proscan.moves)


@pytest.mark.parametrize("how", ["velocity", "move"])
def test_m13_when_the_guardian_dies_the_host_stops_the_stage_within_500_ms(proscan, how):
    with stage_on(proscan) as stage:
        if how == "velocity":
            stage.set_velocity(3_000.0, 0.0)
        else:
            stage.move_to(30_000.0, 0.0)
        before_um = proscan.position_um()
        psutil.Process(stage.guardian_pid).kill()
        killed_s = time.perf_counter()
        wait_until(lambda: proscan.moves() or proscan.position_um()[0] > before_um[0] + 1.0)
        assert proscan.rest_s() - killed_s <= 0.500
        wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
        with pytest.raises(GuardianError, match="has died; the instrument was stopped"):
            stage.set_velocity(10.0, 0.0)
        with pytest.raises(GuardianError):
            stage.read_pose()
        stage.stop()  # still means: it is stopped
        before_um = proscan.position_um()
        pose = stage.reconnect()
        assert proscan.position_um() == pytest.approx(before_um)
        assert pose.x_um == pytest.approx(before_um[0], abs=0.5)
        stage.set_velocity(100.0, 0.0)
        wait_until(proscan.moves)


def test_a_manipulator_whose_guardian_dies_is_stopped_too():
    limits = SoftLimits((-1_000.0,) * 3, (1_000.0,) * 3)
    with (
        emulated("mp285") as truth,
        GuardedManipulator(truth.url, limits, deadman_s=1.0) as pipette,
    ):
        pipette.move_to(1_000.0, 0.0, 0.0, 1_000.0)
        wait_until(truth.moves)
        psutil.Process(pipette.guardian_pid).kill()
        killed_s = time.perf_counter()
        assert truth.rest_s() - killed_s <= 0.500
        wait_until(lambda: any(kind == "died" for kind, _ in pipette.events()))
        with pytest.raises(GuardianError, match="reconnect"):
            pipette.move_to(0.0, 0.0, 0.0, 500.0)
        assert pipette.reconnect().x_um == pytest.approx(truth.position_um()[0], abs=0.2)


def test_m2_stop_overtakes_fifty_commands_and_nothing_moves_afterwards(proscan):
    with stage_on(proscan, deadman_s=2.0) as stage:
        stage.set_velocity(2_000.0, 0.0)
        begun(proscan)
        for number in range(50):  # straight into the pipe: all of them are there before the stop
            stage._client._send({"n": -number, "do": "velocity", "um_s": [2_000.0, 0.0]})
        asked_s = time.perf_counter()
        stage.stop()
        confirmed_s = time.perf_counter()
        log = [entry for entry in stage.transcript(400) if entry[0] > asked_s]
        stop = next(k for k, (_, _, data) in enumerate(log) if b"I\r" in data)
        assert log[stop][0] - asked_s <= 0.100
        assert confirmed_s - asked_s <= 0.200
        assert not any(data.startswith(b"VS") for _, _, data in log[stop + 1 :])
        assert sum(data.startswith(b"VS") for _, _, data in log[:stop]) < 10
        assert proscan.rest_s() - asked_s <= 0.200


def test_m1_no_byte_leaves_for_what_is_outside_the_limits(proscan):
    box = around(proscan, -1_000.0, 700.0, 5_000.0)
    with GuardedStage(proscan.url, box) as stage:
        stage.read_pose()
        sent = [data for _, way, data in stage.transcript() if way == ">"]
        rng = np.random.default_rng(3)
        for x_um, y_um in rng.uniform(-60_000, 60_000, (60, 2)):
            if abs(x_um - box.low_um[0]) < 2_000 and abs(y_um - box.low_um[1]) < 2_000:
                continue
            with pytest.raises(LimitError, match=r"the target .* is outside the soft limits"):
                stage.move_to(x_um, y_um)
        with pytest.raises(LimitError):
            stage.move_to(float("nan"), 0.0)
        now = [data for _, way, data in stage.transcript() if way == ">"]
        assert set(now[len(sent) :]) <= {b"PS\r", b"$,S\r"}
        assert not proscan.moves()


def test_a_velocity_towards_a_limit_ends_inside_it(proscan):
    box = around(proscan, -600.0, 600.0, 2_000.0)
    start_um = proscan.position_um()[0]
    with GuardedStage(proscan.url, box) as stage:

        def steer() -> None:
            for _ in range(200):
                stage.set_velocity(1_000.0, 100.0)

        with pytest.raises(LimitError, match="cannot be stopped before the soft limit") as caught:
            steer()
        assert "axis x" in str(caught.value)
        proscan.rest_s()
        assert 100.0 < proscan.position_um()[0] - start_um <= 600.0
        stage.set_velocity(-1_000.0, 0.0)  # the way back is open
        stage.stop()


def test_m4_speed_is_clamped_direction_kept(proscan):
    slow = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 500.0)
    with GuardedStage(proscan.url, slow, deadman_s=1.0) as stage:
        stage.set_velocity(3_000.0, 4_000.0)
        wait_until(lambda: np.hypot(*proscan.truth.latest()[2][:2]) > 480.0)
        assert proscan.truth.latest()[2][:2] == pytest.approx([300.0, 400.0], rel=0.01)


def test_m5_one_move_at_a_time(proscan):
    with stage_on(proscan) as stage:
        start_um = proscan.position_um()
        stage.move_to(start_um[0] + 5_000.0, start_um[1])
        with pytest.raises(GuardianError, match="is still moving; wait for the end of it, or stop"):
            stage.move_to(0.0, 0.0)
        with pytest.raises(GuardianError, match="a move is under way; stop it first"):
            stage.set_velocity(10.0, 0.0)
        stage.stop()
        stage.move_to(start_um[0], start_um[1])  # waits for the ramp
        wait_until(lambda: stage.read_pose().moving is False)
        assert proscan.position_um()[:2] == pytest.approx(start_um[:2], abs=0.5)
        moves = [data for _, way, data in stage.transcript(300) if data.startswith(b"G,")]
        assert len(moves) == 2


def test_a_missing_port_and_a_wrong_device_are_told_before_anything_moves():
    with pytest.raises(PortError, match=r"stage at socket://127\.0\.0\.1:1: cannot open the port"):
        GuardedStage("socket://127.0.0.1:1", WIDE)
    with emulated("mp285") as manipulator:
        start_s = time.perf_counter()
        with pytest.raises(WrongDevice, match="what answers is no ProScan"):
            GuardedStage(manipulator.url, WIDE)
        assert time.perf_counter() - start_s < 4.0
        assert not manipulator.moves()
        assert manipulator.position_um() == pytest.approx([0.0, 0.0, 0.0])


def test_mistakes_in_options_are_one_clear_line(proscan, tmp_path):
    with pytest.raises(DeviceError, match=r"unknown option: .*colour"):
        stage_on(proscan, options={"colour": True})
    with pytest.raises(DeviceError, match="cannot write the transcript"):
        stage_on(proscan, transcript=tmp_path / "no" / "such" / "folder.txt")
    with stage_on(proscan, transcript=tmp_path / "wire.txt") as stage:
        stage.read_pose()
    assert "> b'?\\r'" in (tmp_path / "wire.txt").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_ends_the_transcript_and_nothing_else(proscan):
    with stage_on(proscan, transcript=Path("/dev/full"), deadman_s=1.0) as stage:
        stage.set_velocity(2_000.0, 0.0)
        begun(proscan)
        stage.stop()
        proscan.rest_s()
        remarks = [data for _, way, data in stage.transcript(400) if way == "!"]
        assert remarks == [b"the transcript has ended: No space left on device"]


def test_the_guardian_starts_fast_and_imports_nothing_heavy():
    program = (
        "import sys, drivers.guardian, drivers.prior.driver, drivers.mp285.driver\n"
        "heavy = ('numpy', 'torch', 'numba', 'cv2', 'PySide6')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdout.strip() == b"[]"


def test_closing_stops_ends_the_guardian_and_gives_the_joystick_back(proscan):
    stage = stage_on(proscan, deadman_s=1.0)
    guardian = psutil.Process(stage.guardian_pid)
    stage.set_velocity(2_000.0, 0.0)
    begun(proscan)
    asked_s = time.perf_counter()
    stage.close()
    assert not guardian.is_running() or guardian.status() == psutil.STATUS_ZOMBIE
    assert proscan.rest_s() - asked_s <= 0.250
    stage.close()
    with stage_on(proscan) as again:  # the port is free
        assert again.read_pose().moving is False
