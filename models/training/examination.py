"""The examination that the scores asked for are read from: 60 scenes that nothing was trained on.

``python -m models.training.examination --out DIR [--weights W]`` writes the scenes (profile
``exam``, 14 sperm in view, half in bright field, half in phase contrast, one frame of each) unless
they are there, and prints the scores of both together and of each, beside thresholding that was
tuned on other specimens. ``sfcscope evaluate --data DIR/brightfield DIR/phase`` gives them, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from models.detector import Detector
from models.errors import ModelError
from models.measure.head import measure_heads
from models.measure.soft import planes_of
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.specimen.profiles import MODALITIES, profile
from models.specimen.recording import ANNOTATIONS, write_recording
from models.specimen.scene import Specimen
from models.training.detection_scores import MATCH_PX, centre_distances
from models.training.evaluation import evaluate, specimen_frame
from models.training.paper_layout import TABLE_I, TABLE_II, markdown
from models.training.specimen_threshold import specimen_threshold
from models.types import Float64, Perception

FIRST_SEED = 95_000
SCENES = 60
DENSITY = 14.0
# Average precision needs the whole curve, down to weak detections.
LOWEST_SCORE = 0.02
COLUMNS = (
    "Dice", "mIoU", "E-measure", "sensitivity", "precision", "AP50", "AP75", "AP",
    "F1 within 10 px", "centre error/px",
)  # fmt: skip
_KEYS = (
    "dice", "miou", "e_measure", "sensitivity", "precision", "ap50", "ap75", "ap", "f1_10px",
    "centre_error_px",
)  # fmt: skip
CENTRES = ("box", "soft map")


def seeds_of(modality: str, scenes: int = SCENES) -> range:
    """Return the specimens of a modality: they take turns."""
    return range(FIRST_SEED + MODALITIES.index(modality), FIRST_SEED + scenes, len(MODALITIES))


def write_scenes(out: Path, scenes: int = SCENES, density: float = DENSITY) -> list[Path]:
    """Write the scenes that are not there; return one folder for each modality.

    Raises
    ------
    DataError
        A folder that cannot be written.
    ModelError
        A density that is none.
    """
    for modality in MODALITIES:
        for seed in seeds_of(modality, scenes):
            folder = out / modality / f"{seed}"
            if not (folder / ANNOTATIONS).is_file():
                write_recording(folder, frames=1, seed=seed, modality=modality, density=density)
    return [out / modality for modality in MODALITIES]


def scored(detector: Detector, folders: Sequence[Path]) -> str:
    """Return the scores on all folders together and on each, in Markdown, below the paper's."""
    paper = (
        *TABLE_I["SFCNet"],
        TABLE_II["SFCNet"][1],
        TABLE_II["SFCNet"][2],
        TABLE_II["SFCNet"][0],
    )
    rows: list[tuple[str, Sequence[str]]] = [
        ("SFCNet in the paper", [*(f"{v:.2f}" for v in paper), "-", "-"]),
        (f"{detector.name}, all", _cells(evaluate(detector, folders))),
    ]
    rows += [(f.name, _cells(evaluate(detector, [f]))) for f in folders]
    return markdown(COLUMNS, rows)


def _cells(scores: Mapping[str, object]) -> list[str]:
    values = [scores[key] for key in _KEYS]
    return [f"{v:.2f}" if isinstance(v, int | float) else "-" for v in values]


def centre_errors(
    detector: Detector,
    modality: str,
    threshold: float,
    scenes: int = SCENES,
    density: float = DENSITY,
) -> dict[str, Float64]:
    """Return how far the heads found lie from where they are, px, by what says where.

    Of visible heads that lie within the picture and are found within 10 px: from the middle of
    the box, and from the centroid of the soft map of heads.
    """
    chosen = profile("exam", modality=modality, density=density)
    errors: dict[str, list[Float64]] = {name: [np.zeros(0)] for name in CENTRES}
    for seed in seeds_of(modality, scenes):
        specimen = Specimen(chosen, seed)
        image = specimen_frame(specimen, 0.0, masks=False).image
        truth = specimen.truth(0.0, np.zeros(2))
        asked = truth.visible & truth.whole
        for name, found in _centres(detector.detect(image), threshold).items():
            errors[name].append(_distances(found, truth.position_px[asked]))
    return {name: np.concatenate(parts) for name, parts in errors.items()}


def _centres(perception: Perception, threshold: float) -> dict[str, Float64]:
    heads = perception.detections
    box_px = heads.box_px[heads.score >= threshold].astype(np.float64)
    found = {"box": box_px[:, :2]}
    planes = planes_of(perception)
    if planes is not None:
        soft = measure_heads(planes.head, planes.per_px, box_px, 0.0, False)[:, :2]
        found["soft map"] = soft[np.isfinite(soft).all(axis=1)]
    return found


def _distances(found: Float64, true: Float64) -> Float64:
    distance = centre_distances(found, true)
    # A pair out of reach costs more than all pairs within it, so it is never preferred.
    cost = np.where(distance <= MATCH_PX, distance, 1e3 * MATCH_PX)
    matched = distance[linear_sum_assignment(cost)]
    return np.asarray(matched[matched <= MATCH_PX], np.float64)


def _centre_table(detector: SFCNetDetector, scenes: int, density: float) -> str:
    rows: list[tuple[str, Sequence[str]]] = []
    for modality in MODALITIES:
        errors = centre_errors(detector, modality, detector.entry.score_threshold, scenes, density)
        shown = [
            f"{e.mean():.2f}, {np.median(e):.2f} (n {len(e)})" if len(e) else "-"
            for e in errors.values()
        ]
        rows.append((modality, shown))
    return markdown([f"{name}: mean, median/px" for name in CENTRES], rows)


def main() -> int:
    """Print the tables; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the scenes")
    parser.add_argument("--weights", type=Path, help="TorchScript archive; default: as shipped")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--density", type=float, default=DENSITY)
    given = parser.parse_args()
    try:
        folders = write_scenes(given.out, given.scenes, given.density)
        # In full precision: what any machine can reproduce.
        network = SFCNetDetector(
            given.weights or shipped_archive("lite"),
            dtype=torch.float32,
            score_threshold=LOWEST_SCORE,
        )
        print(scored(network, folders))
        print("\n" + scored(specimen_threshold(), folders))
        print("\n" + _centre_table(network, given.scenes, given.density))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
