"""The verb that tells how well a sperm is followed."""

from __future__ import annotations

import json

import pytest

from app.cli import main
from app.config import NetworkConfig, simulated_rig
from app.rig.bench_servo import bench_servo

RIG = simulated_rig().model_copy(update={"network": NetworkConfig(detector="threshold")})


def test_a_sperm_is_centred_and_kept() -> None:
    found = bench_servo(RIG, speed_um_s=40.0, seconds=6.0, runs=1)
    assert set(found) >= {"rms_um", "p95_um", "time_to_centre_s", "lost", "swaps"}
    assert found["lost"] == found["swaps"] == found["not_chosen"] == 0
    assert float(str(found["rms_um"])) < 3.0
    assert float(str(found["time_to_centre_s"])) <= 1.5


def test_equal_runs_give_equal_figures() -> None:
    assert bench_servo(RIG, 40.0, 4.0, 1) == bench_servo(RIG, 40.0, 4.0, 1)


@pytest.mark.timeout(600)  # ten seconds of a processor, which others may want too
def test_the_promise_at_100_um_s_with_the_network() -> None:
    found = bench_servo(simulated_rig(), speed_um_s=100.0, seconds=8.0, runs=1)
    assert "SFCNet" in str(found["detector"])
    assert float(str(found["rms_um"])) <= 2.2
    assert float(str(found["time_to_centre_worst_s"])) <= 1.5
    assert found["lost"] == found["swaps"] == 0
    assert found["kept_percent"] == 100.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_verb_with_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "servo", "--seconds", "6", "--runs", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["rms_um"] < 3.0
    assert found["runs"] == 2
