"""Set-up that may be cut off at any point, and a program that ends by its own words."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from emulated import wait_until

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# Says that it is there, waits to be interrupted, and takes its time to end well.
CHILD = """
import signal, sys, threading
from pathlib import Path
folder, ended = Path(sys.argv[1]), threading.Event()
def end(number, _):
    (folder / "asked").write_text(signal.Signals(number).name)
    ended.set()
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
(folder / "ready").touch()
while not ended.wait(0.05):
    pass
threading.Event().wait(0.6)
(folder / "whole").touch()
raise SystemExit(3)
"""
PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
sys.path.insert(0, sys.argv[1])
from environment import call
raise SystemExit(call([sys.executable, "-c", sys.argv[3], sys.argv[2]]))
"""


@pytest.fixture
def environment() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environment", SCRIPTS / "environment.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals for groups of processes")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 3)])
def test_what_runs_ends_by_itself_before_the_script_does(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    words = [sys.executable, "-c", PARENT, str(SCRIPTS), str(tmp_path), CHILD]
    with subprocess.Popen(words, start_new_session=True, stderr=subprocess.PIPE) as script:
        wait_until((tmp_path / "ready").exists, 30.0)
        if sent is signal.SIGINT:  # a key reaches the whole group, a request to end one process
            os.killpg(script.pid, sent)
        else:
            os.kill(script.pid, sent)
        _, said = script.communicate(timeout=30.0)
    assert script.returncode == code
    assert said == b""
    assert (tmp_path / "asked").read_text() == sent.name
    assert (tmp_path / "whole").exists()


def test_the_exit_code_of_what_runs_is_passed_on(environment: ModuleType) -> None:
    assert environment.call([sys.executable, "-c", "raise SystemExit(2)"]) == 2


def test_an_environment_that_was_cut_short_is_made_anew(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment._has_pip(Path(sys.executable))
    assert not environment._has_pip(tmp_path / "python")
    made: list[list[str]] = []
    monkeypatch.setattr(environment, "call", lambda command, **_: made.append(command) or 0)
    monkeypatch.setattr(environment, "_qt_starts", lambda _: True)
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    for whole in (False, True):
        made.clear()
        (tmp_path / "stamp").unlink(missing_ok=True)
        monkeypatch.setattr(environment, "_has_pip", lambda _, whole=whole: whole)
        environment.ensure(window=False)
        assert ["venv" in command for command in made] == ([True, False] if not whole else [False])
        assert "pip" in made[-1]
        assert (tmp_path / "stamp").exists()
    made.clear()
    environment.ensure(window=False)  # again: nothing is to be done
    assert made == []


def test_a_mistake_is_one_line_and_exit_code_2(
    environment: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(environment, "STAMP", tmp_path / "stamp")
    monkeypatch.setattr(environment, "call", lambda command, **_: 1)
    with pytest.raises(SystemExit) as ended:
        environment.ensure(window=False)
    assert ended.value.code == 2
    assert not (tmp_path / "stamp").exists()
    assert capsys.readouterr().err.splitlines()[-1].startswith("set-up: pip could not install")
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 0))
    monkeypatch.setattr(environment.sys, "version", "3.10.0 (default)")
    with pytest.raises(SystemExit) as ended:
        environment.ensure(window=False)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "set-up: Python 3.11, 3.12 or 3.13 is needed, this is 3.10.0"


def test_missing_libraries_of_qt_are_installed_or_named(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = False

    def install(packages: list[str]) -> bool:
        nonlocal there
        there = set(packages) >= set(environment.QT_OFFSCREEN)
        return there

    monkeypatch.setattr(environment, "_qt_starts", lambda _: there)
    monkeypatch.setattr(environment, "_apt_install", install)
    environment._ensure_qt("offscreen", environment.QT_OFFSCREEN)
    assert there
    there = False
    monkeypatch.setattr(environment, "_apt_install", lambda _: False)
    with pytest.raises(SystemExit) as ended:
        environment._ensure_qt("xcb", environment.QT_OFFSCREEN + environment.QT_WINDOW)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "sudo apt-get install" in line
    assert all(package in line for package in environment.QT_WINDOW)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize(("display", "wanted"), [("", False), (":0", True)])
def test_a_display_is_what_the_environment_names(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, display: str, wanted: bool
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    assert environment.has_display() is wanted
