"""Whatever a foreign client sends or a person writes, an emulator answers, and goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.emulators.faults import parse_faults
from drivers.emulators.links import TcpLink
from drivers.emulators.mp285 import VARIANTS as MP285_VARIANTS
from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator
from drivers.emulators.prior_controller import VARIANTS
from drivers.errors import DeviceError, PortError

VERBS = (
    "? $ COMP ERROR VERSION STAGE FOCUS RES SS SSZ PS P PX PZ SMS SAS SCS SMZ G GX GZ GR VS VZ I K"
    " H J LMT = X C Z M F L U D V UPR BLSH XD SIS RIS BAUD DATE ERRORSTAT 7 8"
).split()
WORDS = (
    "0 1 -1 100 1e3 1e308 -1e308 nan inf -inf S X Z U P 25 0.1 1e-9 99999999999999999999 A".split()
)
commands = st.builds(
    lambda verb, words: ",".join([verb, *words]).encode() + b"\r",
    st.sampled_from(VERBS),
    st.lists(st.sampled_from(WORDS), max_size=3),
)


def outlives(box, pieces):
    """Receive these, a tenth of a second apart, and answer and move meanwhile."""
    now_s = 0.0
    for piece in pieces:
        box.receive(piece, now_s)
        now_s += 0.1
        while box.take_output(now_s):
            pass
        box.next_event_s(now_s)
        list(box.plant.samples(now_s - 0.01, now_s, 0.002))


@given(st.sampled_from(list(VARIANTS)), st.lists(commands | st.binary(max_size=20), max_size=6))
def test_no_line_ends_an_emulated_proscan(variant, lines):
    outlives(ProScanEmulator(variant), [*lines, b"\rP\r"])


@given(st.sampled_from(list(MP285_VARIANTS)), st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_end_an_emulated_mp285(variant, pieces):
    outlives(MP285Emulator(variant), [*pieces, b"c\r"])


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"SMS,U", b"E,4"), (b"SS,NAN", b"E,4"), (b"G,INF,0", b"E,4"), (b"GR,1E308,0", b"E,8"),
        (b"SS,1E9", b"E,8"), (b"VS,nan,nan", b"E,4"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_and_moves_nothing(command, reply):
    box = ProScanEmulator()
    box.receive(command + b"\r", 0.0)
    assert box.take_output(0.1) == reply + b"\r"
    assert box.plant.rest_s <= 0.0


@pytest.mark.parametrize("address", ["127.0.0.1:65536", "127.0.0.1:²", "127.0.0.1:-1", "1.2.3.4:5"])
def test_an_address_that_is_none_is_one_clear_line(address):
    with pytest.raises(PortError, match="is not HOST:PORT on this machine; write 127"):
        TcpLink(address)


@pytest.mark.parametrize(
    "spec",
    ["garbage:count=-5", "flip:p=nan", "flip:p=7", "drop:p=-0.1", "delay:by=-1", "hand:um=inf",
     "unplug:after=-1", "stall:lasting=nan", "truncate:keep=-1", "drop:byte=-2"],
)  # fmt: skip
def test_a_number_out_of_range_in_a_fault_plan_names_what_is_allowed(spec):
    with pytest.raises(DeviceError, match=r"^--fault: .*=.*; allowed: "):
        parse_faults(spec)
