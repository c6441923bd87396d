"""What the program costs is measured from after it has settled."""

from __future__ import annotations

import time

import numpy as np
import pytest

from app.ui.load import Load


def test_growth_counts_from_after_settling() -> None:
    load = Load()
    load.sample(0.0, 30.0)
    load.sample(10.0, 30.0)
    kept = np.ones(6 * 2**20)
    load.sample(30.0, 30.0)
    assert float(load.result()["rss_growth_mb"]) == pytest.approx(48, abs=10)
    assert kept.size > 0


def test_a_busy_core_is_a_hundred_percent() -> None:
    load = Load()
    load.sample(0.0, 0.3)
    begun_s = time.process_time()
    while time.process_time() - begun_s < 0.3:
        pass
    load.sample(0.3, 0.3)
    assert float(load.result()["cpu_percent"]) == pytest.approx(100, abs=30)


def test_without_two_samples_nothing_is_claimed() -> None:
    load = Load()
    load.sample(1.0, 30.0)
    assert load.result()["cpu_percent"] is None
