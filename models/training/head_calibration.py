"""By how much fitted heads are off in the mean: the constants of ``models.measure.grey_head``.

``python -m models.training.head_calibration [--specimens N] [--seed S]`` renders specimens of the
training profile (every optical property drawn anew), finds their heads with the shipped network,
fits them, and prints true size = slope x fitted + offset of length and width, for dark heads and
for bright ones. Robust least squares: heads that were mixed up count little.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Protocol

import numpy as np

from models.measure.grey_head import MOST_BLUR, MOST_MISFIT, fit_heads
from models.measure.shapes import HEAD_FLAGS, measure_shapes
from models.measure.soft import planes_of
from models.sfcnet.runtime import load_shipped, use_threads
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.specimen.truth_tables import sperm_rows
from models.types import Float64, Perception, UInt8

SEED, SPECIMENS, FRAMES, APART_S = 7000, 60, 6, 0.2
EXPOSURE_S = 0.008
_LEAST_FRAMES = 3
_NEAR_PX = 4.0
_HUBER = 0.03  # relative error from which on a head counts less
_NAMES = ("head_length_um", "head_width_um")


class _Detector(Protocol):
    def detect(self, image: UInt8) -> Perception: ...


def fitted_and_true(specimen: Specimen, detector: _Detector) -> list[tuple[Float64, Float64]]:
    """Give fitted and true (length, width), um, of each sperm: the median over its frames."""
    um = specimen.look.um_per_px
    found: dict[int, list[Float64]] = defaultdict(list)
    truths = []
    for k in range(FRAMES):
        truth = specimen.truth(k * APART_S, np.zeros(2))
        truths.append(truth)
        image = specimen.render(k * APART_S, EXPOSURE_S, lambda t: np.zeros((len(t), 2)))
        perception = detector.detect(image)
        planes = planes_of(perception)
        if planes is None:
            continue
        box = perception.detections.box_px
        shapes = measure_shapes(planes, box, *image.shape)
        good = (shapes.flags & int(HEAD_FLAGS)) == 0
        fits = fit_heads(image, planes, shapes, box, um, good)
        for row in np.flatnonzero(good & (fits[:, 2] <= MOST_MISFIT)):
            far = np.hypot(*(truth.position_px - box[row, :2]).T)
            nearest = int(np.argmin(far)) if len(far) else -1
            sharp = fits[row, 4] <= MOST_BLUR * 0.5 * fits[row, 1]
            if nearest >= 0 and far[nearest] < _NEAR_PX and sharp:
                found[int(truth.sperm_id[nearest])].append(fits[row, :2] * um)
    true = {int(str(row["track_id"])): row for row in sperm_rows(specimen, truths, 1.0 / APART_S)}
    return [
        (np.median(sizes, axis=0), np.array([float(str(true[sperm][n])) for n in _NAMES]))
        for sperm, sizes in found.items()
        if len(sizes) >= _LEAST_FRAMES
    ]


def line_through(fitted: Float64, true: Float64) -> Float64:
    """Slope and offset of ``true`` (N,) over ``fitted`` (N,), robustly, by relative error."""
    design = np.stack([fitted, np.ones(len(fitted))], axis=1)
    weight = np.ones(len(fitted))
    line = np.array([1.0, 0.0])
    for _ in range(30):
        line = np.linalg.lstsq(design * weight[:, None], true * weight, rcond=None)[0]
        off = np.abs(true - design @ line) / true
        weight = np.sqrt(np.where(off < _HUBER, 1.0, _HUBER / np.maximum(off, 1e-9)))
        weight *= off < 4.0 * _HUBER
    return np.asarray(line, np.float64)


def main() -> None:
    """Print the constants, and the error before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=SPECIMENS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    use_threads(1)
    detector = load_shipped()
    for modality in ("brightfield", "phase"):
        pairs = [
            pair
            for k in range(options.specimens)
            for pair in fitted_and_true(
                Specimen(profile("train", modality=modality), options.seed + k), detector
            )
        ]
        for column, name in enumerate(_NAMES):
            fitted, true = (np.array([pair[side][column] for pair in pairs]) for side in (0, 1))
            slope, offset = line_through(fitted, true)
            before = np.median(np.abs(fitted / true - 1.0))
            after = np.median(np.abs((slope * fitted + offset) / true - 1.0))
            print(
                f"{modality}, {name}: true = {slope:.3f} fitted {offset:+.3f} um; {len(pairs)} "
                f"heads; median error {before:.1%}, then {after:.1%}"
            )


if __name__ == "__main__":
    main()
