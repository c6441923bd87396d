"""Beads of known size are measured by their edges, or refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from calibration.beads import measure_beads
from calibration.errors import CalibrationError
from calibration.figures import picture_of_beads


def beads(
    seed: int,
    diameter_px: float,
    *,
    count: int = 14,
    blur_px: float = 1.2,
    ring: bool = False,
    sign: float = -1.0,
    scatter: float = 0.015,
    noise_sd: float = 2.0,
) -> tuple[np.ndarray, float]:
    """Picture of discs, or of bright discs with a dark rim, and their median diameter."""
    rng = np.random.default_rng([seed, 51])
    x, y = np.meshgrid(np.arange(640.0), np.arange(480.0))
    light = 150 * (1 + rng.uniform(-0.1, 0.1) * (x - 320) / 320 + rng.uniform(-0.1, 0.1) * y / 480)
    shade = np.ones(x.shape)
    sizes = diameter_px * (1 + rng.normal(0, scatter, count))
    specks = rng.uniform(2, 6, 20)
    for number, size in enumerate((*sizes, *specks)):
        at_x, at_y = rng.uniform(0, 640), rng.uniform(0, 480)
        reach = size / 2 + 5 * blur_px
        rows = slice(max(0, int(at_y - reach)), int(at_y + reach) + 2)
        columns = slice(max(0, int(at_x - reach)), int(at_x + reach) + 2)
        away = np.hypot(x[rows, columns] - at_x, y[rows, columns] - at_y)
        disc = ndtr((size / 2 - away) / blur_px)
        if number < count:
            within = ndtr((0.7 * size / 2 - away) / blur_px)
            shade[rows, columns] += sign * 0.4 * (disc - (1.3 if ring else 0.0) * within)
        else:
            shade[rows, columns] -= 0.3 * disc
    image = light * shade.clip(0.05, 1.6) + rng.normal(0, noise_sd, x.shape)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), float(np.median(sizes))


@pytest.mark.parametrize("diameter_px", [12.0, 20.0, 40.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_discs_are_measured_within_two_percent(diameter_px: float, sign: float) -> None:
    errors = []
    for seed in range(10):
        image, true = beads(seed, diameter_px, sign=sign)
        found = measure_beads(image, diameter_px)
        errors.append(abs(found.median_px / true - 1))
        assert found.scatter_px < 0.06 * found.median_px
    assert np.max(errors) < 0.02


@pytest.mark.parametrize("blur_px", [0.8, 1.5])
def test_a_bright_bead_with_a_dark_rim_is_measured_by_its_outer_edge(blur_px: float) -> None:
    for seed in range(6):
        image, true = beads(seed, 30.0, ring=True, blur_px=blur_px)
        assert measure_beads(image, 30.0).median_px == pytest.approx(true, rel=0.03)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_beads_seen_through_another_objective_are_measured_all_the_same(factor: float) -> None:
    image, true = beads(1, 24.0 * factor)
    assert measure_beads(image, 24.0).median_px == pytest.approx(true, rel=0.03)


def test_what_is_not_a_slide_of_beads_is_refused() -> None:
    rng = np.random.default_rng(1)
    empty = np.clip(rng.normal(150, 3, (480, 640)), 0, 255).astype(np.uint8)
    for image, reason in (
        (empty, "no beads"),
        (beads(1, 24.0, count=1)[0], "beads are seen and 3"),
        (beads(1, 24.0, count=12, scatter=0.3)[0], "not of one size"),
    ):
        with pytest.raises(CalibrationError, match=reason):
            measure_beads(image, 24.0)
    with pytest.raises(CalibrationError, match="too small"):
        measure_beads(empty, 6.0)


def test_the_picture_shows_every_bead() -> None:
    image, _ = beads(2, 24.0)
    found = measure_beads(image, 24.0)
    picture = picture_of_beads(image, found, 0.5)
    drawn = (picture[:480] != image[:, :, None]).any(axis=2)
    for (x, y), across in zip(found.centre_px, found.diameter_px, strict=True):
        assert drawn[round(y), round(x + across / 2) - 1 : round(x + across / 2) + 2].any()
