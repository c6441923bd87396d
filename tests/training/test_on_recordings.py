"""One table: detectors beside each other on recordings, with and without a factor on box size."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.threshold import ThresholdDetector
from models.training.on_recordings import COLUMNS, beside_thresholding, main
from models.training.specimen_threshold import specimen_threshold


def labelled(folder: Path, name: str) -> None:
    """Write two pictures of dark heads of 10x8 px, labelled 2 px wider, as one recording."""
    import cv2

    for k in range(2):
        image = np.full((96, 128), 180, np.uint8)
        boxes = ""
        for x, y in ((30 + 3 * k, 30), (80, 50 + 4 * k)):
            cv2.ellipse(image, (x, y), (5, 4), 0, 0, 360, 90, cv2.FILLED)
            boxes += (
                f"<object><name>S</name><bndbox><xmin>{x - 6}</xmin><ymin>{y - 5}</ymin>"
                f"<xmax>{x + 7}</xmax><ymax>{y + 6}</ymax></bndbox></object>"
            )
        cv2.imwrite(str(folder / f"{name}_{k + 1:04d}.png"), image)
        size = "<size><width>128</width><height>96</height><depth>1</depth></size>"
        text = f"<annotation>{size}{boxes}</annotation>"
        (folder / f"{name}_{k + 1:04d}.xml").write_text(text)


def test_rows_of_both_with_and_without_the_factor(tmp_path: Path) -> None:
    labelled(tmp_path, "A")
    labelled(tmp_path, "B")
    detectors = [ThresholdDetector(), specimen_threshold()]
    table = beside_thresholding(detectors, [tmp_path], "A").splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in table]
    assert cells[0][1:] == list(COLUMNS)
    rows = cells[2:]
    assert [row[0].split(":")[0] for row in rows] == ["B"] * 4
    assert [row[2] for row in rows] == ["2"] * 4
    assert [row[1] == "1.0" for row in rows[::2]] == [True, True]
    # All heads are where they are found, whatever their size.
    assert all(float(row[6]) == 100.0 for row in rows)
    plain = beside_thresholding(detectors[:1], [tmp_path]).splitlines()
    assert [line.split(":")[0] for line in plain[2:]] == ["| A, B"]


def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["on_recordings", "--data", str(tmp_path / "nowhere")])
    assert main() == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.realdata
def test_shipped_weights_beat_thresholding_on_frames_neither_ever_saw(real_data, capsys) -> None:
    from models.sfcnet.manifest import shipped_archive
    from models.sfcnet.runtime import SFCNetDetector
    from models.training.datasets import open_data
    from models.training.evaluation import evaluate

    (clip,) = (r for r in open_data(real_data / "svia") if r.name.endswith("S_0002"))
    recordings = [replace(clip, read=lambda: islice(clip.read(), 6))]
    network = SFCNetDetector(shipped_archive("lite"), score_threshold=0.02)
    ours, theirs = evaluate(network, recordings), evaluate(specimen_threshold(), recordings)
    for key in ("ap50", "f1_10px"):
        assert float(str(ours[key])) > float(str(theirs[key])), key
