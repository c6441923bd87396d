"""The delays of the loop are found, and divided, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest
from virtual_bench import WIRE_S, VirtualStage, make_bench, turned

from calibration.errors import CalibrationError
from calibration.latency import Delay, Streamed, chirp_um_s, fit_delay, split
from calibration.latency_procedure import calibrate_latency
from calibration.procedure import run
from calibration.transform import ImageToStage
from drivers.clock import VirtualClock
from drivers.scene_camera import SceneCameraSettings
from models.specimen.profiles import profile
from models.specimen.scene import Specimen

MEAN_UM_S = 60.0
DIRECTION = np.array((0.8, 0.6))


def streamed_chirp(rng: np.random.Generator) -> Streamed:
    time_s = np.cumsum(rng.uniform(0.030, 0.040, 220))
    speed = np.array([chirp_um_s(t, 7.0, MEAN_UM_S) for t in time_s])
    return Streamed(time_s, speed[:, None] * DIRECTION)


def test_the_chirp_never_turns_back() -> None:
    speed = np.array([chirp_um_s(t, 7.0, MEAN_UM_S) for t in np.linspace(0, 7, 2000)])
    assert speed.min() > 0
    assert speed.max() < 2 * MEAN_UM_S


def test_a_hundred_delays() -> None:
    for seed in range(100):
        rng = np.random.default_rng(seed)
        streamed = streamed_chirp(rng)
        delay_s = rng.uniform(0.0, 0.15)
        sample_s = np.sort(rng.uniform(0.3, streamed.time_s[-1], 180))
        moved = np.diff(streamed.way_um(sample_s - delay_s), axis=0)
        moved += np.diff(sample_s)[:, None] * rng.uniform(-3, 3, 2)  # the sample flows
        moved += rng.normal(0, 0.1, moved.shape)
        wild = rng.uniform(size=len(moved)) < 0.1
        moved[wild] += rng.uniform(-20, 20, (int(wild.sum()), 2))
        found = fit_delay(streamed, sample_s, moved, np.ones(len(moved), bool))
        assert abs(found.seconds - delay_s) < 0.002
        assert abs(found.seconds - delay_s) < 5 * found.sd_s + 2e-4
        assert found.gain == pytest.approx(1.0, abs=0.05)


def test_noise_that_follows_nothing_is_refused() -> None:
    rng = np.random.default_rng(1)
    streamed = streamed_chirp(rng)
    sample_s = np.linspace(0.3, 6.0, 150)
    nothing = rng.normal(0, 3.0, (149, 2))
    with pytest.raises(CalibrationError, match="follow"):
        fit_delay(streamed, sample_s, nothing, np.ones(149, bool))
    with pytest.raises(CalibrationError, match="only 0 samples"):
        fit_delay(streamed, sample_s, nothing, np.zeros(149, bool))


@pytest.mark.parametrize(
    ("picture", "readback", "reason"),
    [
        (Delay(0.03, 0.0002, 2.0, 0.1), Delay(0.025, 0.0002, 1.0, 0.1), "calibrate the stage"),
        (Delay(0.03, 0.0100, 1.0, 0.1), Delay(0.025, 0.0002, 1.0, 0.1), "known to 10.0 ms only"),
        (Delay(0.03, 0.0002, 1.0, 0.1), Delay(0.080, 0.0002, 1.0, 0.1), "not possible"),
    ],
)
def test_what_cannot_be_is_refused(picture: Delay, readback: Delay, reason: str) -> None:
    with pytest.raises(CalibrationError, match=reason):
        split(picture, readback, 0.012, 0.0001)


def test_a_live_specimen_gives_the_delays() -> None:
    dead_time_s, transfer_s, exposure_s = 0.031, 0.009, 0.008
    true = turned(0.495, 200.0, True)
    clock = VirtualClock(1.0)
    stage = VirtualStage(clock, (1.0, 1.0), dead_time_s)
    specimen = Specimen(profile("exam", modality="phase"), 1, matrix_um_per_px=true)
    camera = SceneCameraSettings(
        exposure_s=exposure_s, transfer_s=transfer_s, drop_probability=0.03, jitter_s=0.001
    )
    bench = make_bench(specimen, stage, clock, camera=camera)
    result = run(calibrate_latency(bench, ImageToStage(true, np.array([319.5, 239.5]))))
    motion_s, to_host_s = WIRE_S + dead_time_s, transfer_s + exposure_s / 2
    assert result.sum_s == pytest.approx(motion_s + to_host_s, abs=0.001)  # 0.003 is promised
    assert result.command_to_motion_s == pytest.approx(motion_s, abs=0.008)
    assert result.exposure_to_host_s == pytest.approx(to_host_s, abs=0.008)
    assert clock.now_s() < 61.0
    assert not any(stage.plant.moving(clock.now_s() + 1.0))
    assert np.abs(stage.true_um(np.array([clock.now_s()]))).max() < 2.0  # it came back
