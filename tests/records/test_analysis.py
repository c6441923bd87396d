"""The verbs analyze and track on a small film whose sperm are known."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pa_parquet
import pytest

from app.records.edit import Edit, edit_analysis
from app.records.export import DETECTIONS, SPERM, TRACKS
from app.records.video import RecordingWriter
from app.runtime.analysis import analyze, track
from drivers.errors import CameraError
from drivers.types import Frame
from drivers.video_file import VideoFile
from models.errors import DataError
from models.types import Detections, Perception, UInt8

FRAMES, WIDTH, HEIGHT = 45, 200, 160
# x, y (px) at frame 0 and speed (px a frame): 0.495 um/px at 30 frames a second
SPERM_PX = np.array(
    [[30.0, 30.0, 3.0, 0.0], [150.0, 40.0, 0.0, 2.0], [40.0, 130.0, 1.5, -1.0], [100.0, 80.0, 0, 0]]
)


def centres(number: int) -> np.ndarray:
    return SPERM_PX[:, :2] + number * SPERM_PX[:, 2:]


class Blobs:
    """A detector of dark disks: exact, so that the tables can be compared with the truth."""

    name = "blobs"

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls = 0
        self._stop_at = stop_at

    def warm_up(self, height_px: int, width_px: int) -> None:
        self.size = (height_px, width_px)

    def detect(self, image: UInt8) -> Perception:
        if self.calls == self._stop_at:
            raise KeyboardInterrupt
        self.calls += 1
        dark = image < 100
        found = []
        rows, columns = np.nonzero(dark)
        while len(rows):
            near = np.hypot(rows - rows[0], columns - columns[0]) < 12
            found.append((columns[near].mean(), rows[near].mean(), 10.0, 10.0))
            rows, columns = rows[~near], columns[~near]
        box = np.array(found, np.float32).reshape(-1, 4)
        n = len(box)
        detections = Detections(box, np.full(n, 0.9, np.float32), np.ones(n, np.int8))
        return Perception(detections, dark.astype(np.uint8))


def written(path: Path, paths_px: list[np.ndarray]) -> Path:
    """A film of dark disks; their centres (N, 2) in each frame."""
    recording = RecordingWriter(path, 30.0, preview=False)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for k, places in enumerate(paths_px):
        image = np.full((HEIGHT, WIDTH), 160, np.uint8)
        for cx, cy in places:
            image[np.hypot(x - cx, y - cy) < 4.5] = 60
        recording.write(Frame(image, k, k / 30.0, 0.0, 0.0), None, None)
    recording.close()
    return path.with_suffix(".mkv")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("film") / "film", [centres(k) for k in range(FRAMES)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_recording_becomes_tables_masks_and_an_overlay(film: Path, tmp_path: Path) -> None:
    result = analyze([film], tmp_path, overlay=True, labelme=True, detector=Blobs())
    assert result["frames"] == FRAMES
    assert result["tracks"] == 4
    assert isinstance(result["fps_mean"], float)
    assert result["fps_mean"] > 0
    assert result["um_per_px"] == 0.495
    assert result["um_per_px_assumed"] is True
    assert [one["frames"] for one in result["inputs"]] == [FRAMES]
    for name, schema in (("detections", DETECTIONS), ("tracks", TRACKS), ("sperm", SPERM)):
        rows = table(tmp_path / f"{name}.csv")
        assert list(rows[0]) == schema.names
        assert pa_parquet.read_table(tmp_path / f"{name}.parquet").num_rows == len(rows)
    assert len(list(VideoFile(tmp_path / "overlay.mp4", realtime=False).frames())) == FRAMES
    masks = json.loads((tmp_path / "masks.json").read_text())
    assert Counter(one["image_id"] for one in masks["annotations"])[0] == 4
    to_correct = sorted((tmp_path / "labelme").glob("*.json"))
    assert len(to_correct) == 5
    last = json.loads(to_correct[-1].read_text(encoding="utf-8"))["shapes"]
    heads = [one["group_id"] for one in last if one["shape_type"] == "rectangle"]
    tracked = table(tmp_path / "tracks.csv")
    number = str(int(to_correct[-1].stem))
    assert sorted(heads) == sorted(int(r["track_id"]) for r in tracked if r["frame"] == number)
    about = json.loads((tmp_path / "analysis.json").read_text())
    assert (about["width_px"], about["height_px"], about["detector"]) == (WIDTH, HEIGHT, "blobs")


def test_tracks_and_speeds_are_those_of_the_sperm(film: Path, tmp_path: Path) -> None:
    analyze([film], tmp_path, um_per_px=0.5, detector=Blobs())
    rows = table(tmp_path / "tracks.csv")
    by_track: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_track.setdefault(row["track_id"], []).append(row)
    assert len(by_track) == 4
    for one in by_track.values():
        assert [int(row["frame"]) for row in one] == list(range(FRAMES))
        first = np.array([float(one[0]["x_raw_px"]), float(one[0]["y_raw_px"])])
        which = np.hypot(*(centres(0) - first).T).argmin()
        for row in one:
            true = centres(int(row["frame"]))[which]
            seen = np.array([float(row["x_px"]), float(row["y_px"])])
            np.testing.assert_allclose(seen, true, atol=1.0)
            middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
            um = np.array([float(row["x_um"]), float(row["y_um"])])
            np.testing.assert_allclose(um, (seen - middle) * 0.5, atol=1e-3)
            assert row["label"] == "normal"
    vsl = sorted(float(row["vsl_um_s"]) for row in table(tmp_path / "sperm.csv"))
    true_vsl = sorted(np.hypot(*SPERM_PX[:, 2:].T) * 0.5 * 30.0)
    np.testing.assert_allclose(vsl, true_vsl, rtol=0.02, atol=0.5)
    still = min(table(tmp_path / "sperm.csv"), key=lambda row: float(row["vsl_um_s"]))
    assert still["lin"] == still["score"] == still["head_area_um2"] == ""
    assert still["grade"] == "immotile"


def test_tracking_the_detections_alone_gives_the_same_tracks(film: Path, tmp_path: Path) -> None:
    analyze([film], tmp_path / "a", detector=Blobs())
    result = track(tmp_path / "a" / "detections.csv", tmp_path / "b")
    assert (result["frames"], result["tracks"]) == (FRAMES, 4)
    assert isinstance(result["seconds"], float)
    a, b = table(tmp_path / "a" / "tracks.csv"), table(tmp_path / "b" / "tracks.csv")
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one["track_id"] == other["track_id"]
        assert float(one["x_px"]) == pytest.approx(float(other["x_px"]), abs=0.3)


def test_masks_and_shapes_never_stand_beside_tracks_of_another_run(
    film: Path, tmp_path: Path
) -> None:
    analyze([film], tmp_path, detector=Blobs())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=r"masks\.json.*another folder"):
        track(tmp_path / "detections.csv", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    for name in ("shapes.csv", "shapes.parquet"):
        (tmp_path / name).write_text("of an earlier run")
    analyze([film], tmp_path, masks=False, detector=Blobs())
    assert not {"masks.json", "shapes.csv", "shapes.parquet"} & {p.name for p in tmp_path.iterdir()}


@pytest.mark.parametrize("online", [False, True])
def test_a_head_that_the_border_always_cuts_is_kept_and_not_judged(
    tmp_path: Path, online: bool
) -> None:
    at_border, inside = np.array([2.5, 80.0]), np.array([100.0, 60.0])
    film = written(
        tmp_path / "f", [np.stack([at_border, inside + np.array([k, 0])]) for k in range(FRAMES)]
    )
    assert analyze([film], tmp_path / "a", overlay=True, detector=Blobs())["tracks"] == 2
    track(tmp_path / "a" / "detections.csv", tmp_path / "b", online=online)
    others = {
        int(r["track_id"]) for r in table(tmp_path / "b" / "tracks.csv") if float(r["x_px"]) > 20
    }
    edit_analysis(tmp_path / "b", [Edit("delete", tuple(others))])
    for folder in ("a", "b"):
        rows = [r for r in table(tmp_path / folder / "tracks.csv") if float(r["x_px"]) < 10]
        assert len(rows) > FRAMES // 2
    # Without the picture the middle of the box is all that is known.
    number = next(r for r in table(tmp_path / "a" / "tracks.csv") if float(r["x_px"]) < 10)[
        "track_id"
    ]
    (judged,) = (r for r in table(tmp_path / "a" / "sperm.csv") if r["track_id"] == number)
    assert judged["vsl_um_s"] == judged["score"] == ""


def test_on_line_positions_know_nothing_of_later_frames(film: Path, tmp_path: Path) -> None:
    analyze([film], tmp_path / "a", detector=Blobs())
    whole, half = tmp_path / "a" / "detections.csv", tmp_path / "half.csv"
    lines = whole.read_text().splitlines()
    half.write_text("\n".join([lines[0], *[r for r in lines[1:] if int(r.split(",")[0]) < 20]]))
    (tmp_path / "analysis.json").write_text((tmp_path / "a" / "analysis.json").read_text())
    early: dict[bool, list[tuple[str, ...]]] = {}
    for source, is_half in ((whole, False), (half, True)):
        track(source, tmp_path / "out", online=True)
        early[is_half] = [
            (row["frame"], row["track_id"], row["x_px"], row["y_px"])
            for row in table(tmp_path / "out" / "tracks.csv")
            if int(row["frame"]) < 20
        ]
    assert early[True] == early[False]


def test_frames_without_detections_pass_and_rates_may_be_stated(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = [f"{k},{10 + 2 * k},{20 + k}" for k in range(3, 40) if k not in (12, 13)]
    path.write_text("\n".join(["frame,x_px,y_px", *rows]))
    with pytest.raises(DataError, match="--fps"):
        track(path, tmp_path / "out")
    result = track(path, tmp_path / "out", fps=60.0, um_per_px=0.5)
    assert (result["frames"], result["tracks"]) == (40, 1)
    found = table(tmp_path / "out" / "tracks.csv")
    assert [row["state"] for row in found if row["frame"] in ("12", "13")] == ["coasting"] * 2
    assert [row["x_raw_px"] for row in found if row["frame"] in ("12", "13")] == ["", ""]
    (sperm,) = table(tmp_path / "out" / "sperm.csv")
    assert float(sperm["vsl_um_s"]) == pytest.approx(np.hypot(2, 1) * 0.5 * 60.0, rel=0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,time_s,x_px,y_px\n", "no detection"),
        ("frame,time_s,x_px,y_px\n0,0,1,\n", "line 2: y_px is empty"),
        ("frame,time_s,x_px,y_px\n0.5,0,1,1\n", "frame must count"),
        ("frame,time_s,x_px,y_px\n0,1,1,1\n1,0.5,1,1\n", "must increase"),
        ("frame,time_s,x_px,y_px\n0,0,1,1\n1,33.3,1,1\n", "0.03 frames a second.*in seconds"),
        ("frame,time_s,x_px,y_px\n0,0,1,1\n1,1e-5,1,1\n", "frames a second.*in seconds"),
        ("frame,time_s,x_px,y_px\n0,0,1,1\n1700000000000,1,1,1\n", "reaches 1700000000000"),
        ("frame,time_s,x_px,y_px\n0,0,inf,1\n", "line 2: x_px is infinite"),
        ("frame,time_s,x_px,y_px,w_px\n0,0,1,1,inf\n", "line 2: w_px is infinite"),
        ("frame,frame,time_s,x_px,y_px\n0,0,0,1,1\n", "frame stands twice"),
        ("frame,x_px,y_px,time_s\n0,1,1,0\n1,1e300,1,0.03\n", "line 3: x_px is 1e\\+300"),
        ("frame,x_px,y_px,time_s,w_px\n0,1,1,0,-4\n", "line 2: w_px is -4"),
    ],
)
def test_a_table_that_cannot_be_tracked_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        track(path, tmp_path / "out")


def test_a_missing_recording_is_told_before_anything_is_done(film: Path, tmp_path: Path) -> None:
    detector = Blobs()
    with pytest.raises(CameraError, match="does not exist"):
        analyze([film, tmp_path / "none.mp4"], tmp_path / "out", detector=detector)
    assert detector.calls == 0
    assert not (tmp_path / "out").exists()


def test_an_interrupted_analysis_keeps_what_it_came_to(film: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        analyze([film], tmp_path, overlay=True, detector=Blobs(stop_at=20))
    frames = {int(row["frame"]) for row in table(tmp_path / "detections.csv")}
    assert frames == set(range(20))
    assert {int(row["frame"]) for row in table(tmp_path / "tracks.csv")} == set(range(20))
    assert len(table(tmp_path / "sperm.csv")) == 4
    assert len(list(VideoFile(tmp_path / "overlay.mp4", realtime=False).frames())) == 20
    assert json.loads((tmp_path / "masks.json").read_text())["images"][-1]["id"] == 19


def test_a_recording_that_is_cut_short_is_analysed_as_far_as_it_goes(
    film: Path, tmp_path: Path
) -> None:
    whole = film.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(CameraError, match="cut short"):
        analyze([cut], tmp_path / "out", detector=Blobs())
    frames = {int(row["frame"]) for row in table(tmp_path / "out" / "tracks.csv")}
    assert len(frames) >= 15


def test_several_recordings_get_a_folder_each(film: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / film.name
    twin.parent.mkdir()
    twin.write_bytes(film.read_bytes())
    result = analyze([film, twin], tmp_path / "out", detector=Blobs())
    assert [Path(str(one["out"])).name for one in result["inputs"]] == ["film", "film_2"]
    assert "frames" not in result
    assert (tmp_path / "out" / "film_2" / "sperm.csv").is_file()


def test_a_full_disk_under_the_overlay_is_told(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "overlay.mp4")

    monkeypatch.setattr("app.records.video.FilmWriter.write", full)
    with pytest.raises(OSError, match="No space"):
        analyze([film], tmp_path, overlay=True, detector=Blobs())
    assert table(tmp_path / "detections.csv")
    assert table(tmp_path / "sperm.csv")
