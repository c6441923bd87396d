"""A recording's encounters, judged with what came long before and after."""

from __future__ import annotations

import numpy as np
import pytest

from models.tracking.afterwards import Rows, relink
from models.tracking.smoother import heads, smooth
from models.types import Float64

FPS = 30.0


def passing(*, swapped: bool, gap: slice = slice(0, 0)) -> tuple[Rows, Float64]:
    """One sperm swims past a resting one; two tracks follow them, or exchange them half way.

    Also returns who each row truly is.
    """
    rng = np.random.default_rng(0)
    time_s = np.arange(180) / FPS
    swimmer = np.stack([100.0 + 25.0 * (time_s - 3.0), np.full(180, 51.0)], axis=1)
    resting = np.tile([100.0, 50.0], (180, 1))
    place = np.stack([swimmer, resting], axis=1) + rng.normal(0.0, 0.4, (180, 2, 2))
    place[gap, 0] = np.nan
    name = np.tile([1, 2], (180, 1))
    if swapped:
        name[90:] = [2, 1]
    look = np.tile([5.0, 0.0, 0.5], (360, 1))
    rows = Rows(name.ravel(), np.repeat(time_s, 2), place.reshape(-1, 2), look)
    return rows, np.tile([1, 2], 180)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("gap", [slice(0, 0), slice(85, 97)])
def test_each_track_has_one_sperm_in_the_end(swapped: bool, gap: slice) -> None:
    rows, who = passing(swapped=swapped, gap=gap)
    name = relink(rows)
    clear = np.abs(rows.time_s - 3.0) > 0.3
    np.testing.assert_array_equal(name[clear], who[clear])
    for time_s in np.unique(rows.time_s):
        assert sorted(name[rows.time_s == time_s]) == [1, 2]


def test_sperm_that_keep_apart_keep_their_names() -> None:
    rows, _ = passing(swapped=False)
    far = Rows(rows.track_id, rows.time_s, rows.place_um * [1.0, 10.0], rows.look)
    np.testing.assert_array_equal(relink(far), rows.track_id)
    empty = Rows(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 2)), np.zeros((0, 3)))
    assert len(relink(empty)) == 0
    with pytest.raises(ValueError, match="ordered by time"):
        relink(Rows(rows.track_id, rows.time_s[::-1], rows.place_um, rows.look))


@pytest.mark.parametrize(("swing_um", "noise_um"), [(3.0, 0.4), (0.0, 0.4), (1.5, 0.4)])
def test_the_head_is_told_nearer_than_by_path_or_detection(
    swing_um: float, noise_um: float
) -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(120) / FPS
    path = np.stack([20.0 * time_s, np.full(120, 50.0)], axis=1)
    head = path + np.stack(
        [np.zeros(120), swing_um * np.sin(2 * np.pi * 11.0 * time_s + 0.3)], axis=1
    )
    raw = head + rng.normal(0.0, noise_um, head.shape)
    raw[40:50] = np.nan
    told = smooth(time_s, raw)[0][:, :2]
    found = heads(raw, told)
    seen = np.isfinite(raw[:, 0])

    def error(place: Float64) -> float:
        return float(np.sqrt(((place - head)[seen] ** 2).sum(axis=1).mean()))

    assert error(found) <= error(raw) * 1.02
    assert error(found) <= error(told) * 1.05
    np.testing.assert_allclose(found[~seen], told[~seen])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(heads(np.full((3, 2), np.nan), told[:3]), told[:3])
