"""What crosses the pipe arrives as it left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import errors
from drivers.guardian_messages import (
    GuardianSettings,
    decode,
    decode_error,
    decode_pose,
    encode,
    encode_error,
    encode_pose,
    numbers,
)
from drivers.pose import Pose

numbers_or_nan = st.floats(-1e9, 1e9) | st.just(math.nan)


@given(
    st.floats(0, 1e9), numbers_or_nan, numbers_or_nan, numbers_or_nan,
    st.sampled_from([True, False, None]),
)  # fmt: skip
def test_poses(time_s, x, y, z, moving):
    pose = Pose(time_s, x, y, z, moving)
    line = encode({"ok": encode_pose(pose)})
    assert line.count(b"\n") == 1
    assert repr(decode_pose(decode(line)["ok"])) == repr(pose)


@pytest.mark.parametrize(
    "error",
    [
        errors.PortError("stage at COM3", "cannot open the port", "check"),
        errors.LimitError("stage", "no"),
        errors.WrongDevice("stage", "what answers is no ProScan (read b'\\xff')", "check"),
        errors.BadReply("stage", "odd", "check", request=b"P\r", reply=bytes(range(256))),
        errors.RefusedCommand("stage", "full", code=18, request=b"G\r", reply=b"E,18"),
        errors.ReplyTimeout("stage", "silent", "check", request=b"P\r", partial=b"1,"),
    ],
)
def test_errors_arrive_as_what_they_were(error):
    arrived = decode_error(decode(encode(encode_error(error))))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    for key in ("code", "request", "reply"):
        if hasattr(error, key) and not isinstance(error, errors.ReplyTimeout):
            assert getattr(arrived, key) == getattr(error, key)


def test_an_unknown_kind_is_still_an_error_of_the_device():
    arrived = decode_error({"kind": "os", "device": "stage", "what": "odd", "hint": ""})
    assert type(arrived) is errors.DeviceError


def test_settings_survive_and_mistakes_in_them_do_not():
    settings = GuardianSettings(
        "proscan", "COM3", "stage", (-1.0, -2.0), (3.0, 4.0), options={"resolution_um": 0.1}
    )
    assert GuardianSettings.from_json(decode(encode(settings.to_json()))) == settings
    assert settings.limits.high_um == (3.0, 4.0)
    with pytest.raises(TypeError):
        GuardianSettings.from_json({**settings.to_json(), "colour": "blue"})
    with pytest.raises(ValueError, match="numbers"):
        GuardianSettings.from_json({**settings.to_json(), "low_um": "wide"})


@pytest.mark.parametrize("line", [b"[1]\n", b"nonsense\n", b"\n"])
def test_noise_on_the_pipe_is_refused(line):
    with pytest.raises(ValueError, match=r"."):
        decode(line)


def test_numbers():
    assert numbers([1, 2.5]) == [1.0, 2.5]
    with pytest.raises(ValueError, match="a list of numbers"):
        numbers([1, "2"])
