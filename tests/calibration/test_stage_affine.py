"""Image to stage: found among noise, blunders, drift, backlash and slip, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from trials import stage_bench
from virtual_bench import VirtualStage, make_bench, turned

from calibration.errors import CalibrationError
from calibration.procedure import Progress, run
from calibration.shift import measure_shift, still_pattern, texture
from calibration.stage_affine import StageAffine, Step, fit_stage, star_um
from calibration.stage_procedure import calibrate_stage
from drivers.clock import VirtualClock

FIELD_PX = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 2)) * (640, 480)


def angle_deg(matrix: np.ndarray, other: np.ndarray) -> float:
    u, _, vt = np.linalg.svd(matrix @ np.linalg.inv(other))
    rotation = u @ vt
    return abs(math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])))


def field_error_um(matrix: np.ndarray, true: np.ndarray) -> float:
    """Root mean square over the field of where a point is said to be."""
    return float(np.sqrt(((FIELD_PX @ (matrix - true).T) ** 2).sum(axis=1).mean()))


def steps(
    rng: np.random.Generator,
    matrix: np.ndarray,
    backlash_um: np.ndarray,
    *,
    drift_um_s: np.ndarray | None = None,
    noise_px: float = 0.1,
    blunders: float = 0.1,
) -> list[Step]:
    """Moves of a star as they would be seen: noise, and now and then something else followed."""
    drift = np.zeros(2) if drift_um_s is None else drift_um_s
    places = np.concatenate([[[-20.0, -20.0], [0.0, 0.0]], star_um(65.0)])
    inverse = np.linalg.inv(matrix)
    approach, approaches, loads = np.zeros(2, int), [], []
    for before, after in pairwise(np.concatenate([[[0.0, 0.0]], places])):
        way = np.sign(np.round(after - before, 3)).astype(int)
        approach = np.where(way == 0, approach, way)
        approaches.append(tuple(int(a) for a in approach))
        loads.append(after - approach * backlash_um / 2)
    found = []
    for i in range(1, len(places) - 1):
        true_px = inverse @ (-(loads[i + 1] - loads[i]) + 0.6 * drift)
        seen_px = true_px + rng.normal(0, noise_px, 2)
        if rng.uniform() < blunders:
            seen_px = rng.uniform(-200, 200, 2)
        read = np.round(places / 0.1) * 0.1
        found.append(
            Step(
                tuple(read[i]), tuple(read[i + 1]), approaches[i], approaches[i + 1],
                0.6, tuple(seen_px), 0.6,
            )
        )  # fmt: skip
    return found


def test_a_hundred_rigs() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        mirror = bool(rng.integers(2))
        true = turned(
            rng.uniform(0.2, 0.6), rng.uniform(-180, 180), mirror, rng.uniform(0.99, 1.01)
        )
        backlash = rng.uniform(0, 5, 2)
        drift = rng.uniform(-3, 3, 2)
        result = fit_stage(steps(rng, true, backlash, drift_um_s=drift))
        assert angle_deg(result.matrix_um_per_px, true) <= 0.05
        assert field_error_um(result.matrix_um_per_px, true) <= 0.3
        assert result.mirrored == mirror
        np.testing.assert_allclose(result.backlash_um, backlash, atol=0.3)
        np.testing.assert_allclose(result.drift_um_s, drift, atol=0.5)
        assert result.residual_um <= 0.3


@pytest.mark.parametrize(
    ("seed", "modality"),
    [(0, "brightfield"), pytest.param(1, "phase", marks=pytest.mark.slow)],
)
def test_a_live_specimen_calibrates_the_stage(seed: int, modality: str) -> None:
    bench, stage, true, backlash = stage_bench(seed, modality, drop_probability=0.05)
    result: StageAffine = run(calibrate_stage(bench))
    assert angle_deg(result.matrix_um_per_px, true) <= 0.05
    assert field_error_um(result.matrix_um_per_px, true) <= 0.3
    assert result.mirrored == (np.linalg.det(true) < 0)
    assert result.residual_um <= 0.3
    np.testing.assert_allclose(result.backlash_um, backlash, atol=0.3)
    assert bench.clock.now_s() < 61.0
    assert stage.stops == 1
    assert not any(stage.plant.moving(bench.clock.now_s() + 1.0))


def test_cancelled_it_leaves_the_stage_at_rest_and_the_camera_closed() -> None:
    bench, stage, _, _ = stage_bench(2, "brightfield")
    procedure = calibrate_stage(bench)
    next(procedure)
    seen = next(procedure)
    assert isinstance(seen, Progress)
    assert seen.picture is not None
    procedure.close()
    assert stage.stops == 1
    assert not any(stage.plant.moving(bench.clock.now_s() + 1.0))
    with pytest.raises(Exception, match="not open"):
        bench.camera.read(0.1)


class Blank:
    """A scene with nothing on it, or one that does not care where the stage is."""

    width_px, height_px = 320, 240

    def __init__(self, still: bool) -> None:
        self._rng = np.random.default_rng(0)
        noise = np.random.default_rng(1).normal(0, 40, (240, 320))
        self._picture = 128.0 + (noise if still else 0.0)

    def render(
        self, time_s: float, exposure_s: float, stage_um: object, pipette_um: object
    ) -> np.ndarray:
        grain = self._rng.normal(0, 2, (240, 320))
        return np.clip(self._picture + grain, 0, 255).astype(np.uint8)


def test_a_picture_without_texture_is_refused() -> None:
    clock = VirtualClock()
    bench = make_bench(Blank(still=False), VirtualStage(clock), clock)
    with pytest.raises(CalibrationError, match="texture"):
        run(calibrate_stage(bench))


def test_a_stage_at_its_limit_is_refused_before_anything_is_sent() -> None:
    clock = VirtualClock()
    stage = VirtualStage(clock, limit_um=20.0)
    with pytest.raises(CalibrationError, match="limit"):
        run(calibrate_stage(make_bench(Blank(still=False), stage, clock)))
    assert stage.stops == 1


def test_a_rig_without_stage_is_refused() -> None:
    clock = VirtualClock()
    with pytest.raises(CalibrationError, match="no stage"):
        run(calibrate_stage(make_bench(Blank(still=False), None, clock)))


Change = Callable[[Step], Step]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda step: replace(step, likeness=0.05), "texture"),
        (lambda step: replace(step, shift_px=(0.01, 0.0)), "stands still"),
        (lambda step: replace(step, to_um=step.from_um), "did not move"),
        (
            lambda step: replace(step, shift_px=(step.shift_px[0] + 60 * 0.6, step.shift_px[1])),
            "flows",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(change: Change, reason: str) -> None:
    good = steps(np.random.default_rng(1), turned(0.495, 10, False), np.zeros(2), blunders=0.0)
    with pytest.raises(CalibrationError, match=reason):
        fit_stage([change(step) for step in good])


def test_noise_above_the_limit_is_refused() -> None:
    rng = np.random.default_rng(3)
    noisy = steps(rng, turned(0.495, 10, False), np.zeros(2), noise_px=3.0)
    with pytest.raises(CalibrationError, match="do not agree"):
        fit_stage(noisy)


def test_a_shift_is_measured_whatever_stays_in_place() -> None:
    rng = np.random.default_rng(5)
    import cv2

    slide = cv2.GaussianBlur(rng.normal(0, 60, (700, 900)), (0, 0), 2.0)
    dirt = 25 * np.sin(np.arange(480) / 9)[:, None] * np.cos(np.arange(640) / 7)
    places = [(0, 0), (37, -22), (-60, 55), (5, 90), (110, 4), (-90, -70)]
    views = [
        np.clip(
            128 + dirt + slide[110 + y : 590 + y, 130 + x : 770 + x]
            + rng.normal(0, 2, (480, 640)), 0, 255
        ).astype(np.uint8)
        for x, y in places
    ]  # fmt: skip
    pattern = still_pattern(views)
    first = texture(views[0], pattern)
    for (x, y), view in list(zip(places, views, strict=True))[1:]:
        shift = measure_shift(first, texture(view, pattern))
        assert (shift.x_px, shift.y_px) == pytest.approx((-x, -y), abs=0.15)
        assert shift.likeness > 0.4
