"""How long association and a whole step take."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from models.tracking.association import Association
from models.tracking.bench_stonesoup import Scene, StoneSoup, marginals
from models.tracking.gating import Candidates
from models.tracking.motion import MotionModel
from models.tracking.settings import LINEAR, TrackerSettings
from models.tracking.tracker import Tracker, warm_up
from models.tracking.view import View
from models.types import Float64, Tracks

UM_PER_PX = 0.495
WIDTH_UM, HEIGHT_UM = 640 * UM_PER_PX, 480 * UM_PER_PX


# Frames at the start that are not timed: the tracks settle.
_SETTLED = 30
# Windows counts a thread's processor time in steps of 16 ms only.
_FINE = time.get_clock_info("thread_time").resolution < 1e-5
_cpu_s = time.thread_time if _FINE else time.perf_counter
# At most so many scenes, and so many pairs of tracks and detections, are given to Stone Soup.
_SCENES, _PAIRS = 40, 150_000


class _TimedTracker(Tracker):
    """Notes how long association takes, from the gate to the marginals."""

    def __init__(self) -> None:
        super().__init__()
        self.associate_s: list[float] = []
        self.associate_cpu_s: list[float] = []

    def _associate(
        self, measured: Float64, sure: int, detectable: Float64, close: list[tuple[int, int]]
    ) -> tuple[Candidates, Association]:
        begin, begin_cpu = time.perf_counter(), _cpu_s()
        result = super()._associate(measured, sure, detectable, close)
        self.associate_cpu_s.append(_cpu_s() - begin_cpu)
        self.associate_s.append(time.perf_counter() - begin)
        return result


def _swimmers(targets: int, frames: int, seed: int) -> list[Float64]:
    """Simulate detections (N, 2), um, of each frame at 30 fps."""
    rng = np.random.default_rng(seed)
    size = np.array([WIDTH_UM, HEIGHT_UM])
    place, heading = rng.random((targets, 2)) * size, rng.uniform(0, 2 * np.pi, targets)
    speed, phase = rng.choice([0.0, 20.0, 50.0, 80.0], targets), rng.uniform(0, 2 * np.pi, targets)
    found = []
    for k in range(frames):
        heading = heading + rng.normal(0, 0.06, targets)
        along = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        place = (place + speed[:, None] / 30.0 * along) % size
        swing = 1.5 * np.sin(2 * np.pi * 12.0 * k / 30.0 + phase) * (speed > 0)
        seen = place + swing[:, None] * across + rng.normal(0, 0.3, place.shape)
        seen = seen[rng.random(targets) >= 0.08]
        found.append(np.concatenate([seen, rng.random((rng.poisson(6.0), 2)) * size]))
    return found


def _predicted(tracks: Tracks, seen: Float64) -> Scene:
    """Scene of the frame that follows these tracks, in one mode of motion."""
    model = MotionModel(TrackerSettings(modes=(LINEAR,)))
    forward = model.transition(1.0 / 30.0)
    mean = np.concatenate([tracks.position_um, tracks.velocity_um_s], axis=1) @ forward.T
    covariance = forward @ tracks.covariance @ forward.T + model.noise(1.0 / 30.0)[0]
    variance = float(model.parameters()[0][1])
    return Scene(mean, covariance, seen, variance)


def bench_tracker(
    targets: int = 50, *, frames: int = 400, seed: int = 0, versus: str | None = None
) -> dict[str, object]:
    """Track swimmers in a 640x480 field at 30 frames a second: 8 % misses, 6 false detections.

    Parameters
    ----------
    targets, frames, seed : int
    versus : str, optional
        ``stonesoup``: associate some of the frames with Stone Soup too.

    Returns
    -------
    dict
        targets, detections (mean), overloads, and milliseconds p50 and p99 of the whole step
        (``step_ms``) and of association alone (``associate_ms``); with ``_cpu_`` in the name the
        processor time of this thread, which other programs do not lengthen. With ``versus`` also
        its time (``versus_ms``), the ``ratio`` of the medians on the same scenes, and the largest
        difference of any probability.

    Raises
    ------
    ValueError
        No target, too few frames, or an unknown name in ``versus``.
    DataError
        Stone Soup is not installed.
    """
    if targets < 1 or frames <= _SETTLED:
        raise ValueError(f"bench tracker: 1 target and {_SETTLED + 1} frames at least are needed")
    if versus not in (None, "stonesoup"):
        raise ValueError(f"bench tracker: versus {versus!r}; stonesoup is known")
    stone_soup = StoneSoup() if versus else None
    view, follower = View.rectangle(0.0, 0.0, WIDTH_UM, HEIGHT_UM), _TimedTracker()
    warm_up()
    step_s, step_cpu_s, scenes = [], [], []
    found = _swimmers(targets, frames, seed)
    for k, seen in enumerate(found):
        n = len(seen)
        columns = np.full((n, 4), 10.0), np.ones(n), np.zeros(n, np.int8)
        begin, begin_cpu = time.perf_counter(), _cpu_s()
        tracks = follower.step(k / 30.0, seen, *columns, view)
        step_cpu_s.append(_cpu_s() - begin_cpu)
        step_s.append(time.perf_counter() - begin)
        if _SETTLED <= k < frames - 1:
            scenes.append(_predicted(tracks, found[k + 1]))
    result: dict[str, object] = {
        "targets": targets,
        "detections": sum(map(len, found)) / frames,
        "overloads": follower.overloads,
        "step_ms": _percentiles_ms(step_s[_SETTLED:]),
        "step_cpu_ms": _percentiles_ms(step_cpu_s[_SETTLED:]),
        "associate_ms": _percentiles_ms(follower.associate_s[_SETTLED:]),
        "associate_cpu_ms": _percentiles_ms(follower.associate_cpu_s[_SETTLED:]),
    }
    if stone_soup is not None:
        most = max(3, min(_SCENES, _PAIRS // (targets * targets)))
        result |= compare(stone_soup, scenes[:: max(1, len(scenes) // most)][:most])
    return result


def compare(stone_soup: StoneSoup, scenes: list[Scene]) -> dict[str, object]:
    """Time and compare both on the same scenes."""
    ours_s, theirs_s, difference = [], [], 0.0
    for scene in scenes:
        prepared = stone_soup.prepare(scene)
        begin = _cpu_s()
        stone_soup.associate(prepared)
        theirs_s.append(_cpu_s() - begin)
        found = marginals(scene)
        begin = _cpu_s()
        marginals(scene)
        ours_s.append(_cpu_s() - begin)
        difference = max(difference, float(np.abs(found - stone_soup.marginals(scene)).max()))
    return {
        "versus_ms": _percentiles_ms(theirs_s),
        "versus_own_ms": _percentiles_ms(ours_s),
        "ratio": float(np.median(theirs_s) / np.median(ours_s)),
        "max_difference": difference,
    }


def _percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50": float(p50), "p99": float(p99)}


def main() -> None:
    """Print the figures for a number of targets."""
    parser = argparse.ArgumentParser(description=bench_tracker.__doc__)
    parser.add_argument("--targets", type=int, nargs="+", default=[14, 50, 200])
    parser.add_argument("--versus", choices=["stonesoup"])
    asked = parser.parse_args()
    for targets in asked.targets:
        print(json.dumps(bench_tracker(targets, versus=asked.versus)), flush=True)


if __name__ == "__main__":
    main()
