"""A specimen is written, analysed, tracked anew and scored: the verbs and the keys they promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app import cli

FRAMES = 6
FIGURES = {"frames", "fps_mean", "tracks", "seconds"}


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, object]]:
    """Run a verb, and return its last line."""

    def run(*words: object) -> dict[str, object]:
        capsys.readouterr()
        assert cli.main([*map(str, words), "--json"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert isinstance(result, dict)
        return result

    return run


def test_from_a_specimen_to_tables_and_scores(
    tmp_path: Path, said: Callable[..., dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    drop, results = tmp_path / "drop", tmp_path / "results"
    made = said("specimen", "--out", drop, "--frames", FRAMES, "--density", 8)
    assert made.keys() >= {"frames", "sperm", "dir"}
    assert made["frames"] == FRAMES

    film = drop / "frames.mkv"
    found = said("analyze", film, "--out", results, "--um-per-px", 0.495, "--overlay")
    assert found.keys() >= FIGURES
    assert found["frames"] == FRAMES
    (one,) = found["inputs"]
    assert one.keys() >= FIGURES
    for name in ("detections.csv", "tracks.csv", "sperm.csv", "overlay.mp4", "masks.json"):
        assert (results / name).stat().st_size > 0

    again = said("track", results / "detections.csv", "--out", tmp_path / "again",
                 "--um-per-px", 0.495)  # fmt: skip
    assert again.keys() >= {"frames", "tracks", "seconds"}
    assert again["tracks"] == found["tracks"]

    scores = said("evaluate", "--data", drop, "--detector", "threshold")
    assert scores.keys() >= {"ap", "ap50", "ap75", "f1_10px", "centre_error_px"}

    # Without --json a person reads it once.
    assert cli.main(["analyze", str(film), "--out", str(results), "--um-per-px", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines].count("frames") == 1
    assert not any(line.startswith("{") for line in lines)
