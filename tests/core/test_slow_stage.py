"""Beside a stage that follows a slow sperm, swimmers do not look like a wrong calibration."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.watch import ScaleWatch


@pytest.mark.parametrize("speed_um_s", [8.0, 15.0, 30.0])
def test_swimmers_about_a_slow_target_are_no_sign_of_a_wrong_objective(speed_um_s: float) -> None:
    said = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        watch, count = ScaleWatch(), 9
        heading = rng.uniform(0, 2 * np.pi, count + 1)
        speed = np.append(rng.uniform(5, 45, count), speed_um_s)
        place_um = np.zeros((count + 1, 2))
        for frame in range(900):
            heading = heading + rng.normal(0, np.sqrt(2 * 0.05 / 30), count + 1)
            along = np.stack([np.cos(heading), np.sin(heading)], axis=1)
            place_um = place_um + speed[:, None] * along / 30
            raw_um = place_um[:count] + rng.normal(0, 0.35, (count, 2))
            why = watch.observe(frame / 30, place_um[-1], np.arange(count), raw_um, target=-1)
            said += [why] if why else []
    assert said == []
