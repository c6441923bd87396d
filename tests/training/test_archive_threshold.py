"""The score threshold of an exported archive: named, or chosen on labelled frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from app.cli import main
from models.errors import DataError, ModelError, WeightsError
from models.sfcnet.export import export_random
from models.sfcnet.manifest import read_manifest, shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.specimen.recording import write_recording
from models.training.archive_threshold import TOLERANCE, export_archive, serving_threshold
from models.training.detection_scores import DetectionScores
from models.training.evaluation import evaluate
from models.training.paper_layout import beside_the_paper
from models.types import Detections

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def scored(true: list[float], false: list[float], missed: int = 0) -> DetectionScores:
    """Heads 40 px apart found with scores ``true``, ``missed`` others, and false finds."""
    scores = DetectionScores()
    places = np.arange(len(true) + missed) * 40.0
    truth = np.stack([places, places * 0, places * 0 + 12, places * 0 + 12], 1)
    beside = np.tile([0.0, 400.0, 12, 12], (len(false), 1))
    boxes = np.concatenate([truth[: len(true)], beside]).astype(np.float32)
    score = np.array([*true, *false], np.float32)
    scores.add(Detections(boxes, score, np.zeros(len(score), np.int8)), truth)
    return scores


def test_a_threshold_lets_through_what_scores_as_much() -> None:
    scores = scored([0.9, 0.5, 0.3], [0.5, 0.1], missed=1)
    found = scores.at_thresholds(np.array([0.95, 0.9, 0.5, 0.2, 0.05]))
    assert found[:, 1] == pytest.approx([np.nan, 100, 200 / 3, 75, 60], nan_ok=True)
    assert found[:, 2] == pytest.approx([0, 25, 50, 75, 75])
    best = scores.by_distance()
    assert found[:, 0].max() == pytest.approx(best["f1"])
    assert np.isnan(DetectionScores().at_thresholds(np.array([0.5]))).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_the_lowest_near_the_best_that_costs_next_to_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true, false = rng.beta(3, 1.5, 400), rng.beta(1, 6, 200)
    scores = scored([*map(float, true)], [*map(float, false)], missed=20)
    chosen = serving_threshold(scores)
    best = scores.by_distance()["f1"]
    (f1, *_), (lower, *_) = scores.at_thresholds(np.array([chosen, chosen - 0.01]))
    assert f1 >= best - TOLERANCE - 0.3  # the best lies between two hundredths
    assert lower < best - TOLERANCE
    # Clear of the false ones, far below the customary half.
    assert chosen < 0.5
    assert serving_threshold(scored([0.9, 0.8], [0.3])) == pytest.approx(0.31)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_recording(folder, frames=2, seed=64, fps=4)
    return folder


def test_labelled_frames_set_what_the_rig_will_show(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "mine.pt"
    told = export_archive(shipped_archive("lite"), out, data=[film])
    (entry,) = read_manifest(out.parent)
    assert sorted(p.name for p in out.parent.iterdir()) == ["manifest.json", "mine.pt"]
    assert (entry.sha256, entry.score_threshold) == (told["sha256"], told["score_threshold"])
    assert entry.provenance["threshold_from"]["heads"] == told["heads"] > 5
    assert told["max_abs_difference"] <= 1e-3
    detector = SFCNetDetector(out, score_threshold=0.02)
    table = evaluate(detector, [film])
    own = table["at_threshold"]
    assert isinstance(own, dict)
    for key in ("score_threshold", "f1_10px", "precision_10px", "recall_10px"):
        assert own[key] == pytest.approx(told[key]), key
    assert "at its own threshold" in beside_the_paper(table)
    assert SFCNetDetector(out).score_threshold == entry.score_threshold


def test_a_threshold_that_is_named_replaces_the_one_that_was_there(tmp_path: Path) -> None:
    archive = export_random(tmp_path / "mine.pt")
    told = export_archive(archive, archive, threshold=0.125)
    (entry,) = read_manifest(tmp_path)
    assert (entry.score_threshold, told["score_threshold"]) == (0.125, 0.125)
    assert SFCNetDetector(archive, dtype=torch.float32).score_threshold == 0.125
    # And stays when nothing is said.
    assert export_archive(archive, tmp_path / "other.pt")["score_threshold"] == 0.125


@pytest.mark.parametrize("name", ["manifest.part", "manifest.before"])
def test_an_archive_exported_onto_itself_stays_when_its_entry_cannot_be_written(
    tmp_path: Path, name: str
) -> None:
    archive = export_random(tmp_path / "mine.pt")
    manifest = tmp_path / "manifest.json"
    held, listed = archive.read_bytes(), manifest.read_bytes()
    (tmp_path / name).mkdir()  # where the new entry, or the old one, is put first
    for again in (
        lambda: export_archive(archive, archive, half=True, threshold=0.125),
        lambda: export_random(archive, seed=1),
    ):
        with pytest.raises(WeightsError, match=r"mine\.pt: cannot be written.*nothing was changed"):
            again()
        assert (archive.read_bytes(), manifest.read_bytes()) == (held, listed)
    assert SFCNetDetector(archive, dtype=torch.float32).score_threshold == 0.5
    assert {p.name for p in tmp_path.iterdir()} == {"mine.pt", "manifest.json", name}


@pytest.mark.parametrize("others", [False, True])
def test_the_manifest_stays_when_the_archive_cannot_be_placed(tmp_path: Path, others: bool) -> None:
    source = export_random(tmp_path / "mine.pt")
    folder = tmp_path / "other"
    blocked = folder / "blocked.pt"
    blocked.mkdir(parents=True)
    if others:
        export_archive(source, folder / "first.pt")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    with pytest.raises(WeightsError, match=r"blocked\.pt: cannot be written"):
        export_archive(source, blocked)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_what_cannot_be_chosen_leaves_nothing_behind(film: Path, tmp_path: Path) -> None:
    weights, out = shipped_archive("lite"), tmp_path / "out" / "mine.pt"
    with pytest.raises(ModelError, match="not both"):
        export_archive(weights, out, threshold=0.3, data=[film])
    # Lower than 'evaluate' reads scores, too: it could not tell what that lets through.
    for wrong in (1.0, 0.0, 0.019, float("nan")):
        with pytest.raises(ModelError, match=r"--threshold .*from 0\.02 on"):
            export_archive(weights, out, threshold=wrong)
    with pytest.raises(DataError, match="no such folder"):
        export_archive(weights, out, data=[tmp_path / "nowhere"])
    segmenter = export_random(tmp_path / "segment.pt", "lite", "segment")
    with pytest.raises(ModelError, match=r"segment\.pt: it finds no heads"):
        export_archive(segmenter, out, data=[film])
    assert not out.parent.exists() or not any(out.parent.iterdir())


def test_the_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    archive = export_random(tmp_path / "a.pt")
    order = ["export", "--weights", str(archive), "--out", str(tmp_path / "b.pt")]
    assert main([*order, "--threshold", "0.3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["score_threshold"] == 0.3
    for wrong in (
        ["--threshold", "1.5"],
        ["--threshold", "0.3", "--data", str(tmp_path)],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*order, *wrong])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "--threshold" in line
    assert main([*order, "--threshold", "0.01"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--threshold 0.01" in line
