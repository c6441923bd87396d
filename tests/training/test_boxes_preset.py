"""Teaching the detection of a trained network alone, and the archive that is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.sfcnet.export import network_from, write_archive
from models.sfcnet.manifest import shipped_archive, trusted_entry
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import SFCNetDetector
from models.sfcnet.variant import variant
from models.training import release as release_module
from models.training import train as train_module
from models.training.class_head import start
from models.training.crops import SpecimenCrops, collate
from models.training.release import release
from models.training.settings import TrainSettings, preset
from models.training.train import main, train
from models.training.trainer import WEIGHTS, Trainer

SMALL = {
    "steps": 2, "batch": 2, "crop_px": 64, "scene_share": 0.0, "check_frames": 0, "workers": 0,
    "seed": 5,
}  # fmt: skip
BOXES = "boxes.detection."
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """An archive that holds all that an archive can hold."""
    torch.manual_seed(6)
    network = SFCNet(variant("lite"))
    network.attach_class_head()
    network.attach_head_pointers()
    path = tmp_path_factory.mktemp("before") / "a.pt"
    write_archive(
        network.eval(), path, half=True, score_threshold=0.3, provenance={"background_margin": 0.5}
    )
    return path


@pytest.fixture(scope="module")
def taught(before, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    train("joint", [], out, preset="boxes", init=before, **SMALL)
    return out / WEIGHTS


def held_by(archive: Path) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.jit.load(str(archive), map_location="cpu").state_dict()
    return held


def assert_all_but_the_boxes_stay(before: Path, after: Path) -> None:
    old, new = held_by(before), held_by(after)
    assert old.keys() == new.keys()
    kept = [name for name in old if not name.startswith(BOXES)]
    assert {name.partition(".")[0] for name in kept} >= {"encoder", "maps", "classes", "pointers"}
    assert len(kept) > 50
    assert all(torch.equal(old[name], new[name]) for name in kept)
    assert any(not torch.equal(old[name], new[name]) for name in old if name.startswith(BOXES))


def test_all_but_the_boxes_of_its_archive_stays_bit_by_bit(before, taught, tmp_path) -> None:
    write_archive(network_from(taught), tmp_path / "mine.pt", half=True)
    assert_all_but_the_boxes_stay(before, tmp_path / "mine.pt")


def test_the_statistics_that_an_archive_lacks_change_no_box() -> None:
    network = start(shipped_archive("lite"))
    picture = torch.rand(1, 1, 128, 128) * 255
    trainer = Trainer(preset("boxes"))
    trainer.start_from(shipped_archive("lite"), SpecimenCrops(5, (128, 128), 0.0, 0.0))
    with torch.inference_mode():
        was, now = (n(picture)["objectness"] for n in (network, trainer.network.eval()))
    assert float((now - was).abs().max()) < 1e-2


def test_nothing_is_asked_of_the_segmentation() -> None:
    trainer = Trainer(TrainSettings(only="detection", detect_every=1))
    crops = SpecimenCrops(5, (64, 64), 0.0, 0.0)
    losses = trainer.train_step(*collate([crops[0]]), 0.0)
    assert set(losses) == {"objectness", "anchor_boxes", "sperm", "boxes"}


def test_what_the_command_line_says_is_what_is_trained(tmp_path, monkeypatch, capsys) -> None:
    seen = {}

    def noted(settings, out, **given):
        seen.update(given, settings=settings)
        return {"steps": 0}

    monkeypatch.setattr(train_module, "run", noted)
    words = ["train", "--preset", "boxes", "--init", "lite", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    settings = seen["settings"]
    assert settings == preset("boxes")
    assert (seen["init"], seen["teacher"]) == (Path("lite"), None)
    assert (settings.only, settings.detect_every, settings.steps) == ("detection", 1, 1800)
    assert (settings.peak_rate, settings.warm_up, settings.weight_decay) == (8e-4, 50, 0.02)
    shares = (settings.exam_share, settings.phase_share, settings.scene_share)
    assert (*shares, settings.recorded_share, settings.decay) == (0.0, 0.5, 0.5, 0.5, 0.998)
    words = ["train", "--out", str(tmp_path), "--only", "segmentation", "--recorded-share", "0.25",
             "--imitate", "--teacher", "lite"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    settings = seen["settings"]
    assert (settings.only, settings.recorded_share) == ("segmentation", 0.25)
    assert (settings.imitate, seen["teacher"]) == (True, Path("lite"))
    assert capsys.readouterr().out.count('"steps": 0') == 2


def test_the_share_of_recorded_looks_is_what_is_drawn() -> None:
    settings = TrainSettings(recorded_share=1.0, exam_share=0.0, scene_share=0.0, crop_px=64)
    crops, _ = train_module._data(settings, [], False)
    wanted = SpecimenCrops(settings.seed, (64, 64), 0.0, settings.phase_share, 1.0)
    plain = SpecimenCrops(settings.seed, (64, 64), 0.0, settings.phase_share)
    assert (crops[0].image == wanted[0].image).all()
    assert not np.array_equal(crops[0].image, plain[0].image)


def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys) -> None:
    words = ["train", "--preset", "boxes", "--init", str(tmp_path / "none.pt"),
             "--out", str(tmp_path), "--check-frames", "0"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    told = capsys.readouterr().err
    assert "none.pt" in told
    assert told.count("\n") == 1


def test_a_release_of_new_boxes_keeps_the_pixels_and_sets_the_threshold_anew(
    before, taught, tmp_path, monkeypatch
) -> None:
    asked = []
    monkeypatch.setattr(
        release_module, "calibrated_threshold", lambda detector: asked.append(detector) or 0.65
    )
    monkeypatch.setattr(release_module, "exam_table", lambda _: {"brightfield": {"ap50": 1.234}})
    # The margin of the pixels belongs to them, and is in their weights already.
    monkeypatch.delattr(release_module, "calibrated_margin")
    done = release(taught, tmp_path / "b.pt", like=before, new_boxes=True)
    assert len(asked) == 1
    assert "train, recorded and exam" in trusted_entry(tmp_path / "b.pt").provenance["data"]
    assert isinstance(asked[0], SFCNetDetector)
    assert_all_but_the_boxes_stay(before, tmp_path / "b.pt")
    entry = trusted_entry(tmp_path / "b.pt")
    assert (entry.score_threshold, done["score_threshold"]) == (0.65, 0.65)
    assert entry.provenance["background_margin"] == 0.5
    assert "the detection alone was taught" in entry.provenance["start"]
    assert entry.provenance["before"]["sha256"] == trusted_entry(before).sha256
    assert entry.provenance["settings"]["only"] == "detection"
    # Without new boxes its threshold is kept.
    release(taught, tmp_path / "c.pt", like=before)
    assert trusted_entry(tmp_path / "c.pt").score_threshold == 0.3
    assert len(asked) == 1
    # What is kept in single precision is kept so.
    write_archive(start(before), tmp_path / "full.pt")
    release(taught, tmp_path / "d.pt", like=tmp_path / "full.pt", new_boxes=True)
    assert (entry.half, trusted_entry(tmp_path / "d.pt").half) == (True, False)
