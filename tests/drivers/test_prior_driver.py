"""The ProScan's driver on a real wire to emulated controllers of every kind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from emulated import served, wait_until

from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import BadReply, DeviceError, RefusedCommand, ReplyTimeout, WrongDevice
from drivers.guarded_device import GuardedDevice
from drivers.prior.driver import ProScan
from drivers.process import end_process, start_module
from drivers.wire import Wire


class Bench:
    def __init__(self, wire: Wire, emulator: ProScanEmulator, driver: ProScan) -> None:
        self.wire = wire
        self.emulator = emulator
        self.driver = driver

    def settle(self) -> None:
        def settled() -> bool:
            self.driver.service()
            return self.driver.moving is False

        wait_until(settled)

    def true_um(self) -> tuple[float, ...]:
        return self.emulator.plant.load_um(time.perf_counter())

    def sent(self) -> list[bytes]:
        return [data for _, way, data in self.wire.transcript.entries() if way == ">"]


@contextmanager
def bench(
    variant: str = "proscan3", fault: str = "", baud: int | None = None, **options: bool | float
) -> Iterator[Bench]:
    emulator = ProScanEmulator(variant, baud=baud, time_s=time.perf_counter())
    with served(emulator, fault) as url:
        wire = Wire(url, device="stage")
        wire.open()
        try:
            yield Bench(wire, emulator, ProScan(wire, **options))
        finally:
            wire.close()


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("proscan2", {}),
        ("proscan3", {}),
        ("proscan3-r-at-end", {}),
        ("proscan3-velocity-units", {"velocity_in_user_units": True}),
        ("proscan3-9600", {"resolution_um": 1.0}),
    ],
)
def test_connects_moves_follows_and_stops_on_every_controller(variant, options):
    with bench(variant, **options) as box:
        driver = box.driver
        device: GuardedDevice = driver
        assert device.axes == ("x", "y")
        assert driver.moving is None
        assert "stage H117(2MM)PHY" in driver.connect()
        assert driver.read_pose().moving is False
        driver.move_to((400.0, -300.0), 5000.0)
        assert driver.moving is True
        assert driver.read_pose().moving is True
        box.settle()
        pose = driver.read_pose()
        assert (pose.x_um, pose.y_um) == pytest.approx((400.0, -300.0), abs=0.51)
        assert box.true_um()[:2] == pytest.approx((400.0, -300.0), abs=0.8)

        driver.set_velocity((200.0, 100.0))
        begin_s = time.perf_counter()
        wait_until(lambda: box.true_um()[0] > 440.0)
        driver.stop()
        box.settle()
        x_um, y_um, _ = box.true_um()
        assert x_um - 400.0 < 200.0 * (time.perf_counter() - begin_s) + 1.0
        assert (x_um - 400.0) == pytest.approx(2 * (y_um + 300.0), abs=2.0)
        pose = driver.read_pose()
        assert (pose.x_um, pose.y_um) == pytest.approx((x_um, y_um), abs=0.8)
        driver.disconnect()
        assert box.sent()[-1] == b"J\r"


def test_the_pose_belongs_to_the_middle_of_the_exchange():
    with bench() as box:
        box.driver.connect()
        box.driver.set_velocity((1000.0, 0.0))
        wait_until(lambda: box.true_um()[0] > 100.0)
        errors_um = []
        for _ in range(9):
            pose = box.driver.read_pose()
            errors_um.append(pose.x_um - box.emulator.plant.motor_um(pose.time_s)[0])
        box.driver.stop()
        assert abs(sorted(errors_um)[4]) < 3.0  # 3 ms at 1 mm/s


def test_every_command_has_one_reply_and_the_joystick_is_off_in_motion():
    with bench() as box:
        box.driver.connect()
        assert b"H\r" not in box.sent()
        box.driver.set_velocity((10.0, 0.0))
        assert box.sent()[-2:] == [b"H\r", b"VS,10,0\r"]
        for _ in range(5):
            box.driver.set_velocity((10.0, 0.0))
            box.driver.read_pose()
        box.driver.stop()
        assert box.sent()[-1] == b"VS,0,0\rI\r"
        assert box.driver.stale_replies == 0


def test_a_late_r_answers_no_other_question():
    with bench("proscan3-r-at-end") as box:
        box.driver.connect()
        box.driver.move_to((1000.0, 0.0), 5000.0)
        while box.driver.moving is not False:
            box.driver.service()
            pose = box.driver.read_pose()
        assert pose.x_um == pytest.approx(box.driver.read_pose().x_um, abs=30.0)
        assert box.driver.read_pose().x_um == pytest.approx(1000.0, abs=0.2)
        box.driver.move_to((0.0, 0.0), 5000.0)
        wait_until(lambda: box.true_um()[0] < 900.0)
        box.driver.stop()
        box.settle()
        for _ in range(3):
            pose = box.driver.read_pose()
            assert pose.x_um == pytest.approx(box.true_um()[0], abs=0.5)


def test_no_stage_and_a_full_queue_are_told_by_name():
    with (
        bench("proscan3-no-stage") as box,
        pytest.raises(DeviceError, match="no stage is connected"),
    ):
        box.driver.connect()
    with bench() as box:
        box.driver.connect()
        box.wire.write(b"GR,100000,0\r" * 102)
        box.wire.discard(0.3, 5.0)
        with pytest.raises(RefusedCommand, match=r"command queue full \(E,18\)") as caught:
            box.driver.move_to((1.0, 1.0), 2000.0)
        assert caught.value.code == 18
        box.driver.stop()
        box.settle()


def test_a_stage_that_runs_already_is_stopped_when_connecting():
    with bench() as box:
        box.wire.write(b"VS,500,0\r")
        box.wire.read_until(b"\r", 1.0)
        wait_until(lambda: box.true_um()[0] > 10.0)
        box.driver.connect()
        box.settle()
        assert not any(box.emulator.plant.moving(time.perf_counter()))


def refused_within_3_s(url: str, error: type[DeviceError]) -> tuple[str, list[bytes]]:
    wire = Wire(url, device="stage")
    wire.open()
    start_s = time.perf_counter()
    try:
        with pytest.raises(error) as caught:
            ProScan(wire).connect()
        assert time.perf_counter() - start_s < 3.0
        return str(caught.value), [d for _, way, d in wire.transcript.entries() if way == ">"]
    finally:
        wire.close()


def test_a_manipulator_on_the_port_is_refused_and_never_moved():
    emulator = MP285Emulator("mp285", time_s=time.perf_counter())
    with served(emulator) as url:
        text, sent = refused_within_3_s(url, WrongDevice)
        assert "what answers is no ProScan (read b'" in text
        assert "check the port in the rig file" in text
        assert set(sent) == {b"\r", b"?\r"}
        assert not any(emulator.plant.moving(time.perf_counter()))


@pytest.mark.parametrize("fault", ["garbage:count=1024,silent", "garbage:count=1024,flip:p=0.5"])
def test_s5_garbage_on_the_port_is_refused(fault):
    with served(ProScanEmulator(time_s=time.perf_counter()), fault) as url:
        text, sent = refused_within_3_s(url, WrongDevice)
        assert "no ProScan (read b'" in text
        assert set(sent) == {b"\r", b"?\r"}


def test_a_silent_port_is_told_apart():
    with served(ProScanEmulator(time_s=time.perf_counter()), "silent") as url:
        text, _ = refused_within_3_s(url, ReplyTimeout)
        assert "no answer at 9600 baud; check power, cable and port" in text


def test_s5_one_kilobyte_of_garbage_does_not_keep_the_right_controller_out():
    with bench(fault="garbage:count=1024") as box:
        assert box.driver.connect().startswith("ProScan 1.03")


def test_under_noise_nothing_wrong_is_believed():
    # one byte in 200 has a bit inverted: a flipped digit still looks like a position
    with bench(fault="flip:p=0.005,seed=7") as box:
        box.driver.connect()
        assert box.driver.resolution_um == 0.08
        believed = 0
        for _ in range(60):
            try:
                pose = box.driver.read_pose()
            except (BadReply, ReplyTimeout):
                continue
            believed += 1
            assert (pose.x_um, pose.y_um) == pytest.approx((0.0, 0.0), abs=5.0)
        assert believed > 54


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("baud", [9600, 115200])
def test_the_rate_of_a_terminal_line_is_found(tmp_path, baud):
    link = tmp_path / "ttyStage"
    process: subprocess.Popen[bytes] = start_module(
        "drivers.emulators.serve", ["proscan", "--pty", str(link), "--baud", str(baud)]
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"ready {link} {baud} baud".encode())
        wire = Wire(str(link), device="stage", baud=38400)
        wire.open()
        driver = ProScan(wire)
        assert driver.connect().startswith("ProScan 1.03")
        assert wire.baud == baud
        driver.move_to((50.0, 0.0), 5000.0)
        wait_until(lambda: driver.service() or driver.moving is False)
        assert driver.read_pose().x_um == pytest.approx(50.0, abs=0.1)
        wire.close()
    finally:
        end_process(process)
    assert not link.exists()
