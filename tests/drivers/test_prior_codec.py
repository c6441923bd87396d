"""Bytes to values and back, against the emulated controller's own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.prior import codec

numbers = st.floats(-1e9, 1e9)


@given(st.lists(numbers, min_size=1, max_size=3))
def test_numbers_survive_the_wire_to_a_thousandth(values):
    line = codec.encode("G", *values)
    assert line.startswith(b"G,")
    assert line.count(b"\r") == 1
    assert line.endswith(b"\r")
    read = codec.decode_numbers(line[2:-1], len(values))
    assert read == pytest.approx(values, abs=0.00051)


@given(st.tuples(*[st.integers(-(10**8), 10**8)] * 3))
def test_positions_are_read_exactly(position):
    line = ",".join(map(str, position)).encode()
    assert codec.decode_numbers(line, 3) == position


@given(st.tuples(*[st.integers(-(10**6), 10**6)] * 3), st.data())
def test_a_reply_that_lost_its_end_or_a_comma_is_no_position(position, data):
    line = ",".join(map(str, position)).encode()
    commas = [at for at, byte in enumerate(line) if byte == ord(",")]
    cut = data.draw(st.integers(0, commas[1] + 1))
    for broken in (line[:cut], line.replace(b",", b"", 1)):
        with pytest.raises(ValueError, match="expected"):
            codec.decode_numbers(broken, 3)


@given(st.binary(max_size=20))
def test_noise_is_never_an_acknowledgement_by_accident(noise):
    if noise in (b"R", b"0"):
        return
    with pytest.raises(ValueError, match="expected"):
        codec.decode_acknowledgement(noise)


@given(st.integers(0, 999))
def test_both_spellings_of_an_error(code):
    assert codec.decode_error(b"E,%d" % code) == code
    assert codec.decode_error(b"E%d" % code) == code
    assert codec.error_name(code)


@pytest.mark.parametrize("line", [b"R", b"0", b"1,2,3", b"E", b"E,", b"E,x", b"E,1,2", b""])
def test_other_lines_are_no_errors(line):
    assert codec.decode_error(line) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_number_is_not_sent(value):
    with pytest.raises(ValueError, match="cannot be sent"):
        codec.encode("VS", value, 0.0)


def test_zero_has_no_sign():
    assert codec.encode("VS", -0.0, -0.0001) == b"VS,0,0\r"


def test_whole_numbers_and_reports():
    assert codec.decode_integer(b"103") == 103
    with pytest.raises(ValueError, match="whole number"):
        codec.decode_integer(b"1.5")
    report = codec.decode_block([b"STAGE = H117(2MM)PHY", b"TYPE = 8", b"nothing"])
    assert report == {"STAGE": "H117(2MM)PHY", "TYPE": "8"}
