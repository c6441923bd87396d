"""P1, M13, M2, M5, P5: promises about the worst of many tries. Minutes: marker ``slow``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from emulated import Emulated, Witness, emulated, start_host, wait_until

from drivers.errors import DeviceError
from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "program_that_dies.py"
FOLLOWED_S = 0.5
WAITING: dict[str, dict[str, object]] = {
    "pose": {}, "move": {"um": [0.0, 0.0], "speed": 2_000.0}, "velocity": {"um_s": [600.0, 0.0]},
}  # fmt: skip
# Small, slow pictures and the classical detector: a busy machine has to follow somebody too.
RIG = """
version = 1
[camera]
kind = "scene"
sperm_in_view = 12
width_px = 480
height_px = 360
frame_rate_hz = 15
[stage]
url = "emulator"
[network]
detector = "threshold"
"""


def summary(what: str, seconds: list[float], limit_s: float) -> None:
    """One line of figures: what tests/README.md quotes."""
    ms = np.array(seconds) * 1e3
    p50, p90, p99 = np.percentile(ms, (50, 90, 99))
    within, load = int(np.sum(ms <= 1e3 * limit_s)), psutil.getloadavg()[0]
    print(
        f"{what}: {within} of {len(ms)} within {1e3 * limit_s:.0f} ms; p50 {p50:.1f},"
        f" p90 {p90:.1f}, p99 {p99:.1f}, max {ms.max():.1f} ms (load {load:.0f})"
    )


@pytest.fixture(scope="module")
def proscan():
    with emulated("proscan") as emulator:
        yield emulator


def at_full_speed(emulator: Emulated) -> None:
    wait_until(lambda: np.hypot(*emulator.truth.latest()[2][:2]) > 1_900.0)


def go_back(emulator: Emulated) -> None:
    with GuardedStage(emulator.url, WIDE, move_speed_um_s=5_000.0, deadman_s=5.0) as stage:
        stage.move_to(0.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)


@contextmanager
def running(verb: list[str], said: Path) -> Iterator[tuple[subprocess.Popen[bytes], Witness]]:
    """The full program; its instruments are switched off only at the end, however it ended."""
    with said.open("wb") as complaints:
        program = subprocess.Popen(
            [sys.executable, str(PROGRAM), *verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
        )
    with program:  # which closes its pipes
        try:
            assert program.stdout is not None
            line = program.stdout.readline().decode().split()
            assert line[:2] == ["path", "in"], said.read_text(encoding="utf-8")
            witness = attached(line[2])
            yield program, witness
            witness.truth.close()
        finally:
            program.kill()


def attached(memory: str) -> Witness:
    """A witness of an instrument that is only just being switched on."""
    found: list[Witness] = []

    def there() -> bool:
        with suppress(DeviceError):
            found.append(Witness(memory))
        return bool(found)

    wait_until(there, 30.0)
    return found[0]


def follows(witness: Witness) -> bool:
    """Whether the stage has not rested for so long: more than any planned move takes."""
    rows = witness.truth.path()
    late = rows[rows[:, 0] > rows[-1, 0] - FOLLOWED_S]
    lasting_s = late[-1, 0] - late[0, 0]
    return lasting_s > 0.9 * FOLLOWED_S and bool(np.all(np.any(late[:, 4:6] != 0, axis=1)))


def test_p1_a_bare_host_killed_forty_five_times(proscan):
    rest_s = []
    for number in range(45):
        how = ("velocity", "move")[number % 2]
        host = start_host(proscan.url, how)
        assert host.stdout is not None
        guardian = psutil.Process(int(host.stdout.readline().split()[1]))
        at_full_speed(proscan)
        killed_s = time.perf_counter()
        host.kill()
        host.wait()
        host.stdout.close()
        rest_s.append(proscan.rest_s() - killed_s)
        guardian.wait(10.0)
        go_back(proscan)
    summary("P1 bare host killed to standstill", rest_s, 0.250)
    assert max(rest_s) <= 0.250


def test_p1_the_full_program_killed_five_times_while_it_follows(tmp_path):
    rest_s = []
    rig = tmp_path / "rig.toml"
    rig.write_text(RIG, encoding="utf-8")
    out = str(tmp_path / "runs")
    for number in range(5):
        live = ["live", "--rig", str(rig), "--headless", "300", "--follow", "best", "--out", out]
        with running(live, tmp_path / f"said{number}.txt") as (program, witness):
            wait_until(lambda witness=witness: follows(witness), 240.0)
            started = psutil.Process(program.pid).children()
            guardians = [child for child in started if "drivers.guardian" in child.cmdline()]
            assert guardians
            killed_s = time.perf_counter()
            program.kill()
            program.wait()
            rest_s.append(witness.rest_s() - killed_s)
            _, alive = psutil.wait_procs(guardians, 10.0)
            assert alive == []
    summary("P1 full program killed to standstill", rest_s, 0.250)
    assert max(rest_s) <= 0.250


def test_m13_a_guardian_killed_twenty_times(proscan):
    rest_s = []
    with GuardedStage(proscan.url, WIDE, deadman_s=5.0) as stage:
        for number in range(20):
            if number % 2:
                stage.set_velocity(-2_500.0, 0.0)
            else:
                stage.move_to(30_000.0, 0.0)
            at_full_speed(proscan)
            psutil.Process(stage.guardian_pid).kill()
            killed_s = time.perf_counter()
            rest_s.append(proscan.rest_s() - killed_s)
            wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
            stage.reconnect()
    summary("M13 guardian killed to standstill", rest_s, 0.500)
    assert max(rest_s) <= 0.500


def test_m2_a_thousand_stops_during_a_move_that_overtake_fifty_commands(proscan):
    on_wire_s, late = [], 0
    go_back(proscan)
    with GuardedStage(proscan.url, WIDE, move_speed_um_s=2_000.0, deadman_s=5.0) as stage:
        for number in range(1_000):
            while True:
                with suppress(DeviceError):  # the ramp of the last stop goes on
                    stage.move_to(20_000.0 * (-1) ** number, 0.0)
                    break
            wait_until(proscan.moves)
            for waiting in range(50):
                do = "pose" if waiting % 10 == 0 else ("move", "velocity")[waiting % 2]
                stage._client._send({"n": -waiting - 1, "do": do, **WAITING[do]})
            asked_s = time.perf_counter()
            stage.stop()
            log = [entry for entry in stage.transcript(400) if entry[0] > asked_s]
            stops = [at_s for at_s, _, data in log if b"I\r" in data]
            on_wire_s.append(stops[0] - asked_s)
            late += sum(
                at_s > stops[0] and way == ">" and data[:2] in (b"G,", b"VS") and b"I\r" not in data
                for at_s, way, data in log
            )
    summary("M2 stop asked to byte on the wire, in a move, 50 commands waiting", on_wire_s, 0.100)
    print(f"M2: {late} motions sent after a stop")
    assert late == 0
    assert np.percentile(on_wire_s, 99) <= 0.050
    assert max(on_wire_s) <= 0.100


def test_m5_never_more_than_one_move_in_the_queue(proscan):
    dice = np.random.default_rng(5)
    outstanding = moves = most = refused = 0
    read_s = 0.0
    with GuardedStage(proscan.url, WIDE, deadman_s=5.0) as stage:
        for target in dice.uniform(-800, 800, (60, 2)):
            for _ in range(3):
                try:
                    stage.move_to(*target)
                except DeviceError:
                    pass
                else:
                    break
            if dice.random() < 0.3:
                stage.stop()
            elif dice.random() < 0.5:
                with suppress(DeviceError):  # impatience: not while the first is under way
                    refused += 1
                    stage.move_to(0.0, 0.0)
                    refused -= 1
            wait_until(lambda: stage.read_pose().moving is False)
            for at_s, way, data in stage.transcript(2_000):  # more than is said during a move
                if at_s <= read_s:
                    continue
                read_s = at_s
                if way == ">" and data.startswith(b"G,"):
                    moves, outstanding = moves + 1, outstanding + 1
                    most = max(most, outstanding)
                if data == b"0\r" or b"I\r" in data:
                    outstanding = 0
    print(f"M5: {moves} moves sent, {refused} refused, at most {most} in the queue")
    assert moves >= 60
    assert most == 1


def test_p5_two_hundred_connections_leave_nothing_behind():
    with emulated("proscan") as truth:
        before = possessions()
        for _ in range(200):
            with GuardedStage(truth.url, WIDE) as stage:
                stage.read_pose()
        after = possessions()
    print(f"P5 200 connections: threads, processes, open files {before} before, {after} after")
    assert after == before


def possessions() -> tuple[int, int, int]:
    """Threads, processes, and open files or handles of this program."""
    me = psutil.Process()
    files = me.num_handles() if sys.platform == "win32" else me.num_fds()
    return me.num_threads(), len(me.children()), files
