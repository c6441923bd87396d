"""The weights that ship, examined on specimens that no training saw."""

from __future__ import annotations

import pytest
import torch

from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.training.evaluation import evaluate_exam

SEEDS = range(95_000, 95_006)  # those of training, calibration and release lie elsewhere


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_shipped_weights_find_and_segment_sperm_they_never_saw(modality):
    detector = SFCNetDetector(shipped_archive("lite"), dtype=torch.float32, score_threshold=0.02)
    scores = evaluate_exam(detector, SEEDS, frames=2, modality=modality)
    assert float(str(scores["ap50"])) >= 85.0
    assert float(str(scores["dice"])) >= 68.0
