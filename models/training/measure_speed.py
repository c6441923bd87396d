"""What morphometry and motility cost a frame: ``python -m models.training.measure_speed``.

``[--sperm N] [--frames N] [--modality M]``. Specimens are rendered, found by the shipped network
and followed; timed is what comes after, on one thread, as processor time: on a busy machine that
alone tells what a frame costs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from models.measure.centre import refine_centres
from models.measure.grey_head import with_grey_heads
from models.measure.instances import identity_map
from models.measure.live import LiveMotility
from models.measure.live_verdict import LiveVerdict
from models.measure.shapes import measure_shapes
from models.measure.soft import planes_of
from models.sfcnet.runtime import load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.tracking.tracker import Tracker
from models.tracking.view import View

FPS, EXPOSURE_S = 30.0, 0.008
HEIGHT_PX, WIDTH_PX = 480, 640
WARM_UP = 45
SEED = 3
LIVE = ("centres", "motility", "verdicts")


class _Clock:
    """Processor milliseconds of named steps, frame by frame."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin_s = time.thread_time()
        yield
        self.ms[name].append(1e3 * (time.thread_time() - begin_s))


def bench_measure(
    sperm: int = 40, frames: int = 120, modality: str = "brightfield"
) -> dict[str, object]:
    """Time the steps of ``frames`` frames of a specimen with ``sperm`` in view.

    Returns
    -------
    dict
        tracks (mean), and least, p50, mean, p99 milliseconds of: ``centres``, ``motility`` and
        ``verdicts`` (shapes, fits and verdicts as they fall due) of every frame and ``live_frame``,
        their sum; ``shapes``, ``fits`` and ``owners`` of all sperm of one frame at once.
    """
    use_threads(1)
    detector, tracker = load_shipped(), Tracker()
    specimen = Specimen(profile("exam", modality=modality, density=sperm), SEED)
    um, matrix = specimen.look.um_per_px, specimen.matrix_um_per_px
    motility, live = LiveMotility(), LiveVerdict(um, HEIGHT_PX, WIDTH_PX)
    view = View.of_picture(np.zeros(2), matrix, WIDTH_PX, HEIGHT_PX)
    middle_px = np.array([(WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2])
    clock = _Clock()
    seen: list[int] = []
    for k in range(-WARM_UP, frames):
        if k == 0:
            clock = _Clock()
            seen.clear()
        time_s = (k + WARM_UP) / FPS
        image = specimen.render(time_s, EXPOSURE_S, lambda t: np.zeros((len(t), 2)))
        found = detector.detect(image)
        box, score, label = found.detections.box_px, found.detections.score, found.detections.label
        place_um = (box[:, :2].astype(np.float64) - middle_px) @ matrix.T
        tracks = tracker.step(time_s, place_um, box, score, label, view)
        seen.append(len(tracks))
        with clock.step("centres"):
            refine_centres(image, box)
        with clock.step("motility"):
            measured = motility.update(tracks)
        with clock.step("verdicts"):
            live.renew(tracks, measured, found, image)
            live.known(tracks, measured)
        planes = planes_of(found)
        if k % 4 or planes is None or found.part_map is None or found.class_map is None:
            continue
        with clock.step("shapes"):
            planes = planes_of(found) or planes
            shapes = measure_shapes(planes, box, HEIGHT_PX, WIDTH_PX)
        with clock.step("fits"):
            with_grey_heads(shapes, planes, image, box, um)
        with clock.step("owners"):
            identity_map(found.class_map, found.part_map, box, shapes)
    clock.ms["live_frame"] = np.sum([clock.ms[name] for name in LIVE], axis=0).tolist()
    return {
        "sperm": sperm, "modality": modality, "frames": frames,
        "tracks": round(float(np.mean(seen)), 1),
        **{name: _summary(spent) for name, spent in clock.ms.items()},
    }  # fmt: skip


def _summary(ms: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(ms, (50, 99))
    figures = {"least": min(ms), "p50": p50, "mean": np.mean(ms), "p99": p99}
    return {name: round(float(value), 3) for name, value in figures.items()}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sperm", type=int, default=40)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--modality", choices=("brightfield", "phase"), default="brightfield")
    options = parser.parse_args()
    print(json.dumps(bench_measure(options.sperm, options.frames, options.modality)))


if __name__ == "__main__":
    main()
