"""Emulators as processes: what they print, when they end, what they cost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from emulated import emulated, wait_until

from app import cli
from drivers.emulators.serve import main
from drivers.errors import ReplyTimeout
from drivers.guarded import GuardedManipulator
from drivers.limits import SoftLimits
from drivers.process import end_process, start_module
from drivers.wire import Wire


def test_ends_with_its_input_and_leaves_nothing_behind():
    process = start_module("drivers.emulators.serve", ["proscan", "--tcp", "127.0.0.1:0"])
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("ready socket://127.0.0.1:")
    assert end_process(process) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without asking")
def test_ends_cleanly_when_asked_to_terminate():
    with emulated("proscan") as emulator:
        emulator.process.send_signal(signal.SIGTERM)
        assert emulator.process.wait(5.0) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["proscan", "--tcp", "0.0.0.0:0"], "is not HOST:PORT on this machine"),
        (["proscan", "--tcp", "127.0.0.1:0", "--variant", "x"], "no such ProScan; known: proscan2"),
        (["mp285", "--tcp", "127.0.0.1:0", "--variant", "x"], "allowed: mp285"),
        (["proscan", "--tcp", "127.0.0.1:0", "--baud", "9601"], "no usual rate; allowed: 1200"),
        (["proscan", "--tcp", "127.0.0.1:0", "--fault", "flop"], "'flop' is no fault; known: drop"),
        (["proscan", "--tcp", "127.0.0.1:0", "--fault", "flip:p=x"], "a number is needed"),
        (["proscan", "--tcp", "127.0.0.1:0", "--fault", "flip:q=1"], "KEY one of"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(arguments, text, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_motion_runs_on_when_the_host_leaves_and_the_next_host_finds_it():
    with emulated("proscan") as emulator:
        first = Wire(emulator.url)
        first.open()
        first.write(b"VS,500,0\r")
        assert first.read_until(b"\r", 2.0) == b"R\r"
        first.close()
        wait_until(lambda: emulator.position_um()[0] > 50.0)
        second = Wire(emulator.url)
        second.open()
        second.write(b"$\r")
        assert second.read_until(b"\r", 2.0) == b"1\r"
        second.write(b"I\r")
        assert second.read_until(b"\r", 2.0) == b"R\r"
        second.close()
        emulator.rest_s()


def test_the_path_is_known_before_it_happens_and_costs_little():
    with emulated("proscan") as emulator:
        process = psutil.Process(emulator.process.pid)
        wire = Wire(emulator.url)
        wire.open()

        def share(seconds: float) -> float:
            before = sum(process.cpu_times()[:2])
            end_s = time.perf_counter() + seconds
            while time.perf_counter() < end_s:
                time.sleep(0.05)
                if emulator.moves():
                    assert emulator.truth.latest()[0] > time.perf_counter()
            return (sum(process.cpu_times()[:2]) - before) / seconds

        assert share(1.0) < 0.1
        wire.write(b"VS,100,50\r")
        assert wire.read_until(b"\r", 2.0) == b"R\r"
        wait_until(emulator.moves)
        assert share(1.5) < 0.2
        rows = emulator.truth.path()
        moving = rows[np.any(rows[:, 4:] != 0, axis=1)]
        assert np.max(np.diff(moving[:, 0])) < 0.0021
        wire.close()


def test_a_process_killed_leaves_no_memory_behind():
    with emulated("proscan") as emulator:
        name = emulator.truth.latest
        emulator.process.kill()
        emulator.process.wait()
        assert name()[0] > 0  # readers keep what they have


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_link_that_exists_is_not_overwritten(tmp_path):
    link = tmp_path / "ttyStage"
    link.write_text("mine")
    child = subprocess.run(
        [sys.executable, "-m", "drivers.emulators.serve", "proscan", "--pty", str(link)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert child.returncode == 2
    assert "choose a name that does not exist" in child.stderr
    assert link.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_an_mp285a_with_a_handshake_says_nothing_to_a_host_without(tmp_path):
    link = str(tmp_path / "ttyPipette")
    limits = SoftLimits((-100.0,) * 3, (100.0,) * 3)
    with emulated("mp285", "--variant", "mp285a-rtscts", "--pty", link) as emulator:
        with pytest.raises(ReplyTimeout):
            GuardedManipulator(emulator.url, limits)
        with GuardedManipulator(emulator.url, limits, rtscts=True) as pipette:
            assert pipette.read_pose().x_um == 0.0
    assert main(["mp285", "--variant", "mp285a-rtscts", "--tcp", "127.0.0.1:0"]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_link_in_a_missing_folder_is_one_plain_line(tmp_path, capsys):
    link = tmp_path / "none" / "ttyStage"
    assert cli.main(["emulate", "proscan", "--pty", str(link)]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("sfcscope: emulator at ")
    assert "No such file or directory; choose a name" in told
    assert "in a folder that does" in told
    assert not any(sign in told for sign in ("Errno", "->", "\n"))
