"""How well an analysis found the sperm of a specimen directory: point HOTA, IDF1, MOTA.

``sfcscope specimen --out S --frames 300 --seed 77``, ``sfcscope analyze S/frames.mkv --out A``
(with ``--online`` for what was known in each frame), ``python -m tests.tracking.analysed S A``.
Truth are the heads that can be seen, their centre in the picture; what was found on another true
head (out of focus, over the border) counts neither way.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv

from models.tracking.metrics import IdentityScores, Points, identity_scores

# A found point this near a head belongs to it.
NEAR_PX = 10.0
SIZE_PX = np.array([640.0, 480.0])


def read(path: Path) -> dict[str, np.ndarray]:
    """Columns of a table of tracks."""
    table = pyarrow.csv.read_csv(path)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def points(columns: dict[str, np.ndarray], kept: np.ndarray) -> Points:
    """Identified places of some rows."""
    place = np.stack([columns["x_px"], columns["y_px"]], axis=1)[kept].astype(np.float64)
    frame, identity = columns["frame"][kept], columns["track_id"][kept]
    return Points(frame.astype(np.int64), identity.astype(np.int64), place)


def score(specimen: Path, analysis: Path) -> IdentityScores:
    """Compare tracks.csv of an analysis with truth_tracks.csv of the specimen."""
    true, told = read(specimen / "truth_tracks.csv"), read(analysis / "tracks.csv")
    place = np.stack([true["x_px"], true["y_px"]], axis=1).astype(np.float64)
    inside = ((place > -0.5) & (place < SIZE_PX - 0.5)).all(axis=1)
    clear = inside & (true["visible"].astype(np.float64) > 0)
    everything = points(told, np.ones(len(told["frame"]), np.bool_))
    kept = np.ones(len(everything.frame), np.bool_)
    for frame in np.unique(everything.frame):
        rows = np.flatnonzero(everything.frame == frame)
        wanted = place[clear & (true["frame"] == frame)]
        other = place[~clear & (true["frame"] == frame)]
        spot = everything.position[rows]
        kept[rows] = (_nearest(spot, wanted) < NEAR_PX) | (_nearest(spot, other) >= NEAR_PX)
    return identity_scores(points(true, clear), points(told, kept))


def _nearest(spot: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distance of (N, 2) points to the nearest of (M, 2) others; infinite without any."""
    apart = np.hypot(*(spot[:, None] - other[None]).transpose(2, 0, 1))
    return apart.min(axis=1, initial=np.inf)


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description="Identities in an analysis of a specimen.")
    parser.add_argument("specimen", type=Path)
    parser.add_argument("analysis", type=Path)
    asked = parser.parse_args()
    for table in (asked.specimen / "truth_tracks.csv", asked.analysis / "tracks.csv"):
        if not table.is_file():
            print(
                f"{table}: no such file; make it with sfcscope specimen and sfcscope analyze",
                file=sys.stderr,
            )
            raise SystemExit(2)
    print(score(asked.specimen, asked.analysis))


if __name__ == "__main__":
    main()
