"""Drift: what cells at rest share is taken off, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from models.measure.drift import LEAST_CELLS, find_drift
from models.measure.motility import measure_path
from models.types import Float64

FPS = 30.0
FLOW = np.array([6.0, -3.0])


def scene(still: int, seed: int = 0) -> list[tuple[Float64, Float64]]:
    """Cells at rest in a flow, and swimmers of 40 um/s in it; 1 % of positions are missing."""
    rng = np.random.default_rng(seed)
    t = np.arange(90) / FPS
    paths = []
    for k in range(still + 8):
        speed = 0.0 if k < still else 40.0
        way = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(way), np.sin(way)])
        yaw = 0.0 if k < still else 1.5 * np.sin(2 * np.pi * 11.0 * t + k)
        place = rng.uniform(0, 300, 2) + np.outer(t, speed * along + FLOW)
        place = place + np.outer(yaw, [-along[1], along[0]]) + rng.normal(0, 0.15, (len(t), 2))
        place[rng.random(len(t)) < 0.01] = np.nan
        paths.append((t, place))
    return paths


def test_the_flow_is_found_and_taken_off() -> None:
    paths = scene(6)
    drift = find_drift(paths)
    assert drift.corrected
    assert drift.cells == 6
    assert drift.speed_um_s == pytest.approx(np.hypot(*FLOW), rel=0.05)
    for k, (t, p) in enumerate(paths):
        speed = measure_path(t, drift.without(t, p)).values
        if k < 6:
            assert speed["vsl_um_s"] < 0.5
        else:
            assert speed["vsl_um_s"] == pytest.approx(40.0, rel=0.02)
            free = measure_path(t, p - np.outer(t, FLOW)).values
            assert speed["vcl_um_s"] == pytest.approx(free["vcl_um_s"], rel=0.01)


@pytest.mark.parametrize("still", [0, LEAST_CELLS - 1])
def test_too_few_cells_at_rest_say_nothing(still: int) -> None:
    paths = scene(still)
    drift = find_drift(paths)
    assert not drift.corrected
    assert np.isnan(drift.speed_um_s)
    t, p = paths[0]
    assert drift.without(t, p) is p


def test_a_flow_too_slow_to_tell_is_told_and_left() -> None:
    t = np.arange(60) / FPS
    paths = [(t, np.outer(t, [0.3, 0.1]) + k) for k in range(5)]
    drift = find_drift(paths)
    assert drift.speed_um_s == pytest.approx(0.316, abs=0.01)
    assert drift.without(*paths[0]) is paths[0][1]


def dead(rng: np.random.Generator, flow_um_s: float, cells: int) -> list[tuple[Float64, Float64]]:
    t = np.arange(120) / FPS
    return [
        (t, 50.0 * k + np.outer(t, [flow_um_s, 0.0]) + rng.normal(0, 0.15, (len(t), 2)))
        for k in range(cells)
    ]


@pytest.mark.parametrize("flow_um_s", [0.0, 1.0, 2.5, 6.0])
def test_jitter_makes_no_flow_faster(flow_um_s: float) -> None:
    found = [find_drift(dead(np.random.default_rng(k), flow_um_s, 5)) for k in range(10)]
    for drift in found:
        assert drift.speed_um_s == pytest.approx(flow_um_s, abs=0.25 if flow_um_s == 0.0 else 0.1)
        assert drift.corrected == (flow_um_s > 0.0)


def test_cells_that_do_not_agree_make_no_flow_that_is_taken_off() -> None:
    rng = np.random.default_rng(1)
    drift = find_drift(dead(rng, 0.0, 3) + dead(rng, 2.4, 3))  # three stick to the glass
    assert drift.cells == 6
    assert not drift.corrected


def test_swimmers_of_one_way_that_beat_are_no_cells_at_rest() -> None:
    t = np.arange(120) / FPS
    beat_um = 0.4 * np.sin(2 * np.pi * 5.0 * t)
    paths = [(t, np.stack([4.0 * t, beat_um + 9.0 * k], axis=1)) for k in range(5)]
    assert find_drift(paths).cells == 0


def test_nothing_and_one_frame_have_no_drift() -> None:
    assert not find_drift([]).corrected
    one = (np.zeros(1), np.zeros((1, 2)))
    assert not find_drift([one] * 5).corrected


def test_slow_swimmers_of_different_ways_are_no_flow() -> None:
    t = np.arange(90) / FPS
    turns = np.linspace(0, 2 * np.pi, 9)[:-1]
    paths = [(t, np.outer(t, 10 * np.array([np.cos(a), np.sin(a)]))) for a in turns]
    assert not find_drift(paths).corrected
