"""How hard a profile is: the classical detector, tuned on some specimens, scored on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.specimen.profiles import profile
from models.threshold import (
    BRIGHT_FIELD,
    PHASE_CONTRAST,
    ThresholdDetector,
    ThresholdSettings,
)
from models.training.detection_scores import DetectionScores
from models.training.evaluation import evaluate, specimen_frames
from models.training.labelled_frames import LabelledFrame

_TUNING_SEEDS = range(80_000, 80_024)
_SCORING_SEEDS = range(81_000, 81_024)


def difficulty(
    modality: str = "brightfield", *, trials: int = 60, seed: int = 0
) -> dict[str, object]:
    """Score the classical detector on profile ``exam``, after tuning it on other specimens of it.

    A specimen on which simple thresholding does better than on recordings is too easy.

    Returns
    -------
    dict
        As ``evaluation.evaluate`` (percent), with ``settings``, the best of ``trials`` found by
        random search for the sum of AP50 and F1 within 10 px on 24 frames of 24 specimens; scored
        on two frames each of 24 others.
    """
    chosen = profile("exam", modality=modality)
    base = PHASE_CONTRAST if modality == "phase" else BRIGHT_FIELD
    tuning = [
        frame for s in _TUNING_SEEDS for frame in specimen_frames(chosen, s, 1, 1.0, masks=False)
    ]
    settings = random_search(tuning, base, trials=trials, seed=seed)
    scoring = [specimen_frames(chosen, s, 2, 0.7, masks=False) for s in _SCORING_SEEDS]
    return {**evaluate(ThresholdDetector(settings), scoring), "settings": str(settings)}


def random_search(
    frames: Sequence[LabelledFrame], base: ThresholdSettings, *, trials: int, seed: int
) -> ThresholdSettings:
    """Return the best on these frames of ``base`` and ``trials`` random settings."""
    rng = np.random.default_rng(seed)
    tried = [base, *(_draw(base, rng) for _ in range(trials))]
    return max(tried, key=lambda settings: _merit(frames, settings))


def specimen_settings(
    modality: str, *, scenes: int = 16, trials: int = 60, seed: int = 0
) -> ThresholdSettings:
    """Tune the classical detector on profile ``exam`` alone: no recording, and no start from one.

    Applied to recordings it is the fair opponent of weights that never saw one. What this finds
    stands in ``models.training.specimen_threshold``.

    Parameters
    ----------
    modality : {'brightfield', 'phase'}
    scenes : int
        Specimens, one frame each.
    trials : int
        Of random search for the largest sum of AP50 and F1 within 10 px.
    seed : int
        Of the search.
    """
    chosen = profile("exam", modality=modality)
    frames = [
        frame
        for s in _TUNING_SEEDS[:scenes]
        for frame in specimen_frames(chosen, s, 1, 1.0, masks=False)
    ]
    base = ThresholdSettings(polarity=1 if modality == "phase" else -1)
    rng = np.random.default_rng(seed)
    tried = [_draw(base, rng) for _ in range(trials)]
    return max(tried, key=lambda settings: _merit(frames, settings))


def _merit(frames: Sequence[LabelledFrame], settings: ThresholdSettings) -> float:
    detector, scores = ThresholdDetector(settings), DetectionScores()
    for frame in frames:
        scores.add(detector.detect(frame.image).detections, frame.box_px, frame.ignored_px)
    return scores.average_precision()["ap50"] + scores.by_distance()["f1"]


def _draw(base: ThresholdSettings, rng: np.random.Generator) -> ThresholdSettings:
    def one(*choices: float) -> float:
        return float(rng.choice(choices))

    return replace(
        base,
        background_px=one(12, 15, 20, 25, 40),
        smooth_px=one(0.7, 1, 1.5, 2, 2.5),
        otsu_factor=one(0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2),
        open_px=int(one(0, 3, 5, 7)),
        close_px=int(one(0, 3, 5)),
        area_px2=(one(15, 20, 30, 40, 60, 80), one(400, 800)),
        grow=one(1, 1, 1.15, 1.3),
        pad_px=one(0, 0.5, 1, 2, 3),
        score_by=str(rng.choice(["area", "peak", "mass"])),
    )
