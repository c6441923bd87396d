"""What goes wrong is one line, stops the stage, loses no record and ends with exit code 2."""

from __future__ import annotations

import csv
import errno
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial
from PySide6.QtWidgets import QApplication

from app import cli
from app.records.journal import verify_journal
from app.records.video import RecordingWriter
from app.rig.emulators import EmulatorProcess
from drivers import wire
from drivers.scene_camera import SceneCamera
from drivers.types import Frame
from drivers.video_file import VideoFile
from models.sfcnet.manifest import MANIFEST, SHIPPED
from models.types import Float64

RIG = 'version = 1\n[network]\ndetector = "threshold"\n'
SCENE = '[camera]\nkind = "scene"\nsperm_in_view = 10\n'
CLOSED_PORT = "socket://127.0.0.1:9"
LIVE = ("live", "--headless", "60", "--rig")


class Witness(EmulatorProcess):
    """An emulator that is asked for its true path before it ends."""

    all: list[Witness] = []  # noqa: RUF012  emptied by the fixture

    def __init__(self, kind: str, *how: str | None) -> None:
        super().__init__(kind, *how)
        self.seen = self.reader()
        self.path: Float64 = np.empty((0, 7))
        Witness.all.append(self)

    def close(self) -> None:
        if not len(self.path):
            self.path = self.seen.path()
            self.seen.close()
        super().close()

    @property
    def stays_where_it_began(self) -> bool:
        return len(self.path) > 0 and bool(np.ptp(self.path[:, 1:4], axis=0).max() == 0.0)


@pytest.fixture(autouse=True)
def witnesses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Witness.all.clear()
    monkeypatch.setattr("app.rig.build.EmulatorProcess", Witness)
    yield
    for one in Witness.all:
        one.close()


@pytest.fixture
def rig_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "rig.toml"
        path.write_text(RIG + text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run the command, and return its one line; beside it only progress is told."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> str:
        capsys.readouterr()
        assert cli.main([str(word) for word in words]) == 2
        out, said = capsys.readouterr()
        lines = [line for line in said.splitlines() if ": starting " not in line]
        assert out == ""
        assert len(lines) == 1, said
        assert lines[0].startswith("sfcscope: ")
        assert "; " in lines[0]  # what and where; what to do
        return lines[0]

    return run


# Recordings


def test_a_missing_video(refused: Callable[..., str], rig_file: Callable[[str], str]) -> None:
    told = refused("analyze", "nowhere.mp4", "--out", "results")
    assert told == "sfcscope: recording nowhere.mp4: does not exist; check the path"
    assert not Path("results").exists()
    rig = rig_file('[camera]\nkind = "video"\npath = "nowhere.mp4"\n')
    assert "nowhere.mp4: does not exist; check" in refused(*LIVE, rig)


def test_an_unreadable_video_is_told_before_any_work(
    refused: Callable[..., str], film: Path
) -> None:
    Path("text.mp4").write_text("this is no film", encoding="utf-8")
    told = refused("analyze", film, "text.mp4", "--out", "results")
    assert "recording text.mp4: cannot be read" in told
    assert not Path("results").exists()


def test_a_video_that_is_cut_short_keeps_all_before_the_cut(
    refused: Callable[..., str], film: Path
) -> None:
    content = film.read_bytes()
    film.write_bytes(content[: len(content) * 2 // 3])
    told = refused("analyze", film, "--out", "results", "--overlay", "--um-per-px", "0.5")
    assert "cut short after" in told
    whole = sum(1 for _ in VideoFile("results/overlay.mp4", realtime=False).frames())
    assert f"after {whole} of" in told
    about = json.loads(Path("results/analysis.json").read_text(encoding="utf-8"))
    assert about["frames"] == whole > 2
    for name in ("detections", "tracks", "sperm"):
        assert Path(f"results/{name}.csv").read_text(encoding="utf-8").endswith("\n")
        assert Path(f"results/{name}.parquet").exists()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Eight frames of noise."""
    rng = np.random.default_rng(1)
    recording = RecordingWriter(tmp_path / "film", 30.0, preview=False)
    for k in range(8):
        image = rng.integers(120, 136, (96, 128), np.uint8)
        recording.write(Frame(image, k, k / 30.0, 0.0, 0.0), None, None)
    recording.close()
    return recording.path


# Rig files


@pytest.mark.parametrize("verb", [LIVE, ("doctor", "--rig"), ("calibrate", "check", "--rig")])
def test_a_rig_file_with_an_unknown_key(
    refused: Callable[..., str], rig_file: Callable[[str], str], verb: tuple[str, ...]
) -> None:
    rig = rig_file("[stage]\nspede = 3\n")
    told = refused(*verb, rig)
    assert (
        told == f"sfcscope: {rig}:5: unknown key stage.spede = 3; remove it or correct its spelling"
    )
    assert not Witness.all


def test_a_camera_without_a_kind(
    refused: Callable[..., str], rig_file: Callable[[str], str]
) -> None:
    told = refused(*LIVE, rig_file("[camera]\nsperm_in_view = 10\n"))
    assert told.endswith("rig.toml:4: key camera.kind is missing; add it")


def test_nobody_can_be_followed_without_a_stage(
    refused: Callable[..., str], rig_file: Callable[[str], str]
) -> None:
    told = refused(*LIVE, rig_file(SCENE), "--follow", "best")
    assert "--follow best: simulated rig has no stage" in told


# Ports


def test_a_port_that_does_not_exist(
    refused: Callable[..., str], rig_file: Callable[[str], str], qapp: QApplication
) -> None:
    text = f'[stage]\n[pipette]\nkind = "mp285"\nurl = "{CLOSED_PORT}"\n' + SCENE
    told = refused(*LIVE, rig_file(text), "--follow", "best")
    assert f"at {CLOSED_PORT}: cannot open the port: connection refused; check" in told
    assert told.count("127.0.0.1") == 1
    (stage,) = Witness.all
    assert stage.kind == "proscan"
    assert stage.stays_where_it_began


def test_why_a_port_does_not_open_is_said_once() -> None:
    missing = serial.SerialException(errno.ENOENT, "could not open port /dev/x: [Errno 2] ...")
    assert wire._reason(missing) == "no such file or directory"
    busy = serial.SerialException(errno.EAGAIN, "Could not exclusively lock port /dev/x: ...")
    assert wire._reason(busy) == "another program uses it"
    windows = "could not open port 'COM9': FileNotFoundError(2, 'The system cannot find the file.')"
    assert wire._reason(serial.SerialException(windows)) == "the system cannot find the file"


@pytest.mark.parametrize(("wanted", "there"), [("proscan", "mp285"), ("mp285", "proscan")])
def test_a_wrong_device_on_a_port(
    refused: Callable[..., str],
    rig_file: Callable[[str], str],
    qapp: QApplication,
    wanted: str,
    there: str,
) -> None:
    other = Witness(there)
    text = {"proscan": "[stage]\n", "mp285": '[stage]\n[pipette]\nkind = "mp285"\n'}[wanted]
    told = refused(*LIVE, rig_file(f'{text}url = "{other.url}"\n{SCENE}'), "--follow", "best")
    assert other.url in told
    other.close()
    assert all(one.stays_where_it_began for one in Witness.all)


# Weights


def test_weights_with_a_wrong_sha256(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Path
) -> None:
    shipped = json.loads((SHIPPED / MANIFEST).read_text(encoding="utf-8"))["archives"][0]["file"]
    content = bytearray((SHIPPED / shipped).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / shipped).write_bytes(content)
    (tmp_path / MANIFEST).write_bytes((SHIPPED / MANIFEST).read_bytes())
    (tmp_path / "rig.toml").write_text(
        f'version = 1\n[stage]\n[network]\nweights = "{shipped}"\n', encoding="utf-8"
    )
    says = f"{tmp_path / shipped}: sha256 "
    for words in (
        [*LIVE, tmp_path / "rig.toml"],
        ["evaluate", "--data", tmp_path, "--weights", tmp_path / shipped],
    ):
        told = refused(*words)
        assert says in told
        assert "is not loaded" in told
    assert not Witness.all
    # The program's own, damaged: nothing else stands in for them.
    monkeypatch.setattr("models.sfcnet.manifest.SHIPPED", tmp_path)
    assert says in refused("analyze", film, "--out", "results")


# The camera


@pytest.mark.timeout(180)
def test_a_camera_that_stops_while_a_sperm_is_followed(
    rig_file: Callable[[str], str],
    tmp_path: Path,
    qapp: QApplication,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    delivered: list[int] = []
    moving: list[bool] = []
    read = SceneCamera.read

    def read_until_the_stage_has_moved(camera: SceneCamera, timeout_s: float) -> Frame | None:
        speed_um_s = np.hypot(*Witness.all[0].seen.latest()[2][:2])
        moving.append(bool(speed_um_s > 2.0))
        opened_s = camera._opened_s
        if opened_s is not None and sum(moving) > 20 and moving[-1]:
            pulled_s = time.perf_counter() - opened_s
            camera._settings = replace(camera._settings, vanish_after_s=pulled_s)
        frame = read(camera, timeout_s)
        if frame is not None:
            delivered.append(frame.number)
        return frame

    monkeypatch.setattr(SceneCamera, "read", read_until_the_stage_has_moved)
    records = tmp_path / "records"
    words = [*LIVE, rig_file("[stage]\n" + SCENE), "--follow", "best", "--out", str(records)]
    assert cli.main([*words, "--record"]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sfcscope:")]
    assert told == ["sfcscope: scene camera: was unplugged; plug it in and open it again"]

    (folder,) = records.iterdir()
    journal = folder / "journal.jsonl"
    assert verify_journal(journal).ok
    entries = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    fault = next(
        e for e in entries if "was unplugged" in str(e) and e["data"]["severity"] == "fault"
    )
    assert entries[-1]["kind"] == "stop"

    path = Witness.all[0].path
    speed_um_s = np.hypot(path[:, 4], path[:, 5])
    assert speed_um_s[path[:, 0] < fault["time_s"]].max() > 2.0
    assert speed_um_s[path[:, 0] > fault["time_s"] + 0.25].max(initial=0.0) == 0.0

    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["recorded"], summary["recorded_lost"]) == (len(delivered), 0)
    with (folder / "film.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["device_counter"]) for row in rows] == delivered
    posed = [row for row in rows if row["stage_x_um"]]
    assert len(posed) > 20
    for name in ("film.mkv", "film_preview.mp4"):
        frames = VideoFile(folder / name, realtime=False).frames()
        assert sum(1 for _ in frames) == len(delivered)


def test_a_headless_run_that_follows_nobody_says_so_and_fails(
    rig_file: Callable[[str], str],
    tmp_path: Path,
    qapp: QApplication,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rig = rig_file('[stage]\n[camera]\nkind = "scene"\nsperm_in_view = 0\n')
    words = ["live", "--headless", "1", "--rig", rig, "--follow", "999", "--out", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 1
    out, said = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["ok"] is False
    assert said.splitlines()[-1].startswith("nobody was followed: ")
