"""S1: noise on the line, for as long as a day of work, in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from drivers.emulators.faults import FaultyInstrument, parse_faults
from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import DeviceError, NotNow
from drivers.guardian_messages import GuardianSettings, decode_pose
from drivers.mp285.driver import MP285
from drivers.prior.driver import ProScan
from tests.faults.garbled import Garbled
from tests.faults.virtual import VirtualGuardian, virtual_time

BOX_UM = 3_000.0
STAGE = GuardianSettings(
    "proscan", "", "stage", (-BOX_UM, -BOX_UM), (BOX_UM, BOX_UM), max_speed_um_s=1_000.0
)
PIPETTE = GuardianSettings(
    "mp285", "", "pipette", (-BOX_UM,) * 3, (BOX_UM,) * 3, max_speed_um_s=1_000.0
)


PROMISED_S = 0.250
"""How soon a motion that does not match its command has ended."""


class Tally:
    def __init__(self) -> None:
        self.exchanges = self.refused = self.hands = 0
        self.worst_um, self.outside_um, self.longest_s = 0.0, -math.inf, 0.0
        self.rests_s: list[float] = []
        self.away_s: list[float] = []
        self.astray_s: list[float] = []

    def __str__(self) -> str:
        return (
            f"{self.exchanges} exchanges, {self.refused} refused ({self.hands} taken for a hand),"
            f" largest accepted error {self.worst_um:.2f} um, beyond the limits"
            f" {self.outside_um:.1f} um, longest call {self.longest_s:.2f} s;"
            f" not as commanded {_told(self.astray_s, PROMISED_S)}; at rest after"
            f" {_told(self.rests_s, PROMISED_S)}; recovered after {_told(self.away_s, 2.0)}"
        )


def _told(times_s: list[float], promised_s: float) -> str:
    count = len(times_s)
    if not count:
        return "0.00 s (never)"
    return (
        f"{np.median(times_s):.2f} s (median), {max(times_s):.2f} s (max),"
        f" {100 * within(times_s, promised_s):.0f} % of {count} within {promised_s:g} s"
    )


def within(times_s: list[float], promised_s: float) -> float:
    return sum(time_s <= promised_s for time_s in times_s) / max(1, len(times_s))


class Witness:
    """An instrument whose true motion is compared with what was asked for, whenever it is used.

    Between nothing and the velocity that was asked for all is well: ramps, and a stop.
    """

    def __init__(self, inner: ProScanEmulator, tally: Tally) -> None:
        self.inner = inner
        self.wanted_um_s = (0.0, 0.0)
        self._tally = tally
        self._since_s = math.inf

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def receive(self, data: bytes, now_s: float) -> None:
        self._look(now_s)
        self.inner.receive(data, now_s)

    def take_output(self, now_s: float) -> bytes:
        self._look(now_s)
        return self.inner.take_output(now_s)

    def next_event_s(self, now_s: float) -> float:
        self._look(now_s)
        return self.inner.next_event_s(now_s)

    def _look(self, now_s: float) -> None:
        is_um_s = np.array(self.inner.plant.velocity_um_s(now_s)[:2])
        wanted_um_s = np.array(self.wanted_um_s)
        share = is_um_s @ wanted_um_s / max(wanted_um_s @ wanted_um_s, 1e-9)
        off_um_s = np.linalg.norm(is_um_s - min(max(share, 0.0), 1.0) * wanted_um_s)
        if off_um_s > 15.0:
            self._since_s = min(self._since_s, now_s)
        elif self._since_s < math.inf:
            self._tally.astray_s.append(now_s - self._since_s)
            self._since_s = math.inf


def in_its_frame(emulator: ProScanEmulator, time_s: float) -> tuple[float, float]:
    """True position, counted from the origin that the controller has."""
    origin_um = emulator._controller._origin_um
    x_um, y_um, _ = emulator.plant.motor_um(time_s)
    return x_um - origin_um[0], y_um - origin_um[1]


def follow(exchanges: int, fault: str, variant: str = "proscan3", *, live: bool = False) -> Tally:
    """Follow a wandering cell over a noisy line; reconnect after each fault, as a person would.

    With the joystick ``live`` what does not move as commanded may be a hand on it: the stage is
    stopped all the same, and after a second goes on when it is asked to.
    """
    tally = Tally()
    with virtual_time() as clock:
        inner = ProScanEmulator(variant, time_s=clock.now_s)
        witness = Witness(inner, tally)
        guardian = VirtualGuardian(
            FaultyInstrument(witness, parse_faults(fault)),
            lambda wire: ProScan(wire, joystick_live=live), STAGE, clock,
        )  # fmt: skip
        guardian.reconnect()
        tick, failed_s = 0, math.inf
        while tally.exchanges < exchanges:
            tick += 1
            heading = tick * 0.02
            v = 120.0 * math.cos(heading), 120.0 * math.sin(heading)
            witness.wanted_um_s = v
            before_s, before = clock.now_s, len(guardian.wire.transcript.entries())
            try:
                guardian.ask("velocity", um_s=list(v))
                if tick % 3 == 0:
                    pose = decode_pose(guardian.ask("pose")["value"])
                    true_um = in_its_frame(inner, pose.time_s)
                    error_um = max(abs(pose.x_um - true_um[0]), abs(pose.y_um - true_um[1]))
                    tally.worst_um = max(tally.worst_um, error_um)
                if failed_s < math.inf:
                    tally.away_s.append(clock.now_s - failed_s)
                    failed_s = math.inf
            except DeviceError as error:
                tally.refused += 1
                hand = isinstance(error, NotNow) and failed_s == math.inf
                tally.hands += hand
                tally.longest_s = max(tally.longest_s, clock.now_s - before_s)
                failed_s = min(failed_s, clock.now_s)
                guardian.idle(0.05)
                if guardian.keeper._brake.fault or hand:
                    # Not its speed: that is still zero when a garbled stop has begun a crawl.
                    while inner.plant.rest_s > clock.now_s and clock.now_s - before_s < 60.0:
                        guardian.idle(0.02)
                    tally.rests_s.append(inner.plant.rest_s - before_s)
                if guardian.keeper._brake.fault:
                    guardian.reconnect()
            outside_um = max(abs(um) for um in in_its_frame(inner, clock.now_s)) - BOX_UM
            tally.outside_um = max(tally.outside_um, outside_um)
            guardian.idle(max(0.0, 0.033 - (clock.now_s - before_s)))
            sent = guardian.wire.transcript.entries()
            tally.exchanges += max(2, len(sent) - before) // 2
    return tally


def holds(tally: Tally, *, rest_s: float = 1.0) -> None:
    print(tally)
    assert tally.worst_um <= 5.0, tally
    assert tally.outside_um <= 0.0, tally
    assert tally.longest_s <= 3.0, tally
    assert max(tally.astray_s, default=0.0) <= PROMISED_S, tally
    assert max(tally.rests_s, default=0.0) <= rest_s, tally
    assert max(tally.away_s, default=0.0) <= 2.0, tally


def holds_mostly(tally: Tally) -> None:
    """At one byte in a hundred every ninth exchange is spoilt, and so is every ninth stop."""
    print(tally)
    assert tally.worst_um <= 5.0, tally
    assert tally.outside_um <= 0.0, tally
    assert tally.longest_s <= 3.0, tally
    assert within(tally.astray_s, PROMISED_S) >= 0.95, tally
    assert max(tally.astray_s, default=0.0) <= 0.7, tally
    assert max(tally.rests_s, default=0.0) <= 1.5, tally
    assert within(tally.away_s, 2.0) >= 0.90, tally
    assert max(tally.away_s, default=0.0) <= 7.0, tally


def test_a_clean_line_needs_no_second_readings():
    with virtual_time() as clock:
        guardian = VirtualGuardian(ProScanEmulator(time_s=clock.now_s), ProScan, STAGE, clock)
        guardian.reconnect()
        before = len(guardian.wire.transcript.entries())
        for tick in range(600):
            begin_s = clock.now_s
            # a cell that turns, and the noise of looking at it
            heading = 0.03 * tick
            v = [150.0 * math.cos(heading), 150.0 * math.sin(heading) + 20.0 * (-1) ** tick]
            guardian.ask("velocity", um_s=v)
            if tick % 3 == 0:
                guardian.ask("pose")
            guardian.idle(max(0.0, 0.033 - (clock.now_s - begin_s)))
        sent = [d for _, way, d in guardian.wire.transcript.entries()[before:] if way == ">"]
        readings = sum(data == b"PS\r" for data in sent)
        print(readings, "readings for 200 poses")
        assert readings < 212
        assert guardian.faults() == []


class Misread(Garbled):
    """Says once, when it is told to, that it is elsewhere along x."""

    off = 0

    def take_output(self, now_s: float) -> bytes:
        reply = super().take_output(now_s)
        if self.off and reply.count(b",") == 1:
            x, y = reply.split(b",")
            reply, self.off = b"%d,%s" % (int(x) + self.off, y), 0
        return reply


@pytest.mark.parametrize("live", [False, True])
def test_a_garbled_position_that_makes_up_for_a_garbled_velocity_is_not_believed(live):
    # turned round, a velocity is acknowledged like any other; one bit, as of 3198 to 3118, puts x
    # where the velocity should have led: but for what was spoilt before, nothing looks odd
    with virtual_time() as clock:
        inner = ProScanEmulator(time_s=clock.now_s)
        line = Misread(inner, heard={b"SERIAL": (b"SERIAM", 1)})
        guardian = VirtualGuardian(
            line, lambda wire: ProScan(wire, joystick_live=live), STAGE, clock
        )  # fmt: skip
        guardian.reconnect()
        for tick in range(9):
            begin_s = clock.now_s
            if tick == 6:
                line.heard = {b"VS,-111": (b"VS,111", 1)}
            guardian.ask("velocity", um_s=[-111.0, 0.0])
            if tick % 3 == 2:
                line.off = -80 if tick == 8 else 0
                pose = decode_pose(guardian.ask("pose")["value"])
                assert pose.x_um == pytest.approx(in_its_frame(inner, pose.time_s)[0], abs=1.0)
            guardian.idle(max(0.0, 0.033 - (clock.now_s - begin_s)))
        assert not line.off
        assert not line.heard[b"VS,-111"][1]
        assert guardian.faults() == []


def test_one_spoilt_exchange_costs_second_readings_for_ten_seconds():
    with virtual_time() as clock:
        line = Misread(ProScanEmulator(time_s=clock.now_s))
        guardian = VirtualGuardian(line, ProScan, STAGE, clock)
        guardian.reconnect()
        line.heard = {b"PS": (b"QS", 1)}
        guardian.ask("pose")
        begin_s, readings = clock.now_s, []
        for wait_s in (0.0, 9.0, 11.0):
            guardian.idle(begin_s + wait_s - clock.now_s)
            before = len(guardian.wire.transcript.entries())
            guardian.ask("pose")
            sent = [d for _, way, d in guardian.wire.transcript.entries()[before:] if way == ">"]
            readings.append(sum(data == b"PS\r" for data in sent))
        assert readings == [2, 2, 1]


FLIPS = "flip:p=0.001:way=both,seed={}"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_s1_following_over_a_noisy_line(seed, live):
    holds(follow(2_000, FLIPS.format(seed), live=live), rest_s=PROMISED_S)


def test_s1_after_a_hand_garbled_positions_are_no_more_believed_than_before():
    # a hand is fast: what it explained must not be explained to the end of the next stretch
    holds_mostly(follow(4_000, "flip:p=0.01:way=both,seed=0", live=True))


@pytest.mark.parametrize(
    "fault",
    [
        "drop:p=0.002:way=both,seed=4", "duplicate:p=0.02,seed=5", "stale:p=0.05,seed=6",
        "truncate:p=0.01:keep=2,seed=7", "delay:p=0.01:by=0.35,seed=8",
        "frame:p=0.001,seed=9", "delay:p=0.003:by=3,seed=10",
    ],
)  # fmt: skip
@pytest.mark.parametrize("variant", ["proscan2", "proscan3-r-at-end"])
def test_following_over_a_line_with_other_faults(fault, variant):
    holds(follow(1_000, fault, variant))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_s1_a_hundred_thousand_exchanges_with_one_percent_flipped(seed, live):
    holds_mostly(follow(25_000, f"flip:p=0.01:way=both,seed={seed}", live=live))


def descend(moves: int, fault: str, variant: str) -> tuple[int, float]:
    """Move a manipulator about; refused moves, and how far it ever was from its corridor."""
    refused, strayed_um = 0, 0.0
    with virtual_time() as clock:
        inner = MP285Emulator(variant, time_s=clock.now_s)
        guardian = VirtualGuardian(
            FaultyInstrument(inner, parse_faults(fault)), MP285, PIPETTE, clock
        )
        guardian.reconnect()
        for number in range(moves):
            way_um = 40.0 * (-1) ** number
            begin_um = inner.plant.motor_um(clock.now_s)
            try:
                guardian.ask("move", um=[way_um, 0.0, -way_um / 2], speed=200.0)
                for _ in range(200):
                    guardian.idle(0.02)
                    at_um = inner.plant.motor_um(clock.now_s)
                    over = (abs(at_um[0]) - 40.0, abs(at_um[2]) - 20.0)
                    strayed_um = max(strayed_um, *over)
                    if guardian.keeper._device.moving is False or guardian.keeper._brake.fault:
                        break
            except DeviceError:
                refused += 1
            if guardian.keeper._brake.fault:
                guardian.idle(0.5)
                assert not any(inner.plant.moving(clock.now_s)), (number, begin_um)
                if inner.hung:
                    inner.power_cycle(clock.now_s)
                guardian.sent.clear()
                for _ in range(20):
                    try:
                        guardian.ask("connect", new_frame=True)
                    except DeviceError:
                        guardian.idle(1.0)
                    else:
                        break
    return refused, strayed_um


@pytest.mark.parametrize("variant", ["mp285", "mp285-strict", "mp285a"])
@pytest.mark.parametrize(
    "fault",
    [
        "flip:p=0.002,seed=1", "drop:p=0.002,seed=2", "duplicate:p=0.02,seed=3",
        "truncate:p=0.01:keep=5,seed=4", "delay:p=0.02:by=0.35,seed=5",
    ],
)  # fmt: skip
def test_a_manipulator_over_a_noisy_line_never_leaves_its_way(fault, variant):
    _, strayed_um = descend(40, fault, variant)
    assert strayed_um < 1.0


def test_garbled_targets_of_a_manipulator_are_left_in_time():
    refused, strayed_um = descend(150, "flip:p=0.002:way=in,seed=6", "mp285")
    assert strayed_um < 230.0  # 200 um/s for as long as a move of 45 um is waited for
    assert refused < 75
