"""Published tracks of sperm, seen through a poor detector, and how well they are found again.

``python -m tests.tracking.recordings`` prints the table of models/tracking/README.md. Truth with
8 % misses, 6 false detections a frame and 1 px jitter; the tracker's settings are the same for
all. On line: what was shown in each frame, coasting rows included. Off line: the rows of
tracks.csv.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.records.export import Column
from app.records.track_table import TrackTable
from calibration.transform import ImageToStage
from models.tracking.metrics import IdentityScores, Points, identity_scores
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.types import Float64, Tracks, TrackState

UM_PER_PX = 0.495
MISSED, FALSE, JITTER_PX = 0.08, 6.0, 1.0
NAMES = (
    "visem_labels/24.csv.gz",
    "visem_labels/54.csv.gz",
    "njit/40sample_4type_15fps_15s.csv",
    "njit/40sample_4type_60fps_15s.csv",
)


@dataclass(frozen=True)
class Recording:
    """True points in pixels, the picture's size, and the frame rate."""

    truth: Points
    size_px: tuple[int, int]
    frame_rate_hz: float

    @property
    def frames(self) -> int:
        return int(self.truth.frame.max()) + 1

    def detections(self, seed: int) -> list[Float64]:
        """What a poor detector makes of it: (N, 2) px, frame by frame."""
        rng = np.random.default_rng(seed)
        seen = []
        for k in range(self.frames):
            here = self.truth.position[self.truth.frame == k]
            here = here[rng.random(len(here)) >= MISSED]
            false = rng.uniform(0, self.size_px, (rng.poisson(FALSE), 2))
            seen.append(np.concatenate([here + rng.normal(0, JITTER_PX, here.shape), false]))
        return seen


def read(path: Path, most_frames: int | None = None) -> Recording:
    """Read a recording of the NJIT simulation or the labels of VISEM-Tracking."""
    points, size_px, rate = _njit(path) if path.suffix == ".csv" else _visem(path)
    kept = points.frame < (most_frames or np.inf)
    return Recording(
        Points(points.frame[kept], points.identity[kept], points.position[kept]), size_px, rate
    )


def _njit(path: Path) -> tuple[Points, tuple[int, int], float]:
    rows = np.loadtxt(path, delimiter=",")
    frame, place = rows[:, 4].astype(int) - 1, rows[:, [2, 1]] - 1.0
    # An id is used again after its sperm has left the field: a jump begins another sperm.
    identity, count = np.zeros(len(rows), int), 0
    for one in np.unique(rows[:, 0]):
        at = np.flatnonzero(rows[:, 0] == one)
        at = at[np.argsort(frame[at], kind="stable")]
        jump = np.hypot(*np.diff(place[at], axis=0).T) > 40.0
        piece = np.cumsum(np.r_[0, (np.diff(frame[at]) > 1) | jump])
        identity[at] = count + piece
        count += int(piece[-1]) + 1
    # Cells are listed beyond the picture's border, where nothing can be detected.
    seen = ((place >= 0.0) & (place < 500.0)).all(axis=1)
    points = Points(frame[seen], identity[seen], place[seen])
    return points, (500, 500), 60.0 if "60fps" in path.name else 15.0


def _visem(path: Path) -> tuple[Points, tuple[int, int], float]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    names = {name: k for k, name in enumerate(dict.fromkeys(row["fid"] for row in rows))}
    place = np.array([[float(row["xc"]) * 640, float(row["yc"]) * 480] for row in rows])
    frame = np.array([int(row["frame"]) for row in rows])
    identity = np.array([names[row["fid"]] for row in rows])
    return Points(frame, identity, place), (640, 480), 50.0


def follow(
    seen_px: list[Float64],
    size_px: tuple[int, int],
    frame_rate_hz: float,
    settings: TrackerSettings | None = None,
) -> tuple[list[Tracks], Points, Points]:
    """Track detections: each frame's tracks, and in pixels what is told on line and off line."""
    tracker = Tracker(settings)
    transform = ImageToStage.nominal(UM_PER_PX, *size_px)
    table = TrackTable(transform, tracker.settings)
    view = View.of_picture(np.zeros(2), transform.matrix_um_per_px, *size_px)
    steps = []
    for k, places in enumerate(seen_px):
        n = len(places)
        tracks = tracker.step(
            k / frame_rate_hz, transform.image_to_stage(places, np.zeros(2)),
            np.full((n, 4), 10.0), np.ones(n), np.ones(n, np.int8), view,
        )  # fmt: skip
        table.add(k, tracks)
        steps.append(tracks)
    columns = table.finish(online=False).tracks
    return steps, _shown(steps, transform), points_of(columns)


def _shown(steps: list[Tracks], transform: ImageToStage) -> Points:
    rows = [(k, t, t.state != TrackState.TENTATIVE) for k, t in enumerate(steps)]
    return Points(
        np.concatenate([np.full(int(m.sum()), k) for k, _, m in rows]),
        np.concatenate([t.track_id[m] for _, t, m in rows]),
        np.concatenate([transform.stage_to_image(t.head_um[m], np.zeros(2)) for _, t, m in rows]),
    )


def points_of(columns: dict[str, Column]) -> Points:
    """Read identified points in pixels from columns of tracks.csv."""
    if not columns:
        return Points(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    place = np.stack([np.asarray(columns["x_px"]), np.asarray(columns["y_px"])], axis=1)
    frame, identity = np.asarray(columns["frame"]), np.asarray(columns["track_id"])
    return Points(frame.astype(np.int64), identity.astype(np.int64), place.astype(np.float64))


def line(name: str, way: str, scores: list[IdentityScores]) -> str:
    """One row of the table: means over the seeds."""
    mean = {
        key: float(np.mean([getattr(one, key) for one in scores]))
        for key in ("hota", "det_a", "ass_a", "idf1", "mota", "switches", "tracks_found")
    }
    spread = float(np.std([one.hota for one in scores]))
    return (
        f"| {name} | {way} | {mean['hota']:.3f} +- {spread:.3f} | {mean['det_a']:.3f} | "
        f"{mean['ass_a']:.3f} | {mean['idf1']:.3f} | {mean['mota']:.3f} | "
        f"{mean['switches']:.0f} | {mean['tracks_found']:.0f} / {scores[0].tracks_true} |"
    )


def data_of(asked: Path, names: Sequence[str]) -> Path:
    """Return the folder of the published data: that of the environment, or else the one asked for.

    Where a file is not there, says so in one line and ends the program with 2.
    """
    folder = Path(os.environ.get("SFCSCOPE_DATA", asked))
    missing = next((folder / name for name in names if not (folder / name).is_file()), None)
    if missing is not None:
        print(
            f"{missing}: no such file; name the folder of the published data with --data "
            "or in SFCSCOPE_DATA",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return folder


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Identities on published tracks.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--names", nargs="+", default=NAMES)
    asked = parser.parse_args()
    folder = data_of(asked.data, asked.names)
    print("| recording | way | HOTA | DetA | AssA | IDF1 | MOTA | switches | found / true |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in asked.names:
        recording = read(folder / name)
        told: dict[str, list[IdentityScores]] = {"on line": [], "off line": []}
        for seed in range(asked.seeds):
            _, shown, after = follow(
                recording.detections(seed), recording.size_px, recording.frame_rate_hz
            )
            told["on line"].append(identity_scores(recording.truth, shown))
            told["off line"].append(identity_scores(recording.truth, after))
        for way, scores in told.items():
            print(line(name, way, scores), flush=True)


if __name__ == "__main__":
    main()
