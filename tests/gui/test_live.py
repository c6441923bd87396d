"""The verb live on the simulated rig, headless: the whole program in one process."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from app.config import ConfigError, NetworkConfig, RigConfig, SceneCameraConfig, simulated_rig
from app.ui.live import parse_follow, run_live
from app.ui.window import MainWindow

KEYS = {
    "frames", "fps_mean", "fps_p5", "dropped", "frame_to_overlay_ms", "frame_to_command_ms",
    "tracks", "target", "centring_rms_um",
}  # fmt: skip


@pytest.fixture
def rig() -> RigConfig:
    """The simulated rig with the classical detector: it needs no weights."""
    return simulated_rig().model_copy(
        update={
            "network": NetworkConfig(detector="threshold"),
            "camera": SceneCameraConfig(sperm_in_view=10),
        }
    )


def assert_possible(result: dict[str, Any], rig: RigConfig) -> None:
    """What holds however busy the machine is: a figure outside is a mistake in the figures."""
    camera = rig.camera
    assert isinstance(camera, SceneCameraConfig)
    assert 0 < result["fps_p5"]
    assert 0 < result["fps_mean"] <= 1.1 * camera.frame_rate_hz
    assert 0 <= result["dropped"] <= 20 * camera.frame_rate_hz
    for name in ("frame_to_overlay_ms", "frame_to_command_ms"):
        delay_ms = result[name]
        if name == "frame_to_command_ms" and delay_ms["p50"] is None:
            continue  # every frame was stale: nothing moves then
        # Half of the exposure lies behind mid exposure; what is older than a second is not used.
        assert 1e3 * camera.exposure_s / 2 < delay_ms["p50"] <= delay_ms["p95"] <= delay_ms["p99"]
        assert delay_ms["p50"] < 1000
    centring_um = result["centring_rms_um"]
    assert centring_um is None or 0 <= centring_um < camera.height_px * 0.495 / 2


def test_live_headless_follows_and_tells(
    rig: RigConfig, tmp_path: Path, qapp: QApplication
) -> None:
    said: list[str] = []
    result = run_live(rig, headless_s=5.0, follow="best", out=tmp_path, progress=said.append)
    assert result.keys() >= KEYS
    json.dumps(result)
    assert result["frames"] > 10
    assert_possible(result, rig)
    folder = Path(str(result["out"]))
    assert folder.parent == tmp_path
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["frames"] >= result["frames"]  # the loop goes on until it is closed
    picture = QImage(str(folder / "window.png"))
    assert picture.width() > 1000
    assert sum("frames/s" in line for line in said) >= 3
    assert any("objective" in line for line in said)
    journal = (folder / "journal.jsonl").read_text(encoding="utf-8")
    assert "Arm(objective='20x')" in journal
    assert "FollowBest" in journal
    assert result["target"] is not None
    assert not any(isinstance(w, MainWindow) for w in qapp.topLevelWidgets())


def test_the_shipped_network_finds_sperm_in_the_loop(tmp_path: Path, qapp: QApplication) -> None:
    result = run_live(simulated_rig(), headless_s=6.0, out=tmp_path, progress=lambda _: None)
    assert result["frames"] > 5
    kinds = result["tracks_by_kind"]
    assert kinds["sperm"] >= 5
    assert kinds["sperm"] > 4 * (kinds["debris"] + kinds["glass"] + kinds["nothing"])
    assert result["pipette_tracks"] == 0
    journal = (Path(str(result["out"])) / "journal.jsonl").read_text(encoding="utf-8")
    assert "The run without a screen is over" in journal
    assert "The window was closed" not in journal


def test_interrupt_stops_the_stage_and_ends_cleanly(
    rig: RigConfig, tmp_path: Path, qapp: QApplication
) -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupter = threading.Timer(4.0, signal.raise_signal, (signal.SIGINT,))
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        if "frames/s" in line and not interrupter.is_alive():
            interrupter.start()

    interrupter.interval = 0.0
    with pytest.raises(KeyboardInterrupt):
        run_live(rig, headless_s=60.0, out=tmp_path, progress=progress)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(said) < 30
    (summary,) = tmp_path.glob("*/summary.json")
    assert json.loads(summary.read_text(encoding="utf-8"))["frames"] > 0


@pytest.mark.parametrize("text", ["", "Best", "-3", "0", "3.5", "no one", "٣"])
def test_whom_to_follow_must_be_clear(text: str) -> None:
    with pytest.raises(ConfigError, match="'best', 'none' or the number of a track"):
        parse_follow(text)


def test_whom_to_follow_is_read() -> None:
    assert [parse_follow(t) for t in ("best", "none", "17")] == ["best", "none", 17]


def test_after_a_calibration_the_loop_begins_anew(
    rig: RigConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[object] = []
    visits: list[RigConfig] = []

    def one_round(config: RigConfig, headless_s: object, wanted: object, *_: object) -> object:
        rounds.append(wanted)
        return {"frames": len(rounds)}, len(rounds) == 1

    monkeypatch.setattr("app.ui.live._round", one_round)
    monkeypatch.setattr(
        "app.ui.calibration_visit.visit", lambda config, notice="": visits.append(config)
    )
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert run_live(rig, follow="best", out=tmp_path) == {"frames": 2}
    assert rounds == ["best", "none"]  # what was asked for at the start is not asked for again
    assert visits == [rig]
