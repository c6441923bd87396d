"""The verb analyze on the first frames of real recordings, from command line to files."""

from __future__ import annotations

import csv
import json
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pa_parquet
import pytest

from app import cli
from app.records.export import DETECTIONS, SPERM, TRACKS
from app.records.video import RecordingWriter
from drivers.video_file import VideoFile

pytestmark = pytest.mark.realdata

FRAMES = 30


def beginning(recording: Path, folder: Path) -> tuple[Path, VideoFile]:
    """Cut the first frames off, lossless and with their own times."""
    whole = VideoFile(recording, realtime=False)
    whole.open()
    cut = RecordingWriter(folder / "cut", whole.frame_rate_hz, preview=False)
    for frame in islice(whole.frames(), FRAMES):
        cut.write(frame, None, None)
    cut.close()
    return cut.path, whole


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("recording", "heads", "tracks"),
    [
        ("svia/S_0001.mp4", (20, 45), (20, 60)),  # 34 to 40 labelled heads a frame
        ("visem52/visem52_0000-0479.mp4", (4, 30), (4, 40)),  # 5 to 9, and bright still cells
    ],
    ids=["bright field", "phase contrast"],
)
def test_a_recording_becomes_tables_and_an_overlay(
    real_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recording: str,
    heads: tuple[int, int],
    tracks: tuple[int, int],
) -> None:
    if not (real_data / recording).is_file():
        pytest.skip(f"{recording} is not among the real recordings at {real_data}")
    cut, whole = beginning(real_data / recording, tmp_path)
    out = tmp_path / "results"
    words = ["analyze", str(cut), "--out", str(out), "--um-per-px", "0.5", "--overlay", "--json"]
    assert cli.main(words) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["frames"] == FRAMES
    assert tracks[0] <= result["tracks"] <= tracks[1]

    found, path, sperm = (
        rows_of(out / f"{name}.csv") for name in ("detections", "tracks", "sperm")
    )
    for name, rows, schema in (
        ("detections", found, DETECTIONS), ("tracks", path, TRACKS), ("sperm", sperm, SPERM),
    ):  # fmt: skip
        assert list(rows[0]) == schema.names
        assert pa_parquet.read_table(out / f"{name}.parquet").num_rows == len(rows)
    assert heads[0] <= len(found) / FRAMES <= heads[1]
    assert {int(row["frame"]) for row in found} == set(range(FRAMES))
    assert {row["track_id"] for row in path} == {row["track_id"] for row in sperm}
    assert len(sperm) == result["tracks"]
    last_s = (FRAMES - 1) / whole.frame_rate_hz
    assert max(float(row["time_s"]) for row in found) == pytest.approx(last_s, rel=0.02)
    for row in path:
        assert -20 < float(row["x_px"]) < whole.width_px + 20
        assert -20 < float(row["y_px"]) < whole.height_px + 20
    whole_time = [row for row in sperm if int(row["frames"]) >= FRAMES * 3 // 4]
    assert len(whole_time) >= tracks[0] / 2  # most sperm are held, not found again and again
    speeds = [float(row["vcl_um_s"]) for row in sperm if row["vcl_um_s"]]
    assert speeds
    assert all(0 <= speed < 400 for speed in speeds)

    overlay = VideoFile(out / "overlay.mp4", realtime=False)
    overlay.open()
    assert overlay.frame_rate_hz == pytest.approx(whole.frame_rate_hz, rel=0.01)
    assert (overlay.width_px, overlay.height_px) == (2 * whole.width_px, 2 * whole.height_px)
    assert sum(1 for _ in overlay.frames()) == FRAMES
    overlay.close()
    whole.close()
