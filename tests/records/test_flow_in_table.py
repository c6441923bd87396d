"""The medium's flow makes no sperm progressive in sperm.csv; what cannot be known says why."""

from __future__ import annotations

import numpy as np
import pytest

from app.records.sperm_table import SpermPath, SpermTable, sperm_table
from models.measure.profile import named_profile
from models.measure.reasons import CARRIED

FPS = 30.0


def dead_in_flow(cells: int, flow_um_s: float, profile: str, fps: float = FPS) -> SpermTable:
    rng = np.random.default_rng(3)
    t = np.arange(round(4 * fps)) / fps
    paths = [
        SpermPath(
            k + 1, 0, len(t), t,
            50.0 * k + np.outer(t, [flow_um_s, 0.0]) + rng.normal(0, 0.15, (len(t), 2)),
        )
        for k in range(cells)
    ]  # fmt: skip
    return sperm_table(paths, None, named_profile(profile))


@pytest.mark.parametrize("flow_um_s", [2.2, 2.5, 2.9, 8.0])
def test_a_flow_that_is_known_is_no_swimming(flow_um_s: float) -> None:
    found = dead_in_flow(5, flow_um_s, "pvp")
    assert found.columns["grade"] == ["immotile"] * 5
    assert found.columns["motility_normal"] == [0] * 5
    assert found.drift.corrected
    assert found.drift.speed_um_s == pytest.approx(flow_um_s, abs=0.1)


def test_two_cells_tell_no_flow_and_are_not_called_progressive() -> None:
    found = dead_in_flow(2, 6.0, "who6_wet")
    assert found.columns["grade"] == ["", ""]
    assert found.columns["motility_normal"] == [None, None]
    assert found.columns["rank"] == [None, None]
    assert all(str(text).startswith(CARRIED) for text in found.columns["reasons"])


def test_the_table_says_why_there_is_no_alh() -> None:
    found = dead_in_flow(1, 6.0, "who6_wet", fps=9.0)
    assert np.isnan(np.array(found.columns["alh_um"], float)).all()
    assert "ALH, MAD, BCF not known: 9.0 frames a second" in str(found.columns["reasons"][0])
