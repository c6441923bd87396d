"""A calibration is read as it stands or refused with its line; it is valid where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from datetime import date as Date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import CalibrationError
from calibration.store import (
    VALID_DAYS,
    CalibrationRecord,
    ImageValues,
    LatencyValues,
    PipetteValues,
    PixelValues,
    SetUp,
    load_calibration,
    nominal_calibration,
    save_calibration,
    with_section,
)

RIG = SetUp(camera_serial="40012345", objective="20x", binning=1, stage="ProScan")
DAY = Date(2026, 3, 1)


def measured(**changes: object) -> CalibrationRecord:
    record = CalibrationRecord(
        origin="measured",
        date=DAY,
        operator="mk",
        software="0.1.0",
        set_up=RIG,
        image=ImageValues(
            matrix_um_per_px=((-0.49, 0.02), (0.01, 0.5)), centre_px=(319.5, 239.5), residual_um=0.2
        ),
        latency=LatencyValues(
            exposure_to_host_s=0.012, command_to_motion_s=0.036, residual_s=0.002
        ),
    )
    return record.model_copy(update=changes)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    assert load_calibration(path) == measured()
    np.testing.assert_allclose(
        load_calibration(path).image_to_stage.matrix_um_per_px, [[-0.49, 0.02], [0.01, 0.5]]
    )


def test_a_new_calibration_keeps_the_previous_one(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    first = path.read_bytes()
    save_calibration(measured(operator="ab"), path, "objective was taken off")
    kept = list((tmp_path / "history").iterdir())
    assert [file.read_bytes() for file in kept] == [first]
    assert "objective was taken off" in path.read_text(encoding="utf-8")
    assert load_calibration(path).operator == "ab"


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        ('origin = "measured"', 'origin = "guessed"', "origin"),
        ('objective = "20x"', 'objective = "twenty"', "set_up.objective"),
        ("residual_um = 0.2", "residual_um = -0.2", "image.residual_um"),
        ("residual_um = 0.2", "residual_um = nan", "image.residual_um"),
        ("binning = 1", "binnning = 1", "set_up.binnning"),
        ("version = 1", "version = 2", "version"),
        ("command_to_motion_s = 0.036", "", "latency.command_to_motion_s"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(
    tmp_path: Path, line: str, instead: str, named: str
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    text = path.read_text(encoding="utf-8")
    number = 1 + next(i for i, row in enumerate(text.splitlines()) if row == line)
    broken = text.replace(line, instead)
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path)
    message = str(caught.value)
    assert "\n" not in message
    assert named in message
    assert path.read_text(encoding="utf-8") == broken
    if instead:
        assert f"{path}:{number}:" in message


def test_a_singular_matrix_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    text = path.read_text(encoding="utf-8")
    start = text.index("matrix_um_per_px")
    end = text.index("\ncentre_px")
    text = text[:start] + "matrix_um_per_px = [[0.5, 0.5], [0.5, 0.5]]" + text[end:]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match="singular"):
        load_calibration(path)


def test_no_file_and_no_toml_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no such file"):
        load_calibration(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("version = 1\n[image\n", encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"bad\.toml: not valid TOML.*line 2"):
        load_calibration(tmp_path / "bad.toml")


@given(st.integers(-400, 400))
def test_a_measured_calibration_lives_thirty_days(days: int) -> None:
    refused = measured().refusal(RIG, DAY + timedelta(days=days))
    assert bool(refused) == (days < 0 or days > VALID_DAYS)


@pytest.mark.parametrize(
    "change",
    [{"camera_serial": "1"}, {"objective": "40x"}, {"binning": 2}, {"stage": "another"}],
)
def test_it_belongs_to_one_set_up(change: dict[str, object]) -> None:
    other = RIG.model_copy(update=change)
    assert next(iter(change)).replace("_", " ") in measured().refusal(other, DAY)
    assert measured().refusal(RIG, DAY) == ""


@pytest.mark.parametrize(("objective", "um"), [("20x", 0.495), ("40x", 0.2475), ("100x", 0.099)])
def test_the_nominal_calibration_never_expires_and_fits_no_real_rig(
    objective: str, um: float
) -> None:
    nominal = nominal_calibration(objective, 640, 480)
    assert nominal.image_to_stage.um_per_px == pytest.approx(um)
    far = datetime.now(UTC).date() + timedelta(days=36_500)
    assert nominal.refusal(nominal.set_up, far) == ""
    assert nominal.refusal(RIG.model_copy(update={"objective": objective}), far) != ""
    assert nominal_calibration(objective, 800, 600).image.centre_px == (399.5, 299.5)


def test_construction_cannot_be_claimed_for_a_real_camera(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    text = path.read_text(encoding="utf-8").replace('"measured"', '"construction"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match="construction"):
        load_calibration(path)


def test_an_objective_that_is_not_there_is_named() -> None:
    with pytest.raises(CalibrationError, match="no 63x objective; it has 100x, 20x, 40x"):
        nominal_calibration("63x", 640, 480)


PIXEL = PixelValues(um_per_px=0.494, uncertainty_um_per_px=1e-4, residual_um=0.01, method="ruling")
PIPETTE = PipetteValues(
    matrix=((1.0, 0.0, 0.1), (0.0, 1.0, 0.0)),
    origin_um=(1.0, 2.0),
    residual_um=0.1,
    direction_deg=170.0,
    reference_um=(0.0, 0.0, 0.0),
)


def test_each_procedure_replaces_its_own_section_and_keeps_the_dates_of_the_others() -> None:
    later = DAY + timedelta(days=20)
    record = with_section(measured(), RIG, PIXEL, later, "ab", "0.2.0")
    assert record.pixel is not None
    assert record.image is not None
    assert (record.pixel.measured, record.pixel.operator) == (later, "ab")
    assert (record.image.measured, record.image.operator) == (DAY, "mk")
    assert record.valid_until == DAY + timedelta(days=VALID_DAYS)  # the stage is no younger
    assert record.refusal(RIG, later) == ""
    assert "expired" in record.refusal(RIG, DAY + timedelta(days=VALID_DAYS + 1))


def test_a_file_begins_with_any_section_and_arms_only_when_complete(tmp_path: Path) -> None:
    record = with_section(None, RIG, PIXEL, DAY, "mk", "0.1.0")
    assert "calibrate stage" in record.refusal(RIG, DAY)
    with pytest.raises(CalibrationError, match="calibrate stage"):
        _ = record.image_to_stage
    image, latency = measured().image, measured().latency
    assert image is not None
    assert latency is not None
    record = with_section(record, RIG, image, DAY, "mk", "0.1.0")
    assert "calibrate latency" in record.refusal(RIG, DAY)
    assert record.command_to_motion_s == 0.0
    record = with_section(record, RIG, latency, DAY, "mk", "0.1.0")
    assert record.refusal(RIG, DAY) == ""
    record = with_section(record, RIG, PIPETTE, DAY, "mk", "0.1.0")
    path = tmp_path / "rig.toml"
    save_calibration(record, path, "all four")
    assert load_calibration(path) == record


def test_a_new_map_drops_the_pipette_that_was_measured_through_the_old_one() -> None:
    record = with_section(measured(), RIG, PIPETTE, DAY, "mk", "0.1.0")
    assert record.pipette is not None
    image = measured().image
    assert image is not None
    assert with_section(record, RIG, image, DAY, "mk", "0.1.0").pipette is None


def test_another_set_up_gets_another_file() -> None:
    other = RIG.model_copy(update={"camera_serial": "7"})
    with pytest.raises(CalibrationError, match=r"camera serial 40012345, not 7.*another file"):
        with_section(measured(), other, PIXEL, DAY, "mk", "0.1.0")
    nominal = nominal_calibration("20x", 640, 480)
    with pytest.raises(CalibrationError, match="another file"):
        with_section(nominal, nominal.set_up, PIXEL, DAY, "mk", "0.1.0")


def test_stage_and_micrometer_that_disagree_arm_nothing() -> None:
    wrong = PIXEL.model_copy(update={"um_per_px": 0.247})
    record = with_section(measured(), RIG, wrong, DAY, "mk", "0.1.0")
    assert "disagree" in record.refusal(RIG, DAY)


def test_a_power_cut_while_saving_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(measured(), path, "first")
    before = path.read_bytes()

    def cut(*_: object) -> None:
        raise OSError("power cut")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"calibration.toml_file.os.{name}", cut)
            with pytest.raises(OSError, match="power cut"):
                save_calibration(measured(operator="ab"), path, "second")
        assert path.read_bytes() == before
        assert load_calibration(path).operator == "mk"
