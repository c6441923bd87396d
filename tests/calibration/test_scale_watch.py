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


def test_a_map_that_is_twice_too_large_is_named_after_the_first_jump() -> None:
    told = []
    for seed in range(10):
        why = after_a_jump(2.0, seed).suspicion()
        if why:
            assert "confirm the objective" in why
            told.append(float(why.split("about ")[1].split(" times")[0]))
    assert len(told) >= 8  # chance is no evidence: now and then there is too little
    assert told == pytest.approx([2.0] * len(told), abs=0.3)


@pytest.mark.parametrize("seed", range(10))
def test_the_right_map_is_not_blamed_for_a_loss(seed: int) -> None:
    assert after_a_jump(1.0, seed).suspicion() == ""


def test_nothing_seen_is_no_evidence() -> None:
    assert ScaleWatch().suspicion() == ""


@pytest.mark.parametrize("quick_um_s", [(30.0, 80.0), (60.0, 120.0)])
def test_a_crowd_of_quick_sperm_does_not_make_the_right_map_a_suspect(
    quick_um_s: tuple[float, float],
) -> None:
    """Where many swim fast, one lies wherever another might have been put."""
    blamed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        at_um = rng.uniform(-150, 150, (30, 2))
        heading, speed = rng.uniform(0, 2 * np.pi, 30), rng.uniform(*quick_um_s, 30)
        swims_um_s = speed[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        watch = ScaleWatch()
        for frame in range(45):
            pose_um = np.array((2.0 * frame, 0.0))
            raw_um = at_um + swims_um_s * frame / 30 + rng.normal(0, 0.3, at_um.shape)
            raw_um[np.abs(raw_um - pose_um).max(axis=1) > 150] = np.nan
            watch.observe(frame / 30, pose_um, np.arange(30), raw_um, target=-1)
        blamed += watch.suspicion() != ""
    assert blamed <= 2
