"""A picture from a file: measured, kept for the rig that it is from, held against what is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_beads import beads

from app.config import BaslerCameraConfig, RigConfig, simulated_rig
from app.rig.calibrate import calibrate
from calibration.errors import CalibrationError
from calibration.store import load_calibration
from models.specimen.micrometer import Micrometer, MicrometerLook
from tests.calibration.calibrate_verb import run

RIG = 'version = 1\nname = "lab 2"\ncalibration = "cal.toml"\n'


def ruled(path: Path, um_per_px: float = 0.495, size_px: tuple[int, int] = (640, 480)) -> Path:
    slide = Micrometer(
        MicrometerLook(angle_rad=0.2), np.eye(2) * um_per_px,
        width_px=size_px[0], height_px=size_px[1],
    )  # fmt: skip
    image = slide.render(0.0, 0.008, lambda times_s: np.zeros((len(times_s), 2)))
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of the slide, rendered once."""
    folder = tmp_path_factory.mktemp("pictures")
    ruled(folder / "m.png")
    ruled(folder / "small.png", 0.495, (320, 240))
    ruled(folder / "large.png", 0.495, (1280, 960))
    return folder


@pytest.fixture
def lab(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a rig file, pictures, and things that are none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.toml").write_text(RIG, encoding="utf-8")
    (tmp_path / "m.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "broken.toml").write_text("version = 1\n[image\n", encoding="utf-8")
    for picture in pictures.iterdir():
        shutil.copy(picture, tmp_path)
    return tmp_path


def test_a_picture_is_measured_shown_and_kept(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, _ = run(
        "pixel --image m.png --rig rig.toml --operator mk --out new.toml --picture seen.png", capsys
    )
    assert code == 0
    assert result["procedure"] == "pixel"
    assert result["value"] == pytest.approx(0.495, rel=0.002)
    assert result["uncertainty"] < 0.001
    assert result["residual"] < 0.1
    assert result["valid_until"]
    assert str(result["plausibility"]).startswith("within 20 % of 0.4950")
    kept = load_calibration(lab / "new.toml")
    assert kept.pixel is not None
    assert kept.pixel.um_per_px == result["value"]
    assert cv2.imread(str(lab / "seen.png")).shape[1] == 640


def test_without_an_operator_nothing_is_saved(lab: Path) -> None:
    result = calibrate(simulated_rig(), "pixel", image=lab / "m.png", out=lab / "new.toml")
    assert result["saved"] is None
    assert not (lab / "new.toml").exists()


def test_by_hand(lab: Path) -> None:
    result = calibrate(
        simulated_rig(), "pixel", image=lab / "m.png",
        line_px=(100.0, 100.0, 300.0, 100.0), length_um=99.0,
    )  # fmt: skip
    assert result["value"] == pytest.approx(0.495)
    assert result["method"] == "by hand"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("pixel --image nowhere.png", "no such file"),
        ("pixel --image .", "a folder; name a picture in it"),
        ("stage --image m.png", "calibrate pixel"),
        ("pixel --line 1 2 300 4", "--image"),
        ("pixel --image m.png --line 1 2 300 4", "length"),
        ("pixel --image m.txt", "not a picture"),
        ("pixel --image m.png --objective 20", "--camera-pixel"),
        ("pixel --image m.png --objective 40 --camera-pixel 9.9", "objective"),
        ("stage --objective 20 --camera-pixel 9.9", "--image"),
        ("pixel --image m.png --bead 10", "calibrate check"),
        ("check --bead 10", "--image"),
        ("pixel --image m.png --operator mk", "--rig"),
        ("pixel --image m.png --operator mk --out new.toml", "taken with; name it with --rig"),
        ("pixel --image m.png --rig rig.toml --operator mk --objective 20 --camera-pixel 9.9",
         "omit --operator"),
        ("pixel --image m.png --rig rig.toml --operator mk --out broken.toml", "broken.toml:"),
        ("pixel --image large.png --rig rig.toml --operator mk",
         "large.png: 1280x960 px, but the camera of lab 2 gives 640x480 at binning 1; take"),
        ("check --image m.png", "name it with --rig"),
        ("check --image m.png --rig rig.toml", "no calibration to be checked"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_kept(
    words: str, reason: str, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, message = run(words, capsys)
    assert code == 2
    assert reason in message
    assert "\n" not in message
    assert (lab / "broken.toml").read_text(encoding="utf-8") == "version = 1\n[image\n"
    assert not (lab / "new.toml").exists()
    assert not (lab / "cal.toml").exists()


@pytest.mark.parametrize(
    ("binning", "size_px", "reason"),
    [
        (1, (640, 480), "320x240 px, but .* 640x480 at binning 1; .* taken at binning 2"),
        (2, (160, 120), "320x240 px, but .* 160x120 at binning 2; .* taken at binning 1"),
        (2, (640, 480), "640x480 at binning 2; .* taken at binning 4"),
        (1, (320, 256), "320x256 at binning 1; take"),
        (1, (None, None), "not known.*state width_px and height_px under"),
    ],
)
def test_a_picture_that_the_rig_cannot_have_taken_is_refused(
    binning: int, size_px: tuple[int | None, int | None], reason: str, lab: Path
) -> None:
    camera = BaslerCameraConfig.model_validate(
        {"kind": "basler", "serial": "40012345", "binning": binning,
         "width_px": size_px[0], "height_px": size_px[1]}
    )  # fmt: skip
    config = RigConfig.model_validate(
        {"version": 1, "camera": camera, "stage": None, "pipette": None,
         "calibration": str(lab / "cal.toml")}
    )  # fmt: skip
    with pytest.raises(CalibrationError, match=reason):
        calibrate(config, "pixel", image=lab / "small.png", operator="mk")
    assert not (lab / "cal.toml").exists()


def test_a_picture_says_whether_its_pixel_size_was_checked(lab: Path) -> None:
    alone = calibrate(simulated_rig(), "pixel", image=lab / "m.png", rig_named=False)
    assert str(alone["plausibility"]).startswith("not checked")
    stated = calibrate(
        simulated_rig(), "pixel", image=lab / "m.png", rig_named=False, objective=20,
        camera_pixel_um=9.9,
    )  # fmt: skip
    assert "0.4950" in str(stated["plausibility"])


def test_a_wrong_objective_is_implausible(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="another objective"):
        calibrate(simulated_rig(), "pixel", image=ruled(tmp_path / "m.png", 0.2475))


def checks(lab: Path) -> list[dict[str, object]]:
    lines = (lab / "cal-checks.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_picture_is_held_against_what_was_accepted_and_the_check_is_kept(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pixel --image m.png --rig rig.toml --operator mk", capsys)[0] == 0
    before = (lab / "cal.toml").read_bytes()
    for um_per_px, code in ((0.497, 0), (0.502, 1), (0.2475, 1)):
        ruled(lab / "today.png", um_per_px)
        got, result, error = run("check --image today.png --rig rig.toml --operator jo", capsys)
        assert (got, error) == (code, "")
        assert result["value"] == pytest.approx(0.495 / um_per_px, rel=0.002)
        assert result["tolerance"] == 0.01
        kept = checks(lab)[-1]
        assert (kept["passed"], kept["operator"], kept["image"]) == (not code, "jo", "today.png")
        assert bool(kept["why"]) == bool(code)
    assert "confirm objective, binning and ruling" in str(checks(lab)[-1]["why"])
    # Without an operator it is only shown, and whatever it says the calibration stays.
    assert run("check --image m.png --rig rig.toml --picture seen.png", capsys)[0] == 0
    assert len(checks(lab)) == 3
    assert (lab / "seen.png").exists()
    assert (lab / "cal.toml").read_bytes() == before


def test_beads_are_held_against_what_was_accepted(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pixel --image m.png --rig rig.toml --operator mk", capsys)[0] == 0
    for diameter_px, code in ((20.2, 0), (40.4, 1)):
        image, true_px = beads(3, diameter_px)
        cv2.imwrite(str(lab / "beads.png"), image)
        words = "check --image beads.png --bead 10 --rig rig.toml --operator jo"
        got, result, _ = run(words, capsys)
        assert got == code
        assert result["median_um"] == pytest.approx(0.495 * true_px, rel=0.02)
        kept = checks(lab)[-1]
        assert (kept["by"], kept["passed"], kept["bead_um"]) == ("beads", not code, 10.0)
    got, _, message = run("check --image m.png --bead 10 --rig rig.toml", capsys)
    assert got == 2
    assert "beads are seen" in message
    assert "\n" not in message
