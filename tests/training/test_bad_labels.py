"""Bad labels: one line that says what and where, or with skip_bad the smallest part left out."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DataError
from models.training.convert import convert
from models.training.datasets import open_data
from models.training.evaluation import evaluate
from models.training.instances import instances
from models.training.labelled_frames import LabelledFrame
from models.training.pictures import write_film
from models.types import Detections, Perception

HEIGHT, WIDTH = 48, 64
GREY = np.full((HEIGHT, WIDTH), 90, np.uint8)
GRAIN = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
SQUARE = [[10, 10], [30, 10], [30, 20], [10, 20]]
GOOD = b"1,1,10,10,8,8,1,0\n"
XML = (
    "<annotation><object><name>sperm</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>"
    "<ymax>9</ymax></bndbox></object></annotation>"
)


def labelme(folder: Path, name: str, *shapes: dict[str, object], **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), GREY)
    file = folder / f"{name}.json"
    content = {"version": "5.5.0", "shapes": list(shapes), "imagePath": f"{name}.png", **more}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def outline(**more: object) -> dict[str, object]:
    return {"label": "normal", "points": SQUARE, "shape_type": "polygon", **more}


def head(**more: object) -> dict[str, object]:
    box = [[10, 10], [20, 20]]
    return {"label": "normal head", "points": box, "shape_type": "rectangle", **more}


def coco(folder: Path, *annotations: dict[str, object], **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for k in (1, 2):
        cv2.imwrite(str(folder / f"p_{k}.png"), GREY)
        images.append({"id": k, "file_name": f"p_{k}.png"})
    first = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 10, 10]}
    content = {"images": images, "categories": [{"id": 1, "name": "normal"}],
               "annotations": [first, *annotations], **more}  # fmt: skip
    file = folder / "annotations.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def annotation(**more: object) -> dict[str, object]:
    polygon = [[float(v) for point in SQUARE for v in point]]
    return {"id": 2, "image_id": 2, "category_id": 1, "bbox": [10, 10, 10, 10],
            "segmentation": polygon, **more}  # fmt: skip


def mot(folder: Path, table: bytes, *, film: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_film(folder / "film.mkv", [GRAIN] * 4, 30)
    if film is not None:
        (folder / "film.mkv").write_bytes(film)
    (folder / "gt.txt").write_bytes(table)
    return folder / "gt.txt"


def read(folder: Path, *, skip_bad: bool = False) -> list[LabelledFrame]:
    return [frame for recording in open_data(folder, skip_bad=skip_bad) for frame in recording]


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(DataError) as excinfo:
        read(folder)
    text = str(excinfo.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


# --- what is not read is told


def told(caplog: pytest.LogCaptureFixture, *parts: str) -> None:
    (line,) = [record.getMessage() for record in caplog.records]
    for part in parts:
        assert part in line, line


def test_labels_of_two_kinds_in_one_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    (tmp_path / "a.xml").write_text(XML)
    labelme(tmp_path, "b_1", head())
    assert len(read(tmp_path)) == 1
    told(caplog, "not read", "1 JSON file", "1 XML file", str(tmp_path))


@pytest.mark.parametrize(("read_here", "missed"), [(".", "sub"), ("x", "y/z")])
def test_labelled_folders_inside_or_too_deep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read_here: str, missed: str
) -> None:
    labelme(tmp_path / read_here, "b_1", head())
    labelme(tmp_path / missed, "c_1", head())
    assert len(read(tmp_path)) == 1
    told(caplog, "not read", str(tmp_path / missed), "--data")


def test_a_set_of_sets_names_where_the_labels_are(tmp_path: Path) -> None:
    labelme(tmp_path / "x" / "y", "b_1", head())
    refused(tmp_path, "only deeper", str(tmp_path / "x" / "y"))


def test_json_without_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labelme(tmp_path, "b_1", head())
    (tmp_path / "b_2.json").write_text('{"x": 1}')
    assert len(read(tmp_path)) == 1
    told(caplog, "not read", "b_2.json", "'shapes'")


def test_annotations_of_no_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coco(tmp_path, annotation(image_id=77))
    refused(tmp_path, "annotations.json", "1 annotations", "image_id 77")
    assert len(read(tmp_path, skip_bad=True)) == 2
    told(caplog, "left out", "image_id 77")


def test_what_belongs_together_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    coco(tmp_path)
    labelme(tmp_path / "labelme", "b_1", head())
    (tmp_path / "images").mkdir()
    read(tmp_path)
    assert not caplog.records


# --- the smallest part is left out


@pytest.mark.parametrize(
    ("line", "frames"),
    [(b"a,b\n", 4), (b"2,1,10\n", 3), (b"2,1,10,10,8,8,1,7\n", 3), (b"2,1e30,10,10,8,8,1,0\n", 3),
     (b"0,1,10,10,8,8,1,0\n", 4), (b"99,1,10,10,8,8,1,0\n", 4), (b"1e300,1,1,1,8,8,1,0\n", 4),
     (b"2,1,900,900,8,8,1,0\n", 3)],
)  # fmt: skip
def test_a_bad_line_of_a_table_costs_its_frame_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes, frames: int
) -> None:
    mot(tmp_path, GOOD + line)
    refused(tmp_path, "film.mkv" if line.startswith(b"99") else "gt.txt")
    left = read(tmp_path, skip_bad=True)
    assert [len(frame.box_px) for frame in left] == [1] + [0] * (frames - 1)
    told(caplog, "left out", "gt.txt" if b"99," not in line else "film.mkv")


@pytest.mark.parametrize(
    ("table", "film"),
    [(b"", None), (GOOD, b"no film"), (GOOD, b""), (GOOD.decode().encode("utf-16"), None),
     (GOOD + b"# \xe4\n", None), (b"1,1,10,10,8,8,1,7\n", None)],
)  # fmt: skip
def test_a_bad_recording_of_a_set_is_left_out_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, table: bytes, film: bytes | None
) -> None:
    mot(tmp_path / "good", GOOD)
    mot(tmp_path / "bad", table, film=film)
    refused(tmp_path, str(tmp_path / "bad"))
    assert len(read(tmp_path, skip_bad=True)) == 4
    told(caplog, "left out", str(tmp_path / "bad"))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"images": 3}'])
def test_a_bad_annotation_file_of_a_set_is_left_out_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    coco(tmp_path / "good")
    coco(tmp_path / "bad").write_text(text)
    refused(tmp_path, "bad", "annotations.json")
    assert len(read(tmp_path, skip_bad=True)) == 2
    told(caplog, "left out", "annotations.json")


def test_a_film_that_breaks_off_gives_what_comes_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mot(tmp_path, GOOD + b"4,1,10,10,8,8,1,0\n")
    whole = (tmp_path / "film.mkv").read_bytes()
    (tmp_path / "film.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    assert 0 < len(read(tmp_path, skip_bad=True)) < 4
    told(caplog, "left out", "film.mkv")


# --- one line instead of a traceback


SMALL = base64.b64encode(cv2.imencode(".png", np.ones((5, 5), np.uint8))[1].tobytes()).decode()
SHAPES = {
    "huge identity": (outline(group_id=2**40), "identity 1099511627776"),
    "huge identity of a head": (head(group_id=2**70), "identity 11805"),
    "identity that is no number": (head(group_id=1.5), "identity 1.5"),
    "mask at NaN": (outline(points=[[float("nan"), 1], [5, 5]], shape_type="mask", mask=SMALL),
                    "no number"),
    "outline at NaN": (outline(points=[[float("nan"), 1], [5, 5], [9, 9]]), "no number"),
    "mask that is no ASCII": (outline(shape_type="mask", mask="ä"), "mask is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPES)
def test_a_bad_shape_costs_its_frame(tmp_path: Path, case: str) -> None:
    shape, why = SHAPES[case]
    labelme(tmp_path, "a_1", head())
    labelme(tmp_path, "a_2", shape)
    refused(tmp_path, "a_2.json, shape 1", why)
    assert len(read(tmp_path, skip_bad=True)) == 1


def test_a_picture_in_the_file_that_is_no_ascii(tmp_path: Path) -> None:
    labelme(tmp_path, "a_1", imagePath="elsewhere.png", imageData="ä")
    refused(tmp_path, "a_1.json", "picture is damaged")


ANNOTATIONS = {
    "huge identity": (annotation(track_id=2**40), "identity"),
    "negative run": (annotation(segmentation={"size": [HEIGHT, WIDTH], "counts": [-5, 9]}),
                     "damaged"),
    "mask without size": (annotation(segmentation={"counts": [9]}), "size"),
    "category": (annotation(category_id=9), "category 9 is not among the file's categories (1)"),
}  # fmt: skip


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_a_bad_annotation_costs_its_frame(tmp_path: Path, case: str) -> None:
    bad, why = ANNOTATIONS[case]
    coco(tmp_path, bad)
    refused(tmp_path, "annotations.json, image 2, annotation 2", why)
    assert len(read(tmp_path, skip_bad=True)) == 1


def test_xml_of_an_unknown_encoding(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    (tmp_path / "a.xml").write_bytes(b'<?xml version="1.0" encoding="nonsense"?><annotation/>')
    refused(tmp_path, "a.xml", "is no XML")


class Nothing:
    name = "nothing"

    def detect(self, image: np.ndarray) -> Perception:
        assert min(image.shape) >= 32, "a network cannot look at it"
        return Perception(
            Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int8))
        )


def test_a_picture_too_small_for_a_detector(tmp_path: Path) -> None:
    for name in ("a_1", "a_2"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), GREY if name == "a_1" else GREY[:24, :24])
        (tmp_path / f"{name}.xml").write_text(XML)
    with pytest.raises(DataError, match=r"frame 2: a picture of shape \(24, 24\) is too small"):
        evaluate(Nothing(), [tmp_path])
    assert evaluate(Nothing(), [tmp_path], skip_bad=True)["frames"] == 1


@pytest.mark.parametrize("kind", ["labelme", "coco"])
def test_a_missing_picture_names_the_labels_that_ask_for_it(tmp_path: Path, kind: str) -> None:
    if kind == "labelme":
        labelme(tmp_path, "a_1", imagePath="zz.png")
    else:
        coco(tmp_path, images=[{"id": 1, "file_name": "zz.png"}])
    refused(tmp_path, "zz.png", "a_1.json" if kind == "labelme" else "annotations.json, image 1")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = labelme(tmp_path / "labelme", "a_1", head())
    mot(tmp_path / "mot", b"\xef\xbb\xbf" + GOOD)
    annotations = coco(tmp_path / "coco")
    for marked in (file, annotations):
        marked.write_bytes(b"\xef\xbb\xbf" + marked.read_bytes())
    assert [len(read(tmp_path / name)) for name in ("labelme", "mot", "coco")] == [1, 4, 2]


# --- identity 0


@pytest.mark.parametrize("to", ["coco", "labelme"])
@pytest.mark.parametrize("kind", ["coco", "labelme"])
def test_identity_0_keeps_head_and_mask_together(tmp_path: Path, kind: str, to: str) -> None:
    source = tmp_path / "source"
    if kind == "coco":
        coco(source, annotation(track_id=0))
    else:
        labelme(source, "a_1", head(), outline())
        labelme(source, "a_2", head(group_id=0), outline(group_id=0))
    convert([source], tmp_path / "out", to=to)
    *_, frame = read(tmp_path / "out")
    (sperm,) = instances(frame)
    assert sperm.corner_px is not None
    assert sperm.mask is not None
    if to == "coco":
        content = json.loads((tmp_path / "out" / "annotations.json").read_text("utf-8"))
        assert content["annotations"][-1]["track_id"] == 0
    else:
        text = sorted((tmp_path / "out").glob("*.json"))[-1].read_text("utf-8")
        assert {shape["group_id"] for shape in json.loads(text)["shapes"]} == {0}


def test_identity_0_goes_through_a_table(tmp_path: Path) -> None:
    mot(tmp_path / "source", b"1,0,10,10,8,8,1,0\n1,5,30,10,8,8,1,0\n")
    convert([tmp_path / "source"], tmp_path / "out", to="mot")
    rows = (tmp_path / "out" / "gt_mot.txt").read_text().splitlines()
    assert sorted(row.split(",")[1] for row in rows) == ["0", "5"]


# --- convert leaves all or nothing


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_conversion_can_be_repeated(tmp_path: Path, there: bool) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    labelme(source, "a_1", head())
    labelme(source, "a_2", head(group_id=2**40))
    if there:
        out.mkdir()
    with pytest.raises(DataError, match="identity"):
        convert([source], out, to="coco")
    assert out.exists() == there
    assert convert([source], out, to="coco", skip_bad=True)["frames"] == 1


@pytest.mark.parametrize("to", ["coco", "labelme", "voc", "mot", "specimen"])
def test_no_usable_frame_is_no_success(tmp_path: Path, to: str) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    labelme(source, "a_1", outline(label="dog"))
    with pytest.raises(DataError, match="no frame that can be used"):
        convert([source], out, to=to, skip_bad=True)
    assert not out.exists()


def test_a_folder_that_is_all_bad_does_not_spoil_the_others(tmp_path: Path) -> None:
    coco(tmp_path / "bad").write_text("")
    mot(tmp_path / "good", GOOD)
    folders = [tmp_path / "bad", tmp_path / "good"]
    done = convert(folders, tmp_path / "out", to="labelme", skip_bad=True)
    assert (done["recordings"], done["frames"]) == (1, 4)
