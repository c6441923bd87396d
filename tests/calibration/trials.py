"""One trial of each procedure with a truth drawn from a seed; what it is off by, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from calibration.beads import measure_beads
from calibration.latency_procedure import calibrate_latency
from calibration.pipette_procedure import calibrate_pipette
from calibration.pixel_size import measure_ruling
from calibration.procedure import Bench, run
from calibration.stage_procedure import calibrate_stage
from calibration.tip import find_tip
from calibration.transform import ImageToStage
from drivers.clock import VirtualClock
from drivers.scene_camera import SceneCameraSettings
from models.specimen.bead_slide import BeadLook, BeadSlide
from models.specimen.micrometer import Micrometer, draw_micrometer
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from tests.calibration.virtual_bench import (
    WIRE_S,
    VirtualPipette,
    VirtualStage,
    make_bench,
    turned,
)
from tests.core.misled_loop import misled

Found = dict[str, float]
UM_PER_PX = 0.495
CENTRE_PX = np.array([319.5, 239.5])
VIEW = ImageToStage(np.eye(2) * UM_PER_PX, CENTRE_PX)
# division, um; nominal um per px; the camera's width and height, px
RULINGS = (
    (10.0, 0.495, (640, 480)), (100.0, 0.495, (640, 480)), (10.0, 0.2475, (640, 480)),
    (10.0, 0.099, (640, 480)), (100.0, 0.25, (1280, 960)), (10.0, 0.25, (1280, 960)),
    (100.0, 0.495, (1280, 960)), (10.0, 0.345, (1920, 1200)), (100.0, 0.345, (1920, 1200)),
    (10.0, 0.069, (1920, 1200)),
)  # fmt: skip
FIELD_PX = np.random.default_rng(0).uniform(-0.5, 0.5, (200, 2)) * (640, 480)
MODALITIES = ("brightfield", "phase")


def resting(times_s: np.ndarray) -> np.ndarray:
    return np.zeros((len(times_s), 2))


def angle_deg(matrix: np.ndarray, other: np.ndarray) -> float:
    u, _, vt = np.linalg.svd(matrix @ np.linalg.inv(other))
    rotation = u @ vt
    return abs(math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])))


def field_error_um(matrix: np.ndarray, true: np.ndarray) -> float:
    """Root mean square over the field of where a point is said to be."""
    return float(np.sqrt(((FIELD_PX @ (matrix - true).T) ** 2).sum(axis=1).mean()))


def slide(
    seed: int,
    division_um: float,
    nominal: float,
    size_px: tuple[int, int] = (640, 480),
    *,
    bright: bool = False,
) -> tuple[np.ndarray, float]:
    """Picture of a slide laid at random, by a camera that is turned, and the true size."""
    rng = np.random.default_rng([seed, 5])
    um_per_px = nominal * rng.uniform(0.95, 1.05)
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    mirror = np.diag((rng.choice((-1.0, 1.0)), 1.0))
    matrix = um_per_px * np.array([[c, -s], [s, c]]) @ mirror
    look = draw_micrometer(rng, division_um, nominal)
    scene = Micrometer(look, matrix, seed, width_px=size_px[0], height_px=size_px[1])
    image = scene.render(0.0, 0.008, resting)
    return (255 - image if bright else image), um_per_px


def picture(seed: int, tip_um: tuple[float, float, float] | None) -> np.ndarray:
    """Three frames' median of a live specimen, with or without a pipette."""
    specimen = Specimen(profile("exam", modality=MODALITIES[seed % 2]), seed)
    tip = None if tip_um is None else lambda times_s: np.tile(tip_um, (len(times_s), 1))
    shots = [specimen.render(1 + k / 10, 0.008, resting, tip) for k in range(3)]
    return np.median(shots, axis=0).astype(np.uint8)


def stage_bench(
    seed: int, modality: str, **camera: float
) -> tuple[Bench, VirtualStage, np.ndarray, tuple[float, float]]:
    """A live specimen on a worn stage, before a camera that is turned and perhaps mirrored."""
    rng = np.random.default_rng([seed, 7])
    true = turned(
        0.495 * rng.uniform(0.95, 1.05), rng.uniform(-180, 180), bool(rng.integers(2)), 1.003
    )
    backlash = (float(rng.uniform(0, 2)), float(rng.uniform(0, 2)))
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock, backlash, slip=lambda: float(rng.normal(0, 0.05)))
    specimen = Specimen(profile("exam", modality=modality), seed, matrix_um_per_px=true)
    settings = SceneCameraSettings(seed=seed, **camera)
    return make_bench(specimen, stage, clock, camera=settings), stage, true, backlash


def pixel(seed: int) -> Found:
    division_um, nominal, size_px = RULINGS[seed % len(RULINGS)]
    bright = seed // len(RULINGS) % 3 == 2
    image, true = slide(seed, division_um, nominal, size_px, bright=bright)
    found = measure_ruling(image, division_um)
    off = abs(found.um_per_px / true - 1)
    stated = found.uncertainty_um_per_px / found.um_per_px
    return {
        "error_percent": 100 * off,
        "over_its_sd": off / stated,
        "beyond_what_is_stated": float(off > 3 * stated + 0.002),
    }


def beads(seed: int) -> Found:
    """Measure beads of 10 um on a slide, by 20x, 40x or 100x."""
    um_per_px = (0.495, 0.2475, 0.099)[seed % 3]
    image = BeadSlide(BeadLook(), np.eye(2) * um_per_px, seed).render(0.0, 0.008, resting)
    found = measure_beads(image, 10.0 / um_per_px)
    return {"error_percent": 100 * abs(found.median_px * um_per_px / 10.0 - 1)}


def tip(seed: int) -> Found:
    rng = np.random.default_rng([seed, 9])
    x_um, y_um = rng.uniform(-80, 80, 2)
    z_um = rng.uniform(-5, 5)
    found = find_tip(picture(seed, (x_um, y_um, z_um)), UM_PER_PX)
    true = CENTRE_PX + np.array((x_um, y_um)) / UM_PER_PX
    away_px = math.inf if found is None else math.hypot(found.x_px - true[0], found.y_px - true[1])
    bare = find_tip(picture(seed, None), UM_PER_PX)
    return {"error_px": away_px, "found_where_none_is": float(bare is not None)}


def stage(seed: int) -> Found:
    bench, _, true, backlash = stage_bench(
        seed, MODALITIES[seed % 2], drop_probability=0.05, jitter_s=0.0005
    )
    found = run(calibrate_stage(bench))
    return {
        "position_um": field_error_um(found.matrix_um_per_px, true),
        "residual_um": found.residual_um,
        "angle_deg": angle_deg(found.matrix_um_per_px, true),
        "mirror_wrong": float(found.mirrored != (np.linalg.det(true) < 0)),
        "backlash_um": float(np.abs(np.array(found.backlash_um) - backlash).max()),
        "seconds": bench.clock.now_s() - 1.0,
    }


def latency(seed: int) -> Found:
    rng = np.random.default_rng([seed, 11])
    dead_s, transfer_s = rng.uniform(0.010, 0.060), rng.uniform(0.004, 0.020)
    exposure_s = rng.uniform(0.002, 0.012)
    true = turned(UM_PER_PX, rng.uniform(-180, 180), bool(rng.integers(2)))
    clock = VirtualClock(1.0)
    backlash = (float(rng.uniform(0, 2)), float(rng.uniform(0, 2)))
    device = VirtualStage(clock, backlash, dead_s)
    modality = MODALITIES[seed % 2]
    specimen = Specimen(profile("exam", modality=modality), seed, matrix_um_per_px=true)
    settings = SceneCameraSettings(
        exposure_s=exposure_s, transfer_s=transfer_s, drop_probability=0.03, jitter_s=0.001,
        seed=seed,
    )  # fmt: skip
    bench = make_bench(specimen, device, clock, camera=settings)
    found = run(calibrate_latency(bench, ImageToStage(true, CENTRE_PX)))
    motion_s, to_host_s = WIRE_S + dead_s, transfer_s + exposure_s / 2
    return {
        "sum_ms": 1e3 * abs(found.sum_s - motion_s - to_host_s),
        "command_ms": 1e3 * abs(found.command_to_motion_s - motion_s),
        "exposure_ms": 1e3 * abs(found.exposure_to_host_s - to_host_s),
        "seconds": clock.now_s() - 1.0,
    }


def pipette(seed: int) -> Found:
    rng = np.random.default_rng([seed, 13])
    mount = np.eye(3) + rng.normal(0, 0.08, (3, 3))
    start = np.array((*rng.uniform(-25, 25, 2), rng.uniform(-4, 1)))
    clock = VirtualClock(1.0)
    device = VirtualPipette(clock, float(rng.uniform(0, 0.3)))

    def tip_um(times_s: np.ndarray) -> np.ndarray:
        return start + np.array([device.plant.load_um(float(t)) for t in times_s]) @ mount.T

    specimen = Specimen(profile("exam", modality=MODALITIES[seed % 2]), seed)
    bench = make_bench(specimen, None, clock, pipette=device, tip_um=tip_um)
    found = run(calibrate_pipette(bench, VIEW))
    there = rng.uniform((-90, -60, 0), (90, 60, 4), (50, 3))
    off = found.view_um(there) - (start[:2] + there @ mount[:2].T)
    focus_um = found.focus_z_um + start[2] / mount[2, 2]
    return {
        "position_um": float(np.sqrt((off**2).sum(axis=1).mean())),
        "residual_um": found.residual_um,
        "focus_um": abs(focus_um),
        "focus_over_its_sd": abs(focus_um / found.focus_sd_um),
        "seconds": clock.now_s() - 1.0,
    }


def objective(seed: int) -> Found:
    """Follow through a map that is half, twice (6 s) or just as large as it should be (15 s)."""
    factor = (0.5, 2.0, 1.0)[seed % 3]
    loop = misled(factor, seed)
    held_after_s = loop.run_until_held(15.0 if factor == 1.0 else 6.0)
    named = float("objective" in loop.pilot.state.reason)
    if factor == 1.0:
        return {"noticed_s": math.nan, "not_named": math.nan, "wrongly_suspected": named}
    noticed_s = math.inf if held_after_s is None else held_after_s
    return {"noticed_s": noticed_s, "not_named": 1.0 - named, "wrongly_suspected": math.nan}


TRIALS: dict[str, Callable[[int], Found]] = {
    "pixel": pixel, "beads": beads, "tip": tip, "stage": stage, "latency": latency,
    "pipette": pipette, "objective": objective,
}  # fmt: skip
