"""M1 at the other end of the guardian: of 10,000 wishes, what are the bytes that leave?"""

from __future__ import annotations

import itertools
import math
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import DeviceError, LimitError
from drivers.guardian_messages import GuardianSettings
from drivers.mp285.driver import MP285
from drivers.prior.driver import ProScan
from tests.faults.virtual import VirtualGuardian, virtual_time

LOW_UM, HIGH_UM = (-1_000.03, -500.0), (2_000.0, 700.05)  # two ends are off the grid
SPEED_UM_S = 1_500.0
NEEDLE_LOW_UM, NEEDLE_HIGH_UM = (-800.0, -700.0, -300.03), (900.03, 600.0, 400.0)
SAFE_UM = -100.0
UNIT_UM = 0.08  # of the controller
HALF_STEP_UM = 0.021
EXACT_UM = 1e-6  # of numbers that are added up in another order


class Recorded:
    """A guardian in virtual time whose every byte is kept."""

    def __init__(self, guardian: VirtualGuardian) -> None:
        self.guardian = guardian
        self.sent: list[bytes] = []
        self.refused = 0
        write = guardian.wire.write

        def keep(data: bytes) -> None:
            self.sent.append(data)
            write(data)

        guardian.wire.write = keep  # type: ignore[method-assign]
        guardian.ask("connect")

    def wish(self, do: str, **fields: object) -> bool:
        """Ask for it; whether it was granted. Only the limits refuse."""
        before = len(self.sent)
        try:
            self.guardian.ask(do, **fields)
        except LimitError:
            self.refused += 1
            assert not any(data[:1] in b"Gm" for data in self.sent[before:])
            return False
        return True

    def rest(self) -> None:
        for _ in itertools.count():
            self.guardian.idle(0.05)
            if self.guardian.keeper._moving() is False:
                return


@contextmanager
def stage() -> Iterator[tuple[Recorded, ProScanEmulator]]:
    with virtual_time() as clock:
        box = ProScanEmulator("proscan3", time_s=clock.now_s - 1.0)
        settings = GuardianSettings("proscan", "", "stage", LOW_UM, HIGH_UM, SPEED_UM_S)
        yield Recorded(VirtualGuardian(box, ProScan, settings, clock)), box


@contextmanager
def pipette() -> Iterator[tuple[Recorded, MP285Emulator]]:
    with virtual_time() as clock:
        box = MP285Emulator("mp285a", time_s=clock.now_s - 1.0, baud=19200)
        settings = GuardianSettings(
            "mp285", "", "pipette", NEEDLE_LOW_UM, NEEDLE_HIGH_UM, safe_z_um=SAFE_UM
        )
        recorded = Recorded(
            VirtualGuardian(box, lambda wire: MP285(wire, poll_s=0.0), settings, clock)
        )
        yield recorded, box


def words(sent: list[bytes], verb: bytes) -> list[tuple[float, ...]]:
    """Numbers of each command of one kind among the lines that were sent."""
    lines = b"".join(sent).split(b"\r")
    found = [line.split(b",") for line in lines if line.split(b",")[0] == verb]
    return [tuple(map(float, line[1:])) for line in found]


def odd(dice: random.Random, low: float, high: float) -> float:
    """A number from far around, now and then one that is none, or just beyond an end."""
    if dice.random() < 0.02:
        return dice.choice((math.nan, math.inf, -math.inf, 1e300))
    if dice.random() < 0.1:
        return dice.choice((low, high)) + dice.choice((-0.01, 0.0, 0.01))
    return dice.uniform(2 * low - 200, 2 * high + 200)


def test_m1_of_3500_targets_of_a_stage_no_byte_leaves_for_one_outside():
    dice = random.Random(41)
    granted = 0
    with stage() as (recorded, box):
        for _ in range(3_500):
            target = [odd(dice, *ends) for ends in zip(LOW_UM, HIGH_UM, strict=True)]
            if recorded.wish("move", um=target, speed=dice.choice((2_000.0, 20_000.0))):
                granted += 1
                assert all(a <= um <= b for a, um, b in zip(LOW_UM, target, HIGH_UM, strict=True))
                if dice.random() < 0.5:
                    recorded.guardian.ask("stop")
                recorded.rest()
                at_um = box.plant.motor_um(recorded.guardian.clock.now_s)[:2]
                assert within(at_um, LOW_UM, HIGH_UM, UNIT_UM)
        targets = UNIT_UM * np.array(words(recorded.sent, b"G"))
        assert recorded.guardian.faults() == []
    print(f"M1 stage: {recorded.refused} of 3500 targets refused, {len(targets)} sent, 0 outside")
    assert len(targets) == granted > 300
    assert np.all(targets >= np.array(LOW_UM) - EXACT_UM)
    assert np.all(targets <= np.array(HIGH_UM) + EXACT_UM)


def test_m1_of_3500_velocities_none_leads_out_or_is_too_fast():
    dice = random.Random(42)
    out_um = -math.inf
    with stage() as (recorded, box):
        heading = (0.0, 0.0)
        for number in range(3_500):
            if number % 12 == 0:  # goes on for a while, or it would never come near a limit
                heading = tuple(odd(dice, -1_500.0, 1_500.0) for _ in range(2))
            if not recorded.wish("velocity", um_s=list(heading)):
                recorded.rest()
                heading = tuple(-v if math.isfinite(v) else 100.0 for v in heading)
            recorded.guardian.idle(0.02)
            at_um = box.plant.motor_um(recorded.guardian.clock.now_s)[:2]
            ends = zip(LOW_UM, at_um, HIGH_UM, strict=True)
            out_um = max(out_um, *(max(low - at, at - high) for low, at, high in ends))
        sent = np.array(words(recorded.sent, b"VS"))
        assert recorded.guardian.faults() == []
    print(f"M1 velocities: {recorded.refused} of 3500 refused, nearest {-out_um:.1f} um inside")
    assert recorded.refused > 100
    assert np.hypot(*sent.T).max() <= SPEED_UM_S + 0.001
    assert out_um <= 0.0


def test_m1_of_3000_targets_of_a_pipette_no_byte_leaves_for_one_outside_or_too_low():
    dice = random.Random(43)
    granted = 0
    with pipette() as (recorded, box):
        for _ in range(3_000):
            ends = zip(NEEDLE_LOW_UM, NEEDLE_HIGH_UM, strict=True)
            target = [odd(dice, *end) for end in ends]
            if recorded.wish("move", um=target, speed=dice.choice((200.0, 3_000.0))):
                granted += 1
                if dice.random() < 0.5:
                    recorded.guardian.ask("stop")
                recorded.rest()
                at_um = box.plant.motor_um(recorded.guardian.clock.now_s)
                assert within(at_um, NEEDLE_LOW_UM, NEEDLE_HIGH_UM, HALF_STEP_UM)
        moves = [data for data in recorded.sent if data[:1] == b"m"]
        assert recorded.guardian.faults() == []
    targets = np.array([struct.unpack("<3i", data[1:-1]) for data in moves]) / 25.0
    print(f"M1 pipette: {recorded.refused} of 3000 refused, {len(targets)} sent, 0 outside")
    assert len(targets) == granted > 100
    assert np.all(targets >= np.array(NEEDLE_LOW_UM) - EXACT_UM)
    assert np.all(targets <= np.array(NEEDLE_HIGH_UM) + EXACT_UM)
    assert np.all(targets[:, 2] >= SAFE_UM - 0.5 - HALF_STEP_UM)


def within(
    at_um: tuple[float, ...], low_um: tuple[float, ...], high_um: tuple[float, ...], grain: float
) -> bool:
    ends = zip(low_um, at_um, high_um, strict=True)
    return all(low - grain <= at <= high + grain for low, at, high in ends)


def test_a_granted_wish_is_one_command_on_the_wire():
    with stage() as (recorded, _):
        for target in ((100.0, 0.0), (0.0, -40.0)):
            assert recorded.wish("move", um=list(target), speed=2_000.0)
            recorded.rest()
        assert words(recorded.sent, b"G") == [(1250.0, 0.0), (0.0, -500.0)]
        assert not any(isinstance(error, DeviceError) for error in recorded.guardian.faults())


def test_the_first_velocity_after_a_stop_is_checked_against_a_position_read_then():
    with stage() as (recorded, _):
        for _ in range(5):
            recorded.guardian.ask("velocity", um_s=[1_500.0, 0.0], pose=True)
            recorded.guardian.idle(0.02)
        recorded.guardian.ask("stop")
        recorded.sent.clear()
        recorded.guardian.ask("velocity", um_s=[100.0, 0.0])
        said = b"".join(recorded.sent)
        assert -1 < said.find(b"PS\r") < said.find(b"VS,100,0\r")


def test_the_end_of_a_move_is_looked_at_without_being_asked_for():
    with stage() as (recorded, _):
        keeper = recorded.guardian.keeper
        recorded.wish("move", um=[300.0, 0.0], speed=2_000.0)
        while keeper._moving() is not False:  # seen by whoever asks where it is
            recorded.guardian.clock.sleep(0.02)
            keeper._read_pose()
        assert keeper._corridor is not None
        assert keeper._due_s() < recorded.guardian.clock.now_s + 0.05
        recorded.guardian.idle(0.05)
        assert keeper._corridor is None
        assert math.isinf(keeper._due_s())
