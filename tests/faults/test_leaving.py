"""The program closes while something is wrong: what it drove is stopped all the same."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest
from emulated import emulated, served, wait_until

from drivers.emulators.prior import ProScanEmulator
from drivers.errors import PortError
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process for a while")
def test_a_guardian_that_is_frozen_when_its_host_closes_leaves_nothing_moving():
    with emulated("proscan") as truth:
        stage = GuardedStage(truth.url, WIDE, deadman_s=1.0)
        stage.set_velocity(500.0, 0.0)
        wait_until(truth.moves)
        guardian = psutil.Process(stage.guardian_pid)
        os.kill(guardian.pid, signal.SIGSTOP)
        closed_s = time.perf_counter()
        stage.close()
        assert truth.rest_s() - closed_s < 3.0
        assert not guardian.is_running() or guardian.status() == psutil.STATUS_ZOMBIE
        stage.close()


def test_a_cable_that_is_out_when_the_host_closes_is_waited_for():
    with emulated("proscan", "--fault", "unplug:after=1.2:lasting=3.5") as truth:
        stage = GuardedStage(truth.url, WIDE, deadman_s=3.0)
        stage.set_velocity(300.0, 0.0)
        wait_until(truth.moves)
        with pytest.raises(PortError):
            wait_until(lambda: stage.set_velocity(300.0, 0.0))
        guardian = psutil.Process(stage.guardian_pid)
        closed_s = time.perf_counter()
        stage.close()
        assert time.perf_counter() - closed_s < 3.0  # nobody has to wait for the cable
        assert truth.moves()
        truth.rest_s()  # it is back: the guardian has stopped the stage, and ends
        stage._client._process.wait(10.0)
        stage.close()
        assert not guardian.is_running()


def test_the_joystick_stays_off_when_the_guardian_dies_with_the_pipette_down():
    box = ProScanEmulator(time_s=time.perf_counter())
    with (
        served(box) as url,
        GuardedStage(url, WIDE, deadman_s=5.0, options={"joystick_live": True}) as stage,
    ):
        stage.confine(200.0, 300.0)
        assert not box._controller.joystick
        psutil.Process(stage.guardian_pid).kill()
        wait_until(lambda: stage._client.rescued.is_set())
        stage._client._reader.join(5.0)
        assert not box._controller.joystick
        stage.reconnect()
        assert not box._controller.joystick
        stage.release()
        assert box._controller.joystick
