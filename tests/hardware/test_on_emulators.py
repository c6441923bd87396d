"""The hardware run itself, on emulators behind ports that look like real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import emulated

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
RIG = """
name = "bench"
calibration = "none.toml"
camera = {{ kind = "basler" }}
stage = {{ kind = "proscan", url = "{stage}" }}
pipette = {{ kind = "mp285", url = "{pipette}" }}
"""


@pytest.mark.timeout(600)
def test_the_hardware_run_and_its_report(tmp_path: Path) -> None:
    rig = tmp_path / "rig.toml"
    with emulated("proscan") as stage, emulated("mp285") as pipette:
        rig.write_text(RIG.format(stage=stage.url, pipette=pipette.url), encoding="utf-8")
        run = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hardware",
                "--rig", str(rig), "--confirm", "A. Person", "tests/hardware", "tests/conformance",
            ],
            cwd=ROOT, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    report = json.loads((tmp_path / "rig-commissioning.json").read_text(encoding="utf-8"))
    assert report["operator"] == "A. Person"
    assert report["stage"]["acknowledges"] == "at once"
    assert report["profile"]["top_speed_um_s"] == pytest.approx(5_500.0, rel=0.1)
    assert report["profile"]["acceleration_um_s2"] == pytest.approx(100_000.0, rel=0.3)
    assert report["pipette"]["velocity_scale"] == pytest.approx(1.0, abs=0.1)


def test_without_a_rig_they_are_skipped() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hardware",
         "tests/hardware/test_commissioning.py"],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert run.returncode == 0
    assert "3 skipped" in run.stdout
    assert "-m hardware --rig FILE" in run.stdout
