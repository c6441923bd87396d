"""No target, start or velocity gets past the soft limits."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import LimitError
from drivers.limits import SoftLimits

BOX = SoftLimits((-1000.0, -500.0), (2000.0, 700.0), max_speed_um_s=1500.0)
any_number = st.floats(allow_nan=True, allow_infinity=True)
wide = st.floats(-5000, 5000)


def inside(xy: tuple[float, float]) -> bool:
    return -1000 <= xy[0] <= 2000 and -500 <= xy[1] <= 700


@settings(max_examples=150, deadline=None)
@given(st.tuples(wide | any_number, wide | any_number))
def test_a_target_passes_exactly_if_it_is_inside(target):
    if inside(target):
        BOX.check_target("stage", target, (0.0, 0.0))
    else:
        with pytest.raises(LimitError) as caught:
            BOX.check_target("stage", target, (0.0, 0.0))
        axis = "x" if not -1000 <= target[0] <= 2000 else "y"
        assert f"on axis {axis} is outside the soft limits" in str(caught.value)
        assert "nothing was sent" in str(caught.value)


def test_m1_of_ten_thousand_random_targets_none_escapes():
    dice = random.Random(4)
    passed = 0
    for _ in range(10_000):
        target = (dice.uniform(-4000, 4000), dice.uniform(-2000, 2000))
        try:
            BOX.check_target("stage", target, (0.0, 0.0))
        except LimitError:
            assert not inside(target)
        else:
            assert inside(target)
            passed += 1
    assert 800 < passed < 1500  # 11% of the area


def test_a_start_outside_is_refused_too():
    with pytest.raises(LimitError, match=r"the present position 2500\.0 um on axis x"):
        BOX.check_target("stage", (0.0, 0.0), (2500.0, 0.0))
    with pytest.raises(LimitError, match="has 3 axes, the limits 2"):
        BOX.check_target("stage", (0.0, 0.0, 0.0), (0.0, 0.0))


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.floats(-1000, 2000), st.floats(-500, 700)), st.tuples(wide, wide))
def test_an_allowed_velocity_can_always_be_stopped_inside(position, velocity):
    reach_s, a = 0.23, 50_000.0
    v = BOX.clamped("stage", velocity)
    try:
        BOX.check_velocity("stage", v, position, reach_s=reach_s, acceleration_um_s2=a)
    except LimitError:
        return
    x, y = (at + u * reach_s + u * abs(u) / (2 * a) for at, u in zip(position, v, strict=True))
    assert inside((x, y))


@given(st.tuples(wide, wide))
def test_from_outside_only_the_way_back_is_open(velocity):
    v = BOX.clamped("stage", velocity)
    check = {"reach_s": 0.2, "acceleration_um_s2": 50_000.0}
    outside = (2600.0, 0.0)
    if v[0] > 0:
        with pytest.raises(LimitError):
            BOX.check_velocity("stage", v, outside, **check)
    elif abs(v[1]) < 100:
        BOX.check_velocity("stage", v, outside, **check)


@given(st.tuples(wide, wide))
def test_only_speed_is_clamped_and_direction_kept(velocity):
    v = BOX.clamped("stage", velocity)
    speed = math.hypot(*velocity)
    assert math.hypot(*v) == pytest.approx(min(speed, 1500.0), abs=1e-9)
    assert v[0] * velocity[1] == pytest.approx(v[1] * velocity[0], abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_no_number_never_passes(bad):
    with pytest.raises(LimitError, match="is no number"):
        BOX.clamped("stage", (bad, 0.0))
    with pytest.raises(LimitError, match="position of axis x is unknown"):
        BOX.check_velocity(
            "stage", (1.0, 0.0), (math.nan, 0.0), reach_s=0.2, acceleration_um_s2=1e5
        )


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (-math.inf, 1.0), (0, math.nan)])
def test_limits_that_are_no_range_are_refused(low, high):
    with pytest.raises(LimitError, match="each low must be below its high"):
        SoftLimits((low, 0.0), (high, 1.0))
