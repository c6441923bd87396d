"""The hardware run itself, on emulators behind ports that look like real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from emulated import emulated

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
RIG = """
name = "bench"
calibration = "none.toml"
camera = {{ kind = "basler" }}
[stage]
kind = "proscan"
url = "{stage}"
x_limits_um = [-{x_um}, {x_um}]
velocity_in_user_units = {units}
[pipette]
kind = "mp285"
url = "{pipette}"
speed_um_s = 600
{height}
"""
UP = "safe_z_um = -50.0"  # of a pipette that stands at 0
RIDE = "tests/hardware/test_commissioning.py::test_top_speed_and_acceleration"


BY_NAME = ("--confirm", "A. Person")
AT_FULL_SPEED = (*BY_NAME, "--confirm-full-speed", "A. Person")


def hardware_run(
    rig: Path, *what: str, names: tuple[str, ...] = AT_FULL_SPEED, typed: str = ""
) -> str:
    """Run it as a person would, with their name on the command line or typed; what it printed."""
    run = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hardware",
            "--rig", str(rig), *names, *what,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=500, input=typed,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:]
    return run.stdout


def written(folder: Path, stage: str, pipette: str, **values: object) -> Path:
    rig = folder / "rig.toml"
    values = {"x_um": 20_000, "units": "false", "height": UP, **values}
    rig.write_text(RIG.format(stage=stage, pipette=pipette, **values), encoding="utf-8")
    return rig


@pytest.mark.timeout(600)
def test_the_hardware_run_and_its_report(tmp_path: Path) -> None:
    with emulated("proscan") as stage, emulated("mp285") as pipette:
        rig = written(tmp_path, stage.url, pipette.url)
        said = hardware_run(rig, "tests/hardware", "tests/conformance")
    assert "skipped" not in said.splitlines()[-1], said[-2000:]
    report = json.loads((tmp_path / "rig-commissioning.json").read_text(encoding="utf-8"))
    assert report["operator"] == "A. Person"
    assert report["stage"]["acknowledges"] == "at once"
    assert report["profile"]["top_speed_um_s"] == pytest.approx(5_500.0, rel=0.1)
    assert report["profile"]["acceleration_um_s2"] == pytest.approx(100_000.0, rel=0.3)
    assert report["pipette"]["velocity_scale"] == pytest.approx(1.0, abs=0.1)
    profile = report["profile"]
    print(
        f"commissioning of emulators: top speed {profile['top_speed_um_s']:.0f} um/s (true 5500),"
        f" acceleration {profile['acceleration_um_s2'] / 1e3:.0f} mm/s^2 (100), scale of VS"
        f" {report['stage']['velocity_scale']:.3f} (1), of the pipette's speed"
        f" {report['pipette']['velocity_scale']:.3f} (1)"
    )


@pytest.mark.timeout(200)
def test_the_ride_at_full_speed_keeps_to_the_limits_of_the_rig(tmp_path: Path) -> None:
    with emulated("proscan") as stage, emulated("mp285") as pipette:
        rig = written(tmp_path, stage.url, pipette.url, x_um=1_000)
        said = hardware_run(rig, RIDE, names=(), typed="B. Person\n")
        assert "1 passed" in said
        assert "will move by at most 980 um, AT ITS FULL SPEED" in said
        x_um = stage.truth.path()[:, 1]
    report = json.loads((tmp_path / "rig-commissioning.json").read_text(encoding="utf-8"))
    assert report["operator"] == "B. Person"
    assert x_um.max() > 900.0
    assert np.abs(x_um).max() <= 1_000.0


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("change", "names", "reason"),
    [
        ({"x_um": 500}, AT_FULL_SPEED, "not enough room about x = 0 um: 920 um are needed"),
        ({"height": ""}, AT_FULL_SPEED, "height is unknown: safe_z_um is not in the rig file"),
        (
            {"height": "safe_z_um = 60.0"},
            AT_FULL_SPEED,
            "below its safe height, 0 um instead of 60",
        ),
        ({}, BY_NAME, "nobody has confirmed"),
    ],
)
def test_nothing_moves_and_the_reason_is_told(
    tmp_path: Path, change: dict[str, object], names: tuple[str, ...], reason: str
) -> None:
    what = "tests/hardware" if "height" in change else RIDE
    with emulated("proscan") as stage, emulated("mp285") as pipette:
        rig = written(tmp_path, stage.url, pipette.url, **change)
        said = hardware_run(rig, what, names=names)
        moved = [np.abs(box.truth.path()[:, 4:7]).max() for box in (stage, pipette)]
    assert reason in said
    assert " passed" not in said
    assert moved == [0.0, 0.0]


@pytest.mark.timeout(200)
def test_a_wrong_velocity_scale_is_measured_and_the_key_is_named(tmp_path: Path) -> None:
    told = "tests/hardware/test_commissioning.py::test_the_stage_goes_as_it_is_told"
    with emulated("proscan", "--variant", "proscan3-velocity-units") as stage:
        with emulated("mp285") as pipette:
            rig = written(tmp_path, stage.url, pipette.url)
            with pytest.raises(AssertionError, match="set velocity_in_user_units = true"):
                hardware_run(rig, told)
            report = json.loads((tmp_path / "rig-commissioning.json").read_text(encoding="utf-8"))
            assert report["stage"]["velocity_scale"] == pytest.approx(0.08, rel=0.25)
            rig = written(tmp_path, stage.url, pipette.url, units="true")
            assert "1 passed" in hardware_run(rig, told)


def test_without_a_rig_they_are_skipped() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hardware",
         "tests/hardware/test_commissioning.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert run.returncode == 0
    assert "3 skipped" in run.stdout
    assert "-m hardware --rig FILE" in run.stdout
