"""After a hard stop (K) positions mean nothing until somebody has found the place again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from emulated import served, wait_until

from drivers.emulators.prior import ProScanEmulator
from drivers.errors import FrameLost, GuardianError
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits
from tests.faults.garbled import Garbled

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
LOST = r"was stopped hard \(K\) and may have lost steps: its positions mean another place"
# acknowledged, and without effect: only K is left
DEAF_TO_STOPS = {b"VS,0,0\rI\r": (b"PS\rPS\r", 99), b"I\rVS,0,0\r": (b"PS\rPS\r", 99)}


@contextmanager
def running() -> Iterator[tuple[GuardedStage, Garbled]]:
    """A stage that runs, and obeys nothing but the hard stop."""
    box = Garbled(ProScanEmulator(time_s=time.perf_counter()))
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0) as stage:
        stage.set_velocity(500.0, 0.0)
        wait_until(lambda: box.plant.motor_um(time.perf_counter())[0] > 50.0)
        box.heard, box.said = dict(DEAF_TO_STOPS), {b",0\r": (b"R\r", 99)}
        yield stage, box


def obeys_again(box: Garbled) -> None:
    box.heard, box.said = {}, {}
    wait_until(lambda: box.plant.rest_s < time.perf_counter())


def refused_until_found(stage: GuardedStage, box: Garbled) -> None:
    began_s = time.perf_counter()
    for _ in range(2):
        with pytest.raises(FrameLost, match=LOST + "; find its place again, calibrate"):
            stage.reconnect()
        for motion in (lambda: stage.move_to(0.0, 0.0), lambda: stage.set_velocity(10.0, 0.0)):
            with pytest.raises(GuardianError, match="refuses motion after a fault"):
                motion()
        with pytest.raises(FrameLost, match=LOST):
            stage.read_pose()
    log = stage.transcript(10_000)
    said = [data for at_s, way, data in log if way == ">" and at_s > began_s]
    assert said
    assert not any(data.startswith(b"G,") for data in said)
    assert not any(data.startswith(b"VS,") and not data.startswith(b"VS,0,0") for data in said)
    assert stage.reconnect(new_frame=True).moving is False
    stage.move_to(0.0, 0.0)
    wait_until(lambda: stage.read_pose().moving is False)


def test_motion_is_refused_after_a_hard_stop_until_the_place_is_found_again():
    with running() as (stage, box):
        stage.stop()
        obeys_again(box)
        told: list[str] = []
        wait_until(lambda: told.extend(why for _, why in stage.events()) or "K" in "".join(told))
        assert "may have lost steps" in told[-1]
        assert "\n" not in told[-1]
        refused_until_found(stage, box)


def test_the_next_guardian_knows_of_the_hard_stop_too():
    with running() as (stage, box):
        stage.stop()
        obeys_again(box)
        wait_until(lambda: any("may have lost steps" in why for _, why in stage.events()))
        psutil.Process(stage.guardian_pid).kill()
        wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
        refused_until_found(stage, box)


def test_a_rescue_that_had_to_stop_hard_is_not_forgotten():
    with running() as (stage, box):
        psutil.Process(stage.guardian_pid).kill()
        told: list[str] = []
        wait_until(
            lambda: (
                told.extend(why for _, why in stage.events())
                or any("may have lost steps" in why for why in told)
            )
        )
        obeys_again(box)
        refused_until_found(stage, box)


def test_a_usual_stop_loses_nothing():
    box = ProScanEmulator(time_s=time.perf_counter())
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0) as stage:
        stage.set_velocity(500.0, 0.0)
        stage.stop()
        wait_until(lambda: stage.read_pose().moving is False)
        assert stage.reconnect().moving is False
        stage.move_to(0.0, 0.0)
        assert stage.events() == []
