"""How long association and a whole step take."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from models.tracking.association import Association
from models.tracking.gating import Candidates
from models.tracking.tracker import Tracker, warm_up
from models.tracking.view import View
from models.types import Float64

UM_PER_PX = 0.495
WIDTH_UM, HEIGHT_UM = 640 * UM_PER_PX, 480 * UM_PER_PX


class _TimedTracker(Tracker):
    """Notes how long association takes, weights included."""

    def __init__(self) -> None:
        super().__init__()
        self.associate_s: list[float] = []

    def _associate(
        self, pairs: Candidates, mixed: Float64, detectable: Float64, measurements: int
    ) -> Association:
        begin = time.perf_counter()
        result = super()._associate(pairs, mixed, detectable, measurements)
        self.associate_s.append(time.perf_counter() - begin)
        return result


def bench_tracker(targets: int = 50, *, frames: int = 400, seed: int = 0) -> dict[str, object]:
    """Track swimmers in a 640x480 field at 30 frames a second: 8 % misses, 6 false detections.

    Returns
    -------
    dict
        targets, detections (mean), overloads, and milliseconds p50 and p99 of the whole step
        (``step_ms``) and of association alone (``associate_ms``).
    """
    rng = np.random.default_rng(seed)
    size = np.array([WIDTH_UM, HEIGHT_UM])
    place, heading = rng.random((targets, 2)) * size, rng.uniform(0, 2 * np.pi, targets)
    speed, phase = rng.choice([0.0, 20.0, 50.0, 80.0], targets), rng.uniform(0, 2 * np.pi, targets)
    view, follower = View.rectangle(0.0, 0.0, WIDTH_UM, HEIGHT_UM), _TimedTracker()
    warm_up()
    step_s: list[float] = []
    detections = 0
    for k in range(frames):
        heading = heading + rng.normal(0, 0.06, targets)
        along = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        place = (place + speed[:, None] / 30.0 * along) % size
        swing = 1.5 * np.sin(2 * np.pi * 12.0 * k / 30.0 + phase) * (speed > 0)
        seen = place + swing[:, None] * across + rng.normal(0, 0.3, place.shape)
        seen = seen[rng.random(targets) >= 0.08]
        seen = np.concatenate([seen, rng.random((rng.poisson(6.0), 2)) * size])
        n = len(seen)
        columns = np.full((n, 4), 10.0), np.ones(n), np.zeros(n, np.int8)
        begin = time.perf_counter()
        follower.step(k / 30.0, seen, *columns, view)
        step_s.append(time.perf_counter() - begin)
        detections += n
    settled = 30
    return {
        "targets": targets,
        "detections": detections / frames,
        "overloads": follower.overloads,
        "step_ms": _percentiles_ms(step_s[settled:]),
        "associate_ms": _percentiles_ms(follower.associate_s[settled:]),
    }


def _percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50": float(p50), "p99": float(p99)}


def main() -> None:
    """Print the figures for a number of targets."""
    parser = argparse.ArgumentParser(description=bench_tracker.__doc__)
    parser.add_argument("--targets", type=int, nargs="+", default=[14, 50, 200])
    for targets in parser.parse_args().targets:
        print(json.dumps(bench_tracker(targets)))


if __name__ == "__main__":
    main()
