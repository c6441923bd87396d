"""The injection sequence: a sperm that swims, a hand on the control, a dish that is met."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from virtual_injection import DISH_UM, LIMITS, PARK_UM, SAFE_UM, VirtualInjection, sequences

from app.core.injection import KNOWN_S
from app.core.injection_values import Sense, Step
from app.core.interlocks import Health
from app.core.lowering import MICRO_S
from app.core.messages import (
    Abort,
    Align,
    Carry,
    Descend,
    Disarm,
    LetGo,
    Mode,
    Park,
    Retract,
    Stop,
    Tap,
)

FRESH = Health(0.0, 0.15, 0.0)


def check(runs: list[VirtualInjection]) -> tuple[float, float]:
    """What holds in each run; rms of the tip from its target, and the deepest descent, um."""
    for run in runs:
        assert run.violations == [], run.seed
        assert run.machine.step is Step.PARKED
        assert run.machine.immobilised == 1
        assert run.killed_s < np.inf
        for _, order, held in run.orders:
            down = order.to_um[2] < SAFE_UM and order.down
            assert held or not down
        assert any(text.startswith("immobilised: no motion") for text in run.notes)
    off_um = np.array([d.off_um for run in runs for d in run.descents])
    below_um = np.array([d.below_um for run in runs for d in run.descents])
    aimed_um = off_um[np.isfinite(off_um)]
    assert len(aimed_um) >= 2 * len(runs)
    assert below_um.min() > -0.5  # never called before it is met
    assert below_um.max() <= 5.0
    return float(np.sqrt((aimed_um**2).mean())), float(below_um.max())


def test_from_the_park_position_to_the_oocyte_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    rms_um, deepest_um = check(list(sequences(6)))
    with capsys.disabled():
        print(f" tip {rms_um:.2f} um rms, at most {deepest_um:.1f} um below the dish", end="")
    assert rms_um <= 2.0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    rms_um, deepest_um = check(list(sequences(100)))
    with capsys.disabled():
        print(f" tip {rms_um:.2f} um rms, at most {deepest_um:.1f} um below the dish", end="")
    assert rms_um <= 2.0


def hold(run: VirtualInjection) -> None:
    run.pressed, run.pressed_s = True, -np.inf


def down_to(run: VirtualInjection, height_um: float) -> None:
    hold(run)
    while run.needle_um(run.now_s)[2] > DISH_UM + height_um:
        run.step()
        assert run.machine.step is Step.DESCENDING, run.machine.reason


def refused(run: VirtualInjection, command: object) -> str:
    return run.machine.obey(command, run.now_s, run.sense())  # type: ignore[arg-type]


def test_m11_released_is_at_rest_within_100_ms(aligned: VirtualInjection) -> None:
    run = aligned
    for _ in range(12):
        down_to(run, run.needle_um(run.now_s)[2] - DISH_UM - 1.0)
        run.pressed = False
        let_go_s = run.now_s + float(run.dice.uniform(0.0, 0.1))
        while run.now_s < let_go_s:
            run.step()
        assert refused(run, LetGo()) == ""
        released_s = run.now_s
        run.obey_order()
        at_um = run.needle_um(max(run.needle.rest_s, run.now_s))
        assert run.needle.rest_s - released_s < 0.100
        for _ in range(30):
            run.step()
        assert run.needle_um(run.now_s)[2] == at_um[2]
        assert run.machine.step is Step.PAUSED


def test_a_control_that_is_not_renewed_is_let_go(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 60.0)
    run.pressed = False  # the window froze: no word of it
    silent_s = run.now_s
    for _ in range(15):
        run.step()
    assert run.machine.step is Step.PAUSED
    assert run.machine.reason == "the control was let go"
    assert run.orders[-1][0] - silent_s < 0.150


def test_every_step_down_is_short_and_needs_the_control(aligned: VirtualInjection) -> None:
    run = aligned
    hold(run)
    run.until(Step.CONTACT)
    for _, order, held in run.orders:
        if order.down:
            assert held
    steps = [order for _, order, _ in run.orders if order.down]
    for before, after in itertools.pairwise(steps):
        way_um = np.abs(np.array(after.to_um) - before.to_um).max()
        assert way_um / after.speed_um_s <= MICRO_S + 1e-9


def test_what_does_not_fit_the_moment_is_refused_and_says_why(aligned: VirtualInjection) -> None:
    run = aligned
    assert "not in contact" in refused(run, Tap())
    assert "has not been taught" in refused(run, Carry())
    down_to(run, 40.0)
    assert "it is descending" in refused(run, Retract())
    run.pressed = False
    run.until(Step.PAUSED)
    run.run(0.3)
    assert "retract first" in refused(run, Align("head"))
    run.pilot.obey(Disarm(), run.now_s, FRESH, "")
    assert "arm first" in refused(run, Descend())


def test_disarmed_on_the_way_it_freezes(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 60.0)
    run.pilot.obey(Stop(), run.now_s, FRESH, "")
    run.step()
    assert run.machine.step is Step.FROZEN
    at_um = run.needle_um(run.needle.rest_s)
    hold(run)
    run.run(2.0)
    assert run.needle_um(run.now_s) == pytest.approx(at_um)


@pytest.mark.parametrize("height_um", [60.0, 4.0])
def test_m12_retract_goes_straight_up_also_disarmed_and_stop_freezes_it(
    aligned: VirtualInjection, height_um: float
) -> None:
    run = aligned
    down_to(run, height_um)
    run.pilot.obey(Stop(), run.now_s, FRESH, "")
    run.run(0.5)
    assert run.machine.step is Step.FROZEN
    run.pressed = False
    at_um, sent = run.needle_um(run.now_s), len(run.orders)
    run.press(Retract())
    run.step()
    assert run.needle.rest_s > run.now_s
    run.machine.stop(run.now_s, "Stop pressed")
    run.needle.halt(run.now_s)
    run.run(1.0)
    assert run.machine.step is Step.FROZEN
    assert len(run.orders) == sent + 1  # nothing by itself after a stop
    run.press(Retract())
    run.until(Step.RAISED)
    assert run.pilot.state.mode is Mode.DISARMED
    assert run.needle_um(run.now_s) == pytest.approx((*at_um[:2], SAFE_UM), abs=0.1)
    for _, order, _ in run.orders[sent:]:
        assert not order.down
        assert order.to_um[2] >= at_um[2]
    for command in (Park(), Carry(), Descend()):
        assert "arm first" in refused(run, command)


def test_m12_disarmed_while_it_retracts_it_freezes(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 60.0)
    run.pressed = False
    run.until(Step.PAUSED)
    run.run(0.3)
    run.press(Retract())
    run.step()
    run.pilot.obey(Disarm(), run.now_s, FRESH, "")
    run.step()
    assert run.machine.step is Step.FROZEN


def test_a_sperm_that_is_lost_pauses_the_descent(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 60.0)
    run.missing = frozenset(range(run._frame, run._frame + 10_000))
    run.until(Step.PAUSED)
    assert run.machine.reason == "the sperm is lost"
    assert run.pilot.state.mode is Mode.HOLD


def one_with_another(run: VirtualInjection) -> None:
    """From now on the target's head is found as one with another's: the track is foretold."""
    see = type(run).sense

    def sense() -> Sense:
        found = see(run)
        assert found.target is not None
        there_um = found.target.position_um
        return replace(found, target=replace(found.target, seen=False, shared_um=there_um))

    run.sense = sense  # type: ignore[method-assign]


def test_no_step_down_beside_a_sperm_that_is_only_foretold(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 60.0)
    one_with_another(run)
    since_s = run.now_s
    while run.now_s - since_s < 1.4:
        run.step()
    assert since_s < run.orders[-1][0] < since_s + KNOWN_S
    assert run.machine.step is Step.DESCENDING  # the control is still held
    assert run.machine.reason == "waiting until the sperm is found by itself"
    assert run.notes.count(run.machine.reason) == 1
    del run.sense
    run.step()
    run.step()
    assert run.orders[-1][0] > since_s + 1.4
    assert run.machine.reason == ""
    run.until(Step.CONTACT)
    run.pressed = False
    run.machine.obey(LetGo(), run.now_s, run.sense())
    run.run(0.2)
    one_with_another(run)
    run.run(KNOWN_S + 0.1)
    sent = len(run.orders)
    assert "not found by itself" in refused(run, Tap())
    assert run.machine.outlook(run.sense()).refusals[Tap()]
    run.run(0.2)
    assert len(run.orders) == sent
    del run.sense
    run.run(0.1)
    assert refused(run, Tap()) == ""


def test_near_the_dish_it_does_not_go_down_blind(aligned: VirtualInjection) -> None:
    run = aligned
    run._see_tip = lambda frame_s: None  # type: ignore[method-assign]
    hold(run)
    run.until(Step.PAUSED)
    assert run.machine.reason == "the tip is not seen"
    assert run.needle_um(run.now_s)[2] > DISH_UM + 5.0


def test_no_contact_ends_a_little_below_the_place_that_was_taught(
    aligned: VirtualInjection,
) -> None:
    run = aligned
    run.mounting.dish.z_um -= 100.0  # the dish is not there
    hold(run)
    run.until(Step.PAUSED)
    assert run.machine.reason == "no contact where the dish was taught to be"
    assert run.needle_um(run.now_s)[2] > LIMITS.low_um[2]
    assert run.violations == []


def test_a_sperm_that_goes_on_swimming_is_not_counted(aligned: VirtualInjection) -> None:
    run = aligned
    run._touch = lambda frame_s: None  # type: ignore[method-assign]
    run.descend()
    run.press(Tap())
    assert run.until(Step.IMMOBILE, Step.CONTACT) is Step.CONTACT
    assert run.machine.reason == "it still moves; tap again, or retract"
    assert run.machine.immobilised == 0


@pytest.mark.parametrize("height_um", [100.0, 50.0, 5.0, -1.0])
@pytest.mark.parametrize("armed", [True, False])
def test_m12_abort_goes_up_first_and_then_to_the_park_position(
    aligned: VirtualInjection, height_um: float, armed: bool
) -> None:
    run = aligned
    hold(run)
    while run.needle_um(run.now_s)[2] > DISH_UM + height_um:
        run.step()
        if run.machine.bound_for is Step.CONTACT:
            break
    if not armed:
        run.pilot.obey(Stop(), run.now_s, FRESH, "")
        run.machine.stop(run.now_s, "Stop pressed")
    run.pressed = False
    sent = len(run.orders)
    assert refused(run, Abort()) == ""
    run.until(Step.PARKED)
    legs = [order for _, order, _ in run.orders[sent:]]
    here = run.orders[sent - 1][1].to_um
    assert legs[0].to_um[2] >= SAFE_UM - 1e-9
    assert legs[0].to_um[:2] == pytest.approx(here[:2], abs=16.1)  # where it was frozen, upwards
    assert run.needle_um(run.now_s) == pytest.approx(PARK_UM, abs=0.1)
    assert run.violations == []


def test_abort_needs_a_known_pose_and_stop_moves_nothing(aligned: VirtualInjection) -> None:
    run = aligned
    down_to(run, 50.0)
    known = run.sense()
    blind = type(known)(None, *(getattr(known, name) for name in type(known).__slots__[1:]))
    assert "position is not known" in run.machine.obey(Abort(), run.now_s, blind)
    run.machine.stop(run.now_s, "Stop pressed")
    run.needle.halt(run.now_s)
    sent = len(run.orders)
    run.run(2.0)
    assert len(run.orders) == sent
    run.press(Park())
    run.until(Step.PARKED)


def test_each_step_is_written_down(aligned: VirtualInjection) -> None:
    text = "\n".join(aligned.notes)
    for part in ("stand by", "standing by", "align", "above the sperm"):
        assert part in text
