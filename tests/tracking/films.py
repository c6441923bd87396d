"""Tracks from the films of the NJIT simulation, the classical detector in front.

``python -m tests.tracking.films`` analyses both films as a user would and compares tracks.csv with
the published truth.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow.csv

from app.runtime.analysis import analyze
from models.threshold import ThresholdDetector, ThresholdSettings
from models.tracking.metrics import identity_scores
from tests.tracking.recordings import data_of, points_of, read

# Heads of 5 by 8 px, drawn dark on grey without noise, in part overlaid by tails: components of 20
# px and more, as the default is, would be 80 % of them.
_SETTINGS = ThresholdSettings(polarity=-1, smooth_px=1.0, open_px=3, area_px2=(8.0, 800.0))
NAMES = ("40sample_4type_15fps_15s", "40sample_4type_60fps_15s")


def main() -> None:
    """Print a line for each film."""
    parser = argparse.ArgumentParser(description="Identities from the NJIT films.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    wanted = [f"njit/{name}{end}" for name in NAMES for end in (".mp4", ".csv")]
    folder = data_of(parser.parse_args().data, wanted) / "njit"
    for name in NAMES:
        with tempfile.TemporaryDirectory() as out:
            analyze(
                [folder / f"{name}.mp4"],
                Path(out),
                um_per_px=0.495,
                detector=ThresholdDetector(_SETTINGS),
            )
            table = pyarrow.csv.read_csv(Path(out) / "tracks.csv")
            found = points_of(
                {n: table[n].to_numpy() for n in ("frame", "track_id", "x_px", "y_px")}
            )
        print(name, identity_scores(read(folder / f"{name}.csv").truth, found), flush=True)


if __name__ == "__main__":
    main()
