"""With the pipette down the stage stays in a window, and the pipette goes down only then."""

from __future__ import annotations

import psutil
import pytest
from emulated import Emulated, emulated, wait_until
from hypothesis import given
from hypothesis import strategies as st

from drivers.descent import Descent
from drivers.errors import DeviceError, GuardianError, LimitError
from drivers.guarded import GuardedManipulator, GuardedStage
from drivers.guardian_messages import GuardianSettings
from drivers.limits import SoftLimits
from drivers.mp285 import codec as mp285
from drivers.permission import Permission
from drivers.prior import codec as prior
from drivers.protocols import Manipulator

WIDE = SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0)
REACH = SoftLimits((-5_000.0,) * 3, (5_000.0,) * 3, 1_300.0)
SAFE_UM = -100.0
HALF_UM, SLOW_UM_S = 150.0, 150.0


@pytest.fixture(scope="module")
def instruments():
    with emulated("proscan") as stage, emulated("mp285", "--baud", "115200") as pipette:
        yield stage, pipette


@pytest.fixture
def rig(instruments):
    stage_end, pipette_end = instruments
    with (
        GuardedStage(stage_end.url, WIDE, deadman_s=0.5) as stage,
        GuardedManipulator(
            pipette_end.url, REACH, baud=115200, safe_z_um=SAFE_UM, deadman_s=2.0,
            options={"poll_s": 0.0},
        ) as pipette,
    ):  # fmt: skip
        pipette.permit_descent()
        pipette.move_to(0.0, 0.0, 0.0, 1_300.0)
        arrive(pipette)
        pipette.forbid_descent()
        stage.move_to(0.0, 0.0)
        wait_until(lambda: stage.read_pose().moving is False)
        yield stage, pipette, stage_end


def arrive(pipette: Manipulator) -> None:
    wait_until(lambda: pipette.read_pose().moving is False)


def tied(stage: GuardedStage, pipette: GuardedManipulator) -> Descent:
    return Descent(pipette, stage, SAFE_UM, half_um=HALF_UM, max_speed_um_s=SLOW_UM_S)


def test_the_stage_shrinks_to_a_window_before_the_pipette_goes_down(rig):
    stage, pipette, truth = rig
    descent = tied(stage, pipette)
    assert isinstance(descent, Manipulator)
    assert descent.window is None
    descent.move_to(0.0, 0.0, -300.0, 1_300.0)
    assert descent.window is not None
    for target in ((151.0, 0.0), (0.0, -151.0), (20_000.0, 0.0)):
        with pytest.raises(LimitError, match="outside the soft limits"):
            stage.move_to(*target)
    stage.set_velocity(2_000.0, 0.0)
    wait_until(truth.moves)
    wait_until(lambda: truth.truth.latest()[2][0] >= SLOW_UM_S - 1)
    assert truth.truth.latest()[2][0] == pytest.approx(SLOW_UM_S, rel=0.01)
    with pytest.raises(LimitError, match="cannot be stopped before the soft limit"):
        wait_until(lambda: stage.set_velocity(2_000.0, 0.0))
    truth.rest_s()
    assert abs(truth.position_um()[0]) < HALF_UM
    arrive(descent)
    assert descent.window is not None

    descent.move_to(0.0, 0.0, 0.0, 1_300.0)
    arrive(descent)
    assert descent.window is None
    stage.move_to(2_000.0, 0.0)
    wait_until(lambda: stage.read_pose().moving is False)
    assert truth.position_um()[0] == pytest.approx(2_000.0, abs=0.5)


def test_a_pipette_that_is_not_tied_to_a_stage_stays_up(rig):
    _, pipette, _ = rig
    with pytest.raises(LimitError, match=r"below the safe height of -100 um; the stage has to be"):
        pipette.move_to(0.0, 0.0, SAFE_UM - 1.0, 500.0)
    pipette.move_to(0.0, 0.0, SAFE_UM, 1_000.0)
    arrive(pipette)


def test_a_stage_in_motion_is_stopped_when_it_is_confined(rig):
    stage, pipette, truth = rig
    descent = tied(stage, pipette)
    stage.move_to(10_000.0, 0.0)
    wait_until(truth.moves)
    descent.move_to(0.0, 0.0, -200.0, 1_300.0)
    assert not truth.moves()
    assert descent.window is not None
    x_um = truth.position_um()[0]
    assert descent.window.low_um[0] == pytest.approx(x_um - HALF_UM, abs=1.0)
    assert descent.window.high_um[0] == pytest.approx(x_um + HALF_UM, abs=1.0)
    arrive(descent)


def test_a_pipette_found_down_confines_the_stage(rig):
    stage, pipette, _ = rig
    pipette.permit_descent()
    pipette.move_to(0.0, 0.0, -250.0, 1_300.0)
    arrive(pipette)
    with pytest.raises(GuardianError, match="is below its safe height; raise it first"):
        pipette.forbid_descent()
    assert tied(stage, pipette).window is not None
    with pytest.raises(LimitError):
        stage.move_to(5_000.0, 0.0)


def test_the_window_outlives_its_guardian_and_a_reconnection(rig):
    stage, pipette, _ = rig
    tied(stage, pipette).move_to(0.0, 0.0, -200.0, 1_300.0)
    stage.reconnect()
    with pytest.raises(LimitError):
        stage.move_to(1_000.0, 0.0)
    psutil.Process(stage.guardian_pid).kill()
    wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
    stage.reconnect()
    with pytest.raises(LimitError):
        stage.move_to(1_000.0, 0.0)
    arrive(pipette)


def test_a_stage_that_cannot_be_confined_keeps_the_pipette_up(rig):
    stage, pipette, truth = rig
    descent = tied(stage, pipette)
    psutil.Process(stage.guardian_pid).kill()
    wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
    with pytest.raises(DeviceError):
        descent.move_to(0.0, 0.0, -200.0, 1_300.0)
    assert pipette.read_pose().z_um == pytest.approx(0.0, abs=0.1)
    assert isinstance(truth, Emulated)


def test_a_stage_that_fails_with_the_pipette_down_leaves_the_way_up_open(rig):
    stage, pipette, _ = rig
    descent = tied(stage, pipette)
    descent.move_to(0.0, 0.0, -200.0, 1_300.0)
    arrive(descent)
    psutil.Process(stage.guardian_pid).kill()
    wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
    descent.move_to(0.0, 0.0, 0.0, 1_300.0)
    arrive(descent)
    assert descent.read_pose().z_um == pytest.approx(0.0, abs=0.1)
    descent.move_to(-40.0, 0.0, 0.0, 1_300.0)  # the second leg of an abort
    arrive(descent)
    assert descent.events() == []
    assert descent.window is not None
    stage.reconnect()
    arrive(descent)
    assert descent.window is None  # free again, once it can be told so


def test_a_pipette_found_down_beside_a_stage_that_failed_is_told_and_can_be_raised(rig):
    stage, pipette, _ = rig
    descent = tied(stage, pipette)
    psutil.Process(stage.guardian_pid).kill()
    wait_until(lambda: any(kind == "died" for kind, _ in stage.events()))
    pipette.permit_descent()  # as a hand on its knobs would
    pipette.move_to(0.0, 0.0, -200.0, 1_300.0)
    arrive(pipette)
    for _ in range(3):
        assert descent.read_pose().z_um == pytest.approx(-200.0, abs=0.1)
    ((kind, why),) = descent.events()
    assert kind == "fault"
    assert "it is low, and the stage is free to move" in why
    with pytest.raises(DeviceError):
        descent.move_to(0.0, 0.0, -210.0, 100.0)
    descent.move_to(0.0, 0.0, 0.0, 1_300.0)
    arrive(descent)
    stage.reconnect()


def test_no_speed_is_set_while_the_pipette_is_down(rig):
    # SMS is one flipped bit from SIS, which drives into the ends
    stage, pipette, _ = rig
    tied(stage, pipette).move_to(0.0, 0.0, -200.0, 1_300.0)
    before = len(stage.transcript(2000))
    pose = stage.read_pose()
    stage.move_to(pose.x_um + 20.0, pose.y_um)
    wait_until(lambda: stage.read_pose().moving is False)
    sent = [data for _, way, data in stage.transcript(2000)[before:] if way == ">"]
    assert any(data.startswith(b"G,") for data in sent)
    assert not any(data.startswith(b"SMS") for data in sent)
    arrive(pipette)


@pytest.mark.parametrize("verb", ["SIS", "RIS", "M", "Z", "F", "B", "L", "R", "U", "D", "P", "V"])
def test_what_drives_far_or_moves_the_origin_cannot_be_said(verb):
    with pytest.raises(ValueError, match="not among the commands that may be sent"):
        prior.encode(verb)


def test_the_manipulator_has_no_words_for_origin_and_reset():
    said = [value for value in vars(mp285).values() if isinstance(value, bytes)]
    assert not {b"o\r", b"r\r", b"b\r"} & set(said)


def test_a_window_as_wide_as_all_confines_all_the_same():
    settings = GuardianSettings("proscan", "", "stage", (-900.0,) * 2, (900.0,) * 2, 1_000.0)
    permission = Permission("stage", settings)
    assert permission.move_speed_um_s(2_000.0) == 2_000.0
    permission.confine((0.0, 0.0), 2_000.0, 1_000.0)
    assert permission.confined
    assert permission.move_speed_um_s(2_000.0) == 1_000.0
    permission.release()
    assert not permission.confined


@pytest.mark.parametrize("half_um", [0.0, -1.0, float("nan"), float("inf")])
def test_a_window_that_is_none_is_refused(half_um):
    box = SoftLimits((-900.0,) * 2, (900.0,) * 2, 1_000.0)
    for window in ((half_um, 100.0), (100.0, half_um)):
        with pytest.raises(LimitError, match=r"are no window; nothing was confined"):
            box.window("stage", (0.0, 0.0), *window)


SETTINGS = GuardianSettings("mp285", "COM1", "pipette", (-5e3,) * 3, (5e3,) * 3, safe_z_um=10.0)
heights = st.floats(-5_000, 5_000)


@given(heights, heights, st.sampled_from([1, -1]))
def test_low_is_low_from_either_end_and_either_way_up(start_um, target_um, up):
    permission = Permission("pipette", SETTINGS.__class__(**{**SETTINGS.to_json(), "up": up}))
    low = min(up * start_um, up * target_um) < up * 10.0 - 0.5

    def go() -> None:
        permission.check_move((0.0, 0.0, target_um), (0.0, 0.0, start_um))

    if low:
        with pytest.raises(LimitError, match="below the safe height"):
            go()
    else:
        go()
    permission.permit_descent()
    go()


@given(st.floats(-900, 1_900), st.floats(1, 5_000), st.floats(1, 1e4))
def test_a_window_is_never_larger_or_faster_than_the_box(at_um, half_um, speed_um_s):
    box = SoftLimits((-1000.0, -500.0), (2000.0, 700.0), max_speed_um_s=1500.0)
    window = box.window("stage", (at_um, 0.0), half_um, speed_um_s)
    assert window.max_speed_um_s <= min(1500.0, speed_um_s)
    for low, high, box_low, box_high in zip(
        window.low_um, window.high_um, box.low_um, box.high_um, strict=True
    ):
        assert box_low <= low < high <= box_high
        assert high - low <= 2 * half_um + 1e-6
    with pytest.raises(LimitError):
        box.window("stage", (2_500.0, 0.0), half_um, speed_um_s)
