"""What a bad line may do, and may not. Faults are seeded: a failure repeats.

The letters are those of the promises: S for the serial line, M for motion.
"""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from emulated import emulated, served, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.emulators.faults import KINDS, FaultyInstrument, parse_faults
from drivers.emulators.instrument import Instrument
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import BadReply, DeviceError, GuardianError, PortError, ReplyTimeout
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits
from drivers.prior.driver import ProScan
from drivers.wire import Wire

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
CONNECT = 18  # replies until the driver is ready, at most


def converse(fault: str, turns: int, allowed: tuple[type[DeviceError], ...]) -> int:
    """Ask for the pose of a stage at rest; every answer must be true. Returns refusals."""
    refused = 0
    with served(ProScanEmulator(time_s=time.perf_counter()), fault) as url:
        wire = Wire(url, device="stage")
        wire.open()
        try:
            driver = ProScan(wire)
            driver.connect()
            for _ in range(turns):
                start_s = time.perf_counter()
                try:
                    pose = driver.read_pose()
                except allowed:
                    refused += 1
                else:
                    assert (pose.x_um, pose.y_um) == pytest.approx((0.0, 0.0), abs=5.0)
                    assert pose.moving is not None
                assert time.perf_counter() - start_s < 2.0
        finally:
            wire.close()
    return refused


def test_s2_a_byte_dropped_at_any_place_costs_one_repetition_at_most():
    drops = ",".join(f"drop:nth={CONNECT + 8 + 6 * k}:byte={k}" for k in range(6))
    assert converse(drops, 40, ()) == 0


def test_s3_duplicated_replies_never_answer_the_next_question():
    assert converse("duplicate", 15, ()) == 0


def test_s3_a_stray_acknowledgement_answers_nothing():
    assert converse("stale:p=0.5,seed=3", 20, ()) == 0


def test_s3_a_late_reply_is_discarded():
    late = ",".join(f"delay:nth={CONNECT + 9 + 8 * k}:by={by}" for k, by in enumerate((0.35, 0.7)))
    assert converse(late, 20, (ReplyTimeout, BadReply)) <= 2


def test_s2_truncated_replies_are_asked_for_again():
    assert converse("truncate:p=0.1:keep=2,seed=5", 15, (ReplyTimeout, BadReply)) <= 3


def test_s6_unplugged_while_following_and_plugged_in_again():
    # the stage runs on while the cable is out: it must be stopped as soon as it is back
    with (
        emulated("proscan", "--fault", "unplug:after=1.0:lasting=0.6") as emulator,
        GuardedStage(emulator.url, WIDE, deadman_s=1.0) as stage,
    ):
        error = None
        while error is None:
            try:
                stage.set_velocity(1_000.0, 0.0)
            except PortError as caught:
                error = caught
            time.sleep(0.01)
        lost_s = time.perf_counter()
        assert "the port has vanished" in str(error)
        assert emulator.moves()
        with pytest.raises(GuardianError, match="refuses motion after a fault"):
            stage.set_velocity(10.0, 0.0)
        assert emulator.rest_s() - lost_s < 2.5
        assert [kind for kind, _ in stage.events()] == ["fault"]
        before_um = emulator.position_um()
        pose = stage.reconnect()
        assert pose.x_um == pytest.approx(before_um[0], abs=0.5)
        assert emulator.position_um() == pytest.approx(before_um)
        stage.move_to(pose.x_um + 100.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)


def test_s6_an_unplugged_port_is_noticed_within_half_a_second_and_stop_says_so():
    with (
        emulated("proscan", "--fault", "unplug:after=1.2") as emulator,
        GuardedStage(emulator.url, WIDE) as stage,
    ):
        noticed = None
        begin_s = time.perf_counter()
        while noticed is None:
            asked_s = time.perf_counter()
            try:
                stage.read_pose()
            except PortError:
                noticed = time.perf_counter() - asked_s
            assert time.perf_counter() - begin_s < 10.0
        assert noticed < 0.5
        with pytest.raises(DeviceError, match="not confirmed"):
            stage.stop()


def test_s7_a_controller_that_falls_silent_in_motion_is_a_fault():
    with (
        emulated("proscan", "--fault", "silent:after=1.2") as emulator,
        GuardedStage(emulator.url, WIDE, deadman_s=1.0) as stage,
    ):

        def follow() -> None:
            while True:
                stage.set_velocity(20.0, 0.0)

        with pytest.raises((ReplyTimeout, GuardianError)):
            follow()
        wait_until(lambda: any(kind == "fault" for kind, _ in stage.events()))
        with pytest.raises(GuardianError, match="refuses motion"):
            stage.move_to(0.0, 0.0)


def test_s7_a_move_that_never_ends_is_a_fault():
    # it says that it moves, and stands: half as long again as its way needs, and a second
    box = ProScanEmulator(time_s=time.perf_counter())
    with served(box) as url, GuardedStage(url, WIDE, deadman_s=1.0) as stage:
        box._controller.go = lambda *_, **__: None
        box._controller.busy = lambda _: 3
        stage.move_to(300.0, 0.0)
        sent_s = time.perf_counter()
        told: list[tuple[str, str]] = []
        wait_until(lambda: told.extend(stage.events()) or told, 4.0)
        assert time.perf_counter() - sent_s > 1.2
        assert "a move did not end in time" in told[0][1]
        with pytest.raises(GuardianError, match="refuses motion"):
            stage.move_to(0.0, 0.0)


def test_s1_garbled_commands_are_refused_or_noticed():
    # one byte in 200 to the controller has a bit inverted: VS,100,0 may become VS,900,0
    with (
        emulated("proscan", "--fault", "flip:p=0.005:way=in,seed=11") as emulator,
        GuardedStage(emulator.url, WIDE, deadman_s=1.0) as stage,
    ):
        for turn in range(60):
            v = 100.0 if (turn // 20) % 2 == 0 else -100.0
            try:
                stage.set_velocity_and_read_pose(v, 0.0)
            except DeviceError:
                emulator.rest_s()
                stage.reconnect()
        stage.stop()
        emulator.rest_s()
        assert abs(emulator.position_um()[0]) < 600.0


def test_m6_unknown_is_never_idle():
    with served(ProScanEmulator(time_s=time.perf_counter()), "silent:after=1.0") as url:
        wire = Wire(url, device="stage")
        wire.open()
        driver = ProScan(wire)
        driver.connect()
        driver.set_velocity((50.0, 0.0))
        assert driver.moving is True

        def watch() -> None:
            while True:
                driver.read_pose()

        with pytest.raises(ReplyTimeout):
            watch()
        with pytest.raises(ReplyTimeout, match="the stop was sent but is not confirmed"):
            driver.stop()
        assert driver.moving is None
        wire.close()


words = st.sampled_from([*KINDS, "p=0.1", "nth=3", "way=in", "seed=4", ":", ",", "=", "x"])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12) | st.lists(words, max_size=6).map("".join))
def test_any_text_is_a_plan_or_one_clear_error(spec):
    with suppress(DeviceError):
        assert all(fault.kind in KINDS for fault in parse_faults(spec).faults)


def test_a_mistake_in_a_plan_names_what_is_allowed():
    for spec in ("flop", "flip:p", "flip:q=1", "seed=x", "drop:way=up", "delay:by=soon"):
        with pytest.raises(DeviceError, match=r"^--fault: "):
            parse_faults(spec)


def test_a_seed_repeats_exactly():
    def run(seed: int) -> bytes:
        plan = parse_faults(f"flip:p=0.05,drop:p=0.05,duplicate:p=0.2,seed={seed}")
        emulator = FaultyInstrument(ProScanEmulator(time_s=0.0), plan)
        assert isinstance(emulator, Instrument)
        heard = b""
        for turn in range(1, 40):
            emulator.receive(b"?\r", float(turn))
            while reply := emulator.take_output(turn + 0.9):
                heard += reply
        return heard

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_s6_a_reconnect_that_fails_leaves_a_fault_and_stop_goes_on_trying():
    with (
        emulated("proscan", "--fault", "unplug:after=1.0:lasting=1.5") as emulator,
        GuardedStage(emulator.url, WIDE, deadman_s=1.0) as stage,
    ):

        def follow() -> None:
            while True:
                stage.set_velocity(500.0, 0.0)

        with pytest.raises(PortError):
            follow()
        with pytest.raises(PortError, match=r"cannot open the port|vanished"):
            stage.reconnect()
        with pytest.raises(DeviceError, match="not confirmed"):
            stage.stop()
        assert emulator.moves()
        emulator.rest_s()  # the cable is back: the guardian stops it unasked
        stage.stop()
        stage.reconnect()
        assert stage.read_pose().moving is False
