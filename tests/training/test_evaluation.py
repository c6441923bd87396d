"""Evaluation from end to end: a detector that knows the truth, and one that knows nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models.errors import DataError, ModelError
from models.specimen.profiles import profile
from models.specimen.recording import write_recording
from models.threshold import ThresholdDetector
from models.training.datasets import open_data
from models.training.evaluation import (
    cut_at_border,
    evaluate,
    evaluate_exam,
    evaluate_fitted,
    fitted_box_scale,
    specimen_frames,
)
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.paper_layout import beside_the_paper
from models.types import Detections, Perception

SEGMENTATION = ("dice", "miou", "e_measure", "sensitivity", "precision")
DETECTION = ("ap", "ap50", "ap75", "f1_10px", "centre_error_px")


@pytest.fixture(scope="module")
def exam() -> LabelledFrames:
    frames = list(specimen_frames(profile("exam"), 71, 2, 0.5))
    return LabelledFrames("exam", 2, lambda: iter(frames), um_per_px=0.5)


class Oracle:
    """Says what is true of the frames it was given; optionally with boxes of another size."""

    name = "oracle"
    gmacs = 1.5

    def __init__(self, data: LabelledFrames, scale: float = 1.0, *, maps: bool = True) -> None:
        self.answers = {f.image.tobytes(): f for f in data}
        self.scale, self.maps = np.array([1, 1, scale, scale]), maps

    def warm_up(self, height_px: int, width_px: int) -> None:
        pass

    def detect(self, image: np.ndarray) -> Perception:
        frame = self.answers[image.tobytes()]
        found = Detections((frame.box_px * self.scale).astype(np.float32),
                           np.ones(len(frame.box_px), np.float32), frame.label)  # fmt: skip
        return Perception(found, frame.class_map if self.maps else None)


def test_who_knows_the_truth_scores_100(exam: LabelledFrames) -> None:
    table = evaluate(Oracle(exam), [exam])
    for key in (*SEGMENTATION, *DETECTION[:-1]):
        assert table[key] == pytest.approx(100, abs=1e-3), key
    for variant in ("foreground", "binary", "per_image"):
        assert table[variant]["dice"] == pytest.approx(100)
    assert table["centre_error_px"] == pytest.approx(0, abs=1e-4)
    assert (table["frames"], table["gmacs"], table["params_m"]) == (2, 1.5, None)
    assert table["heads"] > 10
    assert table["fps"] > 1
    json.dumps(table, allow_nan=False)


def test_scores_are_set_beside_the_papers_row(exam: LabelledFrames) -> None:
    text = beside_the_paper(evaluate(Oracle(exam), [exam]))
    lines = text.splitlines()
    assert lines[0].split()[-5:] == ["Dice", "mIoU", "E-measure", "Sensitivity", "Precision"]
    assert lines[1].split()[-5:] == ["64.14", "53.53", "97.93", "63.46", "65.67"]
    assert lines[2].split()[-5:] == ["100.00"] * 5
    row = next(k for k, line in enumerate(lines) if line.startswith("Detection, %"))
    paper, mine = (line.split()[-6:] for line in lines[row + 1 : row + 3])
    assert paper == ["40.14", "92.10", "21.65", "318.00", "249.30", "49.56"]
    assert mine[:3] == ["100.00"] * 3
    assert mine[-2:] == ["1.50", "-"]
    counted = {**evaluate(Oracle(exam), [exam]), "gmacs_of": {"boxes": 100, "sperm": 30}}
    assert "GMAC of 100 boxes and 30 sperm at 640x480" in beside_the_paper(counted)
    assert "Dice" not in beside_the_paper(evaluate(Oracle(exam, maps=False), [exam]))


def test_of_nothing_that_passes_there_is_no_precision(exam: LabelledFrames) -> None:
    oracle = Oracle(exam, maps=False)
    oracle.entry = SimpleNamespace(score_threshold=2.0)
    table = evaluate(oracle, [exam])
    own = table["at_threshold"]
    assert (own["f1_10px"], own["precision_10px"], own["recall_10px"]) == (0.0, None, 0.0)
    line = beside_the_paper(table).splitlines()[-1]
    assert line.split()[-5:] == ["0.00", "-", "0.00", "-", "-"]
    json.dumps(table, allow_nan=False)


def test_box_scale_makes_boxes_comparable(exam: LabelledFrames) -> None:
    loose = Oracle(exam, 1.6, maps=False)
    assert evaluate(loose, [exam])["ap50"] < 50
    rescued = evaluate(loose, [exam], box_scale=1 / 1.6)
    assert rescued["ap50"] == pytest.approx(100, abs=1e-3)


def test_a_box_scale_is_fitted_on_one_recording_and_used_on_others(exam: LabelledFrames) -> None:
    loose = Oracle(exam, 1.25, maps=False)
    assert fitted_box_scale(loose, [exam]) == pytest.approx(0.8)
    other = replace(exam, name="set/other")
    table = evaluate_fitted(loose, [replace(exam, name="set/first"), other], "first")
    assert (table["box_scale"], table["frames"]) == (0.8, 2)
    assert table["ap75"] == pytest.approx(100, abs=1e-3)
    for wrong in ("third", "exam"):
        with pytest.raises(DataError, match=rf"'{wrong}'.*there are"):
            evaluate_fitted(loose, [exam], wrong)


def test_a_detector_without_maps_has_no_dice(exam: LabelledFrames) -> None:
    table = evaluate(Oracle(exam, maps=False), [exam], um_per_px=0.25)
    assert all(table[key] is None for key in SEGMENTATION)
    assert table["centre_error_um"] == pytest.approx(table["centre_error_px"] * 0.25)


def test_a_network_that_only_segments_has_no_average_precision(exam: LabelledFrames) -> None:
    oracle = Oracle(exam)
    oracle.finds_heads = False
    table = evaluate(oracle, [exam])
    assert all(table[key] is None for key in DETECTION)
    assert table["dice"] == pytest.approx(100)
    assert "-" in beside_the_paper(table)
    with pytest.raises(ModelError, match="finds no boxes"):
        fitted_box_scale(oracle, [exam])


def test_the_classical_detector_on_fresh_specimens() -> None:
    table = evaluate_exam(ThresholdDetector(), range(300, 303), frames=1)
    assert table["f1_10px"] > 65
    assert table["centre_error_px"] < 2


def test_a_bad_recording_raises_or_is_left_out(exam: LabelledFrames) -> None:
    def breaks() -> Iterator[LabelledFrame]:
        yield next(iter(exam))
        raise DataError("film.mp4: cannot be decoded at frame 1; copy it again")

    bad = LabelledFrames("bad", 2, breaks)
    oracle = Oracle(exam)
    with pytest.raises(DataError, match=r"film\.mp4"):
        evaluate(oracle, [bad, exam])
    assert evaluate(oracle, [bad, exam], skip_bad=True)["frames"] == 3


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        evaluate(ThresholdDetector(), [tmp_path / "nowhere"])
    none = LabelledFrames("empty film", 0, lambda: iter(()))
    with pytest.raises(DataError, match="empty film"):
        evaluate(ThresholdDetector(), [none])


def test_boxes_are_cut_at_the_border() -> None:
    boxes = np.array([[0.0, 10, 11, 10], [50, 50, 10, 10], [-20, 10, 10, 10]])
    cut, share = cut_at_border(boxes, 100, 100)
    # From -5.5 to 5.5 across a border at -0.5: 6 of 11 px are left.
    np.testing.assert_allclose(cut[0], [2.5, 10, 6, 10])
    np.testing.assert_allclose(cut[1], boxes[1])
    np.testing.assert_allclose(share, [6 / 11, 1, 0])


def test_a_recording_of_the_specimen_reads_back_as_it_was_rendered(tmp_path: Path) -> None:
    write_recording(tmp_path, frames=2, seed=4, fps=10)
    (recording,) = open_data(tmp_path)
    assert (recording.um_per_px, recording.fps) == (0.495, 10)
    rendered = specimen_frames(profile("exam"), 4, 2, 0.1)
    for read, live in zip(recording, rendered, strict=True):
        np.testing.assert_array_equal(read.image, live.image)
        np.testing.assert_array_equal(read.class_map, live.class_map)
        np.testing.assert_allclose(read.box_px, live.box_px, atol=1e-3)
        np.testing.assert_array_equal(read.label, live.label)
        np.testing.assert_array_equal(read.sperm_id, live.sperm_id)
