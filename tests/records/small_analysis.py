"""A small analysis whose sperm are known, for tests that correct it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from app.runtime.analysis import track

FRAMES, FPS, UM_PER_PX = 120, 30.0, 0.5
GAP = range(50, 80)  # sperm 2 is out of sight: longer than a track lives unseen


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def sperm(folder: Path) -> dict[int, dict[str, str]]:
    """Rows of sperm.csv by name."""
    return {int(row["track_id"]): row for row in table(folder / "sperm.csv")}


def rows_of(folder: Path, track_id: int) -> list[dict[str, str]]:
    """Rows of tracks.csv of one sperm."""
    return [row for row in table(folder / "tracks.csv") if row["track_id"] == str(track_id)]


def three_sperm(folder: Path, criteria: str = "who6_wet") -> Path:
    """Two that swim, one that rests; the second is lost for a second and has two tracks."""
    rng = np.random.default_rng(0)
    start = np.array([[40.0, 60.0], [300.0, 300.0], [200.0, 120.0]])
    step = np.array([[1.5, 0.5], [-1.0, 0.4], [0.0, 0.0]])
    with (folder / "detections.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "time_s", "x_px", "y_px", "w_px", "h_px", "score", "label"])
        for k in range(FRAMES):
            place = start + k * step + rng.normal(0.0, 0.2, (3, 2))
            for n, (x, y) in enumerate(place):
                if n != 1 or k not in GAP:
                    writer.writerow([k, k / FPS, x, y, 10, 10, 0.9, "normal"])
    out = folder / "out"
    track(folder / "detections.csv", out, um_per_px=UM_PER_PX, criteria=criteria)
    assert sorted(sperm(out)) == [1, 2, 3, 4]
    return out
