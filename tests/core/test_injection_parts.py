"""Legs, contact, stillness and aim, one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.aim import Aim, Point
from app.core.contact import ContactWatch, TipSight
from app.core.legs import legs
from app.core.selection import Target
from app.core.stillness import Stillness

um = st.floats(-2000, 2000)
places = st.tuples(um, um, um)


@settings(deadline=None)
@given(places, places, um, st.sampled_from([1, -1]))
def test_no_leg_sideways_is_below_the_safe_height(start, target, safe_um, up):
    way = legs(start, target, safe_um, up)
    here = start
    for corner in way:
        sideways = math.hypot(corner[0] - here[0], corner[1] - here[1])
        vertical = abs(corner[2] - here[2])
        assert sideways < 1e-9 or vertical < 1e-9
        if sideways > 0.5:
            assert min(up * here[2], up * corner[2]) >= up * safe_um - 1e-6
        here = corner
    assert math.dist(here, target) <= 0.75
    lifts = [up * (b[2] - a[2]) > 1e-9 for a, b in itertools.pairwise([start, *way])]
    assert lifts == sorted(lifts, reverse=True)  # up comes first, down comes last


def descend(
    rng: np.random.Generator,
    meets: bool,
    watch: ContactWatch,
    *,
    sd_um: float = 0.15,
    bad: float = 0.07,
    slope: float = 0.8,
    from_um: int = 10,
    settling_um: tuple[float, ...] = (),
) -> float | None:
    """Steps of 1 um down to, and past, height zero; the height at which contact is called."""
    off_um = rng.normal(0.0, 2.0, 2)
    direction = rng.uniform(0, 2 * np.pi)
    forward = np.array((math.cos(direction), math.sin(direction)))
    wander = np.array(settling_um)[:, None] * (0.97, 0.24)
    for k in range(from_um + 30):
        height_um = float(from_um - k)
        slide_um = slope * max(0.0, -height_um) * forward if meets else np.zeros(2)
        slide_um = slide_um + (wander[k] if k < len(wander) else 0.0)
        for look in range(2):
            noise_um = 1.0 if rng.uniform() < bad else sd_um
            seen_um = off_um + 0.01 * k + slide_um + rng.normal(0.0, noise_um, 2)
            if watch.observe(TipSight(k + look / 10, seen_um), np.zeros(2)):
                return height_um
            if not watch.suspects:
                break
    return None


def test_contact_is_called_within_5_um_and_hardly_ever_without():
    rng = np.random.default_rng(0)
    watch = ContactWatch()
    called, false = [], 0
    for _ in range(500):
        watch.restart()
        false += descend(rng, False, watch) is not None
        watch.restart()
        height_um = descend(rng, True, watch)
        assert height_um is not None
        called.append(height_um)
    assert false == 0
    assert np.mean(np.array(called) < -5.0) <= 0.01
    assert np.mean(np.array(called) > 0.5) <= 0.01


JUST_FOUND_UM = (10.7, -0.8, 2.2, 1.4, 1.0, 0.4)


@pytest.mark.parametrize(
    ("how", "late"),
    [
        ({"sd_um": 0.3}, 0.01),
        ({"sd_um": 0.3, "slope": 0.5}, 0.04),
        ({"sd_um": 0.2, "bad": 0.25}, 0.015),
        ({"from_um": 6, "settling_um": JUST_FOUND_UM}, 0.01),
        ({"from_um": 8, "sd_um": 0.3, "settling_um": (10.5, *JUST_FOUND_UM[1:], 0.2, -0.2)}, 0.01),
        ({"from_um": 3, "settling_um": JUST_FOUND_UM}, 0.05),
    ],
)
def test_a_slow_slide_noise_or_a_late_find_neither_delay_nor_feign_contact(how, late):
    watch, called = ContactWatch(), []
    for seed in range(200):
        watch.restart()
        height_um = descend(np.random.default_rng(seed), True, watch, **how)
        called.append(-math.inf if height_um is None else height_um)
    assert np.mean(np.array(called) < -5.0) <= late
    assert np.max(called) <= 0.5


def test_a_tip_that_is_only_just_found_and_settles_has_met_nothing() -> None:
    watch = ContactWatch()
    settling = [(10.5, 2.2), (-0.8, -0.1), (2.2, 0.6), (1.4, 0.4), (1.0, 0.3), (0.4, 0.3)]
    settling += [(0.2, 0.2), (-0.2, 0.0), (0.0, 0.0), (0.1, 0.0)]
    for k, off_um in enumerate(settling):
        assert not watch.observe(TipSight(float(k), np.array(off_um)), np.zeros(2))


@pytest.mark.parametrize(
    ("speed_um_s", "wobble_um", "drift_um_s", "still"),
    [(0.0, 0.0, 0.0, True), (0.0, 0.0, 3.0, True), (0.0, 1.8, 0.0, False), (12.0, 0.5, 0.0, False)],
)
def test_still_is_a_head_that_moves_no_more_than_the_noise(
    speed_um_s, wobble_um, drift_um_s, still
):
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        watch = Stillness(30.0)
        for k in range(60):
            time_s = k / 30.0
            x_um = (speed_um_s + drift_um_s) * time_s
            y_um = wobble_um * math.sin(2 * math.pi * 7.3 * time_s)
            head = np.array((x_um, y_um)) + rng.normal(0, 0.35, 2)
            watch.observe(time_s, head if rng.uniform() < 0.9 else None)
            if time_s < 0.99:
                assert not watch.is_still(time_s)
        found.append(watch.is_still(59 / 30.0))
    assert np.mean(found) >= 0.97 if still else not any(found)


def test_a_sperm_that_is_hardly_seen_is_not_still():
    watch = Stillness(30.0)
    for k in range(60):
        watch.observe(k / 30.0, np.zeros(2) if k % 3 == 0 else None)
    assert not watch.is_still(59 / 30.0)


def swimming(speed_um_s: float, time_s: float, angle: float) -> Target:
    along = np.array((math.cos(angle), math.sin(angle)))
    place = along * speed_um_s * time_s
    return Target(1, time_s, place, along * speed_um_s, seen=True, alone=True)


@pytest.mark.parametrize("speed_um_s", [5.0, 20.0, 100.0])
def test_the_tail_is_behind_the_head_also_after_it_has_stopped(speed_um_s):
    aim = Aim(10.0)
    for k in range(60):
        aim.observe(swimming(speed_um_s, k / 30, 0.7))
    last = swimming(speed_um_s, 59 / 30, 0.7)
    at_um = aim.at_um(last, Point.TAIL, 59 / 30)
    behind = last.position_um - 10.0 * np.array((math.cos(0.7), math.sin(0.7)))
    assert at_um == pytest.approx(behind, abs=1e-6)
    rest = Target(1, 3.0, last.position_um, np.zeros(2), seen=True, alone=True)
    for k in range(60):
        aim.observe(Target(1, 3.0 + k / 30, last.position_um, np.zeros(2), True, True))
    assert aim.at_um(rest, Point.TAIL, 3.0) == pytest.approx(behind, abs=1e-6)
    assert aim.at_um(rest, Point.HEAD, 3.0) == pytest.approx(last.position_um)
    assert abs(float(aim.across @ (last.position_um - behind))) < 1e-6


def test_a_tail_that_was_never_seen_to_swim_is_not_known():
    aim = Aim(10.0)
    rest = swimming(0.0, 0.0, 0.0)
    for k in range(60):
        aim.observe(swimming(0.0, k / 30, 0.0))
    assert aim.at_um(rest, Point.TAIL, 2.0) is None
    assert aim.at_um(rest, Point.HEAD, 2.0) is not None
