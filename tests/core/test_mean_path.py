"""The mean path under a head that swings: told apart from it, at any beat, and from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from app.core.mean_path import SLOWEST_HZ, MeanPath
from models.types import Float64

PERIOD_S = 1 / 30
NOISE_UM = 0.25
AHEAD_S = 0.108  # from a frame until the middle of the time that its command lasts


def swim(
    seed: int, speed_um_s: float, beat_hz: float, swing_um: float, turn_rad2_s: float = 0.05
) -> tuple[Float64, Float64]:
    """Mean path and measured head (T, 2) of 20 s, in steps of a frame."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(600) * PERIOD_S
    heading = np.cumsum(rng.normal(0, np.sqrt(2 * turn_rad2_s * PERIOD_S), 600)) + seed
    along = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    path = np.cumsum(along, axis=0) * speed_um_s * PERIOD_S
    swing = swing_um * np.sin(2 * np.pi * beat_hz * time_s + seed)
    head = path + swing[:, None] * along[:, ::-1] * (-1, 1)
    return path, head + rng.normal(0, NOISE_UM, head.shape)


def followed(
    head: Float64, missed: frozenset[int] = frozenset(), *, beats: bool = True
) -> tuple[Float64, MeanPath]:
    """Foretold positions (T, 2) AHEAD_S after each frame, and the filter at the end."""
    mean_path = MeanPath(1 / PERIOD_S if beats else 2 * SLOWEST_HZ - 2)
    mean_path.begin(0.0, head[0], np.zeros(2), np.diag((0.5, 0.5, 2500.0, 2500.0)))
    foretold = []
    for k, place in enumerate(head):
        mean_path.follow(k * PERIOD_S, None if k in missed else place)
        position_um, velocity_um_s = mean_path.state()
        foretold.append(position_um + velocity_um_s * AHEAD_S)
    return np.array(foretold), mean_path


def error_um(foretold: Float64, path: Float64) -> float:
    """Root mean square from 3 s on, against the path between two frames."""
    share = AHEAD_S / PERIOD_S - 3
    true = path[3:-1] * (1 - share) + path[4:] * share
    off = foretold[90:-4] - true[90:]
    return float(np.sqrt((off**2).sum(axis=1).mean()))


@pytest.mark.parametrize("beat_hz", [6.0, 9.5, 12.0, 14.0])
@pytest.mark.parametrize(("speed_um_s", "limit_um"), [(10.0, 0.45), (50.0, 0.92), (150.0, 2.0)])
def test_the_swing_is_told_apart_from_the_way(
    speed_um_s: float, beat_hz: float, limit_um: float
) -> None:
    path, head = swim(3, speed_um_s, beat_hz, 1.5)
    foretold, mean_path = followed(head)
    assert error_um(foretold, path) <= limit_um
    if speed_um_s > 10.0:
        assert error_um(foretold, path) <= 0.95 * error_um(followed(head, beats=False)[0], path)
    assert mean_path.beat_hz == pytest.approx(beat_hz, abs=1.0)


def test_a_beat_above_half_the_frame_rate_is_told_apart_as_the_one_that_it_looks_like() -> None:
    path, head = swim(4, 50.0, 18.0, 1.5)
    foretold, mean_path = followed(head)
    assert error_um(foretold, path) <= 0.85
    assert mean_path.beat_hz == pytest.approx(12.0, abs=1.0)


def test_what_lies_still_gets_no_velocity() -> None:
    path, head = swim(5, 0.0, 0.0, 0.0)
    foretold, _ = followed(head)
    assert error_um(foretold, path) <= 0.3


def test_one_that_turns_hard_is_followed_too() -> None:
    path, head = swim(6, 60.0, 10.0, 1.0, turn_rad2_s=1.0)
    foretold, _ = followed(head)
    assert error_um(foretold, path) <= 3.0


def test_missed_frames_are_bridged_and_the_covariance_stays_one() -> None:
    path, head = swim(7, 50.0, 12.0, 1.5)
    missed = frozenset(k + j for k in range(100, 560, 20) for j in range(3))
    foretold, mean_path = followed(head, missed)
    assert error_um(foretold, path) <= 1.6
    np.testing.assert_array_less(-1e-9, np.linalg.eigvalsh(mean_path._covariance))
    assert mean_path.weights.sum() == pytest.approx(1.0)


def test_a_frame_that_is_not_later_changes_nothing() -> None:
    mean_path = MeanPath(30.0)
    mean_path.begin(1.0, np.zeros(2), np.ones(2), np.eye(4))
    mean_path.follow(1.0, np.array((50.0, 0.0)))
    position_um, velocity_um_s = mean_path.state()
    np.testing.assert_allclose(position_um, 0.0)
    np.testing.assert_allclose(velocity_um_s, 1.0)
