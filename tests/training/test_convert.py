"""Conversion between kinds of labels, and the split by recording."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.cli import main
from models.errors import DataError
from models.specimen.recording import write_recording
from models.training.convert import WRITERS, convert
from models.training.datasets import open_data
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.split import split


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specimen")
    write_recording(folder, frames=2, seed=31, fps=12)
    return folder


def only_recording(folder: Path) -> LabelledFrames:
    (recording,) = open_data(folder)
    return recording


def by_place(boxes: np.ndarray) -> np.ndarray:
    return boxes[np.lexsort(boxes.T)]


@pytest.mark.parametrize("to", sorted(WRITERS))
def test_what_a_kind_can_hold_comes_back(specimen: Path, tmp_path: Path, to: str) -> None:
    told = convert([specimen], tmp_path / "out", to=to)
    truth, read = only_recording(specimen), only_recording(tmp_path / "out")
    lost = told["lost"]
    assert (told["frames"], told["split"], len(read)) == (2, None, 2)
    assert told["heads"] == sum(len(f.box_px) for f in truth)
    for one, other in zip(truth, read, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_allclose(by_place(one.box_px), by_place(other.box_px), atol=2e-3)
        np.testing.assert_allclose(by_place(one.ignored_px), by_place(other.ignored_px), atol=2e-3)
        if "masks" not in lost:
            np.testing.assert_array_equal(one.class_map, other.class_map)
        if "classes" not in lost:
            np.testing.assert_array_equal(np.sort(one.label), np.sort(other.label))
        if "identities" not in lost:
            np.testing.assert_array_equal(np.sort(one.sperm_id), np.sort(other.sperm_id))
    assert set(lost) == {
        "voc": {"masks", "identities"}, "mot": {"masks", "classes"},
    }.get(to, set())  # fmt: skip


def test_a_chain_of_conversions_changes_nothing(specimen: Path, tmp_path: Path) -> None:
    source = specimen
    for step, to in enumerate(("labelme", "coco", "labelme", "specimen")):
        convert([source], tmp_path / str(step), to=to)
        source = tmp_path / str(step)
    for one, other in zip(only_recording(specimen), only_recording(source), strict=True):
        np.testing.assert_array_equal(one.class_map, other.class_map)
        np.testing.assert_allclose(by_place(one.box_px), by_place(other.box_px), atol=4e-3)


def test_a_split_goes_into_folders_of_its_own(specimen: Path, tmp_path: Path) -> None:
    for k in range(3):
        convert([specimen], tmp_path / "set" / f"film{k}", to="voc")
    told = convert([tmp_path / "set"], tmp_path / "out", to="labelme", hold_out=0.2)
    assert (told["split"], told["recordings"]) == ("recording", 3)
    assert sum(len(r) for r in open_data(tmp_path / "out" / "train")) == 4
    assert sum(len(r) for r in open_data(tmp_path / "out" / "test")) == 2


def test_nothing_is_written_over(specimen: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DataError, match="is not empty"):
        convert([specimen], tmp_path, to="coco")
    with pytest.raises(DataError, match="'yolo' is not known; choose coco, labelme"):
        convert([specimen], tmp_path / "new", to="yolo")


def test_the_verb_tells_what_it_did_and_a_mistake_in_one_line(
    specimen: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    order = ["convert", "--data", str(specimen), "--to", "coco", "--out", str(tmp_path / "out")]
    assert main([*order, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["frames"], told["lost"]) == (2, [])
    assert main(order) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert "is not empty" in error[0]


def recording(name: str, count: int) -> LabelledFrames:
    frames = [
        LabelledFrame(np.full((4, 4), k, np.uint8), np.zeros((0, 4)), np.zeros(0, np.int8))
        for k in range(count)
    ]
    return LabelledFrames(name, count, lambda: iter(frames))


def test_a_split_is_by_recording_and_the_same_each_time() -> None:
    recordings = [recording(f"r{k}", 10 + k) for k in range(10)]
    one = split(recordings)
    again = split(recordings[::-1])
    assert one.by == "recording"
    assert [r.name for r in one.test] == [r.name for r in again.test]
    assert {r.name for r in one.train} | {r.name for r in one.test} == {f"r{k}" for k in range(10)}
    assert not {r.name for r in one.train} & {r.name for r in one.test}
    assert sum(map(len, one.test)) / sum(map(len, recordings)) == pytest.approx(0.2, abs=0.06)
    assert {r.name for r in split(recordings, seed=3).test} != {r.name for r in one.test}


def test_one_recording_is_split_in_time() -> None:
    divided = split([recording("film", 10)])
    assert divided.by == "time"
    (train,), (test,) = divided.train, divided.test
    assert [f.image[0, 0] for f in train] == list(range(8))
    assert [f.image[0, 0] for f in test] == [8, 9]
    assert (len(train), len(test)) == (8, 2)


@pytest.mark.parametrize(("count", "share"), [(1, 0.2), (0, 0.2), (9, 0.0), (9, 1.0)])
def test_a_split_that_leaves_a_side_empty(count: int, share: float) -> None:
    with pytest.raises(DataError, match="split"):
        split([recording("film", count)], share)


@pytest.mark.realdata
@pytest.mark.parametrize("to", ["labelme", "mot"])
def test_real_labels_come_through(real_data: Path, tmp_path: Path, to: str) -> None:
    clip = open_data(real_data / "svia")[1]
    (tmp_path / "clip" / "boxes").mkdir(parents=True)
    for file in (real_data / "svia" / "boxes").glob("S_0002_*.xml"):
        shutil.copy(file, tmp_path / "clip" / "boxes")
    shutil.copy(real_data / "svia" / "S_0002.mp4", tmp_path / "clip")
    told = convert([tmp_path / "clip"], tmp_path / "out", to=to)
    assert told["frames"] == len(clip) == 19
    for one, other in zip(clip, only_recording(tmp_path / "out"), strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_allclose(by_place(one.box_px), by_place(other.box_px), atol=2e-3)
        np.testing.assert_allclose(by_place(one.ignored_px), by_place(other.ignored_px), atol=2e-3)
