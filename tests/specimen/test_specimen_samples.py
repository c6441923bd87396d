"""Training samples and recordings: labels that are true, files that read back."""

from __future__ import annotations

import csv
import json

import av
import numpy as np
import pytest
from pycocotools import mask as rle

from models.errors import DataError, ModelError
from models.specimen.bench import bench_specimen
from models.specimen.profiles import profile
from models.specimen.recording import write_recording
from models.specimen.sampling import training_sample
from models.specimen.scene import Specimen


def test_a_sample_is_labelled_and_repeats_with_its_seed():
    for seed in range(12):
        sample = training_sample(np.random.default_rng(seed), 192, 256)
        again = training_sample(np.random.default_rng(seed), 192, 256)
        assert all(np.array_equal(a, b) for a, b in zip(sample, again, strict=True))
        assert sample.image.shape == sample.class_map.shape == sample.part_map.shape == (192, 256)
        assert sample.image.dtype == sample.class_map.dtype == np.uint8
        assert len(sample.boxes) == len(sample.labels)
        assert set(np.unique(sample.labels)) <= {1, 2}
        np.testing.assert_array_equal(sample.class_map > 0, sample.part_map > 0)
        for boxes in (sample.boxes, sample.ignore):
            low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
            assert (low >= -0.5 - 1e-3).all()
            assert (high <= np.array([255.5, 191.5]) + 1e-3).all()


def test_samples_vary():
    samples = [training_sample(np.random.default_rng(s), 128, 128) for s in range(30)]
    levels = [float(np.median(s.image)) for s in samples]
    sizes = [float(np.median(s.boxes[:, 2:])) for s in samples if len(s.boxes)]
    assert np.ptp(levels) > 60
    assert np.ptp(sizes) > 10
    assert sum(len(s.boxes) for s in samples) > 30


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("specimen")
    told = write_recording(out, profile="exam", frames=20, seed=3, density=20, labelme=True)
    return out, told


def test_the_film_is_lossless(directory):
    out, told = directory
    with av.open(str(out / "frames.mkv")) as film:
        frames = [f.to_ndarray(format="gray") for f in film.decode(video=0)]
    assert len(frames) == told["frames"] == 20
    specimen = Specimen(profile("exam", density=20, objective=20), 3)
    expected = specimen.render(7 / 30, 0.008, lambda t: np.zeros((len(t), 2)))
    np.testing.assert_array_equal(frames[7], expected)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_annotations_are_the_truth(directory):
    out, _ = directory
    content = json.loads((out / "annotations.json").read_text())
    assert {c["name"] for c in content["categories"]} == {"normal", "abnormal"}
    assert content["info"]["um_per_px"] == pytest.approx(0.495)
    specimen = Specimen(profile("exam", density=20, objective=20), 3)
    truth = specimen.truth(5 / 30, np.zeros(2), masks=True)
    rows = {a["track_id"]: a for a in content["annotations"] if a["image_id"] == 6}
    for k, sperm in enumerate(truth.sperm_id):
        row = rows[int(sperm)]
        assert row["category_id"] == truth.label[k]
        x, y, w, h = row["bbox"]
        if truth.whole[k]:
            middle = [x + w / 2 - 0.5, y + h / 2 - 0.5]
            np.testing.assert_allclose(middle, truth.box_px[k, :2], atol=2e-3)
        if row["segmentation"]:
            mask = rle.decode({**row["segmentation"],
                               "counts": row["segmentation"]["counts"].encode()})  # fmt: skip
            np.testing.assert_array_equal(mask > 0, truth.identity_map == sperm)


def test_true_tables_have_kinematics_and_morphometry(directory):
    out, told = directory
    with (out / "truth_sperm.csv").open() as file:
        sperm = list(csv.DictReader(file))
    with (out / "truth_tracks.csv").open() as file:
        tracks = list(csv.DictReader(file))
    assert len(sperm) == told["sperm"] == len({t["track_id"] for t in tracks})
    for row in sperm:
        if row["vap_um_s"]:
            assert float(row["vsl_um_s"]) <= float(row["vap_um_s"]) + 1e-3
            assert float(row["vap_um_s"]) <= float(row["vcl_um_s"]) + 1e-3
        assert float(row["head_area_um2"]) > 2
    assert {row["grade"] for row in sperm} >= {"immotile"}
    with (out / "labelme" / "000004.json").open() as file:
        shapes = json.load(file)["shapes"]
    assert {s["shape_type"] for s in shapes} == {"rectangle", "polygon"}


def test_mistakes_are_told_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="at least 1"):
        write_recording(tmp_path, frames=0)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_recording(blocked, frames=1)


def test_the_bench_tells_what_a_frame_costs_at_rest_moving_and_with_the_pipette():
    result = bench_specimen(3, "phase", frames=2)
    assert (result["sperm"], result["modality"], result["frames"]) == (3, "phase", 2)
    for name in ("ms", "moving_ms", "pipette_ms"):
        assert 0 < result[name]["cpu"]
        assert 0 < result[name]["p50"] <= result[name]["p95"]
