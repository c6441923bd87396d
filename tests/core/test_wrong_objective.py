"""An objective that was changed without a word is noticed while following; the right one never."""

from __future__ import annotations

import pytest

from tests.core.misled_loop import misled


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_changed_objective_leads_to_hold_within_three_seconds(factor: float) -> None:
    named = 0
    for seed in range(3):
        loop = misled(factor, seed)
        held_after_s = loop.run_until_held(6.0)
        assert held_after_s is not None
        assert held_after_s <= 3.0
        named += "objective" in loop.pilot.state.reason
    assert named >= 2  # of many, one in twenty is lost before there is evidence


@pytest.mark.parametrize("seed", range(2))
def test_the_right_one_is_never_suspected(seed: int) -> None:
    loop = misled(1.0, seed)
    loop.run(8.0)
    assert loop.chosen_s is not None
    assert "objective" not in loop.pilot.state.reason
