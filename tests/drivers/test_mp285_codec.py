"""Bytes of the MP-285: golden samples, and properties over everything that fits."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mp285 import codec

INT32 = st.integers(-(2**31), 2**31 - 1)

# A real controller's answer to s, published with an open driver of the MP-285.
REAL_STATUS = bytes.fromhex(
    "40000204 070063006300140088130178 701710275000000019000400c8005401 0d".replace(" ", "")
)


def test_golden_bytes():
    assert codec.encode_move((100, -1, 3330)) == b"m\x64\0\0\0\xff\xff\xff\xff\x02\x0d\0\0\r"
    assert codec.decode_position(b"\x02\x0d\0\0\x18\xfc\xff\xff\0\0\0\x80\r") == (
        3330, -1000, -(2**31),
    )  # fmt: skip
    # 200 um/s at 50 microsteps per step: low byte first, bit 15 in the high byte.
    assert codec.encode_speed(200, fine=True) == b"V\xc8\x80\r"
    assert codec.encode_speed(3000, fine=False) == b"V\xb8\x0b\r"


def test_real_status():
    status = codec.decode_status(REAL_STATUS)
    assert (status.version, status.step_div, status.step_mul) == (340, 25, 4)
    assert (status.speed_um_s, status.fine, status.roe_vari) == (200, False, 7)
    assert (status.pulse_speed_um_s, status.jump_speed, status.high_speed) == (5000, 6000, 10000)
    assert status.microsteps_per_um == 25.0
    assert not status.is_285a
    assert codec.encode_status(status) == REAL_STATUS


@pytest.mark.parametrize(
    ("step_div", "scale"), [(25, 25.0), (24, 24.0), (400, 25.0), (0, math.nan)]
)
def test_both_conventions_of_the_scale(step_div, scale):
    words = bytearray(REAL_STATUS)
    words[24:26] = step_div.to_bytes(2, "little")
    assert codec.decode_status(bytes(words)).microsteps_per_um == pytest.approx(scale, nan_ok=True)


@given(st.tuples(INT32, INT32, INT32))
def test_positions_survive_whatever_bytes_they_hold(microsteps):
    assert codec.decode_position(codec.encode_position(microsteps)) == microsteps
    move = codec.encode_move(microsteps)
    assert len(move) == codec.MOVE_LENGTH
    assert codec.decode_position(move[1:]) == microsteps


@pytest.mark.parametrize("slots", [*itertools.combinations(range(12), 1), tuple(range(12))])
def test_carriage_returns_in_every_slot(slots):
    payload = bytearray(range(100, 112))
    for slot in slots:
        payload[slot] = 0x0D
    microsteps = codec.decode_position(bytes(payload) + b"\r")
    assert codec.encode_move(microsteps) == b"m" + bytes(payload) + b"\r"


@given(st.integers(1, 2**15 - 1), st.booleans())
def test_speed_keeps_number_and_resolution(speed_um_s, fine):
    command = codec.encode_speed(speed_um_s, fine=fine)
    word = command[1] + 256 * command[2]
    assert (word & 0x7FFF, bool(word & 0x8000)) == (speed_um_s, fine)
    assert (command[:1], command[3:]) == (b"V", b"\r")


@given(st.binary(max_size=40))
def test_replies_of_another_shape_are_refused(reply):
    for decode, length in ((codec.decode_position, 13), (codec.decode_status, 33)):
        if len(reply) == length and reply.endswith(b"\r"):
            decode(reply)
        else:
            with pytest.raises(ValueError, match=r"bytes, not|ends with CR"):
                decode(reply)


def test_out_of_range_is_refused():
    for microsteps in ((2**31, 0, 0), (0, 0, -(2**31) - 1)):
        with pytest.raises(ValueError, match="32 bits"):
            codec.encode_move(microsteps)
    for speed_um_s in (0, -5, 2**15):
        with pytest.raises(ValueError, match="speed"):
            codec.encode_speed(speed_um_s, fine=False)


@pytest.mark.parametrize(
    "reply", [b"\r", b"=\r\r", b"\r=\r", b"<\r", b"=\r", b"8\r", b"\r8\r", b"<\r\r", b"\r\r"]
)
def test_interrupt_replies_of_every_firmware(reply):
    assert codec.is_interrupt_reply(reply)


@pytest.mark.parametrize("reply", [b"", b"4\r", b"=", b"\r=", b"\r\r\r", b"x\r", b"=\r=\r"])
def test_other_bytes_are_no_interrupt_reply(reply):
    assert not codec.is_interrupt_reply(reply)


def test_errors_have_words():
    assert codec.error_code(ord("4")) == 4
    assert codec.error_code(13) is None
    assert codec.error_text(4) == "bad command"
    assert "bad command" in codec.error_text(12)
    assert "interrupted" in codec.error_text(12)
    assert all(codec.error_text(code) for code in range(16))
