"""The tip is found where it is, never where none is; and it goes where the calibration says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from virtual_bench import VirtualPipette, make_bench

from calibration.errors import CalibrationError
from calibration.pipette_affine import Sight, drift_um, fit_pipette
from calibration.pipette_procedure import HEIGHTS_UM, calibrate_pipette, see_tip
from calibration.procedure import run
from calibration.tip import Tip, find_tip
from calibration.transform import ImageToStage
from drivers.clock import VirtualClock
from models.specimen.profiles import profile
from models.specimen.scene import Specimen

UM_PER_PX = 0.495
CENTRE_PX = np.array([319.5, 239.5])
VIEW = ImageToStage(np.eye(2) * UM_PER_PX, CENTRE_PX)


def resting(times_s: np.ndarray) -> np.ndarray:
    return np.zeros((len(times_s), 2))


def picture(seed: int, tip_um: tuple[float, float, float] | None) -> np.ndarray:
    modality = ("brightfield", "phase")[seed % 2]
    specimen = Specimen(profile("exam", modality=modality), seed)
    tip = None if tip_um is None else lambda times_s: np.tile(tip_um, (len(times_s), 1))
    shots = [specimen.render(1 + k / 10, 0.008, resting, tip) for k in range(3)]
    return np.median(shots, axis=0).astype(np.uint8)


def test_the_tip_is_found_within_a_pixel_and_a_half() -> None:
    errors = []
    for seed in range(4):
        rng = np.random.default_rng([seed, 9])
        x_um, y_um = rng.uniform(-80, 80, 2)
        tip = find_tip(picture(seed, (x_um, y_um, rng.uniform(-3, 3))), UM_PER_PX)
        assert tip is not None
        true = CENTRE_PX + np.array((x_um, y_um)) / UM_PER_PX
        errors.append(np.hypot(tip.x_px - true[0], tip.y_px - true[1]))
    assert np.median(errors) <= 0.7
    assert np.max(errors) <= 1.5


@pytest.mark.parametrize("seed", [0, 1, 446, 451, 818])  # the last: halos, and tails side by side
def test_no_pipette_no_tip(seed: int) -> None:
    assert find_tip(picture(seed, None), UM_PER_PX) is None


@pytest.mark.parametrize("turns", [1, 2])
def test_the_pipette_may_come_from_any_side(turns: int) -> None:
    image = picture(2, (20.0, 10.0, 0.0))
    straight = find_tip(image, UM_PER_PX)
    turned = find_tip(np.ascontiguousarray(np.rot90(image, turns)), UM_PER_PX)
    assert straight is not None
    assert turned is not None
    at = np.zeros(image.shape)
    at[round(straight.y_px), round(straight.x_px)] = 1.0
    row, column = np.unravel_index(np.rot90(at, turns).argmax(), np.rot90(at, turns).shape)
    assert (turned.x_px, turned.y_px) == pytest.approx((column, row), abs=1.5)
    again = find_tip(image, UM_PER_PX, like=straight)
    assert again is not None
    assert (again.x_px, again.y_px) == pytest.approx((straight.x_px, straight.y_px), abs=0.5)


def sights(rng: np.random.Generator, matrix: np.ndarray, noise_px: float) -> list[Sight]:
    pose = rng.uniform((-30, -30, 0), (30, 30, 2), (15, 3))
    above = [(*pose[0, :2], pose[0, 2] + height) for height in HEIGHTS_UM]
    pose = np.concatenate([pose, above])
    tip_px = CENTRE_PX + (np.array((10.0, -5.0)) + pose @ matrix.T) / UM_PER_PX
    tip_px += rng.normal(0, noise_px, tip_px.shape)
    blur_px = np.sqrt(1.5**2 + (0.5 * (pose[:, 2] - 2.0)) ** 2)
    return [
        Sight(tuple(q), Tip(x, y, 0.1, 12.0, 0.03, blur, 0.3, 0.9))
        for q, (x, y), blur in zip(pose.tolist(), tip_px.tolist(), blur_px.tolist(), strict=True)
    ]


def test_a_hundred_mountings() -> None:
    errors = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        angle = rng.uniform(-np.pi, np.pi)
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s, 0.3], [s, c, -0.2]]) + rng.normal(0, 0.05, (2, 3))
        seen = sights(rng, matrix, 0.5)
        seen[3] = Sight(seen[3].pose_um, Tip(5.0, 5.0, 0.1, 12.0, 0.03, 2.0, 0.3, 0.6))
        affine = fit_pipette(seen, VIEW.matrix_um_per_px, CENTRE_PX)
        there = rng.uniform((-60, -60, 0), (60, 60, 5), (50, 3))
        true = np.array((10.0, -5.0)) + there @ matrix.T
        errors.append(((affine.view_um(there) - true) ** 2).sum(axis=1).mean())
        pose = affine.pose_um(true[0], float(there[0, 2]))
        np.testing.assert_allclose(affine.view_um(pose), true[0], atol=1e-6)
        assert affine.focus_z_um == pytest.approx(2.0, abs=3 * affine.focus_sd_um)
        assert affine.focus_sd_um < 0.3
        drifted = Sight(seen[5].pose_um, Tip(*(CENTRE_PX + 7), 0.1, 12.0, 0.03, 2.0, 0.3, 0.9))
        moved = drift_um(affine, drifted, VIEW.matrix_um_per_px, CENTRE_PX)
        expected = np.full(2, 7 * UM_PER_PX) - affine.view_um(np.array(drifted.pose_um))
        np.testing.assert_allclose(moved, expected)
    assert np.sqrt(np.mean(errors)) <= 1.0


@pytest.mark.parametrize("picture", ["seen", "missing", "astray"])
def test_the_height_of_focus_does_not_hang_on_the_first_picture(picture: str) -> None:
    rng = np.random.default_rng(4)
    seen = sights(rng, np.array([[1.0, 0.1, 0.2], [-0.1, 1.0, 0.0]]), 0.3)
    home = seen[0].pose_um
    if picture == "missing":
        del seen[0]
    elif picture == "astray":
        seen[0] = Sight(home, Tip(5.0, 5.0, 0.1, 12.0, 0.03, 2.0, 0.3, 0.6))
    affine = fit_pipette(seen, VIEW.matrix_um_per_px, CENTRE_PX, home_um=home)
    assert affine.used[0] == (picture != "astray")
    assert affine.focus_z_um == pytest.approx(2.0, abs=3 * affine.focus_sd_um)
    assert affine.reference_um == home


def test_what_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(0)
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    good = sights(rng, matrix, 0.3)
    with pytest.raises(CalibrationError, match="5 pictures only"):
        fit_pipette(good[:5], VIEW.matrix_um_per_px, CENTRE_PX)
    with pytest.raises(CalibrationError, match="one line"):
        fit_pipette(sights(rng, matrix * [[1.0], [0.0]], 0.0), VIEW.matrix_um_per_px, CENTRE_PX)
    with pytest.raises(CalibrationError, match="does not go where"):
        fit_pipette(sights(rng, matrix, 10.0), VIEW.matrix_um_per_px, CENTRE_PX)


def test_driven_along_its_axes() -> None:
    mount = np.array([[0.98, 0.10, 0.15], [-0.08, 1.02, 0.05], [0.02, 0.0, 0.99]])
    start = np.array((12.0, -20.0, -1.5))
    clock = VirtualClock(1.0)
    pipette = VirtualPipette(clock)

    def tip_um(times_s: np.ndarray) -> np.ndarray:
        return start + np.array([pipette.plant.load_um(float(t)) for t in times_s]) @ mount.T

    specimen = Specimen(profile("exam", modality="phase"), 1)
    bench = make_bench(specimen, None, clock, pipette=pipette, tip_um=tip_um)
    affine = run(calibrate_pipette(bench, VIEW))
    there = np.random.default_rng(0).uniform((-90, -60, 0), (90, 60, 4), (50, 3))
    off = affine.view_um(there) - (start[:2] + there @ mount[:2].T)
    assert np.sqrt((off**2).sum(axis=1).mean()) <= 1.0
    assert affine.focus_z_um == pytest.approx(1.5 / 0.99, abs=0.4)
    assert affine.focus_sd_um < 0.3
    assert pipette.stops == 1
    assert clock.now_s() < 61.0
    now = drift_um(affine, see_tip(bench, VIEW), VIEW.matrix_um_per_px, CENTRE_PX)
    assert np.linalg.norm(now) < 1.0


def test_a_manipulator_whose_z_grows_downward_is_never_sent_below_where_it_stood() -> None:
    clock, up = VirtualClock(1.0), -1
    pipette = VirtualPipette(clock)
    heights_um = []

    def tip_um(times_s: np.ndarray) -> np.ndarray:
        load = np.array([pipette.plant.load_um(float(t)) for t in times_s]) * (1, 1, up)
        heights_um.extend(load[:, 2].tolist())
        return load + np.array((12.0, -20.0, -1.5))

    specimen = Specimen(profile("exam", modality="phase"), 1)
    bench = replace(make_bench(specimen, None, clock, pipette=pipette, tip_um=tip_um), up=-1)
    affine = run(calibrate_pipette(bench, VIEW))
    assert min(heights_um) > -0.01
    assert max(heights_um) == pytest.approx(max(HEIGHTS_UM), abs=0.1)
    assert affine.focus_z_um == pytest.approx(up * 1.5, abs=0.4)


def test_without_a_pipette_in_view_nothing_moves() -> None:
    clock = VirtualClock(1.0)
    pipette = VirtualPipette(clock)
    specimen = Specimen(profile("exam"), 0)
    bench = make_bench(specimen, None, clock, pipette=pipette)
    with pytest.raises(CalibrationError, match="no pipette is seen"):
        run(calibrate_pipette(bench, VIEW))
    assert pipette.plant.motor_um(clock.now_s() + 5) == (0.0, 0.0, 0.0)
    with pytest.raises(CalibrationError, match="no manipulator"):
        run(calibrate_pipette(make_bench(specimen, None, clock), VIEW))
