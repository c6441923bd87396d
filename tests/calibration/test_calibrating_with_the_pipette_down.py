"""What drives the stage to calibrate it does so only with the pipette up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from emulated import wait_until

from app import cli
from app.config import Mp285Config, ProScanConfig, RigConfig, save_rig, simulated_rig
from app.rig import calibration_bench as bench
from app.rig.emulators import EmulatorProcess
from app.runtime.calibration_run import measure
from app.runtime.calibration_session import CalibrationSession, Phase
from calibration.errors import CalibrationError
from drivers.descent import Descent
from drivers.emulators.shared_pose import PoseReader
from drivers.errors import LimitError

SAFE_UM = 60.0
DRIVES = ("stage", "latency", "check")
Readers = dict[str, PoseReader]


def rig(z_um: float, **pipette: object) -> RigConfig:
    """A rig whose pipette stands at ``z_um`` when it is switched on."""
    port = Mp285Config(safe_z_um=SAFE_UM, stands_at_um=(0.0, 0.0, z_um)).model_copy(update=pipette)
    return simulated_rig().model_copy(update={"pipette": port})


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Iterator[Readers]:
    """The true paths of what a bench has switched on, 'proscan' and 'mp285'."""
    readers: Readers = {}
    usual = bench.emulate

    def emulate(
        config: ProScanConfig | Mp285Config | None, started: ExitStack
    ) -> EmulatorProcess | None:
        end = usual(config, started)
        if end is not None:
            readers[end.kind] = end.reader()
        return end

    monkeypatch.setattr(bench, "emulate", emulate)
    yield readers
    for reader in readers.values():
        reader.close()


def has_moved(reader: PoseReader) -> bool:
    return bool(np.ptp(reader.path()[:, 1:4], axis=0).any())


@pytest.mark.parametrize("procedure", DRIVES)
def test_with_the_pipette_down_nothing_is_driven(
    procedure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], truth: Readers
) -> None:
    save_rig(rig(5.0), tmp_path / "low.toml")
    code = cli.main(["calibrate", procedure, "--rig", str(tmp_path / "low.toml"), "--json"])
    told = capsys.readouterr().err.strip()
    assert code == 2
    assert "raise the pipette above its safe height of 60 um" in told
    assert "\n" not in told
    assert not has_moved(truth["proscan"])
    assert not has_moved(truth["mp285"])


def test_above_its_safe_height_it_is_as_before() -> None:
    with bench.calibration_bench(rig(SAFE_UM + 1.0), "check") as high:
        assert measure(high, "check", 10.0, lambda step: None).ok


def test_a_pipette_that_says_nothing_counts_as_low(truth: Readers) -> None:
    silent = rig(100.0, url="socket://127.0.0.1:1")
    with (
        pytest.raises(CalibrationError, match=r"height is not known.*raise the pipette above"),
        bench.calibration_bench(silent, "check"),
    ):
        pass
    assert not has_moved(truth["proscan"])


def test_a_pipette_that_is_lowered_while_an_instruction_waits_is_seen(
    truth: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    tied: list[Descent] = []
    usual = bench.connect_pipette

    def connect(*arguments: object) -> object:
        pipette = usual(*arguments)  # type: ignore[arg-type]
        if isinstance(pipette, Descent):
            tied.append(pipette)
        return pipette

    monkeypatch.setattr(bench, "connect_pipette", connect)
    with bench.calibration_bench(rig(100.0), "stage") as high:
        stage = high.bench.stage
        assert stage is not None
        stage.move_to(50.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)
        tied[0]._pipette.permit_descent()  # by hand: nothing of the program lowers it here
        tied[0]._pipette.move_to(0.0, 0.0, 20.0, 200.0)
        wait_until(lambda: tied[0]._pipette.read_pose().moving is False)
        for drive in (lambda: stage.move_to(0.0, 0.0), lambda: stage.set_velocity(20.0, 0.0)):
            with pytest.raises(CalibrationError, match="raise the pipette above"):
                drive()
        assert truth["proscan"].latest()[1][0] == pytest.approx(50.0, abs=1.0)


def test_the_pipette_itself_is_calibrated_where_it_is_down_and_the_stage_is_confined() -> None:
    low = rig(5.0).model_copy(update={"camera": simulated_rig().camera})
    with bench.calibration_bench(low, "pipette") as down:
        pipette, stage = down.bench.pipette, down.bench.stage
        assert isinstance(pipette, Descent)
        assert pipette.window is not None
        assert stage is not None
        with pytest.raises(LimitError):
            stage.move_to(1_000.0, 0.0)
        assert measure(down, "pipette", 10.0, lambda step: None).ok


def test_the_window_of_calibration_says_so_too() -> None:
    session = CalibrationSession(lambda one: bench.calibration_bench(rig(5.0), one), "check")
    session.start()
    session.join(30.0)
    assert session.state.phase is Phase.REFUSED
    assert "raise the pipette above" in session.state.text
