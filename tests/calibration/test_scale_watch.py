"""What a long move through a wrong map leaves behind: no track, but a picture that tells why."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.watch import ScaleWatch


def after_a_jump(larger: float, seed: int) -> ScaleWatch:
    """20 sperm, slow and quick, new numbers after a jump of 70 um through a map so much larger."""
    rng = np.random.default_rng(seed)
    at_um = rng.uniform(-120, 120, (20, 2))
    heading, speed = rng.uniform(0, 2 * np.pi, 20), rng.uniform(0, 50, 20)
    swims_um_s = speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    watch = ScaleWatch()
    for frame in range(20):
        time_s = frame / 30
        pose_um = np.array((60.0, -36.0)) if frame >= 8 else np.zeros(2)
        seen_um = at_um + swims_um_s * time_s + rng.normal(0, 0.35, at_um.shape)
        raw_um = pose_um + larger * (seen_um - pose_um)
        raw_um[rng.random(20) < 0.1] = np.nan
        number = np.arange(20) + (100 if frame >= 8 else 0)
        assert watch.observe(time_s, pose_um, number, raw_um, target=-1) == ""
    return watch


@pytest.mark.parametrize("seed", range(10))
def test_a_map_that_is_twice_too_large_is_named_after_the_first_jump(seed: int) -> None:
    why = after_a_jump(2.0, seed).suspicion()
    assert "confirm the objective" in why
    told = float(why.split("about ")[1].split(" times")[0])
    assert told == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("seed", range(10))
def test_the_right_map_is_not_blamed_for_a_loss(seed: int) -> None:
    assert after_a_jump(1.0, seed).suspicion() == ""


def test_nothing_seen_is_no_evidence() -> None:
    assert ScaleWatch().suspicion() == ""
