"""Labelled folders as records of detectron2; where it is installed, through its catalogue."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DataError, ModelError
from models.training.detectron2_data import RECORDS, register_data, written

INSTALLED = importlib.util.find_spec("detectron2") is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    cv2.imwrite(str(data / "one.png"), np.arange(64 * 96, dtype=np.uint8).reshape(64, 96))
    (data / "one.xml").write_text(
        "<annotation><size><width>96</width><height>64</height><depth>1</depth></size>"
        "<object><name>S</name><bndbox><xmin>10</xmin><ymin>20</ymin><xmax>22</xmax>"
        "<ymax>30</ymax></bndbox></object><object><name>cluster</name><bndbox><xmin>40</xmin>"
        "<ymin>5</ymin><xmax>60</xmax><ymax>25</ymax></bndbox></object></annotation>"
    )
    return data


def test_boxes_count_from_edge_to_edge_and_ignored_regions_are_crowds(folder, tmp_path) -> None:
    (one,) = written([folder], tmp_path / "cache" / "mine")
    heads = [(a["bbox"], a["iscrowd"], a["category_id"]) for a in one["annotations"]]
    assert heads == [([10.0, 20.0, 12.0, 10.0], 0, 0), ([40.0, 5.0, 20.0, 20.0], 1, 0)]
    assert (one["height"], one["width"], one["image_id"]) == (64, 96, 1)
    picture = cv2.imread(str(one["file_name"]), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(picture, np.arange(64 * 96, dtype=np.uint8).reshape(64, 96))
    assert (tmp_path / "cache" / "mine" / RECORDS).is_file()


@pytest.mark.skipif(INSTALLED, reason="detectron2 is installed")
def test_without_detectron2_nothing_is_written(folder, tmp_path) -> None:
    with pytest.raises(ModelError, match="detectron2 cannot be imported"):
        register_data("mine", [folder], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.skipif(not INSTALLED, reason="detectron2 is not installed")
def test_its_loader_reads_the_records_and_written_ones_are_used_again(folder, tmp_path) -> None:
    from detectron2.data import DatasetCatalog, DatasetMapper

    from models.sfcnet.detectron2 import config
    from models.sfcnet.variant import LITE

    records = register_data("mine", [folder], tmp_path / "cache")
    mapped = DatasetMapper(config(LITE, train=["mine"]), is_train=True)(
        DatasetCatalog.get("mine")[0]
    )
    assert mapped["image"].shape == (1, 64, 96)
    assert mapped["instances"].gt_boxes.tensor.shape == (1, 4)
    assert register_data("again", [folder], tmp_path / "cache") != records
    (tmp_path / "cache" / "mine" / RECORDS).write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        register_data("mine", [folder], tmp_path / "cache")
