"""Films, recordings, masks and drawings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from app.records.drawing import COLOURS, OverlayPainter
from app.records.export import read_columns
from app.records.labelme import write_labelme
from app.records.masks import MaskWriter, encode
from app.records.video import SIDECAR, FilmWriter, RecordingWriter
from drivers.types import Frame, Pose
from drivers.video_file import VideoFile
from models.types import Detections, Perception, SpermClass, Tracks, TrackState


def noise(count: int, height: int = 90, width: int = 120) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width), dtype=np.uint8) for _ in range(count)]


def frame(image: NDArray[np.uint8], number: int, time_s: float) -> Frame:
    return Frame(image, number, time_s, 0.005, time_s + 0.01)


def two_tracks() -> Tracks:
    return Tracks(
        2.0, np.array([4, 17]), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 4, 4)),
        np.zeros((2, 2)), np.full((2, 2), 12.0), np.ones(2), np.ones(2),
        np.array([TrackState.CONFIRMED, TrackState.CONFIRMED], np.int8),
        np.array([1, 2], np.int8), np.array([0, 1]),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(90, 120), (91, 121), (90, 120, 3)])
def test_a_film_has_every_frame(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with FilmWriter(tmp_path / "film.mp4", 29.97) as film:
        for k in range(12):
            film.write(np.full(shape, 20 * k, np.uint8))
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
        pictures = [one.to_ndarray(format="gray") for one in container.decode(stream)]
    assert len(pictures) == 12
    assert pictures[0].shape == (90, 120)
    levels = [float(one.mean()) for one in pictures]
    assert np.argsort(levels).tolist() == list(range(12))


def test_a_recording_is_lossless_and_tells_time_and_pose_of_each_frame(tmp_path: Path) -> None:
    images = noise(6)
    times = [10.0, 10.033, 10.067, 10.2, 10.233, 10.267]
    recording = RecordingWriter(tmp_path / "one", 30.0)
    for k, (image, time_s) in enumerate(zip(images, times, strict=True)):
        stage = Pose(time_s, 100.0 + k, -50.0, float("nan"), None) if k else None
        recording.write(frame(image, 7 + k, time_s), stage, Pose(time_s, 1.0, 2.0, 3.0, False))
    recording.close()
    recording.close()
    back = list(VideoFile(tmp_path / "one.mkv", realtime=False).frames())
    assert len(back) == 6
    for one, image, time_s in zip(back, images, times, strict=True):
        np.testing.assert_array_equal(one.image, image)
        assert one.time_s == pytest.approx(time_s - 10.0, abs=0.002)
    lines = read_columns(tmp_path / "one.csv", SIDECAR, required=SIDECAR.names)
    assert lines["device_counter"].tolist() == [7, 8, 9, 10, 11, 12]
    np.testing.assert_allclose(lines["time_s"].astype(float), times)
    np.testing.assert_array_equal(
        lines["stage_x_um"].astype(float), [np.nan, 101, 102, 103, 104, 105]
    )
    assert set(lines["pipette_z_um"].tolist()) == {3.0}
    assert len(list(VideoFile(tmp_path / "one_preview.mp4", realtime=False).frames())) == 6


def test_a_recording_that_is_not_ended_keeps_its_frames(tmp_path: Path) -> None:
    recording = RecordingWriter(tmp_path / "cut", 30.0, preview=False)
    images = noise(10)
    for k, image in enumerate(images):
        recording.write(frame(image, k, k / 30.0), None, None)
    with av.open(str(tmp_path / "cut.mkv")) as container:
        kept = [one.to_ndarray(format="gray") for one in container.decode(video=0)]
    lines = (tmp_path / "cut.csv").read_text().splitlines()
    recording.close()
    assert len(kept) >= 9
    np.testing.assert_array_equal(kept[-1], images[len(kept) - 1])
    assert len(lines) == 11


def test_masks_are_coco(tmp_path: Path) -> None:
    class_map = np.zeros((40, 60), np.uint8)
    class_map[0:5, 0:7] = SpermClass.NORMAL
    class_map[20:30, 50:60] = SpermClass.ABNORMAL
    class_map[22, 50] = SpermClass.NORMAL
    writer = MaskWriter(tmp_path / "masks.json")
    writer.write(0, class_map)
    writer.write(1, np.zeros_like(class_map))
    writer.close()
    writer.close()
    document = json.loads((tmp_path / "masks.json").read_text())
    assert [one["id"] for one in document["images"]] == [0, 1]
    first, second = document["annotations"]
    assert (first["category_id"], second["category_id"]) == (1, 2)
    assert (first["area"], second["area"]) == (35, 100)
    decoded = coco_mask.decode(second["segmentation"])
    np.testing.assert_array_equal(decoded[20:30, 50:60], 1)
    assert decoded.sum() == 100


def test_one_mask_for_each_sperm_with_its_track_and_the_rest_by_region(tmp_path: Path) -> None:
    class_map = np.full((20, 30), SpermClass.NORMAL, np.uint8)
    owner = np.zeros((20, 30), np.uint16)
    class_map[:, 14:17], class_map[:, 20:22] = 0, 0
    owner[2:8, 3:14], owner[8:12, 3:14] = 1, 3
    writer = MaskWriter(tmp_path / "masks.json")
    writer.write(0, class_map, owner, np.array([7, 8, 0]))
    writer.close()
    lines = json.loads((tmp_path / "masks.json").read_text())["annotations"]
    assert [line.get("track_id") for line in lines] == [7, None, None, None, None]
    assert [line["area"] for line in lines][:2] == [66, 44]
    assert sum(line["area"] for line in lines) == np.count_nonzero(class_map)
    decoded = coco_mask.decode(lines[1]["segmentation"])
    np.testing.assert_array_equal(decoded, owner == 3)


def test_run_lengths_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        rows, columns = int(rng.integers(1, 31)), int(rng.integers(1, 41))
        region = rng.random((rows, columns)) < rng.random()
        whole = np.zeros((30, 40), np.uint8)
        top = int(rng.choice([0, 30 - rows, rng.integers(0, 31 - rows)]))
        left = int(rng.choice([0, 40 - columns, rng.integers(0, 41 - columns)]))
        whole[top : top + rows, left : left + columns] = region
        expected = coco_mask.encode(np.asfortranarray(whole))["counts"].decode()
        assert encode(region, left, top, 40, 30)["counts"] == expected


def test_a_drawing_leaves_the_head_visible_and_names_each_track() -> None:
    image = np.full((120, 160), 150, np.uint8)
    painter = OverlayPainter(0.5)
    place = np.array([[40.0, 60.0], [110.0, 60.0]])
    for _ in range(3):
        canvas = painter.paint(image, two_tracks(), place, None, 0)
    assert canvas.shape == (240, 320, 3)
    for x, y in place.astype(int):
        np.testing.assert_array_equal(canvas[2 * y - 6 : 2 * y + 6, 2 * x - 6 : 2 * x + 6], 150)
    for kind, half in ((SpermClass.NORMAL, slice(0, 160)), (SpermClass.ABNORMAL, slice(160, 320))):
        away = np.abs(canvas[:200, half].astype(int) - COLOURS[kind]).sum(axis=2)
        assert (away < 60).sum() > 10, kind


def test_tentative_tracks_are_not_drawn() -> None:
    image = np.full((120, 160), 150, np.uint8)
    tracks = replace(two_tracks(), state=np.full(2, TrackState.TENTATIVE, np.int8))
    place = np.array([[40.0, 60.0], [110.0, 60.0]])
    canvas = OverlayPainter(0.5).paint(image, tracks, place, None, 0)
    np.testing.assert_array_equal(canvas[:200], 150)


def test_outlines_have_the_colour_of_their_class() -> None:
    image = np.full((120, 160), 150, np.uint8)
    class_map = np.zeros_like(image)
    class_map[20:40, 20:60] = SpermClass.ABNORMAL
    canvas = OverlayPainter(0.5).paint(image, Tracks.empty(0.0), np.zeros((0, 2)), class_map, 0)
    orange = np.abs(canvas[:200].astype(int) - COLOURS[SpermClass.ABNORMAL]).sum(axis=2) < 60
    rows, columns = np.nonzero(orange)
    assert (rows.min(), rows.max()) == (40, 78)
    assert (columns.min(), columns.max()) == (40, 118)
    assert not orange[50:70, 60:100].any()


def test_predictions_can_be_corrected_in_labelme(tmp_path: Path) -> None:
    image = noise(1)[0]
    class_map = np.zeros_like(image)
    class_map[10:30, 20:50] = SpermClass.NORMAL
    found = Detections(
        np.array([[30.0, 20.0, 10.0, 8.0]], np.float32), np.ones(1, np.float32), np.ones(1, np.int8)
    )
    path = write_labelme(tmp_path, 12, image, Perception(found, class_map))
    document = json.loads(path.read_text())
    assert (document["imageHeight"], document["imageWidth"]) == image.shape
    assert (tmp_path / document["imagePath"]).is_file()
    head, outline = document["shapes"]
    assert head["points"] == [[25.5, 16.5], [35.5, 24.5]]
    assert (outline["label"], outline["shape_type"]) == ("normal", "polygon")
