"""Files to be corrected by hand say exactly what they were made from, sperm by sperm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.records.labelme import write_labelme
from models.specimen.recording import write_recording
from models.training.datasets import open_data
from models.training.instances import instances
from models.types import Detections, Perception

HEIGHT, WIDTH = 60, 90


def sperm() -> tuple[np.ndarray, np.ndarray]:
    """Class map and owners: a head with a tail one px wide, a looped tail, a speck of no one."""
    class_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    owner = np.zeros((HEIGHT, WIDTH), np.uint16)
    owner[10:18, 10:20] = 1
    owner[14, 20:60] = 1
    for k in range(12):  # beyond a gap, one px wide and aslant
        owner[20 + k, 40 + 2 * k] = owner[20 + k, 41 + 2 * k] = 1
    owner[35:50, 20:40] = 2
    owner[38:47, 24:36] = 0
    class_map[owner == 1] = 1
    class_map[owner == 2] = 2
    class_map[55, 70] = 2
    return class_map, owner


def test_predictions_come_back_pixel_by_pixel_and_each_sperm_whole(tmp_path: Path) -> None:
    class_map, owner = sperm()
    boxes = np.array([[14.5, 13.5, 10, 8], [29.5, 42.0, 20, 15]], np.float32)
    found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([1, 2], np.int8))
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    write_labelme(
        tmp_path, 10, image, Perception(found, class_map), owner, np.array([31, 0], np.int64)
    )
    ((frame,),) = open_data(tmp_path)
    np.testing.assert_array_equal(frame.class_map, class_map)
    whole = list(instances(frame))
    assert [one.identity is not None for one in whole] == [True, True, False]
    assert whole[0].identity == 31
    for one, row in zip(whole, (1, 2), strict=False):
        assert one.corner_px is not None
        np.testing.assert_array_equal(one.mask, owner == row)


def test_heads_without_a_track_are_no_one_else_in_another_frame(tmp_path: Path) -> None:
    found = Detections(
        np.array([[14.5, 13.5, 10, 8]], np.float32), np.ones(1, np.float32), np.ones(1, np.int8)
    )
    for number in (0, 10):
        write_labelme(tmp_path, number, np.zeros((HEIGHT, WIDTH), np.uint8), Perception(found))
    ((one, other),) = open_data(tmp_path)
    assert one.sperm_id is not None
    assert other.sperm_id is not None
    assert one.sperm_id[0] != other.sperm_id[0]


@pytest.mark.parametrize("modality", ["brightfield", "phase"])
def test_the_specimens_files_are_its_annotations(tmp_path: Path, modality: str) -> None:
    write_recording(tmp_path, frames=2, seed=5, modality=modality, labelme=True)
    (truth,) = open_data(tmp_path)
    (read,) = open_data(tmp_path / "labelme")
    for one, other in zip(truth, read, strict=True):
        np.testing.assert_array_equal(one.class_map, other.class_map)
        np.testing.assert_array_equal(one.instance_map, other.instance_map)
        np.testing.assert_array_equal(one.sperm_id, other.sperm_id)


def test_outlines_stay_few_enough_to_be_moved_by_hand(tmp_path: Path) -> None:
    write_recording(tmp_path, frames=1, seed=5, labelme=True)
    content = json.loads((tmp_path / "labelme" / "000000.json").read_text(encoding="utf-8"))
    points = [len(s["points"]) for s in content["shapes"] if s["shape_type"] == "polygon"]
    assert max(points) < 250
    assert np.median(points) < 100


def test_a_sperm_added_by_hand_without_a_group_leaves_the_others_whole(tmp_path: Path) -> None:
    class_map, owner = sperm()
    boxes = np.array([[14.5, 13.5, 10, 8], [29.5, 42.0, 20, 15]], np.float32)
    found = Detections(boxes, np.ones(2, np.float32), np.array([1, 2], np.int8))
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    file = write_labelme(
        tmp_path, 10, image, Perception(found, class_map), owner, np.array([31, 32], np.int64)
    )
    content = json.loads(file.read_text(encoding="utf-8"))
    content["shapes"].append(
        {"label": "normal head", "points": [[70, 20], [80, 30]], "shape_type": "rectangle"}
    )
    file.write_text(json.dumps(content), encoding="utf-8")
    ((frame,),) = open_data(tmp_path)
    heads = [one for one in instances(frame) if one.corner_px is not None]
    assert [one.identity for one in heads] == [31, 32, None]
    assert [one.mask is not None for one in heads] == [True, True, False]


@pytest.mark.parametrize("background", [False, True])
def test_owners_and_classes_in_any_pattern(tmp_path: Path, background: bool) -> None:
    rng = np.random.default_rng(4)
    class_map = np.zeros((HEIGHT, WIDTH), np.uint8)
    owner = np.zeros((HEIGHT, WIDTH), np.uint16)
    class_map[5:35, 5:45] = rng.integers(0 if background else 1, 3, (30, 40))
    owner[5:35, 5:45] = rng.integers(0, 4, (30, 40))
    owner[class_map == 0] = 0
    boxes = np.full((3, 4), 10.0, np.float32)
    found = Detections(boxes, np.ones(3, np.float32), np.ones(3, np.int8))
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    write_labelme(
        tmp_path, 10, image, Perception(found, class_map), owner, np.array([1, 2, 3], np.int64)
    )
    ((frame,),) = open_data(tmp_path)
    np.testing.assert_array_equal(frame.class_map, class_map)
    assert frame.instance_map is not None
    np.testing.assert_array_equal(frame.instance_map.clip(0), owner)


def test_sperm_that_cross_are_polygons_that_can_be_moved(tmp_path: Path) -> None:
    owner = np.zeros((HEIGHT, WIDTH), np.uint16)
    owner[10:40, 10:60] = 1  # the larger one
    ring = [(20, 21), (21, 20), (21, 22), (22, 21)]
    for row, column in ring:  # what is inside hangs on the larger one, corner to corner
        owner[row, column] = 2
    class_map = (owner > 0).astype(np.uint8)
    boxes = np.full((2, 4), 10.0, np.float32)
    found = Detections(boxes, np.ones(2, np.float32), np.ones(2, np.int8))
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    file = write_labelme(
        tmp_path, 10, image, Perception(found, class_map), owner, np.array([1, 2], np.int64)
    )
    kinds = [s["shape_type"] for s in json.loads(file.read_text("utf-8"))["shapes"]]
    assert "mask" not in kinds
    ((frame,),) = open_data(tmp_path)
    np.testing.assert_array_equal(frame.instance_map, owner)
