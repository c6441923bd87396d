"""The size of a pixel is found within 0.2% on any slide, or refused in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr
from trials import resting, slide

from calibration.errors import CalibrationError
from calibration.figures import picture_of_ruling
from calibration.pixel_size import implausible, measure_by_hand, measure_ruling
from models.specimen.micrometer import Micrometer, MicrometerLook

RULINGS = ((10.0, 0.495), (10.0, 0.2475), (10.0, 0.099))


def test_a_hundred_slides_are_measured_within_two_per_mille() -> None:
    errors, deviations = [], []
    for seed in range(100):
        ruling = RULINGS[seed % 3]
        image, true = slide(seed, *ruling)
        size = measure_ruling(image, ruling[0])
        errors.append(abs(size.um_per_px / true - 1))
        deviations.append(abs(size.um_per_px - true) / size.uncertainty_um_per_px)
    assert np.quantile(errors, 0.95) <= 0.0005  # 0.002 is promised, 0.0002 reached
    assert np.max(errors) <= 0.002
    assert np.mean(np.array(deviations) < 3) >= 0.97  # the stated uncertainty is honest


def test_the_coarse_ruling_is_measured_or_refused() -> None:
    outcomes, refusals = [], []
    for seed in range(15):
        image, true = slide(seed, 100.0, 0.495)
        try:
            outcomes.append(abs(measure_ruling(image, 100.0).um_per_px / true - 1))
        except CalibrationError as error:
            refusals.append(str(error))
    assert len(outcomes) >= 8  # two ticks in view cannot be measured
    assert max(outcomes) <= 0.002
    assert all("lines" in text and "\n" not in text for text in refusals)


def perfect_lines(
    seed: int, size_px: tuple[int, int], um_per_px: float
) -> tuple[np.ndarray, float]:
    """3 to 9 lines 100 um apart right across the picture, 1.5 to 20 px wide; and the true size."""
    rng = np.random.default_rng([seed, 77])
    x, y = (np.arange(n) - (n - 1) / 2 for n in size_px)
    angle, half = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(0.75), np.log(10.0)))
    u = x * np.cos(angle) + y[:, None] * np.sin(angle)
    pitch, blur = 100 / um_per_px * rng.uniform(0.97, 1.03), rng.uniform(0.3, 1.5)
    count = 3 + seed % 7
    image = np.full(u.shape, 150.0)
    for number in range(count):
        away = u - (number - count // 2) * pitch
        image -= 90 * (ndtr((away + half) / blur) - ndtr((away - half) / blur))
    image = (300 - image if seed % 2 else image) + rng.normal(0, 2, u.shape)
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), 100 / pitch


@pytest.mark.parametrize(
    ("size_px", "um_per_px"),
    [((640, 480), 0.495), ((1280, 960), 0.25), ((1920, 1200), 0.345)],
)
def test_few_lines_in_a_large_picture_are_measured(
    size_px: tuple[int, int], um_per_px: float
) -> None:
    for seed in range(4 if size_px[0] > 1280 else 8):
        image, true = perfect_lines(seed, size_px, um_per_px)
        assert measure_ruling(image, 100.0).um_per_px == pytest.approx(true, rel=0.0005)


@pytest.mark.parametrize(
    ("division_um", "nominal", "size_px"),
    [(100.0, 0.25, (1280, 960)), (100.0, 0.345, (1920, 1200)), (10.0, 0.069, (1920, 1200))],
)
def test_large_pictures_are_measured_whatever_lies_on_the_slide(
    division_um: float, nominal: float, size_px: tuple[int, int]
) -> None:
    for seed in (0, 9):
        image, true = slide(seed, division_um, nominal, size_px, bright=seed % 2 == 1)
        size = measure_ruling(image, division_um)
        assert size.um_per_px == pytest.approx(true, rel=0.001)
        assert abs(size.um_per_px - true) < 4 * size.uncertainty_um_per_px


def test_bright_lines_are_lines() -> None:
    image, true = slide(3, 10.0, 0.495)
    assert measure_ruling(255 - image, 10.0).um_per_px == pytest.approx(true, rel=0.002)


@pytest.mark.parametrize("z_um", [0.0, 8.0, 16.0, 30.0, 60.0])
def test_a_blurred_ruling_is_measured_or_refused_or_implausible(z_um: float) -> None:
    look = replace(MicrometerLook(), z_um=z_um, angle_rad=0.3)
    image = Micrometer(look, np.eye(2) * 0.5).render(0.0, 0.008, resting)
    try:
        um_per_px = measure_ruling(image, 10.0).um_per_px
    except CalibrationError:
        assert z_um > 10
        return
    if z_um < 10 or not implausible(um_per_px, 0.5):
        assert um_per_px == pytest.approx(0.5, rel=0.002)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_no_ruling_is_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    empty = np.clip(rng.normal(150, 3, (480, 640)), 0, 255).astype(np.uint8)
    look = replace(MicrometerLook(), contrast=0.0, dust=50)
    dusty = Micrometer(look, np.eye(2) * 0.5, seed).render(0.0, 0.008, resting)
    for image in (empty, dusty, np.zeros((480, 640), np.uint8)):
        with pytest.raises(CalibrationError, match="line"):
            measure_ruling(image, 10.0)


def test_bad_questions_are_refused() -> None:
    image = np.zeros((480, 640), np.uint8)
    with pytest.raises(CalibrationError, match="division"):
        measure_ruling(image, 0.0)
    with pytest.raises(CalibrationError, match="small"):
        measure_ruling(image[:20], 10.0)
    with pytest.raises(CalibrationError, match="short"):
        measure_by_hand((0.0, 0.0), (3.0, 3.0), 100.0)
    with pytest.raises(CalibrationError, match="length"):
        measure_by_hand((0.0, 0.0), (300.0, 3.0), float("nan"))


def test_a_line_by_hand() -> None:
    size = measure_by_hand((10.0, 20.0), (310.0, 420.0), 250.0)
    assert size.um_per_px == pytest.approx(0.5)
    assert size.uncertainty_um_per_px == pytest.approx(0.5 * np.sqrt(2) / 500)


@pytest.mark.parametrize(
    ("um_per_px", "cause"),
    [(0.2475, "objective"), (0.0495, "ruling"), (4.95, "ruling"), (0.099, "fifth"), (0.7, "check")],
)
def test_an_implausible_size_names_the_cause(um_per_px: float, cause: str) -> None:
    assert cause in implausible(um_per_px, 0.495, 10.0)
    assert implausible(0.51, 0.495) == ""


def test_the_picture_shows_every_tick() -> None:
    image, _ = slide(3, 10.0, 0.495)
    size = measure_ruling(image, 10.0)
    picture = picture_of_ruling(image, size)
    assert picture.shape[1:] == (640, 3)
    drawn = (picture[:480] != image[:, :, None]).any(axis=2)
    for ends in size.ends_px:
        x, y = np.round(ends.mean(axis=0)).astype(int)
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].any()
