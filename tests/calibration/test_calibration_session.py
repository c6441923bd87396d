"""A procedure beside a person: it asks, stops at once, and keeps nothing that was not accepted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from virtual_bench import VirtualPipette, VirtualStage, make_bench

from app.config import ProScanConfig, simulated_rig
from app.rig import calibration_bench
from app.rig.emulators import EmulatorProcess
from app.runtime.calibration_run import RigBench
from app.runtime.calibration_session import CalibrationSession, OpenBench, Phase
from app.runtime.calibration_sight import Sight
from app.runtime.cancellable import Brake, Cancelled, cancellable
from calibration.errors import CalibrationError
from calibration.procedure import Bench
from calibration.store import (
    PipetteValues,
    SetUp,
    load_calibration,
    nominal_calibration,
    save_calibration,
)
from drivers.clock import VirtualClock
from drivers.emulators.shared_pose import PoseReader
from drivers.errors import DeviceError
from drivers.scene_camera import SceneCamera
from models.specimen.micrometer import Micrometer, MicrometerLook
from models.specimen.profiles import profile
from models.specimen.scene import Specimen

SET_UP = SetUp(camera_serial="simulated", objective="20x", stage="simulated")


def until(session: CalibrationSession, *phases: Phase, timeout_s: float = 30.0) -> Phase:
    """Wait until a session is in one of these phases, or over."""
    deadline_s = time.monotonic() + timeout_s
    event = threading.Event()
    while session.state.phase not in phases and not session.state.phase.over:
        assert time.monotonic() < deadline_s, session.state
        event.wait(0.005)
    return session.state.phase


def over(bench: Bench, path: Path | None = None, released: list[str] | None = None) -> OpenBench:
    @contextmanager
    def opening(procedure: str) -> Iterator[RigBench]:
        old = load_calibration(path) if path is not None and path.exists() else None
        record = old or nominal_calibration("20x", 640, 480)
        yield RigBench(bench, SET_UP, path, old if path is not None else record)
        if released is not None:
            released.append(procedure)

    return opening


def ruling_bench() -> Bench:
    slide = Micrometer(MicrometerLook(angle_rad=0.2), np.eye(2) * 0.495)
    clock = VirtualClock(1.0)
    camera = SceneCamera(slide, lambda times_s: np.zeros((len(times_s), 2)), None, clock=clock)
    return Bench(camera, None, None, 0.495, clock)


def live_bench(seed: int = 1) -> tuple[Bench, VirtualStage]:
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock)
    return make_bench(Specimen(profile("exam", modality="phase"), seed), stage, clock), stage


def test_a_result_is_kept_only_when_a_person_accepts_it(tmp_path: Path) -> None:
    path, released = tmp_path / "rig.toml", []
    session = CalibrationSession(over(ruling_bench(), path, released), "pixel")
    session.start()
    assert until(session, Phase.ASKING) is Phase.ASKING
    assert "10 um" in session.state.text
    session.go_on()
    session.go_on()  # an impatient second press answers no later question
    assert until(session, Phase.MEASURED) is Phase.MEASURED
    state = session.state
    assert released == ["pixel"]  # before anybody decides
    assert state.outcome is not None
    assert state.outcome.value == pytest.approx(0.495, rel=2e-3)
    assert state.picture is not None
    assert state.can_keep
    assert not path.exists()
    session.accept("   ")
    assert session.state.phase is Phase.MEASURED
    session.accept("mk")
    session.join(10.0)
    assert session.state.phase is Phase.SAVED
    kept = load_calibration(path)
    assert kept.operator == "mk"
    assert kept.pixel is not None


@pytest.mark.parametrize("when", [Phase.ASKING, Phase.MEASURED])
def test_cancelled_at_a_question_the_old_file_stays(tmp_path: Path, when: Phase) -> None:
    path = tmp_path / "rig.toml"
    save_calibration(_measured(), path, "a test")
    before = path.read_bytes()
    session = CalibrationSession(over(ruling_bench(), path), "pixel")
    session.start()
    until(session, Phase.ASKING)
    if when is Phase.MEASURED:
        session.go_on()
        until(session, Phase.MEASURED)
    session.cancel()
    session.join(10.0)
    assert session.state.phase is Phase.CANCELLED
    assert path.read_bytes() == before


def test_stop_in_the_middle_of_a_drive_leaves_the_stage_at_rest() -> None:
    bench, stage = live_bench()
    session = CalibrationSession(over(bench), "stage")
    session.start()
    until(session, Phase.ASKING)
    session.go_on()
    deadline_s = time.monotonic() + 30.0
    event = threading.Event()
    while session.state.done < 0.05 and time.monotonic() < deadline_s:
        event.wait(0.005)
    assert session.state.phase is Phase.RUNNING
    assert session.state.picture is not None
    session.cancel()
    session.join(10.0)
    assert session.state.phase is Phase.CANCELLED
    assert stage.stops >= 1
    here = stage.true_um(np.array([bench.clock.now_s() + 1.0]))
    assert not any(stage.plant.moving(bench.clock.now_s() + 1.0))
    assert np.array_equal(here, stage.true_um(np.array([bench.clock.now_s() + 9.0])))


def test_stop_reaches_the_stage_of_the_simulated_rig_while_it_swings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readers: list[PoseReader] = []
    usual = calibration_bench.emulate

    def emulate(config: ProScanConfig | None, started: ExitStack) -> EmulatorProcess | None:
        end = usual(config, started)
        if end is not None:
            readers.append(end.reader())
        return end

    monkeypatch.setattr(calibration_bench, "emulate", emulate)
    config = simulated_rig()
    session = CalibrationSession(
        lambda procedure: calibration_bench.calibration_bench(config, procedure), "latency"
    )
    session.start()
    until(session, Phase.ASKING)
    session.go_on()
    (reader,) = readers
    event, deadline_s = threading.Event(), time.monotonic() + 20.0
    while np.hypot(*reader.latest()[2][:2]) < 20.0 and time.monotonic() < deadline_s:
        event.wait(0.01)
    assert session.state.phase is Phase.RUNNING
    pressed_s = time.monotonic()
    session.cancel()
    while np.hypot(*reader.latest()[2][:2]) > 0.0 and time.monotonic() < pressed_s + 5.0:
        event.wait(0.002)
    took_s = time.monotonic() - pressed_s
    session.join(10.0)
    reader.close()
    assert session.state.phase is Phase.CANCELLED
    assert took_s < 0.5  # 0.03 to 0.07 s where nothing else computes


def test_nothing_is_sent_after_the_brake_and_what_was_on_its_way_is_stopped() -> None:
    bench, stage = live_bench()
    brake = Brake()
    braked = cancellable(bench, brake, lambda frame: None)
    assert braked.stage is not None
    braked.stage.move_to(200.0, 0.0)
    brake.pull()
    assert stage.stops == 2
    for act in (
        lambda: braked.stage.move_to(0.0, 0.0),
        lambda: braked.stage.set_velocity(1.0, 0.0),
        braked.stage.read_pose,
        braked.camera.open,
        lambda: braked.clock.wait_until(1e9),
    ):
        with pytest.raises(Cancelled):
            act()
    braked.stage.stop()  # is never refused
    assert stage.stops == 3


def test_a_stop_that_is_not_confirmed_is_told_and_the_others_are_stopped_all_the_same() -> None:
    stopped: list[int] = []
    brake = Brake()

    def fails() -> None:
        raise DeviceError("stage", "no answer", "pull the plug")

    brake.hold(fails)
    brake.hold(lambda: stopped.append(1))
    with pytest.raises(DeviceError, match="no answer"):
        brake.pull()
    assert stopped == [1, 1]


def test_a_stage_that_does_not_confirm_the_stop_is_not_called_at_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench, stage = live_bench()

    def dead() -> None:
        raise DeviceError("stage", "no answer to the stop", "switch it off")

    monkeypatch.setattr(stage, "stop", dead)
    session = CalibrationSession(over(bench), "stage")
    session.start()
    until(session, Phase.ASKING)
    session.cancel()
    session.join(10.0)
    assert session.state.phase is Phase.REFUSED
    assert "no answer to the stop" in session.state.text


def test_what_cannot_be_connected_is_refused_in_one_sentence() -> None:
    @contextmanager
    def closed(procedure: str) -> Iterator[RigBench]:
        raise CalibrationError("a recording cannot be calibrated")
        yield

    session = CalibrationSession(closed, "stage")
    session.start()
    session.join(10.0)
    assert session.state.phase is Phase.REFUSED
    assert session.state.text == "a recording cannot be calibrated"


def test_drift_is_checked_without_a_question() -> None:
    clock = VirtualClock(1.0)
    bench = make_bench(
        Specimen(profile("exam"), 3), None, clock, pipette=VirtualPipette(clock),
        tip_um=lambda times_s: np.tile((20.0, 10.0, 0.0), (len(times_s), 1)),
    )  # fmt: skip
    values = PipetteValues(
        matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), origin_um=(20.0, 10.0), residual_um=0.1,
        direction_deg=0.0, reference_um=(0.0, 0.0, 0.0),
    )  # fmt: skip
    record = nominal_calibration("20x", 640, 480).model_copy(update={"pipette": values})

    @contextmanager
    def opening(procedure: str) -> Iterator[RigBench]:
        yield RigBench(bench, SET_UP, None, record)

    session = CalibrationSession(opening, "drift")
    session.start()
    assert until(session, Phase.ASKING, Phase.MEASURED) is Phase.MEASURED
    assert session.state.outcome is not None
    assert session.state.outcome.ok
    session.cancel()
    session.join(10.0)


def test_without_a_file_in_the_rig_nothing_can_be_kept() -> None:
    session = CalibrationSession(over(ruling_bench()), "pixel")
    session.start()
    until(session, Phase.ASKING)
    session.go_on()
    until(session, Phase.MEASURED)
    assert not session.state.can_keep
    session.accept("mk")
    session.join(10.0)
    assert session.state.phase is Phase.REFUSED
    assert "names no calibration file" in session.state.text


def test_the_sight_says_what_would_be_found() -> None:
    slide = Micrometer(MicrometerLook(angle_rad=0.2), np.eye(2) * 0.495)
    resting = np.zeros((1, 2))
    ruled = slide.render(0.0, 0.008, lambda t: np.tile(resting, (len(t), 1)))
    found = Sight("pixel", 10.0, 0.495).look(ruled)
    assert found.good
    assert len(found.lines_px) > 10
    plain = np.full((480, 640), 120, np.uint8)
    assert not Sight("pixel", 10.0, 0.495).look(plain).good
    assert not Sight("pipette", 10.0, 0.495).look(plain).good
    specimen = Specimen(profile("exam"), 3)
    sight = Sight("stage", 10.0, 0.495)
    for step, (shift_um, moved) in enumerate(((0.0, False), (0.0, False), (9.9, True))):
        at = np.array([[shift_um, 0.0]])
        image = specimen.render(1.0, 0.008, lambda t, at=at: np.tile(at, (len(t), 1)))
        found = sight.look(image)
        assert found.good == (step > 0)
        assert (len(found.lines_px) == 1) == moved
    (start, end), *_ = found.lines_px
    assert np.hypot(*(end - start)) == pytest.approx(20.0, abs=0.3)
    needle = specimen.render(
        1.0,
        0.008,
        lambda t: np.zeros((len(t), 2)),
        lambda t: np.tile((20.0, 10.0, 0.0), (len(t), 1)),
    )
    seen = Sight("drift", 10.0, 0.495).look(needle)
    assert seen.good
    assert seen.point_px == pytest.approx((319.5 + 20 / 0.495, 239.5 + 10 / 0.495), abs=3.0)


def _measured() -> object:
    nominal = nominal_calibration("20x", 640, 480)
    return nominal.model_copy(update={"origin": "measured"})
