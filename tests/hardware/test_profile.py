"""The fit that the commissioning report rests on: no instrument needed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.rig.commissioning import Ride, fit_profile, profile_um, write_report


@pytest.mark.parametrize(("v", "a"), [(5_500.0, 100_000.0), (32_000.0, 100_000.0), (2e3, 1e4)])
def test_speed_and_acceleration_come_out_of_looks_at_moves(v: float, a: float) -> None:
    rng = np.random.default_rng(0)
    rides = []
    for way_um in (300.0, 600.0, 1000.0, 2000.0, 6000.0, 20_000.0):
        times_s = np.cumsum(rng.uniform(0.020, 0.040, 60))
        at_um = profile_um(way_um, times_s - 0.030 + rng.normal(0, 0.002, 60), v, a)
        rides.append(Ride(way_um, times_s, at_um + rng.normal(0, 0.1, 60)))
    top_um_s, acceleration_um_s2, delay_s = fit_profile(rides)
    assert acceleration_um_s2 == pytest.approx(a, rel=0.15)
    assert delay_s == pytest.approx(0.030, abs=0.003)
    assert top_um_s == pytest.approx(v, rel=0.05)


def test_a_report_says_who_and_when(tmp_path: Path) -> None:
    write_report(tmp_path / "r.json", "A. Person", "bench", {"stage": {"round_trip_ms": 12.0}})
    text = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert text["operator"] == "A. Person"
    assert text["stage"]["round_trip_ms"] == 12.0
    assert text["time"].endswith("+00:00")
