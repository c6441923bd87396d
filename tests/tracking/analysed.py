"""How well an analysis found the sperm of a specimen directory: point HOTA, IDF1, MOTA.

``sfcscope specimen --out S --frames 300 --seed 77``, ``sfcscope analyze S/frames.mkv --out A``
(with ``--online`` for what was known in each frame), ``python -m tests.tracking.analysed S A``.
Truth are the heads that can be seen, in the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow.csv

from models.tracking.metrics import IdentityScores, Points, identity_scores


def points(path: Path) -> Points:
    """Read frame, track and place; of a true table only what can be seen."""
    table = pyarrow.csv.read_csv(path)
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    kept = np.ones(len(table), np.bool_)
    if "visible" in column:
        kept = column["visible"].astype(np.float64) > 0
    return Points(
        column["frame"][kept].astype(np.int64),
        column["track_id"][kept].astype(np.int64),
        np.stack([column["x_px"], column["y_px"]], axis=1)[kept].astype(np.float64),
    )


def score(specimen: Path, analysis: Path) -> IdentityScores:
    """Compare tracks.csv of an analysis with truth_tracks.csv of the specimen."""
    return identity_scores(points(specimen / "truth_tracks.csv"), points(analysis / "tracks.csv"))


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description="Identities in an analysis of a specimen.")
    parser.add_argument("specimen", type=Path)
    parser.add_argument("analysis", type=Path)
    asked = parser.parse_args()
    print(score(asked.specimen, asked.analysis))


if __name__ == "__main__":
    main()
