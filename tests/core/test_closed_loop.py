"""The closed loop in virtual time: a sperm that swims, a stage that lags, and the pilot."""

from __future__ import annotations

import numpy as np
import pytest
from virtual_loop import HEIGHT_PX, UM_PER_PX, WIDTH_PX, VirtualLoop

from app.config import ServoConfig
from app.core.messages import Mode
from app.core.servo import CENTRED_UM


@pytest.mark.parametrize(("speed_um_s", "limit_um"), [(25.0, 1.0), (50.0, 1.2), (100.0, 1.8)])
def test_the_chosen_sperm_stays_in_the_centre(
    speed_um_s: float, limit_um: float, capsys: pytest.CaptureFixture[str]
) -> None:
    loops = [VirtualLoop(speed_um_s=speed_um_s, seed=seed) for seed in range(3)]
    for loop in loops:
        loop.run(10.0)
    rms_um = float(np.sqrt(np.mean([loop.rms_um() ** 2 for loop in loops])))
    with capsys.disabled():
        print(f" rms {rms_um:.2f} um at {speed_um_s:.0f} um/s", end="")
    assert rms_um <= limit_um
    assert all(loop.modes[-1] is Mode.FOLLOWING and loop.swaps == 0 for loop in loops)


@pytest.mark.parametrize(
    "change",
    [
        {"believed_lag_s": 0.026},
        {"believed_lag_s": 0.046},
        {"detect_delay_s": 0.080},
        {"resolution_um": 1.0},
        {"detection_probability": 0.85},
        {"settings": ServoConfig(gain_1_s=10.0)},
        {"settings": ServoConfig(gain_1_s=25.0)},
        {"frame_rate_hz": 15.0, "diffusion_rad2_s": 0.01},
        {"frame_rate_hz": 60.0},
    ],
    ids=str,
)
def test_it_is_robust(change: dict[str, object]) -> None:
    loop = VirtualLoop(seed=1, **change)  # type: ignore[arg-type]
    loop.run(8.0)
    assert loop.rms_um() <= 2.5
    assert loop.modes[-1] is Mode.FOLLOWING


EDGE_UM = (WIDTH_PX * UM_PER_PX / 2 - 30.0, HEIGHT_PX * UM_PER_PX / 2 - 30.0)


@pytest.mark.parametrize(
    ("right", "down", "seed"),
    [(1, 0, 2), (-1, 0, 3), (0, 1, 4), (0, -1, 5), (1, 1, 21), (-1, -1, 6)],
)
def test_a_sperm_at_the_edge_is_centred_by_one_planned_move_within_a_second_and_a_half(
    right: int, down: int, seed: int
) -> None:
    start_um = (right * EDGE_UM[0], down * EDGE_UM[1])
    loop = VirtualLoop(seed=seed, start_um=start_um, speed_um_s=25.0)
    loop.run(5.0)
    assert loop.chosen_s is not None
    times_s, errors_um = np.array(loop.error_times_s), np.array(loop.errors_um)
    centred_s = times_s[(times_s > loop.chosen_s) & (errors_um <= CENTRED_UM)][0]
    assert centred_s - loop.chosen_s <= 1.5
    assert errors_um[times_s > loop.chosen_s + 1.5].max() < 5.0
    assert len(loop.planned_um) == 1
    assert loop.modes[-1] is Mode.FOLLOWING


def test_a_near_sperm_needs_no_planned_move() -> None:
    loop = VirtualLoop(seed=2, start_um=(40.0, -20.0))
    loop.run(3.0)
    assert loop.modes[-1] is Mode.FOLLOWING
    assert loop.planned_um == []


def test_after_a_loss_the_stage_rests_and_waits_for_a_person() -> None:
    loop = VirtualLoop(seed=3, missing=frozenset(range(120, 1000)))
    loop.run(8.0)
    assert loop.modes[-1] is Mode.HOLD
    assert loop.pilot.state.target is not None
    assert "lost" in loop.pilot.state.reason
    assert loop.plant.velocity_um_s(8.0)[:2] == (0.0, 0.0)


def test_short_gaps_do_not_end_the_following() -> None:
    missing = frozenset(k for start in range(100, 300, 25) for k in range(start, start + 4))
    loop = VirtualLoop(seed=4, missing=missing)
    loop.run(12.0)
    assert loop.modes[-1] is Mode.FOLLOWING
    assert Mode.HOLD not in loop.modes
    assert loop.swaps == 0


def test_velocities_never_exceed_their_clamps() -> None:
    loop = VirtualLoop(seed=5, speed_um_s=150.0)
    loop.run(5.0)
    assert max(np.linalg.norm(v) for v in loop.velocities_um_s) <= 1000.0 + 1e-9
