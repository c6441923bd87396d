"""What commissioning has measured is entered in the rig file, and reaches the instruments."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from emulated import served, wait_until

from app.config import Mp285Config, ProScanConfig, RigConfig
from app.rig.build import connect_pipette, connect_stage, pipette_options, stage_options
from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.guarded import GuardedManipulator, GuardedStage


def rig(**ports: ProScanConfig | Mp285Config) -> RigConfig:
    return RigConfig(**ports)  # type: ignore[arg-type]


def test_the_stage_is_set_up_as_the_rig_file_says() -> None:
    box = ProScanEmulator("proscan3-velocity-units", time_s=time.perf_counter())
    with served(box) as url, ExitStack() as started:
        port = ProScanConfig(
            url=url, velocity_in_user_units=True, resolution_um=0.2, acceleration_percent=50,
            s_curve_percent=80, acceleration_um_s2=40_000.0,
        )  # fmt: skip
        stage = connect_stage(rig(stage=port), None, started)
        assert isinstance(stage, GuardedStage)
        assert stage.identity.endswith("0.2 um")
        assert (box._controller.percent["SAS"], box._controller.percent["SCS"]) == (50.0, 80.0)
        assert stage._client.settings.acceleration_um_s2 == 40_000.0
        stage.set_velocity(100.0, 0.0)
        wait_until(lambda: box.plant.velocity_um_s(time.perf_counter())[0] > 95.0)
        assert box.plant.velocity_um_s(time.perf_counter())[0] == pytest.approx(100.0)
        assert [data for _, _, data in stage.transcript(9) if data.startswith(b"VS")] == [
            b"VS,500,0\r"
        ]


def test_the_pipette_is_set_up_as_the_rig_file_says() -> None:
    box = MP285Emulator(time_s=time.perf_counter(), baud=115200)
    with served(box) as url, ExitStack() as started:
        port = Mp285Config(url=url, speed_scale=0.5, microsteps_per_um=50.0, poll_s=0.0)
        pipette = connect_pipette(rig(pipette=port), None, started)
        assert isinstance(pipette, GuardedManipulator)
        assert pipette.identity.endswith("50 microsteps/um")
        pipette.move_to(20.0, 0.0, 0.0, 150.0)
        assert box._status.speed_um_s == 300  # a number that makes it go at 150
        wait_until(lambda: pipette.read_pose().moving is False)
        assert box.plant.motor_um(time.perf_counter())[0] == pytest.approx(40.0)
        assert pipette.events() == []


def test_without_a_word_in_the_rig_file_the_drivers_defaults_hold() -> None:
    assert stage_options(ProScanConfig()) == {
        "resolution_um": 0.1, "velocity_in_user_units": False, "joystick_live": True
    }  # fmt: skip
    assert pipette_options(Mp285Config()) == {"speed_scale": 1.0, "verify_speed": True}
