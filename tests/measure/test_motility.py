"""Motility of paths whose measures are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.measure.live import LiveMotility
from models.measure.motility import COLUMNS, INSUFFICIENT, OK, measure_path
from models.measure.reasons import beat_unseen
from models.measure.settings import MotilitySettings
from models.types import Float64, Tracks

RATES = [25.0, 30.0, 48.0, 50.0, 60.0, 100.0]


def clock(fps: float, duration_s: float = 1.0) -> Float64:
    return np.arange(round(fps * duration_s) + 1) / fps


def as_tracks(time_s: float, raw_um: Float64) -> Tracks:
    n = len(raw_um)
    return Tracks(
        time_s, np.arange(1, n + 1), raw_um, raw_um, np.zeros((n, 4, 4)), raw_um, raw_um,
        np.ones(n), np.ones(n), np.ones(n, np.int8), np.ones(n, np.int8), np.arange(n),
    )  # fmt: skip


@pytest.mark.parametrize("fps", RATES)
def test_a_straight_line(fps: float) -> None:
    t = clock(fps)
    path = np.stack([3.0 + 30.0 * t, -40.0 * t], axis=1)
    found = measure_path(t, path)
    assert found.quality == OK
    assert found.duration_s == pytest.approx(1.0)
    for name in ("vsl_um_s", "vcl_um_s", "vap_um_s"):
        assert found.values[name] == pytest.approx(50.0)
    for name in ("lin", "wob", "str"):
        assert found.values[name] == pytest.approx(1.0)
    assert found.values["alh_um"] == pytest.approx(0.0, abs=1e-9)
    assert found.values["mad_deg"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("fps", RATES)
def test_a_circle(fps: float) -> None:
    t = clock(fps, 2.0)
    turn = 2 * np.pi * t / 2.0
    found = measure_path(t, 20.0 * np.stack([np.cos(turn), np.sin(turn)], axis=1)).values
    assert found["vsl_um_s"] == pytest.approx(0.0, abs=1e-9)
    chord = 2 * 20.0 * np.sin(np.pi / (2 * fps)) * fps
    assert found["vcl_um_s"] == pytest.approx(chord, rel=1e-9)
    assert 0.94 * chord < found["vap_um_s"] <= chord
    assert found["mad_deg"] == pytest.approx(180.0 / fps, rel=1e-6)
    assert found["lin"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("fps", [50.0, 60.0, 100.0])
def test_a_sine_of_known_speed(fps: float) -> None:
    t = clock(fps, 2.0)
    beat_hz, swing_um = 6.0, 2.0
    path = np.stack([40.0 * t, swing_um * np.sin(2 * np.pi * beat_hz * t)], axis=1)
    found = measure_path(t, path).values
    fine = np.linspace(0.0, 2.0, 200001)
    slope = 2 * np.pi * beat_hz * swing_um * np.cos(2 * np.pi * beat_hz * fine)
    arc = float(np.mean(np.hypot(40.0, slope)))
    assert found["vcl_um_s"] == pytest.approx(arc, rel=0.06)
    assert found["vap_um_s"] == pytest.approx(40.0, rel=0.04)
    assert found["vsl_um_s"] == pytest.approx(40.0, rel=0.01)
    assert found["bcf_hz"] == pytest.approx(2 * beat_hz, abs=0.6)
    assert found["alh_um"] == pytest.approx(2 * swing_um, rel=0.1)
    assert found["alh_max_um"] >= found["alh_um"]


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_a_still_cell_has_speeds_but_no_ratios(fps: float) -> None:
    rng = np.random.default_rng(0)
    t = clock(fps)
    found = measure_path(t, 50.0 + rng.normal(0, 0.15, (len(t), 2)))
    assert found.quality == OK
    assert found.values["vap_um_s"] < 5.0
    assert found.values["vcl_um_s"] < 1.5 * np.sqrt(np.pi) * 0.15 * fps
    for name in ("lin", "wob", "str", "alh_um", "bcf_hz", "mad_deg"):
        assert np.isnan(found.values[name]), name


@given(seed=st.integers(0, 10**9), points=st.integers(15, 120), fps=st.sampled_from(RATES))
@settings(deadline=None, max_examples=150)
def test_vsl_is_at_most_vap_is_at_most_vcl(seed: int, points: int, fps: float) -> None:
    rng = np.random.default_rng(seed)
    path = np.cumsum(rng.normal(0, rng.uniform(0.1, 5.0), (points, 2)), axis=0)
    path[rng.random(points) < 0.05] = np.nan
    found = measure_path(np.arange(points) / fps, path)
    v = found.values
    if found.quality != OK:
        assert all(np.isnan(one) for one in v.values())
        return
    assert v["vsl_um_s"] <= v["vap_um_s"] <= v["vcl_um_s"]
    if np.isfinite(v["lin"]):
        assert v["lin"] == pytest.approx(v["str"] * v["wob"])


@given(seed=st.integers(0, 10**9), turn=st.floats(0.0, 6.3), scale=st.floats(1.0, 3.0))
@settings(deadline=None, max_examples=30)
def test_where_and_how_it_lies_does_not_matter_and_size_scales(
    seed: int, turn: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    t = clock(30.0)
    path = np.cumsum(rng.normal(1.0, 2.0, (len(t), 2)), axis=0)
    matrix = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    options = MotilitySettings(minimum_step_um=0.0)
    a = measure_path(t, path, options).values
    b = measure_path(t + 7.0, 1e4 + path @ matrix.T, options).values
    for name in COLUMNS:
        factor = scale if name.endswith(("_um_s", "_um")) else 1.0
        assert b[name] == pytest.approx(a[name] * factor, rel=1e-6, nan_ok=True), name


def test_short_gaps_are_bridged_and_long_ones_split_the_path() -> None:
    t = clock(30.0, 3.0)
    path = np.stack([40.0 * t, np.zeros_like(t)], axis=1)
    short = path.copy()
    short[[10, 11, 12, 40]] = np.nan
    assert measure_path(t, short).duration_s == pytest.approx(3.0)
    assert measure_path(t, short).values["vcl_um_s"] == pytest.approx(40.0)
    split = path.copy()
    split[30:40] = np.nan
    assert measure_path(t, split).duration_s == pytest.approx(t[-1] - t[40])
    dropped = np.delete(np.arange(len(t)), [20, 21])
    assert measure_path(t[dropped], path[dropped]).values["vcl_um_s"] == pytest.approx(40.0)


@pytest.mark.parametrize("points", [0, 1, 2, 14])
def test_a_short_path_is_not_guessed(points: int) -> None:
    t = np.arange(points) / 30.0
    found = measure_path(t, np.stack([t, t], axis=1).reshape(-1, 2))
    assert found.quality == INSUFFICIENT
    assert all(np.isnan(one) for one in found.values.values())


@pytest.mark.parametrize("beat_hz", [6.5, 8.0, 9.5, 11.0, 13.0])
def test_the_vap_of_a_slow_swimmer_has_no_yawing_in_it(beat_hz: float) -> None:
    time_s = clock(30.0, 2.0)
    for phase in (0.0, 1.0, 2.0):
        side_um = 0.7 * np.sin(2 * np.pi * beat_hz * time_s + phase)
        found = measure_path(time_s, np.stack([4.0 * time_s, side_um], axis=1))
        assert found.values["vap_um_s"] == pytest.approx(4.0, abs=0.32)


@pytest.mark.parametrize(
    ("fps", "shown"), [(9.0, False), (20.0, False), (23.976, True), (30.0, True)]
)
def test_what_needs_the_beat_is_empty_where_frames_do_not_show_it(fps: float, shown: bool) -> None:
    time_s = clock(fps, 3.0)
    path = np.stack([40.0 * time_s, np.sin(2 * np.pi * 8.0 * time_s)], axis=1)
    found = measure_path(time_s, path)
    for name in ("alh_um", "alh_max_um", "mad_deg", "bcf_hz"):
        assert np.isfinite(found.values[name]) == shown, name
    assert np.isfinite(found.values["lin"])
    assert bool(beat_unseen(found.frame_rate_hz)) != shown
    if fps == 9.0:
        assert "9.0 frames a second do not show the beat" in beat_unseen(found.frame_rate_hz)


@pytest.mark.parametrize(("seen", "quality"), [(2, INSUFFICIENT), (4, INSUFFICIENT), (5, OK)])
def test_frames_that_are_bridged_do_not_make_a_track(seen: int, quality: str) -> None:
    t = clock(9.0, 1.0)[:9]
    path = np.full((len(t), 2), np.nan)
    rows = np.linspace(0, 4 if seen == 2 else 8, seen).astype(int)
    path[rows] = np.column_stack([50.0 * t, 2.0 * np.sin(40.0 * t)])[rows]
    found = measure_path(t, path)
    assert found.quality == quality
    assert found.frames == seen
    assert np.isfinite(found.values["vcl_um_s"]) == (quality == OK)


@pytest.mark.parametrize(
    ("every", "quality"), [(1, OK), (2, OK), (3, INSUFFICIENT), (4, INSUFFICIENT)]
)
def test_a_path_that_is_mostly_bridged_is_not_measured(every: int, quality: str) -> None:
    t = clock(30.0, 2.0)[:61]
    path = np.stack([30.0 * t, 3.0 * np.sin(2.0 * np.pi * 9.0 * t)], axis=1)
    path[np.arange(61) % every != 0] = np.nan
    assert measure_path(t, path).quality == quality


def test_fifteen_frames_at_thirty_a_second_are_enough() -> None:
    t = np.arange(15) / 30.0
    assert measure_path(t, np.stack([40.0 * t, t], axis=1)).quality == OK


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="positions"):
        measure_path(np.zeros(3), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="increase"):
        measure_path(np.zeros(3), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="minimum_s"):
        MotilitySettings(minimum_s=0.0)
    with pytest.raises(ValueError, match="window"):
        LiveMotility(0.0)


def test_live_values_are_those_of_the_last_second() -> None:
    rng = np.random.default_rng(1)
    t = clock(30.0, 3.0)
    paths = np.cumsum(rng.normal(0.5, 1.0, (len(t), 70, 2)), axis=0)
    live = LiveMotility(1.0)
    for k, now in enumerate(t):
        found = live.update(as_tracks(float(now), paths[k]))
        if k < 13:
            assert set(found.quality) == {INSUFFICIENT}
    assert len(found) == 70
    assert set(found.quality) == {OK}
    for row in (0, 33, 69):
        whole = measure_path(t[-31:], paths[-31:, row]).values
        for name in COLUMNS:
            assert found.values[name][row] == pytest.approx(whole[name], nan_ok=True)


@pytest.mark.parametrize("fps", [9.0, 200.0, 750.0])
def test_a_window_holds_a_second_at_any_frame_rate(fps: float) -> None:
    t = clock(fps, 2.0)
    path = np.column_stack([50.0 * t, 3.0 * np.sin(2.0 * np.pi * 7.0 * t)])
    live = LiveMotility(1.0)
    for now, place in zip(t, path, strict=True):
        found = live.update(as_tracks(float(now), place[None]))
    assert found.quality == (OK,)
    last = t >= t[-1] - 1.0 - 1e-9
    whole = measure_path(t[last], path[last]).values
    for name in COLUMNS:
        assert found.values[name][0] == pytest.approx(whole[name], nan_ok=True)


def test_live_values_are_those_of_the_newest_unbroken_piece() -> None:
    live = LiveMotility(1.0)
    for k in range(90):
        place = np.array([[k * 1.0, 0.0]])
        if 60 <= k < 66:
            place[:] = np.nan
        found = live.update(as_tracks(k / 30.0, place))
        if k == 65:
            assert found.values["vcl_um_s"][0] == pytest.approx(30.0)
        if 66 <= k < 79:
            assert found.quality == (INSUFFICIENT,)
    assert found.values["vcl_um_s"][0] == pytest.approx(30.0)


def test_a_track_that_ended_leaves_nothing_to_the_next() -> None:
    live = LiveMotility(1.0)
    for k in range(30):
        live.update(as_tracks(k / 30.0, np.array([[5.0 * k, 0.0]])))
    live.update(as_tracks(1.0, np.zeros((0, 2))))
    found = live.update(as_tracks(1.1, np.array([[0.0, 0.0]])))
    assert found.quality == (INSUFFICIENT,)
