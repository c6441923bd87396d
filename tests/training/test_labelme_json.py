"""labelme files: outlines, rectangles, masks; and what bad shapes are told."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.records.labelme import write_labelme
from models.errors import DataError
from models.specimen.recording import write_recording
from models.training.datasets import open_data
from models.training.labelled_frames import LabelledFrame
from models.types import Detections, Perception

HEIGHT, WIDTH = 48, 64
SQUARE = [[10, 20], [20, 20], [20, 30], [10, 30]]


def shape(label: str, points: object, kind: str = "polygon", **more: object) -> dict[str, object]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **more}


def write(folder: Path, *shapes: dict[str, object], name: str = "a_1", **more: object) -> Path:
    cv2.imwrite(str(folder / f"{name}.png"), np.full((HEIGHT, WIDTH), 90, np.uint8))
    content = {"shapes": list(shapes), "imagePath": f"{name}.png", "imageData": None,
               "imageHeight": HEIGHT, "imageWidth": WIDTH, **more}  # fmt: skip
    file = folder / f"{name}.json"
    file.write_text(json.dumps(content))
    return file


def only_frame(folder: Path) -> LabelledFrame:
    ((frame,),) = open_data(folder)
    return frame


def test_outlines_and_rectangles(tmp_path: Path) -> None:
    write(
        tmp_path,
        shape("normal", SQUARE, group_id=4),
        shape("Abnormal", [[40, 5], [50, 5], [50, 15]]),
        shape("normal_head", [[20, 30], [10, 22]], "rectangle", group_id=4),
        shape("ignored", [[0, 0], [4, 4]], "rectangle"),
    )
    frame = only_frame(tmp_path)
    # Edges 10 and 20 enclose pixels 10 to 19; the border of an outline belongs to it.
    assert frame.class_map is not None
    assert (frame.class_map[20:30, 10:20] == 1).all()
    assert 100 <= (frame.class_map == 1).sum() <= 121
    assert (frame.class_map == 2).any()
    np.testing.assert_allclose(frame.box_px, [[14.5, 25.5, 10, 8]])
    assert frame.label.tolist() == [1]
    assert frame.sperm_id is not None
    assert frame.sperm_id.tolist() == [4]
    np.testing.assert_allclose(frame.ignored_px, [[1.5, 1.5, 4, 4]])
    assert frame.instance_map is not None
    assert set(np.unique(frame.instance_map)) == {-2, 0, 4}


def test_the_papers_outlines_alone_teach_no_detection(tmp_path: Path) -> None:
    write(tmp_path, shape("normal", SQUARE))
    frame = only_frame(tmp_path)
    assert len(frame.box_px) == 0
    np.testing.assert_allclose(frame.ignored_px, [[31.5, 23.5, WIDTH, HEIGHT]])


def test_rectangles_alone_teach_no_segmentation_and_no_shape_means_no_sperm(tmp_path: Path) -> None:
    write(tmp_path, shape("sperm", [[1, 1], [9, 9]], "rectangle"), name="a_1")
    write(tmp_path, name="a_2")
    ((boxed, empty),) = open_data(tmp_path)
    assert boxed.class_map is None
    assert boxed.label.tolist() == [0]
    assert empty.class_map is not None
    assert not empty.class_map.any()


def test_mask_shapes_and_pictures_inside_the_file(tmp_path: Path) -> None:
    small = np.zeros((6, 8), np.uint8)
    small[2:4, 1:7] = 1
    mask = base64.b64encode(cv2.imencode(".png", small)[1].tobytes()).decode()
    picture = np.full((HEIGHT, WIDTH), 33, np.uint8)
    inside = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    file = write(tmp_path, shape("abnormal", [[30, 10], [37, 15]], "mask", mask=mask),
                 imageData=inside)  # fmt: skip
    file.with_suffix(".png").unlink()
    frame = only_frame(tmp_path)
    assert frame.image[0, 0] == 33
    assert frame.class_map is not None
    np.testing.assert_array_equal(frame.class_map[10:16, 30:38], 2 * small)
    assert frame.class_map.sum() == 2 * small.sum()


def test_files_are_grouped_by_the_film_they_come_from(tmp_path: Path) -> None:
    for name in ("left_01", "left_02", "right-1", "7"):
        write(tmp_path, name=name)
    assert sorted(len(r) for r in open_data(tmp_path)) == [1, 1, 2]


BAD = {
    "outside": (shape("normal", [[70, 5], [80, 5], [80, 9]]), "shape 1", "(48, 64)"),
    "mostly outside": (shape("normal", [[60, 5], [80, 5], [80, 9]]), "shape 1", "(48, 64)"),
    "box outside": (shape("sperm", [[90, 90], [99, 99]], "rectangle"), "shape 1", "(48, 64)"),
    "empty box": (shape("sperm", [[9, 9], [9, 20]], "rectangle"), "shape 1", "empty"),
    "class": (shape("neutrophil", SQUARE), "shape 1", "'neutrophil'"),
    "no class": (shape("sperm", SQUARE), "shape 1", "normal or abnormal"),
    "kind": (shape("normal", [[1, 1], [5, 5]], "line"), "shape 1", "a line"),
    "two points": (shape("normal", [[1, 1], [5, 5]]), "shape 1", "2 points"),
    "no points": ({"label": "normal"}, "shape 1", "no points"),
    "mask": (shape("normal", [[1, 1], [5, 5]], "mask", mask="AAAA"), "shape 1", "no picture"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_bad_shape_is_named_or_its_file_left_out(
    tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, *parts = BAD[case]
    write(tmp_path, bad, name="a_1")
    write(tmp_path, shape("normal", SQUARE), name="a_2")
    with pytest.raises(DataError) as excinfo:
        [list(r) for r in open_data(tmp_path)]
    for part in ("a_1.json", *parts):
        assert part in str(excinfo.value)
    assert "\n" not in str(excinfo.value)
    assert not caplog.records
    assert sum(len(list(r)) for r in open_data(tmp_path, skip_bad=True)) == 1
    assert "left out" in caplog.text
    assert "a_1.json" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shapes": 3}'])
def test_a_bad_file_is_named_or_left_out(tmp_path: Path, text: str) -> None:
    write(tmp_path, shape("normal", SQUARE), name="a_2")
    (tmp_path / "a_1.json").write_text(text)
    with pytest.raises(DataError, match=r"a_1\.json"):
        [list(r) for r in open_data(tmp_path)]
    assert sum(len(list(r)) for r in open_data(tmp_path, skip_bad=True)) == 1


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    file = write(tmp_path, shape("normal", SQUARE))
    cv2.imwrite(str(file.with_suffix(".png")), np.zeros((10, 12), np.uint8))
    with pytest.raises(DataError, match=r"a_1\.json.*\(48, 64\).*\(10, 12\)"):
        only_frame(tmp_path)


def test_predictions_to_correct_read_back_as_they_were_made(tmp_path: Path) -> None:
    class_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    class_map[10:20, 12:40] = 1
    class_map[30:41, 20:33] = 2
    boxes = np.array([[15.0, 14.5, 8, 9], [24.5, 35.25, 10, 8.5]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 2], np.int8))
    image = np.arange(HEIGHT * WIDTH, dtype=np.uint32).astype(np.uint8).reshape(HEIGHT, WIDTH)
    for number in (0, 10):
        write_labelme(tmp_path, number, image, Perception(found, class_map))
    (recording,) = open_data(tmp_path)
    frames = list(recording)
    assert len(frames) == 2
    for frame in frames:
        np.testing.assert_array_equal(frame.image, image)
        np.testing.assert_allclose(frame.box_px, boxes)
        assert frame.label.tolist() == [1, 2]
        np.testing.assert_array_equal(frame.class_map, class_map)


def test_labelme_files_of_the_specimen_say_what_its_annotations_say(tmp_path: Path) -> None:
    write_recording(tmp_path, frames=2, seed=12, labelme=True)
    (truth,) = open_data(tmp_path)
    (read,) = open_data(tmp_path / "labelme")
    for one, other in zip(truth, read, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_allclose(one.box_px, other.box_px, atol=1e-3)
        np.testing.assert_array_equal(one.label, other.label)
        np.testing.assert_array_equal(one.class_map, other.class_map)
