"""The verb: a picture measured and kept, a cancelled procedure, bad input in one line."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from virtual_bench import VirtualPipette, VirtualStage, make_bench

from app import cli
from app.config import RigConfig, simulated_rig
from app.rig.calibrate import calibrate
from app.rig.calibration_bench import calibration_bench, known_calibration
from app.rig.practice import with_practice_file
from app.runtime.calibration_outcome import Outcome
from app.runtime.calibration_run import RigBench, accept, measure
from calibration.check import check_square
from calibration.errors import CalibrationError
from calibration.pixel_procedure import calibrate_pixel
from calibration.procedure import Instruction, Progress, follow, run
from calibration.stage_procedure import calibrate_stage
from calibration.store import (
    PipetteValues,
    PixelValues,
    SetUp,
    load_calibration,
    nominal_calibration,
    save_calibration,
)
from calibration.transform import ImageToStage
from drivers.clock import VirtualClock
from drivers.errors import CameraError
from drivers.scene_camera import SceneCameraSettings
from models.specimen.micrometer import Micrometer, MicrometerLook
from models.specimen.profiles import profile
from models.specimen.scene import Specimen

SET_UP = SetUp(camera_serial="simulated", objective="20x", stage="simulated")
TRUE = np.eye(2) * 0.495


def ruled(path: Path, um_per_px: float = 0.495) -> Path:
    slide = Micrometer(MicrometerLook(angle_rad=0.2), np.eye(2) * um_per_px)
    image = slide.render(0.0, 0.008, lambda times_s: np.zeros((len(times_s), 2)))
    cv2.imwrite(str(path), image)
    return path


def test_a_recording_is_not_calibrated(tmp_path: Path) -> None:
    camera = {"kind": "video", "path": tmp_path / "a.avi"}
    alone = {"camera": camera, "stage": None, "pipette": None}
    config = RigConfig.model_validate({**simulated_rig().model_dump(), **alone})
    with pytest.raises(CalibrationError, match="recording"):
        calibrate(config, "stage")


def test_the_simulated_rig_is_calibrated_for_practice_into_a_file_of_the_user(
    tmp_path: Path,
) -> None:
    config = with_practice_file(simulated_rig(), tmp_path)
    path, record = known_calibration(config)
    assert path is not None
    assert path.parent == tmp_path
    assert record is None
    with calibration_bench(config, "pixel") as rig:
        outcome = measure(rig, "pixel", 10.0, lambda step: None)
        kept = accept(outcome, rig.set_up, rig.record, path, "mk")
    assert kept.origin == "measured"
    assert kept.pixel is not None
    assert known_calibration(config) == (path, kept)
    # Nothing reads it by itself, and a rig that names its own file keeps that.
    assert known_calibration(simulated_rig())[0] is None
    assert with_practice_file(config, tmp_path / "other") == config


def live_bench(seed: int) -> tuple[RigBench, VirtualStage]:
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock)
    bench = make_bench(Specimen(profile("exam", modality="phase"), seed), stage, clock)
    return RigBench(bench, SET_UP, None, nominal_calibration("20x", 640, 480)), stage


def test_who_interrupts_leaves_the_stage_at_rest() -> None:
    rig, stage = live_bench(1)
    seen: list[Instruction | Progress] = []

    def show(step: Instruction | Progress) -> None:
        seen.append(step)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(calibrate_stage(rig.bench), show)
    assert isinstance(seen[0], Instruction)
    assert stage.stops == 1
    assert not any(stage.plant.moving(rig.bench.clock.now_s() + 1.0))


@pytest.mark.parametrize(
    ("procedure", "files", "reason"),
    [
        ("stage", {}, "names no calibration file"),
        ("stage", {"out": "."}, "is a folder; name a calibration file in it"),
        ("stage", {"out": "slide.png/rig.toml"}, "cannot be written to; name another place"),
        ("stage", {"out": "rig.toml", "picture": "none/seen.png"}, "no folder .*make it first"),
        ("check", {"out": "rig.toml", "picture": "seen.png"}, "no picture of what 'check' finds"),
    ],
)
def test_a_result_that_could_not_be_kept_is_refused_before_anything_moves(
    procedure: str, files: dict[str, str], reason: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def never(*_: object) -> None:
        raise AssertionError("an instrument was connected")

    monkeypatch.setattr("app.rig.calibrate.calibration_bench", never)
    ruled(tmp_path / "slide.png")
    places = {name: tmp_path / file for name, file in files.items()}
    with pytest.raises(CalibrationError, match=reason):
        calibrate(simulated_rig(), procedure, operator="mk", **places)


@pytest.mark.parametrize(
    ("said", "times", "keeps"),
    [("\n", 1, True), ("r\ny\n", 2, True), ("r\nn\n", 2, False), ("", 1, False)],
)
def test_at_the_keyboard_a_result_is_kept_repeated_or_dropped(
    said: str, times: int, keeps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, _ = live_bench(2)
    measured: list[float] = []

    def measure_once(*_: object) -> Outcome:
        measured.append(0.495 + 0.001 * len(measured))
        values = PixelValues(
            um_per_px=measured[-1], uncertainty_um_per_px=1e-4, residual_um=0.01, method="ruling"
        )
        return Outcome("pixel", measured[-1], 1e-4, 0.01, "um/px", values, {})

    monkeypatch.setattr("app.rig.calibrate.calibration_bench", lambda *_: nullcontext(rig))
    monkeypatch.setattr("app.rig.calibrate.measure", measure_once)
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    out = tmp_path / "rig.toml"
    if keeps:
        calibrate(simulated_rig(), "pixel", operator="mk", out=out, ask=True)
        kept = load_calibration(out).pixel
        assert kept is not None
        assert kept.um_per_px == measured[-1]
    else:
        with pytest.raises(KeyboardInterrupt):
            calibrate(simulated_rig(), "pixel", operator="mk", out=out, ask=True)
        assert not out.exists()
    assert len(measured) == times


def test_the_check_passes_what_is_right_and_names_another_objective(tmp_path: Path) -> None:
    rig, _ = live_bench(2)
    outcome = measure(rig, "check", 10.0, lambda step: None)
    assert outcome.ok
    path = tmp_path / "rig.toml"
    assert accept(outcome, SET_UP, rig.record, path, "mk") == rig.record
    line = json.loads((tmp_path / "rig-checks.jsonl").read_text(encoding="utf-8"))
    assert line["passed"] is True
    assert line["operator"] == "mk"
    other = ImageToStage(TRUE * 0.5, np.array([319.5, 239.5]))
    check = run(check_square(live_bench(2)[0].bench, other))
    assert not check.passed
    assert "objective" in check.why


def test_a_camera_that_is_pulled_out_ends_it_with_the_stage_at_rest() -> None:
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock)
    settings = SceneCameraSettings(vanish_after_s=1.5)
    bench = make_bench(Specimen(profile("exam"), 1), stage, clock, camera=settings)
    with pytest.raises(CameraError, match="unplugged; plug it in") as caught:
        run(calibrate_stage(bench))
    assert "\n" not in str(caught.value)
    assert not any(stage.plant.moving(clock.now_s() + 1.0))


def test_a_camera_that_delivers_nothing_is_told() -> None:
    clock = VirtualClock(1.0)
    settings = SceneCameraSettings(drop_probability=0.999999)
    bench = make_bench(Specimen(profile("exam"), 1), VirtualStage(clock), clock, camera=settings)
    for procedure in (calibrate_stage(bench), calibrate_pixel(bench, 10.0)):
        with pytest.raises(CalibrationError, match="delivers no frames; check its cable"):
            run(procedure)


def test_no_camera_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig = tmp_path / "rig.toml"
    rig.write_text(
        'version = 1\ncalibration = "c.toml"\n[camera]\nkind = "basler"\nserial = "1"\n',
        encoding="utf-8",
    )
    assert cli.main(["calibrate", "pixel", "--rig", str(rig), "--json"]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "camera" in message.lower()


def test_a_calibration_of_another_camera_is_neither_used_nor_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    rig, stage = live_bench(2)
    nominal = nominal_calibration("20x", 640, 480)
    other = SET_UP.model_copy(update={"camera_serial": "40012345"})
    save_calibration(
        nominal.model_copy(update={"origin": "measured", "set_up": other}), path, "a test"
    )
    before = path.read_bytes()
    rig = replace(rig, path=path, record=load_calibration(path))
    for procedure in ("pixel", "stage", "latency", "pipette", "check", "drift", "touch-down"):
        with pytest.raises(CalibrationError, match=r"rig\.toml: .*serial 40012345, not simulated"):
            measure(rig, procedure, 10.0, lambda step: None)
    assert stage.plant.motor_um(100.0) == (0.0, 0.0)
    assert path.read_bytes() == before


def test_latency_and_pipette_ask_for_the_stage_first() -> None:
    rig, _ = live_bench(1)
    bare = RigBench(rig.bench, SET_UP, None, None)
    for procedure in ("latency", "pipette", "check"):
        with pytest.raises(CalibrationError, match="calibrate the stage first"):
            measure(bare, procedure, 10.0, lambda step: None)


def test_touch_down_is_taught_and_drift_is_noticed(tmp_path: Path) -> None:
    clock = VirtualClock(1.0)
    pipette = VirtualPipette(clock)
    tip_um = (20.0, 10.0, 0.0)
    bench = make_bench(
        Specimen(profile("exam"), 3), None, clock, pipette=pipette,
        tip_um=lambda times_s: np.tile(tip_um, (len(times_s), 1)),
    )  # fmt: skip
    with pytest.raises(CalibrationError, match="calibrate the stage first"):
        measure(RigBench(bench, SET_UP, None, None), "drift", 10.0, lambda step: None)
    values = PipetteValues(
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), origin_um=(20.0, 10.0), residual_um=0.1,
        direction_deg=0.0, reference_um=(0.0, 0.0, 0.0),
    )  # fmt: skip
    nominal = nominal_calibration("20x", 640, 480)
    for origin_um, ok in (((20.0, 10.0), True), ((12.0, 10.0), False)):
        record = nominal.model_copy(
            update={"pipette": values.model_copy(update={"origin_um": origin_um})}
        )
        rig = RigBench(bench, SET_UP, None, record)
        drift = measure(rig, "drift", 10.0, lambda step: None)
        assert drift.ok == ok
        assert drift.value == pytest.approx(0.0 if ok else 8.0, abs=1.0)
    taught = measure(rig, "touch-down", 10.0, lambda step: None)
    assert isinstance(taught.section, PipetteValues)
    assert taught.section.touch_down_z_um == pytest.approx(0.0)
    assert taught.section.matrix == values.matrix
