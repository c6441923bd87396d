"""Makes a shipped archive of trained weights: calibrated, examined, with its provenance.

``python -m models.training.release --weights RUN/weights.pt --out models/weights/NAME.pt``
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.detector import Detector
from models.sfcnet.export import cost_facts, network_from, training_facts, write_archive
from models.sfcnet.manifest import trusted_entry
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import SFCNetDetector
from models.specimen.profiles import profile
from models.training.detection_scores import DetectionScores
from models.training.evaluation import evaluate_exam, exam_table, specimen_frames
from models.training.model_card import write_card
from models.types import Detections

# Specimens on which the score threshold is set; those of the examination follow at 90,000.
CALIBRATION_SEEDS = range(80_000, 80_006)
KEPT = (
    "frames", "heads", "ap", "ap50", "ap75", "f1_10px", "precision_10px", "recall_10px",
    "centre_error_px", "dice", "miou", "e_measure", "sensitivity", "precision", "foreground",
    "binary",
)  # fmt: skip
THRESHOLDS = tuple(k / 20 for k in range(4, 19))
MARGINS = (0.0, 0.5, 1.0, 1.5)
# Average precision needs the whole curve, down to weak detections.
LOWEST_SCORE = 0.02


def calibrated_threshold(detector: Detector) -> float:
    """Return the score at which F1 is best, mean of bright field and phase contrast."""
    f1 = np.zeros(len(THRESHOLDS))
    for modality in ("brightfield", "phase"):
        chosen = profile("exam", modality=modality)
        scores = [DetectionScores() for _ in THRESHOLDS]
        for seed in CALIBRATION_SEEDS:
            for frame in specimen_frames(chosen, seed, 2, 0.5, masks=False):
                found = detector.detect(frame.image).detections
                for threshold, score in zip(THRESHOLDS, scores, strict=True):
                    keep = found.score >= threshold
                    # All of one score: taken together, or not at all.
                    ones = np.ones(int(keep.sum()), np.float32)
                    kept = Detections(found.box_px[keep], ones, found.label[keep])
                    score.add(kept, frame.box_px, frame.ignored_px)
        f1 += [score.by_distance()["f1"] for score in scores]
    return THRESHOLDS[int(f1.argmax())]


def with_margin(network: SFCNet, margin: float) -> SFCNet:
    """Return a copy that calls a pixel background only if its logit wins by ``margin``.

    Cross-entropy is learnt on logits that favour what is frequent; Dice counts rare classes as
    much as the background.
    """
    network = copy.deepcopy(network)
    if network.segmentation is not None:
        first = network.segmentation.fusion.classifier[0]
        if isinstance(first, nn.Conv2d) and first.bias is not None:
            first.bias.data[0] -= margin
    return network


def calibrated_margin(network: SFCNet, folder: Path) -> float:
    """Return the margin at which Dice is best on the calibration specimens."""
    best, chosen = -1.0, 0.0
    for margin in MARGINS:
        draft = folder / f"margin{margin}.pt"
        write_archive(with_margin(network, margin), draft)
        table = evaluate_exam(SFCNetDetector(draft), CALIBRATION_SEEDS, frames=2)
        dice = float(str(table["dice"]))
        if dice > best:
            best, chosen = dice, margin
    return chosen


def rounded(value: object) -> object:
    """Round figures for the manifest."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def commit() -> str:
    """Return the commit that the program is at, or 'unknown' outside a checkout."""
    try:
        words = ["git", "rev-parse", "--short=12", "HEAD"]
        here = Path(__file__).parent
        return subprocess.run(
            words, capture_output=True, text=True, check=True, cwd=here
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _profiles(facts: dict[str, object]) -> str:
    settings = facts["settings"]
    recorded = isinstance(settings, dict) and settings.get("recorded_share")
    return "train, recorded and exam" if recorded else "train and exam"


def release(
    weights: Path,
    out: Path,
    *,
    half: bool = True,
    like: Path | None = None,
    new_boxes: bool = False,
) -> dict[str, object]:
    """Calibrate, examine and write ``out`` with its entry in the manifest and its card.

    Parameters
    ----------
    half : bool
        Weights in half precision, unless those of ``like`` are not.
    like : Path, optional
        An archive whose boxes and pixels these weights leave as they are (a class head was taught
        since): its threshold and margin are kept, and its provenance tells the trainings before.
    new_boxes : bool
        Only its pixels are left (the detection was taught since): the threshold is set anew.

    Returns
    -------
    dict
        As ``export``, and the scores.
    """
    network = network_from(weights)
    entry = None if like is None else trusted_entry(like)
    # What is kept of an archive in single precision would not stay bit by bit in half.
    half = half and (entry is None or entry.half)
    facts = training_facts(weights)
    with tempfile.TemporaryDirectory() as folder:
        margin = 0.0
        if network.segmentation is not None and like is None:
            margin = calibrated_margin(network, Path(folder))
            network = with_margin(network, margin)
        draft = Path(folder) / out.name
        write_archive(network, draft, half=half)
        # In full precision: what any machine can reproduce.
        loose = SFCNetDetector(draft, dtype=torch.float32, score_threshold=LOWEST_SCORE)
        kept = None if entry is None or new_boxes else entry.score_threshold
        threshold = calibrated_threshold(loose) if kept is None else kept
        scores = {
            name: {key: rounded(table[key]) for key in KEPT if key in table}
            for name, table in exam_table(loose).items()
        }
    provenance = {
        "commit": commit(),
        "data": f"specimens drawn on the fly, profiles {_profiles(facts)}, seed and crop number",
        "exam_seeds": "90000-90011, 3 frames each, never trained on",
        "calibration_seeds": f"{CALIBRATION_SEEDS[0]}-{CALIBRATION_SEEDS[-1]}",
        "background_margin": margin,
        "torch": torch.__version__.split("+")[0],
        **cost_facts(network),
        **facts,
    }
    if entry is not None:
        part = "detection" if new_boxes else "class head"
        provenance["start"] = f"the weights before it, which stay; the {part} alone was taught"
        provenance["background_margin"] = entry.provenance.get("background_margin", 0.0)
        provenance["before"] = {**entry.provenance, "sha256": entry.sha256}
    done = write_archive(
        network,
        out,
        half=half,
        score_threshold=round(threshold, 3),
        provenance=provenance,
        scores=scores,
    )
    write_card(out)
    return {**done, "score_threshold": round(threshold, 3), "scores": scores}


def main() -> None:
    """Release from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--like", type=Path, help="archive whose boxes and pixels stay")
    parser.add_argument("--full", action="store_true", help="weights in float32, twice the size")
    parser.add_argument(
        "--new-boxes", action="store_true", help="of that archive the pixels alone stay"
    )
    options = parser.parse_args()
    done = release(
        options.weights, options.out, half=not options.full, like=options.like,
        new_boxes=options.new_boxes,
    )  # fmt: skip
    print(json.dumps(done, indent=2))


if __name__ == "__main__":
    main()
