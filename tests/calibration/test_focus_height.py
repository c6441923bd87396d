"""The height of focus is told by the widening of the walls, with an honest uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.focus_height import MAX_SD_UM, focus_height_um
from calibration.pipette_procedure import HEIGHTS_UM

ABOVE_UM = np.array((0.0, *HEIGHTS_UM))


def blurs(z_um: np.ndarray, focus_um: float) -> np.ndarray:
    return np.hypot(1.4, 0.5 * (z_um - focus_um))


@pytest.mark.parametrize("up", [1, -1])
def test_a_hundred_sweeps_upward_from_below_the_focus(up: int) -> None:
    off, within = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        focus_um = up * rng.uniform(0.3, 4.0)
        blur_px = blurs(up * ABOVE_UM, focus_um) + rng.normal(0, 0.03, len(ABOVE_UM))
        blur_px[rng.integers(len(ABOVE_UM))] += 0.5
        found, sd = focus_height_um(up * ABOVE_UM, blur_px)
        off.append(abs(found - focus_um))
        within.append(abs(found - focus_um) < 3 * sd)
    assert np.quantile(off, 0.95) <= 0.3
    assert np.mean(within) >= 0.95


def test_a_focus_far_below_the_tip_is_not_guessed() -> None:
    just, sd = focus_height_um(ABOVE_UM, blurs(ABOVE_UM, -0.5))
    assert just == pytest.approx(-0.5, abs=0.05)
    assert 0.2 < sd < MAX_SD_UM
    assert np.isnan(focus_height_um(ABOVE_UM, blurs(ABOVE_UM, -3.0))).all()
    assert np.isnan(focus_height_um(ABOVE_UM, np.full(len(ABOVE_UM), 1.4))).all()
    assert np.isnan(focus_height_um(ABOVE_UM[:3], blurs(ABOVE_UM[:3], 0.5))).all()
