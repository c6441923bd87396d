"""What a rig file says about the pipette's safe height holds for stage and pipette."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from emulated import wait_until

from app.config import ConfigError, Mp285Config, ProScanConfig, load_rig, save_rig, simulated_rig
from app.rig.build import connect_pipette, connect_stage, emulate, recalibrated
from drivers.descent import Descent
from drivers.errors import LimitError
from drivers.guarded import GuardedManipulator, GuardedStage

RIG = simulated_rig().model_copy(
    update={
        "stage": ProScanConfig(),
        "pipette": Mp285Config(safe_z_um=-50.0, window_um=120.0, speed_um_s=2000.0),
    }
)


def test_below_the_safe_height_the_stage_is_confined_and_released_above() -> None:
    with ExitStack() as started:
        stage = connect_stage(RIG, emulate(RIG.stage, started), started)
        pipette = connect_pipette(RIG, emulate(RIG.pipette, started), started, stage)
        assert isinstance(stage, GuardedStage)
        assert isinstance(pipette, Descent)
        assert pipette.window is None
        pipette.move_to(0.0, 0.0, -80.0, 1000.0)
        assert pipette.window is not None
        assert pipette.window.high_um == pytest.approx((120.0, 120.0), abs=1.0)
        assert pipette.window.max_speed_um_s == 300.0
        with pytest.raises(LimitError):
            stage.move_to(500.0, 0.0)
        wait_until(lambda: pipette.read_pose().moving is False)
        pipette.move_to(0.0, 0.0, 0.0, 1000.0)
        wait_until(lambda: pipette.read_pose().moving is False)
        assert pipette.window is None
        assert pipette.events() == []
        stage.move_to(500.0, 0.0)


def test_without_a_stage_it_stays_up() -> None:
    with ExitStack() as started:
        pipette = connect_pipette(RIG, emulate(RIG.pipette, started), started)
        assert isinstance(pipette, GuardedManipulator)
        with pytest.raises(LimitError, match="below the safe height"):
            pipette.move_to(0.0, 0.0, -80.0, 1000.0)


def test_a_rig_file_holds_it(tmp_path: Path) -> None:
    save_rig(RIG, tmp_path / "rig.toml")
    assert load_rig(tmp_path / "rig.toml") == RIG
    text = (tmp_path / "rig.toml").read_text(encoding="utf-8")
    assert "up = 1" in text
    (tmp_path / "wrong.toml").write_text(text.replace("up = 1", "up = 2"), encoding="utf-8")
    with pytest.raises(ConfigError, match="up"):
        load_rig(tmp_path / "wrong.toml")


def test_only_a_file_that_was_written_since_counts_as_a_new_calibration(tmp_path: Path) -> None:
    assert not recalibrated(RIG, 0.0)
    path = tmp_path / "calibration.toml"
    rig = RIG.model_copy(update={"calibration": str(path)})
    assert not recalibrated(rig, 0.0)
    path.write_text("anything", encoding="utf-8")
    written_s = path.stat().st_mtime
    assert recalibrated(rig, written_s - 1.0)
    assert not recalibrated(rig, written_s + 1.0)
