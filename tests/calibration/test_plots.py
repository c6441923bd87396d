"""The pictures of a result show what was believed and what was left out."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.figures import GREEN, SKY, VERMILION
from calibration.latency import Latency
from calibration.pipette_affine import PipetteAffine
from calibration.plots import picture_of_chirp, picture_of_star, picture_of_tips
from calibration.stage_affine import StageAffine, star_um


def holds(picture: np.ndarray, hue: tuple[int, int, int]) -> bool:
    return bool((picture == hue).all(axis=2).any())


@pytest.mark.parametrize("bad", [False, True])
def test_left_out_moves_stand_out(bad: bool) -> None:
    places = star_um(60.0)
    used = np.ones(len(places), bool)
    used[16] = not bad
    star = StageAffine(
        np.eye(2) * 0.495, np.eye(2) * 1e-4, 0.05, (0.4, 0.4), (0.01, 0.01), 0.03, (0.0, 0.0),
        used, places, np.full((len(places), 2), 0.05),
    )  # fmt: skip
    tips = PipetteAffine(
        np.eye(2, 3), np.zeros(2), 0.1, np.nan, 12.0, (0.0, 0.0, 0.0), places + 0.2, places, used
    )
    for picture in (picture_of_star(star), picture_of_tips(tips)):
        assert picture.dtype == np.uint8
        assert picture.shape[1:] == (640, 3)
        assert holds(picture, GREEN)
        assert holds(picture, VERMILION) == bad


def test_the_chirp_shows_what_was_seen() -> None:
    time_s = np.linspace(0.0, 7.0, 200)
    speed = 60 + 50 * np.sin(time_s**2)
    trace = np.column_stack([time_s, speed, speed + 1.0])
    picture = picture_of_chirp(Latency(0.05, 0.03, 0.02, 1e-3, 2e-3, 0.0, 0.1, trace))
    assert picture.shape[1:] == (640, 3)
    assert holds(picture, SKY)
    assert picture_of_chirp(Latency(0.05, 0.03, 0.02, 1e-3, 2e-3, 0.0, 0.1, trace[:0])).any()
