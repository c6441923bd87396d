"""Rates, delays and losses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.timing import Delays, FrameCount


@given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
def test_what_is_dropped_is_the_gaps(gaps: list[int]) -> None:
    count = FrameCount()
    number = 17
    count.add(number, 0.0)
    for k, gap in enumerate(gaps, start=1):
        number += 1 + gap
        count.add(number, k / 30)
    assert count.frames == len(gaps) + 1
    assert count.dropped == sum(gaps)


def test_rates() -> None:
    count = FrameCount()
    assert count.fps(0.0) == 0.0
    assert count.mean_fps() is None
    assert count.p5_fps() is None
    for k in range(301):
        count.add(k, k / 30)
    assert count.fps(10.0) == pytest.approx(30.0, abs=0.5)
    assert count.mean_fps() == pytest.approx(30.0)
    assert count.p5_fps() == pytest.approx(30.0)
    assert count.fps(20.0) == 0.0


def test_percentiles_are_those_of_numpy() -> None:
    delays = Delays()
    assert delays.percentiles_ms() == {"p50": None, "p95": None, "p99": None}
    values = np.random.default_rng(0).gamma(2.0, 0.02, 1000)
    for value in values:
        delays.add(value)
    found = delays.percentiles_ms()
    for key, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert found[key] == pytest.approx(np.percentile(values, percent) * 1e3, abs=0.01)
