"""What has to be known of this rig: measured at a tenth of the speed, and written down.

``pytest -m hardware --rig FILE`` asks for a name before the first move and writes the report
beside the rig file. The contract of every stage is looked at by the same run (tests/conformance).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_rig import SPEED_UM_S, TENTH, confirm, real_pipette, real_stage, rig_config

from app.rig.commissioning import Report, fit_profile, measure_pipette, measure_stage, ride
from app.rig.commissioning import write_report as write

pytestmark = pytest.mark.hardware
REACH_UM = 300.0


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[dict[str, Report]]:
    parts: dict[str, Report] = {}
    yield parts
    if parts:
        rig = Path(str(request.config.getoption("--rig")))
        given = request.config.getoption("--report")
        path = Path(str(given)) if given else rig.with_name(f"{rig.stem}-commissioning.json")
        write(path, confirm(request.config, ""), rig_config(request.config).name, parts)
        print(f"\ncommissioning report: {path}")


def test_the_stage_goes_as_it_is_told(
    pytestconfig: pytest.Config, report: dict[str, Report]
) -> None:
    low, high = (-50.0, -50.0), (REACH_UM + 50.0, 50.0)
    with real_stage(pytestconfig, low, high) as stage:
        found = report["stage"] = measure_stage(stage, SPEED_UM_S, REACH_UM)
    assert 1.0 < float(str(found["round_trip_ms"])) < 100.0
    assert found["acknowledges"] in ("at once", "at the end")
    assert float(str(found["velocity_scale"])) == pytest.approx(1.0, abs=0.05)
    assert float(str(found["speed_um_s"])) == pytest.approx(2.5 * SPEED_UM_S, rel=0.25)


def test_top_speed_and_acceleration(pytestconfig: pytest.Config, report: dict[str, Report]) -> None:
    from drivers.guarded import GuardedStage
    from drivers.limits import SoftLimits

    port = rig_config(pytestconfig).stage
    assert port is not None
    confirm(pytestconfig, "The stage will go 6 mm along x at its full speed.")
    with GuardedStage(port.url, SoftLimits((-1e5,) * 2, (1e5,) * 2), baud=port.baud) as stage:
        here = stage.read_pose()
    low, high = (here.x_um - 50.0, here.y_um - 50.0), (here.x_um + 6050.0, here.y_um + 50.0)
    with GuardedStage(
        port.url, SoftLimits(low, high), baud=port.baud, move_speed_um_s=20_000.0, deadman_s=1.0,
    ) as stage:  # fmt: skip
        ways_um = [300.0, 600.0, 1000.0, 2000.0, 4000.0, 6000.0]
        rides = [ride(stage, way_um) for way_um in ways_um for _ in range(2)]
    top_um_s, acceleration_um_s2, delay_s = fit_profile(rides)
    report["profile"] = {
        "top_speed_um_s": top_um_s, "acceleration_um_s2": acceleration_um_s2,
        "delay_ms": 1e3 * delay_s,
    }  # fmt: skip
    assert top_um_s > 1000.0
    assert 5_000.0 < acceleration_um_s2 < 1e6


def test_the_manipulator_goes_as_fast_as_its_number(
    pytestconfig: pytest.Config, report: dict[str, Report]
) -> None:
    with real_pipette(pytestconfig) as pipette:
        found = report["pipette"] = measure_pipette(pipette, 200.0 * 10 * TENTH, 100.0)
    assert 0.3 < float(str(found["velocity_scale"])) < 1.5
