"""The real recordings: statistics and scores that are known. Skipped where they are absent."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from models.specimen.frame_rows import reference
from models.specimen.statistics import deviations, frame_statistics
from models.threshold import ThresholdDetector
from models.training.datasets import open_data
from models.training.evaluation import evaluate
from models.training.labelled_frames import LabelledFrames

pytestmark = pytest.mark.realdata

# Rows that depend on how faint tails and spots are searched for, or are close to zero.
METHOD = {"tail_contrast", "tail_width", "spot_contrast"}


def test_statistics_reproduce_the_reference_figures(real_data: Path) -> None:
    clip = open_data(real_data / "svia")[0]
    frames = list(clip)
    assert (clip.name, len(frames)) == ("svia/S_0001", 45)
    table = frame_statistics(
        [f.image for f in frames],
        [f.box_px for f in frames],
        other_boxes=[f.ignored_px for f in frames],
        every=5,
    )
    off = deviations(table, reference("svia_1"))
    wrong = {key: round(v) for key, v in off.items() if abs(v) > 15 and key not in METHOD}
    assert wrong == {}
    assert {k: v for k, v in off.items() if abs(v) > 35} == {}


def every(step: int, data: LabelledFrames) -> LabelledFrames:
    return LabelledFrames(data.name, len(data) // step, lambda: islice(iter(data), 0, None, step))


@pytest.mark.parametrize(
    ("folder", "step", "f1", "ap50"), [("svia", 2, 94.0, 87.4), ("visem52", 8, 66.0, 30.0)]
)
def test_the_classical_detector_is_as_good_as_its_peers(
    real_data: Path, folder: str, step: int, f1: float, ap50: float
) -> None:
    data = [every(step, recording) for recording in open_data(real_data / folder)]
    table = evaluate(ThresholdDetector(), data)
    assert table["f1_10px"] > f1
    assert table["ap50"] > ap50
