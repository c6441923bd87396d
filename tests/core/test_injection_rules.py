"""What a person is told of the sequence: where it stands, what can be asked for, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from virtual_injection import DISH_UM, SAFE_UM, VirtualInjection

from app.core.injection_rules import OFFERED, Standing, refusal
from app.core.injection_values import BUSY, Sense, Step
from app.core.messages import Abort, Align, Carry, Descend, LetGo, Retract, StandBy, Tap, Teach
from app.core.selection import Target
from drivers.pose import Pose

HERE = Pose(0.0, 0.0, 0.0, 50.0, False)
UNSURE = Pose(0.0, 0.0, 0.0, 50.0, None)
TARGET = Target(1, 0.0, np.zeros(2), np.zeros(2), True, 1.0)
SENSE = Sense(HERE, True, np.zeros(2), True, TARGET)
IDLE = Standing(
    Step.STANDBY, Step.STANDBY, moves=False, low=False, oocyte_taught=True, target_known=True
)
MET = replace(IDLE, step=Step.CONTACT, bound_for=Step.CONTACT, low=True)


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize(("armed", "moves"), [(True, False), (False, False), (True, True)])
def test_up_can_be_asked_for_disarmed_and_nothing_else(step, armed, moves) -> None:
    standing = replace(IDLE, step=step, bound_for=step, moves=moves)
    sense = replace(SENSE, armed=armed)
    assert refusal(Abort(), standing, sense) == ""
    for command in OFFERED:
        if command == Abort():
            continue
        why = refusal(command, standing, sense)
        if not armed and command != Retract():
            assert why == "arm first"
        if not armed and command == Retract():
            assert (why == "") is not (moves or step in BUSY)
        if moves and armed and command != Descend():
            assert "stop it first" in why


@pytest.mark.parametrize(
    ("command", "standing", "sense", "words"),
    [
        (Align("tail"), IDLE, SENSE, ""),
        (Align("head"), replace(IDLE, low=True), SENSE, "retract first"),
        (Align("head"), IDLE, replace(SENSE, target=None), "follows no sperm"),
        (Descend(), IDLE, SENSE, "align it first"),
        (Descend(), replace(IDLE, step=Step.ALIGNED), SENSE, ""),
        (Descend(), replace(IDLE, step=Step.PAUSED, low=True), SENSE, ""),
        (Descend(), MET, SENSE, "in contact"),
        (Tap(), MET, SENSE, ""),
        (Tap(), replace(MET, target_known=False), SENSE, "not found by itself"),
        (Tap(), IDLE, SENSE, "not in contact"),
        (Carry(), replace(IDLE, oocyte_taught=False), SENSE, "not been taught"),
        (Carry(), replace(IDLE, low=True), SENSE, "retract first"),
        (Carry(), IDLE, replace(SENSE, stage_um=None), "stage's position is not known"),
        (Teach(), IDLE, replace(SENSE, stage_rests=False), "at rest"),
        (StandBy(), IDLE, replace(SENSE, pipette=None), "position is not known"),
        (Abort(), IDLE, replace(SENSE, pipette=None), "position is not known"),
        (Retract(), MET, replace(SENSE, armed=False), ""),
        (Retract(), MET, replace(SENSE, armed=False, pipette=None), "position is not known"),
        (Retract(), MET, replace(SENSE, armed=False, pipette=UNSURE), "position is not known"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_reason(command, standing, sense, words) -> None:
    why = refusal(command, standing, sense)
    assert words in why
    assert bool(why) == bool(words)


def test_the_outlook_is_what_a_press_would_find(aligned: VirtualInjection) -> None:
    run = aligned
    seen = set()
    for _ in range(200):
        outlook = run.machine.outlook(run.sense())
        assert set(outlook.refusals) == set(OFFERED)
        seen.add(outlook.step)
        run.pressed = True
        assert outlook.aim_um is not None
        assert np.linalg.norm(outlook.aim_um - run.tail_um(10.0)) < 6.0
        if outlook.step is Step.CONTACT and not outlook.under_way:
            break
        for command in (Tap(), Carry()):
            assert outlook.refusals[command]
            assert outlook.refusals[command] in run.machine.obey(command, run.now_s, run.sense())
        run.step()
    run.pressed = False
    assert seen >= {Step.ALIGNED, Step.DESCENDING, Step.CONTACT}
    assert run.machine.outlook(run.sense()).refusals[Tap()] == ""
    assert run.machine.outlook(run.sense()).refusals[Descend()] == "the tip is in contact"


def test_the_height_is_told_above_the_dish_and_kept_while_it_moves(
    aligned: VirtualInjection,
) -> None:
    run = aligned
    run.run(0.2)
    height_um = run.machine.outlook(run.sense()).height_um
    assert height_um == pytest.approx(SAFE_UM - DISH_UM, abs=5.0)
    moving = replace(run.sense(), pipette=Pose(run.now_s, *(float("nan"),) * 3, True))
    assert run.machine.outlook(moving).height_um == height_um
    assert run.machine.outlook(replace(moving, pipette=None)).height_um is None


def test_what_ended_a_descent_is_not_overcome_by_holding_on(aligned: VirtualInjection) -> None:
    run = aligned
    run.pressed = True
    while run.needle_um(run.now_s)[2] > DISH_UM + 60.0:
        run.step()
    target = run.sense().target
    assert target is not None
    run.machine._target_id = target.track_id + 1000  # another sperm is followed now
    for _ in range(30):
        run.step()
    assert run.machine.step is Step.PAUSED
    assert run.machine.reason == "the sperm is lost"
    assert sum(text.startswith("paused") for text in run.notes) == 1
    run.machine._target_id = target.track_id
    for _ in range(30):
        run.step()
    assert run.machine.step is Step.PAUSED  # the control is still held
    run.machine.obey(LetGo(), run.now_s, run.sense())
    for _ in range(3):
        run.step()
    assert run.machine.step is Step.DESCENDING


def test_a_refused_press_is_told_once(aligned: VirtualInjection) -> None:
    run = aligned
    run.machine.stop(run.now_s, "Stop pressed")
    told = []
    for k in range(20):
        told.append(run.machine.obey(Descend(), run.now_s + 0.03 * k, run.sense()))
    assert [bool(text) for text in told] == [True] + [False] * 19
    assert "descend: not now: it is stopped" in told[0]
    assert run.machine.obey(Descend(), run.now_s + 2.0, run.sense())
