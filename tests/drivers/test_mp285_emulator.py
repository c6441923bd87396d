"""The emulated MP-285 at the level of bytes and instants."""

from __future__ import annotations

import itertools
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.emulators.faults import FaultyInstrument, parse_faults
from drivers.emulators.instrument import Instrument
from drivers.emulators.mp285 import VARIANTS, MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.errors import DeviceError
from drivers.mp285 import codec


class Host:
    """Winds time forward: writes, and listens until nothing is due any more."""

    def __init__(self, variant="mp285", **kwargs):
        self.now_s = 100.0
        self.box = MP285Emulator(variant, time_s=self.now_s, **kwargs)

    def write(self, data: bytes) -> None:
        self.box.receive(data, self.now_s)

    def listen(self, until_s: float) -> bytes:
        got = b""
        while True:
            while reply := self.box.take_output(self.now_s):
                got += reply
            due_s = self.box.next_event_s(self.now_s)
            if due_s > until_s:
                self.now_s = until_s
                return got
            self.now_s = max(self.now_s, due_s)

    def ask(self, data: bytes, for_s: float = 0.1) -> bytes:
        self.write(data)
        return self.listen(self.now_s + for_s)

    def position(self) -> tuple[int, int, int]:
        return codec.decode_position(self.ask(b"c\r"))


def test_is_an_instrument_at_its_line_rate():
    host = Host()
    assert isinstance(host.box, Instrument)
    assert host.box.baud == 9600
    host.write(b"c\r")
    # 2 bytes out and 13 back take 15 ms at 9600 baud.
    assert host.listen(100.0155) == b""
    assert host.listen(100.0157) == bytes(12) + b"\r"
    assert host.box.next_event_s(host.now_s) == math.inf


@pytest.mark.parametrize(
    ("variant", "step_div"), [("mp285", 25), ("mp285a", 400), ("mp285-hang", 25)]
)
def test_status_block(variant, step_div):
    reply = Host(variant).ask(b"s\r")
    status = codec.decode_status(reply)
    assert (status.step_div, status.version, status.speed_um_s) == (step_div, 340, 200)
    assert status.microsteps_per_um == 25


def test_the_status_tells_relative_from_absolute():
    host = Host()
    flags = []
    for mode in (b"a\r", b"b\r", b"a\r"):
        assert host.ask(mode) == b"\r"
        flags.append(codec.decode_status(host.ask(b"s\r")).flags)
    assert flags == [64, 96, 64]  # the sample of a real one, absolute, has 64


def test_a_stale_acknowledgement_is_the_instruments_own():
    for box, own in ((MP285Emulator(time_s=0.0), b"\r"), (ProScanEmulator(time_s=0.0), b"R\r")):
        spoilt = FaultyInstrument(box, parse_faults("stale"))
        spoilt.receive(b"P\r" if own == b"R\r" else b"c\r", 1.0)
        replies = [spoilt.take_output(2.0), spoilt.take_output(2.0)]
        assert replies[0] == own
        assert len(replies[1]) > 2


def test_move_takes_its_time_and_answers_on_arrival():
    host = Host()
    assert host.ask(b"V\xc8\x80\r") == b"\r"
    host.write(codec.encode_move((250, 0, 0)))
    start_s = host.now_s
    assert host.listen(start_s + 0.075) == b""
    # Three moves of 10 um at V = 200 took 0.24 s on a real one: about 80 ms each.
    assert host.listen(start_s + 0.090) == b"\r"
    assert host.position() == (250, 0, 0)
    assert host.box.plant.load_um(host.now_s) == pytest.approx((10.0, 0.0, 0.0))


def test_axes_run_at_one_speed_so_the_path_bends():
    host = Host()
    host.ask(b"V\xe8\x83\r")
    host.write(codec.encode_move((5000, 2500, 0)))
    host.listen(host.now_s + 0.1)
    x_um, y_um, _ = host.box.plant.load_um(host.now_s)
    assert x_um == pytest.approx(y_um)
    assert host.listen(host.now_s + 0.3) == b"\r"
    assert host.position() == (5000, 2500, 0)


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(-312_500, 312_500)] * 3))
def test_any_target_within_the_travel_is_reached_to_the_microstep(target):
    host = Host()
    host.ask(b"V\x1e\x85\r")
    assert host.ask(codec.encode_move(target), 30.0) == b"\r"
    assert host.position() == target


@pytest.mark.parametrize("byte", [0x0D, 0x03])
@pytest.mark.parametrize("slot", range(12))
def test_s4_payload_may_hold_the_bytes_that_end_or_interrupt(slot, byte):
    payload = bytearray(12)
    payload[slot] = byte
    host = Host()
    host.ask(b"V\x1e\x85\r")
    assert host.ask(b"m" + bytes(payload) + b"\r", 40.0) == b"\r"
    within = abs(int.from_bytes(payload[slot // 4 * 4 :][:4], "little", signed=True)) <= 312_500
    reached = host.ask(b"c\r")
    assert (reached == bytes(payload) + b"\r") is within
    if not within:
        assert codec.decode_position(reached)[slot // 4] == 312_500


def test_coarse_resolution_stops_at_every_fifth_microstep():
    host = Host()
    host.ask(b"V\xb8\x0b\r")
    host.ask(codec.encode_move((1002, -1002, 3)), 5.0)
    assert host.position() == (1000, -1000, 5)


@pytest.mark.parametrize(
    ("variant", "word", "speed_um_s"),
    [("mp285", 0x7FFF, 6550), ("mp285a", 0x7FFF, 3000), ("mp285", 0xFFFF, 1310), ("mp285", 0, 1)],
)
def test_speed_is_clamped(variant, word, speed_um_s):
    host = Host(variant)
    assert host.ask(b"V" + word.to_bytes(2, "little") + b"\r") == b"\r"
    status = codec.decode_status(host.ask(b"s\r"))
    assert (status.speed_um_s, status.fine) == (speed_um_s, word >= 0x8000)


def test_relative_mode_and_origin():
    host = Host()
    host.ask(b"b\r")
    for _ in range(3):
        assert host.ask(codec.encode_move((100, 0, -50)), 2.0) == b"\r"
    assert host.position() == (300, 0, -150)
    assert host.ask(b"o\r") == b"\r"
    assert host.position() == (0, 0, 0)
    host.ask(b"a\r")
    host.ask(codec.encode_move((100, 100, 100)), 2.0)
    assert host.position() == (100, 100, 100)
    assert host.box.plant.load_um(host.now_s) == pytest.approx((16.0, 4.0, -2.0))


def test_travel_ends_at_the_switch():
    host = Host()
    host.ask(b"V\xb8\x0b\r")
    assert host.ask(codec.encode_move((400_000, 0, 0)), 10.0) == b"\r"
    assert host.position() == (312_500, 0, 0)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "roe" not in v])
def test_interrupt_stops_the_move(variant):
    host = Host(variant)
    assert host.ask(b"\x03") == b"\r", "idle: one CR"
    host.ask(b"V\xe8\x83\r")
    host.write(codec.encode_move((100_000, 0, 0)))
    host.listen(host.now_s + 0.5)
    reply = host.ask(b"\x03", 0.3)
    assert reply == b"".join(VARIANTS[variant].interrupted)
    assert codec.is_interrupt_reply(reply)
    here = host.position()
    assert 10_000 < here[0] < 14_000
    host.listen(host.now_s + 2.0)
    assert host.position() == here, "it rests"


def test_other_bytes_in_motion_interrupt_or_hang():
    host = Host("mp285")
    host.write(codec.encode_move((10_000, 0, 0)))
    host.listen(host.now_s + 0.5)
    assert host.ask(b"c\r", 0.3) == b"8\r"
    assert 2_000 < host.position()[0] < 3_000

    host = Host("mp285a")
    host.write(codec.encode_move((10_000, 0, 0)))
    host.listen(host.now_s + 0.5)
    assert host.ask(b"c\r", 5.0) == b""
    assert host.box.hung
    assert host.ask(b"\x03", 1.0) == b""
    host.box.power_cycle(host.now_s)
    assert host.position() == (0, 0, 0), "where it stands is the new origin"


def test_errors():
    host = Host()
    assert host.ask(b"q\r") == b"4\r"
    assert host.ask(b"cc\r") == b"4\r"
    assert host.ask(b"m" + bytes(13) + b"\r") == b"4\r"
    assert host.ask(b"q" * 64) == b"2\r"
    assert host.ask(b"\r\r") == b""


def test_command_on_the_heels_of_a_reply_is_an_overrun():
    host = Host("mp285-strict")
    host.write(b"a\r")
    while not (reply := host.box.take_output(host.now_s)):
        host.now_s = host.box.next_event_s(host.now_s)
    assert reply == b"\r"
    assert host.ask(b"c\r") == b"0\r"
    host.now_s += 0.002
    assert len(host.ask(b"c\r")) == 13


@pytest.mark.parametrize(("variant", "reply"), [("mp285", b""), ("mp285a", b"\r")])
def test_reset(variant, reply):
    host = Host(variant)
    host.ask(b"V\x10\x80\r")
    assert host.ask(b"r\r", 3.0) == reply
    assert codec.decode_status(host.ask(b"s\r")).speed_um_s == 200


def test_a_hand_on_the_knobs():
    host = Host("mp285-roe")
    assert host.position() == (0, 0, 0)
    host.listen(102.5)
    assert host.position() == (250, 0, 0)

    host = Host("mp285-roe-crash")
    host.listen(102.5)
    assert host.position() == (250, 0, 0), "no traffic, no crash"
    host.listen(103.9)
    assert host.position() == (250, 0, 0)
    host.listen(104.1)
    assert host.box.hung


def test_unknown_variant_is_named():
    with pytest.raises(DeviceError, match=r"'mp286': is not known; allowed: mp285, "):
        MP285Emulator("mp286")


def test_moment_of_look_does_not_change_the_path():
    commands = [(0.0, codec.encode_move((5000, -700, 30))), (0.4, b"\x03"), (0.8, b"c\r")]
    replies = []
    for step_s in (0.001, 0.013, 0.2):
        host = Host()
        got = b""
        for (at_s, data), (until_s, _) in itertools.pairwise([*commands, (2.0, b"")]):
            while host.now_s < 100 + at_s:
                got += host.listen(min(100 + at_s, host.now_s + step_s))
            host.write(data)
            got += host.listen(100 + until_s)
        replies.append(got)
    assert replies[0] == replies[1] == replies[2]


def test_a_line_feed_behind_a_command_has_an_answer_of_its_own():
    host = Host()
    assert host.ask(b"a\r\n") == b"\r\r"
    assert len(host.ask(b"c\r\n")) == 14
    host.write(codec.encode_move((250, 0, 0)) + b"\n")
    assert host.listen(host.now_s + 1.0) == b"\r\r"
    assert host.position() == (250, 0, 0)


def test_a_byte_without_stop_bit_is_a_framing_error():
    host = Host()
    host.write(b"c")
    host.listen(host.now_s + 0.01)
    host.box.framing_error(host.now_s)
    assert host.listen(host.now_s + 0.1) == b"1\r"
    assert host.position() == (0, 0, 0)


def test_power_that_fails_amid_a_move_makes_a_new_origin():
    host = Host()
    host.write(codec.encode_move((100_000, 0, 0)))
    host.listen(host.now_s + 1.0)
    host.box.switch_off(host.now_s)
    assert host.ask(b"c\r", 0.5) == b""
    host.box.switch_on(host.now_s)
    assert host.ask(b"c\r", 0.5) == b""
    host.listen(host.now_s + 0.6)
    assert host.position() == (0, 0, 0)
    assert host.box.plant.motor_um(host.now_s)[0] > 100.0


def program(number: int, *positions: tuple[int, int, int]) -> bytes:
    body = b"".join(struct.pack("<3i", *position) for position in positions)
    return b"d" + struct.pack("<HH", number, len(positions)) + body + b"\r"


def test_stored_programs_are_kept_read_back_and_run():
    host = Host()
    # 3330 microsteps hold a 0x0D, 768 a 0x03
    way = ((3330, 0, 0), (3330, 768, 0), (0, 768, 13))
    assert host.ask(program(3, *way)) == b"\r"
    stored = b"u" + struct.pack("<H", 3) + b"\r"
    answer = host.ask(stored)
    assert answer == struct.pack("<H", 3) + program(3, *way)[5:-1] + b"\r"
    run = b"k" + struct.pack("<H", 3) + b"\r"
    assert host.ask(b"V" + struct.pack("<H", 0x8000 | 1000) + b"\r") == b"\r"
    assert host.ask(run, 0.15) == b""
    assert host.listen(host.now_s + 2.0) == b"\r", "once, at the end of the program"
    assert host.position() == way[-1]
    host.box.power_cycle(host.now_s)
    assert host.ask(stored) == answer


def test_a_program_is_interrupted_as_a_move_is():
    host = Host("mp285a")
    host.ask(program(0, (25_000, 0, 0), (0, 0, 0)))
    assert host.ask(b"k\x00\x00\r", 0.5) == b""
    assert host.ask(b"\x03", 0.5) == b"=\r\r"
    at = host.position()
    assert 0 < at[0] < 25_000
    host.listen(host.now_s + 2.0)
    assert host.position() == at


def test_programs_that_cannot_be_are_bad_commands():
    host = Host()
    assert host.ask(program(10, (0, 0, 0))) == b"4\r"
    assert host.ask(b"k" + struct.pack("<H", 10) + b"\r") == b"4\r"
    assert host.ask(b"u" + struct.pack("<H", 5) + b"\r") == b"\x00\x00\r"
    assert host.ask(b"k" + struct.pack("<H", 5) + b"\r") == b"\r", "an empty one ends at once"
    assert host.ask(program(1, *((0, 0, 0),) * 21), 1.0)[:2] == b"4\r"
    assert host.ask(b"\r") == b""
    assert host.ask(b"e\r") == b"\r"
