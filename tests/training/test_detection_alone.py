"""Teaching the detection alone."""

from __future__ import annotations

import sys

import pytest
import torch

from models.errors import ModelError
from models.sfcnet.export import network_from, write_archive
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.network import SFCNet
from models.sfcnet.variant import variant
from models.training.class_head import start
from models.training.crops import SpecimenCrops
from models.training.detection_alone import DetectionSettings, DetectionTrainer, main, train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = DetectionSettings(steps=2, batch=2, crop_px=128, scene_share=0.0, seed=5)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train(shipped_archive("lite"), out, SMALL)
    return out


def test_all_but_the_detection_stays(taught):
    after = network_from(taught / "weights.pt").state_dict()
    changed = set()
    for name, value in start(shipped_archive("lite")).state_dict().items():
        if not torch.equal(after[name], value):
            changed.add(name.partition(".")[0])
    assert changed == {"detection"}


def test_the_maps_of_its_archive_are_the_same_bit_by_bit(taught, tmp_path):
    write_archive(network_from(taught / "weights.pt"), tmp_path / "mine.pt", half=True)
    old, new = (
        torch.jit.load(str(path), map_location="cpu").state_dict()
        for path in (shipped_archive("lite"), tmp_path / "mine.pt")
    )
    kept = [name for name in old if "detection" not in name]
    assert len(kept) > 50
    assert all(torch.equal(old[name], new[name]) for name in kept)


def test_the_statistics_that_an_archive_lacks_change_no_box():
    network = start(shipped_archive("lite"))
    picture = torch.rand(1, 1, 128, 128) * 255
    with torch.inference_mode():
        before = network(picture)["objectness"]
    crops = SpecimenCrops(5, (128, 128), 0.0, 0.0)
    trainer = DetectionTrainer(network, crops, SMALL)
    with torch.inference_mode():
        after = trainer.network(picture)["objectness"]
    assert float((after - before).abs().max()) < 1e-2


def test_mistakes_are_told(tmp_path, monkeypatch, capsys):
    with pytest.raises(ModelError, match="no detection"):
        DetectionTrainer(SFCNet(variant("lite"), "segment"), SMALL.crops(), SMALL)
    words = ["detection_alone", "--weights", str(tmp_path / "none.pt"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    assert "none.pt" in capsys.readouterr().err
