"""Teaching the class head alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from models.sfcnet.class_head import LESSONS
from models.sfcnet.export import network_from
from models.sfcnet.manifest import shipped_archive
from models.specimen.morphology import HeadKind, TailKind
from models.training.class_head import ClassHeadSettings, loss_of, main, start, teach, train
from models.training.crops import SpecimenCrops, collate
from models.training.settings import TrainSettings
from models.training.sperm_samples import SpermSamples, draw_samples, owners, scene
from models.training.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SMALL = ClassHeadSettings(windows=60, steps=3, batch=16, seed=5, check_frames=2)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    shares = train(shipped_archive("lite"), out, SMALL)
    return out, shares


def test_all_but_the_class_head_stays(taught):
    out, shares = taught
    assert set(shares) == {"normal", "abnormal"}
    after, before = network_from(out / "weights.pt"), start(shipped_archive("lite"))
    assert after.class_head is not None
    theirs = after.state_dict()
    for name, value in before.state_dict().items():
        if not name.startswith("class_head."):
            assert torch.equal(theirs[name], value), name


def test_a_tuning_teaches_it_with_the_rest_and_goes_on_with_it(tmp_path):
    settings = TrainSettings(steps=2, batch=1, crop_px=128, workers=0, scene_share=0.0, seed=5)
    trainer = Trainer(settings)
    trainer.start_from(shipped_archive("lite"))
    head = trainer.network.class_head
    before = head.classify.weight.detach().clone()
    crops = SpecimenCrops(3, (128, 128), 1.0, 0.0)
    number = next(k for k in range(20) if len(crops[k].boxes))
    losses = trainer.train_step(*collate([crops[number]]), 0.5)
    assert losses["sperm_class"] >= 0.0
    assert not torch.equal(head.classify.weight, before)
    trainer.save(tmp_path)
    again = Trainer(settings)
    again.resume(tmp_path)
    assert torch.equal(again.network.class_head.classify.weight, head.classify.weight)
    assert network_from(tmp_path / "weights.pt").class_head is not None


def test_samples_are_the_same_again_and_true(taught, tmp_path):
    network = start(shipped_archive("lite"))
    head = network.attach_class_head().eval()
    one, two = (draw_samples(network, head, 40, 5, tmp_path / name) for name in ("a", "b"))
    assert len(one) == 40
    assert np.array_equal(one.tail, two.tail)
    assert np.array_equal(one.truth, two.truth)
    label, heads, tails = one.truth[:, :3].astype(int).T
    # A sperm is abnormal exactly if its head or its tail is.
    wrong = (heads != HeadKind.NORMAL) | (tails != TailKind.NORMAL)
    assert np.array_equal(label == 1, wrong)
    assert (np.abs(one.head.reshape(40, -1)).max(axis=1) > 5).all()


def test_boxes_belong_to_the_sperm_they_are_on():
    _, frame = scene(5, 0, None)
    box_px = np.vstack([frame.box_px[:4] + np.array([1.5, -1.0, 0, 0]), np.full((1, 4), -90.0)])
    assert owners(box_px, frame).tolist() == [0, 1, 2, 3, -1]
    assert owners(box_px[:0], frame).tolist() == []


def test_what_is_easily_told_is_learnt(tmp_path):
    rng = np.random.default_rng(0)
    network = start(shipped_archive("lite"))
    head = network.attach_class_head()
    truth = np.zeros((64, 4), np.float32)
    truth[:, 0] = np.arange(64) % 2
    tail = rng.integers(-8, 8, (64, 2, 24, 44)).astype(np.int8)
    tail[truth[:, 0] == 1, :, 8:16] += 60
    samples = SpermSamples(tail, rng.integers(-8, 8, (64, 2, 28, 28)).astype(np.int8), truth)
    settings = ClassHeadSettings(steps=40, batch=32, warm_up=2)
    learnt = teach(head, samples, settings).eval()
    a, b, _ = samples.batch(np.arange(64))
    with torch.no_grad():
        judged = learnt(a, b)[0].argmax(1).numpy()
    assert (judged == truth[:, 0]).mean() > 0.95


def test_one_that_knows_something_keeps_its_normalisation(tmp_path):
    network = start(shipped_archive("lite"))
    rng = np.random.default_rng(1)
    windows = [rng.integers(-8, 8, (16, 2, *s)).astype(np.int8) for s in ((24, 44), (28, 28))]
    samples = SpermSamples(*windows, np.zeros((16, 4), np.float32))
    before = {k: v.clone() for k, v in network.class_head.state_dict().items()}
    settings = ClassHeadSettings(steps=3, batch=16, warm_up=1)
    after = teach(network.class_head, samples, settings, taught=True).state_dict()
    changed = {k for k, v in after.items() if not torch.equal(v, before[k])}
    assert "classify.weight" in changed
    assert not any("running" in k for k in changed)


def test_the_loss_counts_class_kinds_and_length():
    truth = torch.tensor([[1.0, 2.0, 3.0, 1.2]])
    logits, lessons = torch.zeros(1, 2), torch.zeros(1, LESSONS)
    parts = [float(loss_of(logits, lessons, truth))]
    logits[0, 1] = 9.0
    parts.append(float(loss_of(logits, lessons, truth)))
    lessons[0, 2], lessons[0, 6 + 3] = 9.0, 9.0
    parts.append(float(loss_of(logits, lessons, truth)))
    lessons[0, -1] = 1.2
    parts.append(float(loss_of(logits, lessons, truth)))
    assert parts == sorted(parts, reverse=True)
    assert len(set(parts)) == 4


def test_a_file_that_is_none_is_one_line(tmp_path, monkeypatch, capsys):
    words = ["class_head", "--weights", str(tmp_path / "no.pt"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 2
    assert capsys.readouterr().err.count("\n") == 1
