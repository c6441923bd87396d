"""A slide before the camera, held against the accepted pixel size: judged, kept, or refused."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.config import simulated_rig
from app.rig.calibrate import calibrate
from app.rig.calibration_bench import calibration_bench
from app.runtime.calibration_run import RigBench, accept, measure
from app.runtime.calibration_session import CalibrationSession, OpenBench, Phase
from app.runtime.calibration_sight import Sight
from calibration.beads import measure_beads
from calibration.errors import CalibrationError
from calibration.procedure import Bench, Instruction, Progress
from calibration.store import (
    CalibrationRecord,
    PixelValues,
    SetUp,
    nominal_calibration,
    save_calibration,
)
from drivers.clock import VirtualClock
from drivers.errors import CameraError
from drivers.scene_camera import SceneCamera, SceneCameraSettings
from models.specimen.bead_slide import BeadLook, BeadSlide
from models.specimen.micrometer import Micrometer, MicrometerLook
from models.specimen.slide import Slide
from tests.calibration.calibrate_verb import run

SET_UP = SetUp(camera_serial="simulated", objective="20x", stage="simulated")
UM_PER_PX = 0.495
RIG = 'version = 1\nname = "lab 2"\ncalibration = "cal.toml"\n'


def resting(times_s: np.ndarray) -> np.ndarray:
    return np.zeros((len(times_s), 2))


def slide_of(procedure: str) -> Slide:
    matrix = np.eye(2) * UM_PER_PX
    if procedure == "check-beads":
        return BeadSlide(BeadLook(), matrix, 1)
    return Micrometer(MicrometerLook(angle_rad=0.2), matrix)


def bench_with(slide: Slide, **camera: float) -> Bench:
    """A camera over a slide in virtual time; neither stage nor pipette."""
    clock = VirtualClock(1.0)
    settings = SceneCameraSettings(**camera)
    return Bench(
        SceneCamera(slide, resting, None, settings, clock=clock), None, None, UM_PER_PX, clock
    )


def record(um_per_px: float = UM_PER_PX) -> CalibrationRecord:
    """What was accepted: by a micrometer and by the stage, alike."""
    nominal = nominal_calibration("20x", 640, 480)
    assert nominal.image is not None
    values = PixelValues(
        um_per_px=um_per_px, uncertainty_um_per_px=1e-5, residual_um=0.01, method="ruling"
    )
    matrix = ((um_per_px, 0.0), (0.0, um_per_px))
    return nominal.model_copy(
        update={
            "origin": "measured", "pixel": values,
            "image": nominal.image.model_copy(update={"matrix_um_per_px": matrix}),
        }
    )  # fmt: skip


def quiet(step: Instruction | Progress) -> None:
    """Go on at once."""


def never(step: Instruction | Progress) -> None:
    raise AssertionError(f"asked: {step.text}")


@pytest.mark.parametrize("um_per_px", [0.495, 0.2475, 0.099])
@pytest.mark.parametrize("seed", range(5))
def test_the_beads_of_the_rehearsal_are_as_large_as_they_are_said_to_be(
    um_per_px: float, seed: int
) -> None:
    slide = BeadSlide(BeadLook(), np.eye(2) * um_per_px, seed)
    found = measure_beads(slide.render(0.0, 0.008, resting), 10.0 / um_per_px)
    half_um = um_per_px * np.array((320, 240))
    seen = (np.abs(slide.centre_um) < half_um).all(axis=1)
    true_um = float(np.median(slide.diameter_um[seen]))
    assert found.median_px * um_per_px == pytest.approx(true_um, rel=0.02)
    assert len(found.diameter_px) <= seen.sum()


@pytest.mark.parametrize("procedure", ["check-ruling", "check-beads"])
def test_what_was_accepted_rightly_passes_without_a_stage(procedure: str) -> None:
    steps: list[Instruction | Progress] = []
    rig = RigBench(bench_with(slide_of(procedure)), SET_UP, None, record())
    outcome = measure(rig, procedure, 10.0, steps.append, 10.0)
    assert outcome.procedure == procedure
    assert outcome.ok
    assert outcome.section is None
    assert outcome.details["why"] == ""
    assert outcome.value == pytest.approx(1.0, abs=0.002 if procedure == "check-ruling" else 0.02)
    assert outcome.picture is not None
    assert outcome.picture.shape[1:] == (640, 3)
    told, shown = steps
    assert isinstance(told, Instruction)
    assert "of 10 um" in told.text
    assert isinstance(shown, Progress)
    assert shown.picture is not None
    assert shown.picture.shape == (480, 640)


@pytest.mark.parametrize(
    ("procedure", "factor", "reason"),
    [
        ("check-ruling", 1.03, r"calibration's pixel size 0\.5098.*\+3\..*confirm objective"),
        ("check-ruling", 0.97, r"-3\.0.*1% is allowed"),
        ("check-ruling", 2.0, r"confirm objective, binning and ruling"),
        ("check-beads", 1.08, r"10\.\d\d um by the calibration's pixel size, 10 um is their size"),
        ("check-beads", 0.5, r"confirm the objective, and calibrate again"),
    ],
)
def test_a_pixel_size_that_is_wrong_fails_with_a_reason_and_is_kept(
    procedure: str, factor: float, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(record(factor * UM_PER_PX), path, "a test")
    before = path.read_bytes()
    rig = RigBench(bench_with(slide_of(procedure)), SET_UP, path, record(factor * UM_PER_PX))
    outcome = measure(rig, procedure, 10.0, quiet, 10.0)
    assert not outcome.ok
    assert outcome.value == pytest.approx(factor, rel=0.02)
    accept(outcome, SET_UP, rig.record, path, "mk")
    (line,) = (tmp_path / "rig-checks.jsonl").read_text(encoding="utf-8").splitlines()
    kept = json.loads(line)
    assert (kept["check"], kept["passed"], kept["operator"]) == (procedure, False, "mk")
    assert re.search(reason, kept["why"])
    assert path.read_bytes() == before


def test_one_wrong_size_of_two_is_named() -> None:
    right = record()
    assert right.pixel is not None
    wrong = right.pixel.model_copy(update={"um_per_px": 1.03 * UM_PER_PX})
    bench = bench_with(slide_of("check-ruling"))
    for changed, name in (
        (right.model_copy(update={"pixel": wrong}), "the calibration's pixel size"),
        (record(1.03 * UM_PER_PX).model_copy(update={"pixel": right.pixel}), "calibration's stage"),
    ):
        outcome = measure(RigBench(bench, SET_UP, None, changed), "check-ruling", 10.0, quiet)
        assert not outcome.ok
        assert name in str(outcome.details["why"])


@pytest.mark.parametrize("procedure", ["check-ruling", "check-beads"])
def test_without_an_accepted_pixel_size_nothing_is_asked(procedure: str) -> None:
    bench = bench_with(slide_of(procedure))
    bare = record().model_copy(update={"pixel": None, "image": None})
    for known in (None, bare):
        with pytest.raises(CalibrationError, match="no pixel size has been accepted"):
            measure(RigBench(bench, SET_UP, None, known), procedure, 10.0, never, 10.0)
    other = SET_UP.model_copy(update={"objective": "40x"})
    foreign = record().model_copy(update={"set_up": other})
    with pytest.raises(CalibrationError, match="40x, not 20x"):
        measure(RigBench(bench, SET_UP, None, foreign), procedure, 10.0, never, 10.0)
    if procedure == "check-beads":
        with pytest.raises(CalibrationError, match="diameter of the beads"):
            measure(RigBench(bench, SET_UP, None, record()), procedure, 10.0, never)


def test_what_is_not_in_view_is_said_in_one_line() -> None:
    for procedure, lies_there, bead_um, reason in (
        ("check-ruling", "check-beads", None, "ruling|ticks|lines"),
        ("check-beads", "check-ruling", 10.0, "beads are seen"),
        ("check-beads", "check-beads", 4.0, "too small to measure"),
    ):
        rig = RigBench(bench_with(slide_of(lies_there)), SET_UP, None, record())
        with pytest.raises(CalibrationError, match=reason) as caught:
            measure(rig, procedure, 10.0, quiet, bead_um)
        assert "\n" not in str(caught.value)
    silent = bench_with(slide_of("check-beads"), drop_probability=0.999999)
    with pytest.raises(CalibrationError, match="delivers no frames"):
        measure(RigBench(silent, SET_UP, None, record()), "check-beads", 10.0, quiet, 10.0)
    gone = bench_with(slide_of("check-ruling"), vanish_after_s=0.05)
    with pytest.raises(CameraError, match="unplugged"):
        measure(RigBench(gone, SET_UP, None, record()), "check-ruling", 10.0, quiet)


def until(session: CalibrationSession, phase: Phase) -> None:
    """Wait until a session is in this phase."""
    deadline_s, event = time.monotonic() + 30.0, threading.Event()
    while session.state.phase is not phase:
        assert time.monotonic() < deadline_s, session.state
        assert not session.state.phase.over, session.state.text
        event.wait(0.005)


@pytest.mark.parametrize("procedure", ["check-ruling", "check-beads"])
@pytest.mark.parametrize("when", [Phase.ASKING, Phase.MEASURED])
def test_cancelled_all_is_as_it_was(procedure: str, when: Phase, tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(record(), path, "a test")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    session = CalibrationSession(_opening(procedure, path), procedure)
    session.start()
    until(session, Phase.ASKING)
    if when is Phase.MEASURED:
        session.go_on()
        until(session, Phase.MEASURED)
    session.cancel()
    session.join(10.0)
    assert session.state.phase is Phase.CANCELLED
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.is_file()} == before


@pytest.mark.parametrize("procedure", ["check-ruling", "check-beads"])
def test_a_check_that_is_accepted_is_kept_in_the_list_of_checks(
    procedure: str, tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(record(), path, "a test")
    before = path.read_bytes()
    session = CalibrationSession(_opening(procedure, path), procedure)
    session.start()
    until(session, Phase.ASKING)
    session.go_on()
    until(session, Phase.MEASURED)
    assert not (tmp_path / "rig-checks.jsonl").exists()
    session.accept("mk")
    session.join(10.0)
    assert session.state.phase is Phase.SAVED
    assert session.state.text.startswith("Kept in rig-checks.jsonl")
    kept = json.loads((tmp_path / "rig-checks.jsonl").read_text(encoding="utf-8"))
    assert (kept["check"], kept["passed"], kept["operator"]) == (procedure, True, "mk")
    assert path.read_bytes() == before


def test_the_sight_rings_each_bead() -> None:
    slide = BeadSlide(BeadLook(), np.eye(2) * UM_PER_PX, 1)
    image = slide.render(0.0, 0.008, resting)
    found = Sight("check-beads", 10.0, UM_PER_PX, 10.0).look(image)
    assert found.good
    assert found.circles_px.shape == (len(measure_beads(image, 10 / UM_PER_PX).diameter_px), 3)
    places_px = slide.centre_um / UM_PER_PX + (319.5, 239.5)
    for x_px, y_px, across_px in found.circles_px:
        assert np.hypot(*(places_px - (x_px, y_px)).T).min() < 1.0
        assert across_px == pytest.approx(10 / UM_PER_PX, rel=0.08)
    bare = np.full((480, 640), 120, np.uint8)
    assert not Sight("check-beads", 10.0, UM_PER_PX, 10.0).look(bare).good
    ruled = slide_of("check-ruling").render(0.0, 0.008, resting)
    assert len(Sight("check-ruling", 10.0, UM_PER_PX).look(ruled).lines_px) > 10


@pytest.mark.parametrize("procedure", ["check-ruling", "check-beads"])
def test_on_the_simulated_rig_no_stage_is_connected(
    procedure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an instrument was connected")

    monkeypatch.setattr("app.rig.calibration_bench.connect_stage", refuse)
    monkeypatch.setattr("app.rig.calibration_bench.connect_pipette", refuse)
    with calibration_bench(simulated_rig(), procedure) as rig:
        assert rig.bench.stage is None
        assert rig.bench.pipette is None


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a rig file and its calibration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rig.toml").write_text(RIG, encoding="utf-8")
    save_calibration(record(), tmp_path / "cal.toml", "a test")
    return tmp_path


def test_on_the_command_line_a_check_is_shown_drawn_and_kept(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, told = run("check-ruling --division 10 --rig rig.toml", capsys)
    assert (code, result["ok"], result["by"], result["saved"]) == (0, True, "ruling", None)
    assert result["um_per_px"] == pytest.approx(UM_PER_PX, rel=0.002)
    assert told.startswith("Lay the stage micrometer")
    assert not (lab / "cal-checks.jsonl").exists()
    words = "check-beads --bead 10 --rig rig.toml --operator jo --picture seen.png"
    code, result, _ = run(words, capsys)
    assert (code, result["ok"], result["procedure"]) == (0, True, "check-beads")
    assert result["median_um"] == pytest.approx(10.0, rel=0.03)
    assert cv2.imread(str(lab / "seen.png")).shape[1] == 640
    assert run("check-beads --bead 12 --rig rig.toml --operator jo", capsys)[0] == 1
    lines = (lab / "cal-checks.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [json.loads(line) for line in lines]
    assert [line["passed"] for line in kept] == [True, False]
    assert {line["check"] for line in kept} == {"check-beads"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("check-beads", "--bead 10 for 10 um"),
        ("check-ruling --bead 10", "--bead is for 'calibrate check-beads'"),
        ("stage --bead 10", "--bead is for 'calibrate check-beads'"),
        ("check --bead 10", "--image"),
        ("check-ruling --image m.png", "'calibrate check', not for 'check-ruling'"),
        ("check-beads --bead 10 --image m.png", "'calibrate check', not for 'check-beads'"),
        ("check-ruling --line 1 2 300 4", "--line"),
        ("check-beads --bead 10 --objective 20 --camera-pixel 9.9", "--objective"),
        ("check-ruling --operator jo", "names no calibration file"),
        ("check-ruling --operator jo --out new.toml", "new.toml: there is no such calibration"),
        ("check-ruling --rig rig.toml --picture none/seen.png", "make it first"),
        ("check-beads --bead 4 --rig rig.toml", "too small"),
    ],
)
def test_a_mistake_at_the_keyboard_is_one_line(
    words: str, reason: str, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = run(words, capsys)
    assert code == 2
    message = told.splitlines()[-1]
    assert reason in message
    assert not (lab / "cal-checks.jsonl").exists()


def test_a_list_that_could_not_be_kept_is_said_before_anything_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("an instrument was connected")

    monkeypatch.setattr("app.rig.calibrate.calibration_bench", connect)
    for procedure, bead_um in (("check", None), ("check-ruling", None), ("check-beads", 10.0)):
        with pytest.raises(CalibrationError, match="no such calibration to be checked"):
            calibrate(
                simulated_rig(), procedure, operator="mk", out=tmp_path / "new.toml",
                bead_um=bead_um,
            )  # fmt: skip


def _opening(procedure: str, path: Path) -> OpenBench:
    @contextmanager
    def opening(_: str) -> Iterator[RigBench]:
        yield RigBench(bench_with(slide_of(procedure)), SET_UP, path, record())

    return opening
