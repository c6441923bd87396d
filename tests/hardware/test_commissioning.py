"""What has to be known of this rig: measured at a tenth of the speed, and written down.

``pytest -m hardware --rig FILE`` asks for a name before the first move, and again before each that
is longer or faster, and writes the report beside the rig file. Nothing leaves the rig's soft
limits, and nothing moves unless the pipette is known to be up. The contract of every stage is
looked at by the same run (tests/conformance).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_rig import (
    TENTH,
    along_x,
    guarded_pipette,
    guarded_stage,
    pipette_port,
    rig_config,
    room_um,
    stage_port,
    stage_stands_um,
)
from rig_consent import consent

from app.rig.build import pipette_limits, stage_limits
from app.rig.commissioning import Report, fit_profile, measure_pipette, measure_stage, ride
from app.rig.commissioning import write_report as write

pytestmark = pytest.mark.hardware
REACH_UM, LEAST_UM = 300.0, 100.0
PIPETTE_UM = 100.0
RIDES_UM = [300.0, 600.0, 1000.0, 2000.0, 4000.0, 6000.0]
FASTEST_UM_S = 20_000.0  # asked for, to see how fast it truly is


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[dict[str, Report]]:
    parts: dict[str, Report] = {}
    yield parts
    if parts:
        rig = Path(str(request.config.getoption("--rig")))
        given = request.config.getoption("--report")
        path = Path(str(given)) if given else rig.with_name(f"{rig.stem}-commissioning.json")
        write(path, consent(request.config).name, rig_config(request.config).name, parts)
        print(f"\ncommissioning report: {path}")


def test_the_stage_goes_as_it_is_told(
    pytestconfig: pytest.Config, report: dict[str, Report]
) -> None:
    rig = rig_config(pytestconfig)
    port = stage_port(rig)
    rate_um_s, move_um_s = TENTH * rig.servo.top_speed_um_s, TENTH * port.move_speed_um_s
    limits = stage_limits(port, rate_um_s)
    here_um = stage_stands_um(port, limits)
    way_um = room_um(limits, here_um, REACH_UM, LEAST_UM)
    speed_um_s = max(rate_um_s, move_um_s)
    consent(pytestconfig).to_move(f"The stage at {port.url}", abs(way_um), speed_um_s)
    with guarded_stage(port, along_x(limits, here_um, way_um, rate_um_s), move_um_s) as stage:
        found = report["stage"] = measure_stage(stage, min(rate_um_s, abs(way_um) / 3), way_um)
    assert "velocity_error" not in found, found["velocity_error"]
    assert 1.0 < float(str(found["round_trip_ms"])) < 100.0
    assert found["acknowledges"] in ("at once", "at the end")
    assert float(str(found["velocity_scale"])) == pytest.approx(1.0, abs=0.05)
    assert float(str(found["speed_um_s"])) == pytest.approx(move_um_s, rel=0.25)


def test_top_speed_and_acceleration(pytestconfig: pytest.Config, report: dict[str, Report]) -> None:
    rig = rig_config(pytestconfig)
    port = stage_port(rig)
    limits = stage_limits(port, rig.servo.top_speed_um_s)
    here_um = stage_stands_um(port, limits)
    way_um = room_um(limits, here_um, RIDES_UM[-1], 1.5 * RIDES_UM[1])
    ways_um = [*(um for um in RIDES_UM if um < abs(way_um)), abs(way_um)]
    consent(pytestconfig).to_move(
        f"The stage at {port.url}", abs(way_um), FASTEST_UM_S, full_speed=True
    )
    box = along_x(limits, here_um, way_um, rig.servo.top_speed_um_s)
    with guarded_stage(port, box, FASTEST_UM_S) as stage:
        rides = [ride(stage, math.copysign(um, way_um)) for um in ways_um for _ in range(2)]
    top_um_s, acceleration_um_s2, delay_s = fit_profile(rides)
    report["profile"] = {
        "top_speed_um_s": top_um_s, "acceleration_um_s2": acceleration_um_s2,
        "delay_ms": 1e3 * delay_s, "longest_way_um": abs(way_um),
    }  # fmt: skip
    assert top_um_s > 1000.0
    assert 5_000.0 < acceleration_um_s2 < 1e6


def test_the_manipulator_goes_as_fast_as_its_number(
    pytestconfig: pytest.Config, report: dict[str, Report]
) -> None:
    port, here_um = pipette_port(rig_config(pytestconfig))
    limits, speed_um_s = pipette_limits(port), TENTH * port.speed_um_s
    way_um = room_um(limits, here_um, PIPETTE_UM, PIPETTE_UM)
    consent(pytestconfig).to_move(f"The manipulator at {port.url}, sideways,", abs(way_um),
                                  speed_um_s)  # fmt: skip
    with guarded_pipette(port, along_x(limits, here_um, way_um, speed_um_s)) as pipette:
        found = report["pipette"] = measure_pipette(pipette, speed_um_s, way_um)
    assert 0.3 < float(str(found["velocity_scale"])) < 1.5
