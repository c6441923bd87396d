"""What has to be known of a real stage and manipulator, measured: the commissioning report."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from drivers.errors import DeviceError
from drivers.guarded import GuardedManipulator, GuardedStage

_POLL_S = 0.002
_ARRIVE_S = 30.0

Float64 = NDArray[np.float64]
Report = dict[str, float | str | None]


def measure_stage(stage: GuardedStage, rate_um_s: float, reach_um: float) -> Report:
    """Measure around the present place, and return to it.

    Parameters
    ----------
    stage : GuardedStage
        At rest.
    rate_um_s : float
        Velocity to stream for a second, along x.
    reach_um : float
        Longest way from the present place, along x; its sign is the direction.

    Returns
    -------
    dict
        round_trip_ms, acknowledges ('at once' or 'at the end'), speed_um_s as measured,
        velocity_scale (1: ``VS`` is understood in the unit that the driver takes it to be),
        velocity_lag_ms, and velocity_error with what to set where it is not.

    Raises
    ------
    DeviceError
        Any; the stage is stopped then.
    """
    home = stage.read_pose()
    report: Report = {"identity": stage.identity, "round_trip_ms": 1e3 * round_trip_s(stage)}
    try:
        times_s = [travel_s(stage, home.x_um, reach_um * part) for part in (0.25, 1.0)]
        report["speed_um_s"] = 0.75 * abs(reach_um) / max(times_s[1] - times_s[0], 1e-3)
        report["acknowledges"] = acknowledges(stage, times_s[1])
        report |= velocity(stage, math.copysign(min(rate_um_s, abs(reach_um) / 2), reach_um))
        if "velocity_error" in report:
            return report  # nothing moves any more until it is reconnected
        _arrive(stage, home.x_um, home.y_um)
    finally:
        stage.stop()
    return report


def round_trip_s(stage: GuardedStage, tries: int = 50) -> float:
    """Median time from a position query to its reply, as the guardian has noted them."""
    for _ in range(tries):
        stage.read_pose()
    took_s, asked_s = [], math.nan
    for at_s, way, data in stage.transcript(4 * tries):
        if way == ">" and data.startswith(b"PS"):
            asked_s = at_s
        elif way == "<" and math.isfinite(asked_s):
            took_s.append(at_s - asked_s)
            asked_s = math.nan
    return statistics.median(took_s) if took_s else math.nan


def travel_s(stage: GuardedStage, home_um: float, way_um: float) -> float:
    """Go along x and back; the shorter of both times from command to rest."""
    pose = stage.read_pose()
    times_s = []
    for to_um in (home_um + way_um, home_um):
        began_s = time.perf_counter()
        _arrive(stage, to_um, pose.y_um)
        times_s.append(time.perf_counter() - began_s)
    return min(times_s)


def acknowledges(stage: GuardedStage, travel: float) -> str:
    """Say from the transcript when the newest move was answered with ``R``."""
    sent_s = math.nan
    for at_s, way, data in stage.transcript(1000):
        if way == ">" and data.startswith(b"G,"):
            sent_s, answered_s = at_s, math.nan
        elif way == "<" and b"R" in data and math.isfinite(sent_s) and math.isnan(answered_s):
            answered_s = at_s
    if math.isnan(sent_s) or math.isnan(answered_s):
        return "not seen"
    return "at the end" if answered_s - sent_s > travel / 2 else "at once"


def velocity(stage: GuardedStage, rate_um_s: float, lasting_s: float = 1.0) -> Report:
    """Stream one velocity along x; how fast it then goes, and how late it begins.

    A scale that the guardian stops for is measured from what there was to be seen.
    """
    poses: list[tuple[float, float]] = []
    start = stage.read_pose()
    began_s = time.perf_counter()
    try:
        while time.perf_counter() - began_s < lasting_s:
            pose = stage.set_velocity_and_read_pose(rate_um_s, 0.0)
            poses.append((pose.time_s - began_s, pose.x_um - start.x_um))
    except DeviceError as error:
        stage.stop()
        return {**_line(poses, rate_um_s), "velocity_error": str(error)}
    stage.stop()
    return _line(poses, rate_um_s)


def _line(poses: Sequence[tuple[float, float]], rate_um_s: float) -> Report:
    """Fit a line to (time, way) pairs, the first third left out; None where they are too few."""
    late = poses[len(poses) // 3 :]
    if len(late) < 2:
        return {"velocity_scale": None, "velocity_lag_ms": None}
    at_s, way_um = np.array(late).T
    slope_um_s, offset_um = np.polyfit(at_s, way_um, 1)
    lag_s = -offset_um / slope_um_s if slope_um_s else math.nan
    return {
        "velocity_scale": float(slope_um_s / rate_um_s),
        "velocity_lag_ms": float(1e3 * lag_s) if math.isfinite(lag_s) else None,
    }


@dataclass(frozen=True, slots=True)
class Ride:
    """One move along one axis: its length, and where it was when.

    Attributes
    ----------
    way_um : float
    times_s : (n,) float64
        Since the move was asked for.
    at_um : (n,) float64
        Way done.
    """

    way_um: float
    times_s: Float64
    at_um: Float64


def ride(stage: GuardedStage, way_um: float) -> Ride:
    """Go along x, look where it is as often as possible, and go back. Raises DeviceError.

    The sign of ``way_um`` is the direction; the ride itself counts forwards.
    """
    home = stage.read_pose()
    began_s = time.perf_counter()
    stage.move_to(home.x_um + way_um, home.y_um)
    poses = [stage.read_pose()]
    while poses[-1].moving is not False:
        _wait(began_s)
        poses.append(stage.read_pose())
    _arrive(stage, home.x_um, home.y_um)
    times_s = np.array([pose.time_s - began_s for pose in poses])
    sign = math.copysign(1.0, way_um)
    return Ride(abs(way_um), times_s, sign * np.array([pose.x_um - home.x_um for pose in poses]))


def profile_um(way_um: float, since_s: Float64, v_um_s: float, a_um_s2: float) -> Float64:
    """Way done after ``since_s`` (n,) by a trapezoid of speed, a triangle where that is short."""
    ramp_s = min(v_um_s / a_um_s2, math.sqrt(way_um / a_um_s2))
    total_s = way_um / (a_um_s2 * ramp_s) + ramp_s
    t = np.clip(since_s, 0.0, total_s)
    left = total_s - t
    up = 0.5 * a_um_s2 * np.minimum(t, ramp_s) ** 2
    even = a_um_s2 * ramp_s * np.clip(t - ramp_s, 0.0, total_s - 2 * ramp_s)
    down = 0.5 * a_um_s2 * (ramp_s**2 - np.minimum(left, ramp_s) ** 2)
    return np.asarray(up + even + down)


def fit_profile(rides: Sequence[Ride]) -> tuple[float, float, float]:
    """Fit top speed (um/s), acceleration (um/s^2) and delay (s) to moves of several lengths."""

    def off(values: Float64) -> Float64:
        v_um_s, a_um_s2 = np.exp(values[:2])
        parts = [
            profile_um(one.way_um, one.times_s - values[2], v_um_s, a_um_s2) - one.at_um
            for one in rides
        ]
        return np.asarray(np.concatenate(parts))

    best: tuple[float, Float64] | None = None
    for v_um_s in (1e3, 5e3, 3e4):
        for a_um_s2 in (1e4, 1e5, 5e5):
            start = np.array((math.log(v_um_s), math.log(a_um_s2), 0.02))
            found = least_squares(off, start, loss="soft_l1", f_scale=2.0, x_scale=(0.3, 0.3, 0.01))
            if best is None or found.cost < best[0]:
                best = float(found.cost), np.asarray(found.x, np.float64)
    if best is None:
        raise ValueError("no move to fit")
    return float(np.exp(best[1][0])), float(np.exp(best[1][1])), float(best[1][2])


def measure_pipette(pipette: GuardedManipulator, speed_um_s: float, reach_um: float) -> Report:
    """Measure along x around the present place, and return: how fast it goes for its number.

    ``reach_um`` is signed. Raises DeviceError; the manipulator is stopped then.
    """
    home = pipette.read_pose()
    times_s = []
    try:
        for way_um in (0.25 * reach_um, reach_um):
            took_s = []
            for x_um in (home.x_um + way_um, home.x_um):
                began_s = time.perf_counter()
                pipette.move_to(x_um, home.y_um, home.z_um, speed_um_s)
                while pipette.read_pose().moving is not False:
                    _wait(began_s)
                took_s.append(time.perf_counter() - began_s)
            times_s.append(min(took_s))
    finally:
        pipette.stop()
    true_um_s = 0.75 * abs(reach_um) / max(times_s[1] - times_s[0], 1e-3)
    return {"identity": pipette.identity, "velocity_scale": true_um_s / speed_um_s}


def write_report(path: Path, operator: str, rig: str, parts: dict[str, Report]) -> None:
    """Write what was measured, with who stood by it, as JSON."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"rig": rig, "operator": operator, "time": now, **parts}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _arrive(stage: GuardedStage, x_um: float, y_um: float) -> None:
    began_s = time.perf_counter()
    stage.move_to(x_um, y_um)
    while stage.read_pose().moving is not False:
        _wait(began_s)


def _wait(began_s: float) -> None:
    if time.perf_counter() - began_s > _ARRIVE_S:
        raise DeviceError("commissioning", f"no arrival within {_ARRIVE_S:.0f} s", "look at it")
    time.sleep(_POLL_S)
