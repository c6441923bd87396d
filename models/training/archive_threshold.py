"""Exports an archive with the score threshold that labelled frames, or the user, ask for.

What a network calls 0.5 means little on a microscope that it knows from a few frames: it may find
nearly every head there, many of them at a score of 0.1.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.errors import DataError, ModelError
from models.sfcnet.export import export
from models.sfcnet.manifest import place, trusted_entry
from models.sfcnet.runtime import SFCNetDetector
from models.training.datasets import open_data
from models.training.detection_scores import DetectionScores
from models.training.evaluation import frames_of
from models.training.labelled_frames import LabelledFrames
from models.training.release import LOWEST_SCORE

THRESHOLDS = np.arange(2, 99) / 100.0
# Within the noise of some hundred heads; see the README for what a choice inside it is worth.
TOLERANCE = 0.5


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold, and what it lets through on labelled frames.

    Attributes
    ----------
    threshold : float
    frames, heads : int
        That it was chosen on.
    f1, precision, recall : float
        Within 10 px at the threshold, percent.
    f1_before : float
        At the threshold that stood before, percent.
    """

    threshold: float
    frames: int
    heads: int
    f1: float
    precision: float
    recall: float
    f1_before: float


def serving_threshold(scores: DetectionScores) -> float:
    """Return the lowest threshold near the best whose F1 within 10 px is best but for half a point.

    The lowest, for two reasons: a network is surer on frames it was trained on than on the next
    ones, so what is best here is too high there; and a false head now and then costs the tracker
    less than a sperm that is missed.

    Parameters
    ----------
    scores : DetectionScores
        Of detections down to a score of ``LOWEST_SCORE``, with at least one labelled head.
    """
    f1 = scores.at_thresholds(THRESHOLDS)[:, 0]
    chosen = int(f1.argmax())
    while chosen and f1[chosen - 1] >= f1.max() - TOLERANCE:
        chosen -= 1
    return float(THRESHOLDS[chosen])


def chosen_threshold(
    detector: Detector,
    before: float,
    data: Sequence[LabelledFrames],
    *,
    skip_bad: bool = False,
) -> Choice:
    """Return the threshold that serves labelled frames best.

    Parameters
    ----------
    detector : Detector
        Reports heads down to a score of ``LOWEST_SCORE``.
    before : float
        The threshold to compare with.
    data : sequence of LabelledFrames
    skip_bad : bool
        Leave the rest of a recording out that cannot be read on.

    Raises
    ------
    DataError
        A bad file, or no labelled head.
    """
    scores = DetectionScores()
    for recording in data:
        for frame in frames_of(recording, skip_bad):
            found = detector.detect(frame.image).detections
            scores.add(found, frame.box_px, frame.ignored_px)
    if not scores.heads:
        names = ", ".join(recording.name for recording in data) or "the data"
        raise DataError(f"{names}: no labelled head to choose a threshold by; name --threshold")
    threshold = serving_threshold(scores)
    (f1, precision, recall), (f1_before, *_) = scores.at_thresholds(np.array([threshold, before]))
    return Choice(
        threshold, len(scores), scores.heads, float(f1), float(precision), float(recall),
        float(f1_before),
    )  # fmt: skip


def export_archive(
    weights: Path,
    out: Path,
    *,
    half: bool = False,
    threshold: float | None = None,
    data: Sequence[Path] = (),
    skip_bad: bool = False,
) -> dict[str, object]:
    """Export weights with a score threshold; what verb ``export`` does.

    Parameters
    ----------
    weights, out : Path
        See ``models.sfcnet.export.export``. Both may be the same archive.
    threshold : float, optional
        Detections that score below it are not reported; ``LOWEST_SCORE`` or more.
    data : sequence of Path
        Labelled folders that the threshold is chosen on; best such as were not trained on.
        Without either the threshold stays: that of an archive, 0.5 after a training.

    Returns
    -------
    dict
        path, sha256, max_abs_difference, within_promise, score_threshold; with ``data`` frames,
        heads, f1_10px, precision_10px (None where nothing passes), recall_10px, and
        f1_10px_before: that of the threshold it had.

    Raises
    ------
    ModelError
        Both a threshold and data, a threshold that is none, a network that finds no heads.
    WeightsError, DataError
        See ``export`` and ``datasets.open_data``. Nothing is written then.
    """
    if threshold is not None and data:
        raise ModelError("export: --threshold or --data, not both: each says the threshold")
    if threshold is not None and not LOWEST_SCORE <= threshold < 1.0:
        # evaluate could not tell what a lower one lets through.
        raise ModelError(
            f"export: --threshold {threshold:g}: scores are read from {LOWEST_SCORE:g} on; name "
            "one from there to below 1"
        )
    recordings = [r for folder in data for r in open_data(Path(folder), skip_bad=skip_bad)]
    out.parent.mkdir(parents=True, exist_ok=True)
    # In a draft first: an archive whose threshold could not be chosen is never left behind.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
        draft = Path(folder) / out.name
        done = export(weights, draft, half=half)
        entry = trusted_entry(draft)
        told: dict[str, object] = {}
        if threshold is not None:
            entry = replace(
                entry,
                score_threshold=threshold,
                provenance={**entry.provenance, "threshold_from": "the user"},
            )
        elif data:
            detector = SFCNetDetector(draft, score_threshold=LOWEST_SCORE)
            if not detector.finds_heads:
                raise ModelError(f"{weights}: it finds no heads that a threshold could be put to")
            choice = chosen_threshold(
                detector, entry.score_threshold, recordings, skip_bad=skip_bad
            )
            told = {
                "frames": choice.frames, "heads": choice.heads, "f1_10px": choice.f1,
                "precision_10px": choice.precision if math.isfinite(choice.precision) else None,
                "recall_10px": choice.recall, "f1_10px_before": choice.f1_before,
            }  # fmt: skip
            names = [recording.name for recording in recordings]
            entry = replace(
                entry,
                score_threshold=choice.threshold,
                provenance={**entry.provenance, "threshold_from": {"recordings": names, **told}},
            )
        place(draft, out, entry)
    return {**done, "path": str(out), "score_threshold": entry.score_threshold, **told}
