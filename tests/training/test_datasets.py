"""Labelled data of each kind, written here and read back; and what bad files are told."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from models.errors import DataError
from models.training.datasets import open_data

HEIGHT, WIDTH = 48, 64


def grey(number: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), 40 + 20 * number, np.uint8)


def write_film(path: Path, count: int = 3) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for k in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(k), format="gray")))
        container.mux(stream.encode())


def voc(*things: tuple[str, int, int, int, int]) -> str:
    objects = "".join(
        f"<object><name>{n}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for n, a, b, c, d in things
    )
    return f"<annotation>{objects}</annotation>"


def test_voc_boxes_of_a_film(tmp_path: Path) -> None:
    write_film(tmp_path / "A.mkv")
    (tmp_path / "boxes").mkdir()
    for k in range(3):
        things = [("S", 10 + k, 20, 20 + k, 30), ("Impurity", 40, 5, 60, 25)]
        (tmp_path / "boxes" / f"A_{k + 1:04d}.xml").write_text(voc(*things))
    (recording,) = open_data(tmp_path)
    frames = list(recording)
    assert (len(recording), len(frames), recording.fps) == (3, 3, 25)
    for k, frame in enumerate(frames):
        assert np.abs(frame.image.astype(int) - grey(k)).max() <= 1
        # Edges 10 and 20 enclose pixels 10 to 19, whose middle is 14.5.
        np.testing.assert_allclose(frame.box_px, [[14.5 + k, 24.5, 10, 10]])
        np.testing.assert_allclose(frame.ignored_px, [[49.5, 14.5, 20, 20]])
    assert len(list(recording)) == 3  # and again


def test_voc_boxes_of_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), grey(1))
    (tmp_path / "one.xml").write_text(voc(("sperm", 0, 0, 10, 10)))
    ((frame,),) = open_data(tmp_path)
    assert frame.image[0, 0] == 60
    np.testing.assert_allclose(frame.box_px, [[4.5, 4.5, 10, 10]])


def test_mot_table(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mkv")
    lines = ["1,7,10,20,10,12,1,0,1", "1,8,30,20,8,8,1,1,1", "3,7,12,20,10,12,1,0,1"]
    (tmp_path / "gt_mot.txt").write_text("\n".join(lines) + "\n")
    (recording,) = open_data(tmp_path)
    first, second, third = recording
    assert first.sperm_id is not None
    assert first.sperm_id.tolist() == [7]
    np.testing.assert_allclose(first.box_px, [[14.5, 25.5, 10, 12]])
    np.testing.assert_allclose(first.ignored_px, [[33.5, 23.5, 8, 8]])
    assert (len(second.box_px), len(third.box_px)) == (0, 1)


def write_specimen(folder: Path, *, film: bool) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:20, 30:45] = 1
    packed = rle.encode(np.asfortranarray(mask))
    images = [{"id": k, "file_name": f"{k}.png", "width": WIDTH, "height": HEIGHT}
              for k in range(2)]  # fmt: skip
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [30, 10, 8, 10], "track_id": 5,
         "segmentation": {"size": packed["size"], "counts": packed["counts"].decode()}},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
    ]  # fmt: skip
    categories = [{"id": 1, "name": "normal"}, {"id": 2, "name": "abnormal"}]
    content = {"info": {"um_per_px": 0.495, "fps": 30}, "images": images,
               "annotations": annotations, "categories": categories}  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(content))
    if film:
        write_film(folder / "frames.mkv", 2)
    else:
        for k in range(2):
            cv2.imwrite(str(folder / f"{k}.png"), grey(k))
    return mask


@pytest.mark.parametrize("film", [True, False])
def test_specimen_directory(tmp_path: Path, film: bool) -> None:
    mask = write_specimen(tmp_path, film=film)
    (recording,) = open_data(tmp_path)
    assert (recording.um_per_px, recording.fps) == (0.495, 30)
    empty, frame = recording
    assert len(empty.box_px) == 0
    np.testing.assert_allclose(frame.box_px, [[33.5, 14.5, 8, 10]])
    assert frame.label.tolist() == [2]
    assert frame.sperm_id is not None
    assert frame.sperm_id.tolist() == [5]
    np.testing.assert_allclose(frame.ignored_px, [[2, 2, 5, 5]])
    assert frame.class_map is not None
    np.testing.assert_array_equal(frame.class_map, 2 * mask)


# --- bad input: one line that names the file


def one_line(excinfo: pytest.ExceptionInfo[DataError], *parts: str) -> None:
    text = str(excinfo.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path / "nowhere")
    one_line(excinfo, "nowhere", "no such folder")
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path)
    one_line(excinfo, str(tmp_path), "nothing labelled")


def test_a_damaged_film(tmp_path: Path) -> None:
    (tmp_path / "A.mkv").write_bytes(b"no film at all" * 50)
    (tmp_path / "A_0001.xml").write_text(voc(("S", 1, 1, 9, 9)))
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path)
    one_line(excinfo, "A.mkv")


def test_labels_of_another_film(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        frame = av.VideoFrame.from_ndarray(grey(1), format="gray").reformat(format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "gt_mot.txt").write_text("9,1,10,10,5,5,1,0,1\n")
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path)
    one_line(excinfo, "film.mp4", "1 frames", "frame 9")


def test_a_box_outside_the_picture_names_file_and_shape(tmp_path: Path) -> None:
    write_film(tmp_path / "A.mkv")
    (tmp_path / "A_0001.xml").write_text(voc(("S", 600, 400, 620, 420)))
    (recording,) = open_data(tmp_path)
    with pytest.raises(DataError) as excinfo:
        list(recording)
    one_line(excinfo, "A.mkv", f"({HEIGHT}, {WIDTH})")


@pytest.mark.parametrize(
    "text",
    ["<annotation>", "", voc(("S", 9, 9, 9, 20)), "<a><object><name>S</name></object></a>"],
)
def test_bad_xml_is_named_or_skipped(tmp_path: Path, text: str) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), grey(1))
    (tmp_path / "good.xml").write_text(voc(("S", 1, 1, 9, 9)))
    cv2.imwrite(str(tmp_path / "bad.png"), grey(1))
    (tmp_path / "bad.xml").write_text(text)
    with pytest.raises(DataError) as excinfo:
        [list(r) for r in open_data(tmp_path)]
    one_line(excinfo, "bad.xml")
    assert sum(len(list(r)) for r in open_data(tmp_path, skip_bad=True)) == 1


@pytest.mark.parametrize("line", ["1,2,three,4,5,6,7,0", "1,2,3,4", "1,2,nan,4,5,6,7,0"])
def test_a_bad_line_of_a_table_is_named(tmp_path: Path, line: str) -> None:
    write_film(tmp_path / "film.mkv")
    (tmp_path / "gt_mot.txt").write_text("1,1,10,10,5,5,1,0,1\n" + line + "\n")
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path)
    one_line(excinfo, "gt_mot.txt", "line 2")


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{}]}', '{"images": 3}'])
def test_a_damaged_annotation_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(DataError) as excinfo:
        open_data(tmp_path)
    one_line(excinfo, "annotations.json")


def test_a_specimen_picture_of_the_wrong_size(tmp_path: Path) -> None:
    write_specimen(tmp_path, film=False)
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((10, 12), np.uint8))
    (recording,) = open_data(tmp_path)
    with pytest.raises(DataError) as excinfo:
        list(recording)
    one_line(excinfo, "annotations.json", "64x48", "(10, 12)")


def test_a_specimen_film_that_is_too_short(tmp_path: Path) -> None:
    write_specimen(tmp_path, film=True)
    write_film(tmp_path / "frames.mkv", 1)
    (recording,) = open_data(tmp_path)
    with pytest.raises(DataError) as excinfo:
        list(recording)
    one_line(excinfo, "frames.mkv", "1 frames", "2 are annotated")
