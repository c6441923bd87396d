"""Rig files: read back as written; a mistake is named with file, line, key and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import (
    ConfigError,
    ProScanConfig,
    RigConfig,
    SceneCameraConfig,
    load_rig,
    save_rig,
    simulated_rig,
)


def refusal(folder: Path, text: str) -> str:
    path = folder / "rig.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_rig(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "rig",
    [
        simulated_rig(),
        RigConfig(camera=SceneCameraConfig(seed=7, sperm_in_view=40), objective="40x"),
        RigConfig(stage=ProScanConfig(url="COM3", x_limits_um=(-10.0, 20.5))),
    ],
)
def test_written_and_read_back(tmp_path: Path, rig: RigConfig) -> None:
    save_rig(rig, tmp_path / "rig.toml")
    assert load_rig(tmp_path / "rig.toml") == rig


def test_an_empty_file_is_the_simulated_camera_alone(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text("version = 1\n", encoding="utf-8")
    assert load_rig(tmp_path / "rig.toml") == RigConfig()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[camera]\nkind = "scene"\nsed = 3\n', ["rig.toml:3:", "camera.sed", "3", "unknown"]),
        ('[camera]\nkind = "scene"\nseed = -3\n', ["rig.toml:3:", "camera.seed", "-3", "0"]),
        ('[camera]\nkind = "leica"\n', ["rig.toml:2:", "camera.kind", "leica", "'basler'"]),
        ('[camera]\nkind = "video"\n', ["rig.toml:1:", "camera.path", "missing"]),
        ("[stage]\nx_limits_um = [3, 1]\n", ["rig.toml:2:", "x_limits_um", "[3, 1]", "lower"]),
        ("[stage]\nbaud = 1\n", ["rig.toml:2:", "stage.baud", "38400"]),
        ("[stage]\nresolution_um = 3\n", ["rig.toml:2:", "stage.resolution_um", "3", "1"]),
        ("[stage]\nvelocity_units = true\n", ["rig.toml:2:", "velocity_units", "unknown"]),
        ("[stage]\nacceleration_percent = 0\n", ["rig.toml:2:", "acceleration_percent", "1"]),
        ("[pipette]\nspeed_scale = 0\n", ["rig.toml:2:", "pipette.speed_scale", "0", "0.1"]),
        ("[pipette]\npoll_s = -1\n", ["rig.toml:2:", "pipette.poll_s", "-1", "0"]),
        ("version = 9\n", ["rig.toml:1:", "version", "9", "1"]),
        ('[servo]\n\ngain_1_s = "fast"\n', ["rig.toml:3:", "servo.gain_1_s", "fast", "number"]),
        ('[network]\ndevice = "tpu"\n', ["rig.toml:2:", "network.device", "tpu", "cuda"]),
        ('[camera]\nkind = "basler"\n', ["rig.toml", "calibration", "nominal"]),
        ('[stage]\nurl = "COM3"\nfault = "drop"\n', ["rig.toml:1:", "stage", "emulator"]),
        ("[stage\n", ["rig.toml", "not valid TOML", "line 1"]),
        (
            '[camera]\nkind = "video"\npath = "a.mp4"\n[stage]\n',
            ["rig.toml", "emulator", "scene"],
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refusal(tmp_path, text)
    for part in parts:
        assert part in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_rig(tmp_path / "none.toml")


def test_paths_are_relative_to_the_rig_file(tmp_path: Path) -> None:
    (tmp_path / "rig.toml").write_text(
        'calibration = "mine.toml"\n[camera]\nkind = "video"\npath = "clip.mp4"\n'
        '[network]\nweights = "w.pt"\n',
        encoding="utf-8",
    )
    rig = load_rig(tmp_path / "rig.toml")
    assert rig.calibration == str(tmp_path / "mine.toml")
    assert rig.camera.path == tmp_path / "clip.mp4"
    assert rig.network.weights == tmp_path / "w.pt"
