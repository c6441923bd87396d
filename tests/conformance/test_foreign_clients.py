"""Programs that others wrote for the real instruments find the emulated ones in order.

Each script below says, byte for byte, what a public program says to its instrument, and reads
replies in the way that program reads them: by length, by line, by END, with a line feed behind. No
line of theirs is copied; what they send was taken from their sources, named with each script.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from emulated import Emulated, emulated, served, wait_until

from drivers.emulators.mp285 import MP285Emulator
from drivers.emulators.prior import ProScanEmulator


class Client:
    """A port as pyserial gives it, and nothing else."""

    def __init__(self, port: serial.SerialBase) -> None:
        self.port = port

    def line(self, text: str) -> str:
        """Send a line, return one line."""
        self.port.write(text.encode() + b"\r")
        return self.port.read_until(b"\r").decode().removesuffix("\r")

    def block(self, text: str) -> list[str]:
        """Send a line, return all lines up to END."""
        self.port.write(text.encode() + b"\r")
        return self.port.read_until(b"END\r").decode().split("\r")[:-2]

    def raw(self, data: bytes, count: int) -> bytes:
        """Send bytes, return so many."""
        self.port.write(data)
        return self.port.read(count)

    def rests(self, query: str = "$") -> None:
        """Ask until the controller says that nothing moves."""
        wait_until(lambda: self.line(query) == "0")


@contextmanager
def client(url: str, timeout_s: float = 3.0) -> Iterator[Client]:
    with serial.serial_for_url(url, timeout=timeout_s) as port:
        yield Client(port)


@contextmanager
def proscan(variant: str = "proscan3") -> Iterator[tuple[Client, ProScanEmulator]]:
    emulator = ProScanEmulator(variant, time_s=time.perf_counter())
    with served(emulator) as url, client(url) as host:
        yield host, emulator


@contextmanager
def mp285(variant: str) -> Iterator[tuple[Client, MP285Emulator]]:
    emulator = MP285Emulator(variant, time_s=time.perf_counter())
    with served(emulator) as url, client(url) as host:
        yield host, emulator


@pytest.mark.parametrize("variant", ["proscan2", "proscan3"])
def test_micro_manager_drives_the_stage(variant):
    # mmCoreAndDevices, DeviceAdapters/Prior/Prior.cpp
    with proscan(variant) as (host, emulator):
        assert host.line("COMP 0") == "0"
        assert not host.line("SCS").startswith("E")
        for command in ("SMS", "SAS", "SCS"):
            assert 1 <= int(host.line(command)) <= 100
            assert host.line(f"{command},100") == "0"
        assert float(host.line("RES,s")) == 1.0
        assert host.line("PS,0,0") == "0"
        assert host.line("G,250,-120") == "R"
        host.rests()
        assert (int(host.line("PX")), int(host.line("PY"))) == (250, -120)
        assert host.line("GR,-50,20") == "R"
        assert host.line("K") == "R"
        host.rests()
        assert "Prior Scientific" in host.line("DATE")
        host.port.read_until(b"\r")  # the second line of it
        assert host.line("8,1,0") == "E,20"  # a shutter that is not there
        assert host.line("7,1,h") == "E,17"  # nor is the filter wheel
        assert abs(emulator.plant.motor_um(time.perf_counter())[0]) < 260


def test_nplab_drives_the_stage():
    # nanophotonics/nplab, instrument/stage/prior.py: blanks, lower case, reports up to END
    with proscan() as (host, _):
        assert host.block("?")[0].startswith("PROSCAN")
        host.line("COMP O")  # the letter, as it stands there; nobody reads the answer
        report = host.block("STAGE")
        per_um = next(int(text.split("=")[1]) for text in report if "MICROSTEPS" in text)
        assert per_um == 25
        assert host.line(f"RES s {1 / per_um:f}") == "0"
        assert float(host.line("RES s")) == 0.04
        assert "FOCUS = NONE" in host.block("FOCUS")
        for command in ("UPR Z 100", "RES Z 0.04", "ENCODER 1", "SERVO 0", "BLSH 0"):
            assert host.line(command)
        assert host.line("GR 2500 -2500 0") == "R"
        host.rests("$,S")
        x, y, z = map(float, host.line("P").split(","))
        assert (x, y, z) == (2500.0, -2500.0, 0.0)
        assert host.line("GX 0") == "R"
        host.rests("$,S")
        assert host.line("H") == "0"
        assert host.line("J") == "0"


def test_micro_manager_and_nplab_drive_the_focus():
    # mmCoreAndDevices, DeviceAdapters/Prior/Prior.cpp: the Z stage; nplab reads the turn's length
    with proscan("proscan3-focus") as (host, emulator):
        assert host.line("COMP 0") == "0"
        assert float(host.line("RES,Z")) == 0.1
        assert host.line("PZ,0") == "0"
        assert host.line("V,1200") == "R"
        host.rests("$,Z")
        assert host.line("PZ") == "1200"
        assert host.line("U,-200") == "R"
        host.rests()
        assert host.line("PZ") == "1000"
        assert emulator.plant.motor_um(time.perf_counter())[2] == pytest.approx(100.0, abs=0.1)
        report = host.block("FOCUS")
        assert next(float(t.split("=")[1]) for t in report if "MICRONS/REV" in t) == 100.0
        assert host.line("UPR Z 100") == "0"
        assert host.line("RES Z 0.04") == "0"
        assert host.line("PZ") == "2500"
        assert host.line("GR 0 0 -2500") == "R"
        host.rests()
        assert host.line("P") == "0,0,0"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_squid_finds_its_rate_and_drives_the_stage(tmp_path: Path):
    # Cephla-Lab/Squid, squid/stage/prior.py: tells every rate to change, then asks at the new one
    link = tmp_path / "ttyStage"
    rates = {9600: "96", 19200: "19", 38400: "38", 115200: "115"}
    with emulated("proscan", "--pty", str(link), "--baud", "9600") as emulator:
        with serial.Serial(str(link), 38400, timeout=0.3) as port:
            host = Client(port)
            for rate in rates:
                port.baudrate = rate
                port.write(b"\r")
                port.read(100)
                port.write(b"BAUD 115\r")
                port.read(100)
                port.baudrate = 115200
                if host.line("$") == "0":
                    break
            assert rate == 9600
            for command in ("COMP 0", "BLSH 1", "RES,S,0.1", "XD -1", "YD -1", "H 0"):
                assert host.line(command) == "0"
            assert "STAGE = H117(2MM)PHY" in host.block("STAGE")
            assert host.line("SAS 100") == "0"
            assert host.line("SMS 100") == "0"
            assert host.line("GR 1000,0") == "R"
            host.rests("$,S")
            x, y, z = map(int, host.line("P").split(","))
            assert (x, y, z) == (1000, 0, 0)
            assert emulator.position_um()[0] == pytest.approx(-80.0, abs=0.5)  # unit 0.08, X turned
            assert host.line("PX 0") == "0"
            assert host.line("P") == "0,0,0"


def test_pyfab_reads_versions_and_resolutions():
    # davidgrier/pyfab, objects/proscan/pyproscan.py
    with proscan() as (host, _):
        assert len(host.line("VERSION")) == 3
        assert [int(x) for x in host.line("P").split(",")] == [0, 0, 0]
        assert host.line("PX,5") == "0"
        assert host.line("PX") == "5"
        assert float(host.line("RES,x")) == 1.0
        assert host.line("I") == "R"


def test_a_gamepad_streams_velocities_without_reading():
    # McGheeLab/MEBP and others: VS on every change of the stick, replies read at leisure
    with proscan("proscan2") as (host, emulator):
        host.port.write(b"".join(b"VS,%d,0\r" % v for v in range(10, 210, 10)))
        assert host.port.read(40) == b"R\r" * 20
        assert emulator.plant.velocity_um_s(time.perf_counter() + 0.1)[0] == pytest.approx(200.0)
        assert host.line("VS,0,0") == "R"
        host.rests()


def test_an_old_program_waits_for_the_r_of_compatibility_mode():
    # mmCoreAndDevices, DeviceAdapters/PriorLegacy: COMP 1, one move at a time, R is its end
    with proscan() as (host, emulator):
        assert host.line("COMP 1") == "0"
        start_s = time.perf_counter()
        assert host.line("G,1000,0") == "R"
        assert time.perf_counter() - start_s > 0.15
        assert emulator.plant.motor_um(time.perf_counter())[0] == pytest.approx(1000.0)
        assert host.line("NONSENSE") == "R"  # no errors are told in that mode


def words(data: bytes) -> tuple[int, int, int]:
    assert data[12:] == b"\r"
    x, y, z = struct.unpack("<3i", data[:12])
    return x, y, z


@pytest.mark.parametrize("variant", ["mp285", "mp285a"])
def test_the_python_class_of_2008_moves_the_manipulator(variant):
    # mgraupe/SutterMP285, sutterMP285.py: V, n, s, c, m, each read by length
    with mp285(variant) as (host, emulator):
        assert host.raw(b"V" + struct.pack("<H", 200) + b"\r", 1) == b"\r"
        assert host.raw(b"n\r", 1) == b"\r"
        status = host.raw(b"s\r", 32)
        assert host.port.read(1) == b"\r"
        assert struct.unpack("<H", status[28:30]) == (200,)
        x, y, z = words(host.raw(b"c\r", 13))
        begin_s = time.perf_counter()
        assert host.raw(b"m" + struct.pack("<3i", x + 250, y + 250, z + 250) + b"\r", 1) == b"\r"
        assert 0.05 < time.perf_counter() - begin_s < 0.25  # it was 0.08 on the real one
        assert words(host.raw(b"c\r", 13)) == (x + 250, y + 250, z + 250)
        assert not emulator.hung


@pytest.mark.parametrize("variant", ["mp285", "mp285-eight"])
def test_acq4_moves_and_interrupts_the_manipulator(variant):
    # acq4/acq4, drivers/SutterMP285/mp285.py: V 777 first, m without waiting, 0x03 read up to CR
    with mp285(variant) as (host, emulator):
        assert host.raw(b"V" + struct.pack("<H", 777 | 0x8000) + b"\r", 1) == b"\r"
        packet = host.raw(b"s\r", 33)
        fields = struct.unpack("<4B5H2B8H", packet[:32])
        assert fields[15] == 25  # step_div: what it divides by
        assert fields[17] == 777 | 0x8000
        host.port.write(b"m" + struct.pack("<3i", 250_000, 0, 0) + b"\r")
        wait_until(lambda: emulator.plant.motor_um(time.perf_counter())[0] > 50)
        assert host.port.in_waiting == 0
        host.port.write(b"\x03")
        assert host.port.read_until(b"\r") in (b"\r", b"8\r")
        x, _, _ = words(host.raw(b"c\r", 13))
        assert 1_250 < x < 100_000
        host.port.timeout = 0.2
        assert host.raw(b"r\r", 3) == b""


@pytest.mark.parametrize(
    ("variant", "first"), [("mp285", b"\r"), ("mp285a", b"=\r\r"), ("mp285a-early", b"\r=\r")]
)
def test_navigate_interrupts_and_asks_in_one_breath(variant, first):
    # TheDeanLab/navigate, model/devices/APIs/sutter/MP285.py: 03 63 0d in a single write
    with mp285(variant) as (host, emulator):
        assert host.raw(b"a\r", 1) == b"\r"
        assert host.raw(b"V" + struct.pack("<H", 32768 + 1000) + b"\r", 1) == b"\r"
        host.port.write(b"m" + struct.pack("<3i", 100_000, 0, 0) + b"\r")
        wait_until(lambda: emulator.plant.motor_um(time.perf_counter())[0] > 50)
        reply = host.raw(b"\x03c\r", len(first) + 13)
        assert reply[: len(first)] == first
        assert 1_250 < words(reply[len(first) :])[0] < 90_000
        assert not emulator.hung


def test_micro_manager_moves_the_manipulator_with_line_feeds():
    # mmCoreAndDevices, DeviceAdapters/MP285: CR LF behind each, one more CR to read
    with mp285("mp285") as (host, emulator):

        def say(data: bytes, count: int) -> bytes:
            host.port.write(data + b"\r\n")
            return host.port.read(count)

        assert len(say(b"s", 34)) == 34
        assert say(b"a", 2) == b"\r\r"
        assert say(b"V\x03\xe8", 2) == b"\r\r"  # high byte first: 59395, clamped to fine 1310
        assert say(b"c", 14) == bytes(12) + b"\r\r"
        assert say(b"m" + struct.pack("<3i", 500, -250, 0), 2) == b"\r\r"
        assert say(b"c", 14) == struct.pack("<3i", 500, -250, 0) + b"\r\r"
        assert say(b"o", 2) == b"\r\r"
        assert say(b"c", 14) == bytes(12) + b"\r\r"
        assert emulator.plant.motor_um(time.perf_counter())[0] == pytest.approx(20.0)


def test_a_program_is_loaded_checked_and_run():
    # Sutter's appendix on the computer interface: robotic programs from the host
    way = [(2500, 0, 0), (2500, 2500, -250), (0, 0, 0)]
    body = b"".join(struct.pack("<3i", *place) for place in way)
    with mp285("mp285") as (host, _):
        assert host.raw(b"d" + struct.pack("<HH", 2, len(way)) + body + b"\r", 1) == b"\r"
        assert (
            host.raw(b"u" + struct.pack("<H", 2) + b"\r", 39) == struct.pack("<H", 3) + body + b"\r"
        )
        assert host.raw(b"V" + struct.pack("<H", 2000) + b"\r", 1) == b"\r"
        began_s = time.perf_counter()
        assert host.raw(b"k" + struct.pack("<H", 2) + b"\r", 1) == b"\r"
        assert time.perf_counter() - began_s > 0.15
        assert host.raw(b"c\r", 13) == bytes(12) + b"\r"


def test_a_stage_that_runs_goes_on_when_the_program_has_gone(tmp_path: Path):
    with emulated("proscan") as truth:
        with client(truth.url) as host:
            assert host.line("VS,300,0") == "R"
        wait_until(truth.moves)
        with client(truth.url) as host:
            assert truth.moves()
            assert host.line("I") == "R"
        _at_rest(truth)


def _at_rest(truth: Emulated) -> None:
    truth.rest_s()
    assert not truth.moves()
