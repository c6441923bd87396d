"""The MP-285's driver on a real wire to emulated controllers of every kind."""

from __future__ import annotations

import itertools
import time

import pytest

from drivers.emulators.mp285 import VARIANTS
from drivers.errors import (
    BadReply,
    DeviceError,
    PortError,
    RefusedCommand,
    ReplyTimeout,
    WrongDevice,
)
from drivers.guarded_device import GuardedDevice
from drivers.mp285 import codec
from drivers.mp285.driver import MP285, State
from drivers.wire import Preempted
from tests.drivers.mp285_bench import Bench, bench

QUIET = [name for name in VARIANTS if "roe" not in name]


@pytest.fixture
def ready():
    with bench() as box:
        box.driver.connect()
        yield box


@pytest.mark.parametrize("variant", QUIET)
def test_connects_moves_and_stops_on_every_controller(variant):
    with bench(variant) as box:
        driver = box.driver
        device: GuardedDevice = driver
        assert device.axes == ("x", "y", "z")
        assert driver.moving is None
        model = "MP-285A" if variant.startswith("mp285a") else "MP-285"
        assert driver.connect() == f"Sutter {model}, firmware 3.40, 25 microsteps/um"
        assert driver.moving is False
        driver.move_to((20.0, -30.0, 5.04), 1000.0)
        assert driver.moving is True
        assert driver.read_pose().moving is True
        box.settle()
        pose = driver.read_pose()
        assert (pose.x_um, pose.y_um, pose.z_um, pose.moving) == (20.0, -30.0, 5.04, False)
        assert box.true_um() == pytest.approx((20.0, -30.0, 5.04))

        driver.move_to((5000.0, 0.0, 0.0), 1000.0)
        box.until(lambda: box.true_um()[0] > 60.0)
        driver.stop()
        rest_um = box.true_um()
        pose = driver.read_pose()
        assert (pose.x_um, pose.moving) == (pytest.approx(rest_um[0], abs=0.05), False)
        assert 60 < rest_um[0] < 500
        assert not box.emulator.hung


def test_while_it_moves_nothing_but_the_interrupt_goes_out(ready: Bench):
    ready.driver.move_to((200.0, 0.0, 0.0), 500.0)
    moves = len(ready.sent())
    for _ in range(10):
        ready.driver.service()
        ready.driver.read_pose()
        with pytest.raises(DeviceError, match="cannot move while it moves; stop it first"):
            ready.driver.move_to((0.0, 0.0, 0.0), 500.0)
    assert len(ready.sent()) == moves
    ready.driver.stop()
    assert ready.sent()[moves] == codec.INTERRUPT


def test_stop_is_on_the_wire_at_once_and_lets_the_next_move_through(ready: Bench):
    ready.driver.move_to((2000.0, 0.0, 0.0), 1000.0)
    ready.until(lambda: ready.true_um()[0] > 20.0)
    asked_s = time.perf_counter()
    ready.driver.stop()
    stop_s = next(
        at_s
        for at_s, way, data in ready.wire.transcript.entries()
        if way == ">" and data == codec.INTERRUPT and at_s >= asked_s
    )
    assert stop_s - asked_s < 0.05
    assert ready.driver.state is State.IDLE
    ready.driver.move_to((0.0, 0.0, 0.0), 1300.0)
    ready.settle()
    assert ready.true_um() == pytest.approx((0.0, 0.0, 0.0))


def test_s4_positions_with_carriage_returns_in_every_slot(ready: Bench):
    for slot in range(12):
        payload = bytearray(b"\x01\x02\x03\x04" * 3)
        payload[slot] = 0x0D
        microsteps = codec.decode_position(bytes(payload) + b"\r")
        # Beyond 25 mm of travel, but legal after an origin far away.
        ready.emulator._origin_um = tuple(-step / 25 for step in microsteps)
        pose = ready.driver.read_pose()
        assert (pose.x_um, pose.y_um, pose.z_um) == tuple(step / 25 for step in microsteps)


def test_fine_and_coarse_speed(ready: Bench):
    ready.driver.move_to((10.0, 0.0, 0.0), 1310.0)
    ready.settle()
    ready.driver.move_to((400.12, 0.0, 0.0), 2500.0)
    ready.settle()
    speeds = [data for data in ready.sent() if data[:1] == b"V"]
    assert speeds == [codec.encode_speed(1310, fine=True), codec.encode_speed(2500, fine=False)]
    # Coarse: the nearest fifth microstep.
    assert ready.driver.read_pose().x_um == pytest.approx(400.2)


@pytest.mark.parametrize(
    ("target_um", "speed_um_s"),
    [((1e9, 0, 0), 100.0), ((0, float("nan"), 0), 100.0), ((0, 0, 0), 0.5), ((0, 0, 0), -1.0)],
)
def test_impossible_moves_send_nothing(ready: Bench, target_um, speed_um_s):
    before = len(ready.sent())
    with pytest.raises(DeviceError, match="no move to"):
        ready.driver.move_to(target_um, speed_um_s)
    assert len(ready.sent()) == before
    assert ready.driver.moving is False


def test_there_is_no_velocity(ready: Bench):
    with pytest.raises(DeviceError, match="has no velocity command"):
        ready.driver.set_velocity((1.0, 0.0, 0.0))


def test_an_end_of_travel_is_told():
    with bench(start_um=(12_480.0, 0.0, 0.0)) as box:
        box.driver.connect()
        box.driver.move_to((100.0, 0.0, 0.0), 1000.0)
        with pytest.raises(BadReply, match=r"came to rest at \(20.0, 0.0, 0.0\) um, not at \(100"):
            box.settle()
        assert box.driver.read_pose().x_um == 20.0


def test_a_hand_on_the_knobs_is_noticed(ready: Bench):
    assert ready.driver.read_pose().x_um == 0.0
    ready.emulator.turn_roe((10.0, 0.0, 0.0), time.perf_counter())
    ready.until(lambda: ready.true_um()[0] == 10.0)
    assert ready.driver.read_pose().x_um == 10.0
    ready.driver.move_to((10.0, 5.0, 0.0), 500.0)
    ready.settle()
    assert ready.true_um() == pytest.approx((10.0, 5.0, 0.0))


def test_a_controller_that_hangs_asks_to_be_switched_off(ready: Bench):
    ready.driver.move_to((3000.0, 0.0, 0.0), 1000.0)
    ready.emulator.hung = True
    ready.emulator._arrival_s = float("inf")
    start_s = time.perf_counter()
    with pytest.raises(ReplyTimeout, match="switch the MP-285 off and on"):
        ready.driver.stop()
    assert time.perf_counter() - start_s < 2.0
    assert ready.driver.moving is None
    with pytest.raises(DeviceError, match="its state is unknown; reconnect"):
        ready.driver.read_pose()
    with pytest.raises(DeviceError, match="its state is unknown; reconnect"):
        ready.driver.move_to((0.0, 0.0, 0.0), 100.0)
    ready.emulator.power_cycle(time.perf_counter())
    ready.driver.connect()
    assert ready.driver.read_pose().x_um == 0.0


def test_an_arrival_that_never_comes_is_stopped_and_told():
    # Replies: to 0x03, s, s, a, a, c, c while connecting, to c, V, s, m for the move.
    with bench(fault="truncate:keep=0:nth=11") as box:
        box.driver.connect()
        box.driver.move_to((10.0, 0.0, 0.0), 1000.0)
        with pytest.raises(ReplyTimeout, match=r"did not arrive at \(10.0, 0.0, 0.0\) um"):
            box.settle()
        assert box.driver.state is State.IDLE


def test_something_else_that_interrupts_the_move_is_told(ready: Bench):
    ready.driver.move_to((1000.0, 0.0, 0.0), 1000.0)
    ready.until(lambda: ready.true_um()[0] > 20.0)
    ready.wire.write(b"\n")
    with pytest.raises(RefusedCommand, match="the move was interrupted") as caught:
        ready.settle()
    assert caught.value.code == 8
    assert ready.driver.moving is None
    ready.driver.stop()
    assert ready.driver.moving is False


def test_rescue_on_an_open_wire_without_connect():
    """Another process died amid a move: only the port's name is known."""
    with bench() as box:
        box.wire.write(codec.encode_speed(1000, fine=True))
        box.wire.discard(0.02)
        box.wire.write(codec.encode_move((100_000, 0, 0)))
        box.until(lambda: box.true_um()[0] > 50.0)
        rescuer = MP285(box.wire)
        rescuer.stop()
        at_rest = box.true_um()
        assert 50 < at_rest[0] < 1000
        assert rescuer.read_pose().x_um == pytest.approx(at_rest[0], abs=0.05)


@pytest.mark.parametrize("begin", [MP285.stop, MP285.connect])
def test_rescue_after_half_a_move_command(begin):
    """The host died while it wrote: the controller takes what follows for coordinates."""
    with bench() as box:
        for sent in (2, 12, 13):
            box.wire.write(codec.encode_move((100, 200, 300))[:sent])
            begin(box.driver)
            assert box.driver.read_pose().moving is False
            assert box.true_um() == (0.0, 0.0, 0.0)


def test_garbled_positions_are_not_believed():
    flips = ",".join(f"flip:nth={7 + 2 * byte}:byte={byte}" for byte in range(13))
    with bench(fault=flips + ",seed=3") as box:
        box.driver.connect()
        for _ in range(20):
            pose = box.driver.read_pose()
            assert (pose.x_um, pose.y_um, pose.z_um) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("byte", [0, 12])
def test_one_lost_byte_of_a_position_is_asked_for_again(byte):
    with bench(fault=f"drop:nth=7:byte={byte}") as box:
        box.driver.connect()
        for _ in range(3):
            assert box.driver.read_pose().x_um == 0.0


def test_a_line_that_stays_garbled_is_a_fault(ready: Bench):
    counter = itertools.count(1)
    ready.emulator._microsteps = lambda time_s: (next(counter) * 65_536, 0, 0)
    with pytest.raises(BadReply, match="no two of 4 position readings agree"):
        ready.driver.read_pose()
    assert ready.driver.moving is None


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("silent", ReplyTimeout, "nothing answers; check power"),
        ("garbage", None, ""),
        ("garbage,silent", WrongDevice, "is no MP-285: it answered"),
    ],
)
def test_s5_first_contact(fault, error, words):
    with bench(fault=fault) as box:
        start_s = time.perf_counter()
        if error is None:
            box.driver.connect()
        else:
            with pytest.raises(error, match=words):
                box.driver.connect()
            assert box.driver.moving is None
        assert time.perf_counter() - start_s < 3.0
        assert not any(data[:1] == b"m" for data in box.sent())


def test_unplugged_amid_a_move():
    with bench(fault="unplug:nth=10:lasting=9") as box:
        box.driver.connect()

        def go() -> None:
            box.driver.move_to((500.0, 0.0, 0.0), 1000.0)
            box.settle(3.0)

        with pytest.raises(PortError):
            go()


def test_preempted_reading_leaves_room_for_the_stop(ready: Bench):
    ready.emulator._variant = VARIANTS["mp285"]
    ready.wire.urgent.set()
    ready.emulator.hung = True
    with pytest.raises(Preempted):
        ready.driver.read_pose()
    ready.emulator.hung = False
    ready.wire.urgent.clear()
    ready.driver.stop()
    assert ready.driver.read_pose().moving is False


def test_poll_interval_spares_the_controller(ready: Bench):
    driver = MP285(ready.wire)
    driver.connect()
    first = driver.read_pose()
    before = len(ready.sent())
    assert driver.read_pose() == first
    assert len(ready.sent()) == before


def test_last_word():
    with bench() as box:
        box.driver.connect()
        box.driver.move_to((500.0, 0.0, 0.0), 1000.0)
        box.driver.disconnect()
        assert box.driver.moving is False
        x_um = box.true_um()[0]
        box.driver.disconnect()
        assert box.true_um()[0] == x_um
