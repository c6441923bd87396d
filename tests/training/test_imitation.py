"""A detection that learns from boxes in bright field and imitates another in phase contrast."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.export import export_random
from models.sfcnet.losses import LossSettings, detection_losses
from models.sfcnet.network import SFCNet
from models.sfcnet.variant import variant
from models.specimen.sampling import training_sample
from models.training.crops import SpecimenCrops, collate, mirrored
from models.training.imitation import (
    DETECTED,
    divided_losses,
    imitation_losses,
    looks,
    proposal_losses,
    shown_by,
    target_rows,
)
from models.training.scene_crops import SceneCrops
from models.training.settings import TrainSettings, preset
from models.training.train import run
from models.training.trainer import CHECKPOINT, WEIGHTS, Trainer

SMALL = TrainSettings(
    steps=4, batch=2, crop_px=64, workers=0, check_every=2, check_frames=0, warm_up=2, seed=5,
    scene_share=0.0, exam_share=1.0, phase_share=0.5, detect_every=1, only="detection",
    imitate=True,
)  # fmt: skip
IMITATED = {
    "imitated_levels", "imitated_objectness", "imitated_deltas", "imitated_sperm",
    "imitated_boxes",
}  # fmt: skip
TAUGHT = {"objectness", "anchor_boxes", "sperm", "boxes"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch_of(*modalities):
    """Crops of known heads, each said to be of a modality."""
    crops = SpecimenCrops(3, (64, 64), 1.0, 0.0)
    return collate([replace(crops[k], modality=told) for k, told in enumerate(modalities)])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(4)
    return SFCNet(variant("lite"), "detect").eval()


def imitated(student, teacher, image, target):
    torch.manual_seed(0)
    with torch.no_grad():
        shown = teacher(image)
    return imitation_losses(student.detection, teacher.detection, student(image), shown, target)


def test_who_answers_alike_has_nothing_to_learn(network) -> None:
    student = copy.deepcopy(network)
    image, target = batch_of("phase", "phase")
    losses = imitated(student, network, image, target)
    assert set(losses) == IMITATED
    assert [float(value.detach()) for value in losses.values()] == [0.0] * 5
    torch.stack(list(losses.values())).sum().backward()
    gradients = [p.grad for p in student.detection.parameters() if p.grad is not None]
    assert len(gradients) > 20
    assert all(not g.any() for g in gradients)
    assert all(p.grad is None for p in network.parameters())


def test_every_loss_grows_with_the_difference(network) -> None:
    image, target = batch_of("phase")
    rows = []
    for size in (0.0, 0.02, 0.1):
        student = copy.deepcopy(network)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in student.detection.parameters():
                parameter += size * parameter.std(correction=0) * torch.randn_like(parameter)
                parameter += 0.1 * size
        losses = imitated(student, network, image, target)
        rows.append([float(losses[name].detach()) for name in sorted(IMITATED)])
    none, little, much = rows
    assert none == [0.0] * 5
    assert all(0.0 < a < b for a, b in zip(little, much, strict=True))


def test_what_the_teacher_takes_for_a_head_counts_most() -> None:
    shown = {"objectness": torch.tensor([[8.0, -8.0]]), "deltas": torch.zeros(1, 2, 4)}
    off = [torch.tensor([[9.0, -8.0]]), torch.tensor([[8.0, -7.0]])]
    head, background = (
        float(proposal_losses({"objectness": o, "deltas": shown["deltas"]}, shown)[0]) for o in off
    )
    assert head > 40 * background > 0


def test_looks_are_about_the_truth_and_elsewhere() -> None:
    boxes, ignore = torch.tensor([[10.0, 10, 20, 20]]), torch.tensor([[40.0, 40, 50, 50]])
    where = looks(boxes, ignore, (64, 96))
    assert float((where[0] - boxes[0]).abs().max()) < 10
    assert torch.equal(where[1], ignore[0])
    sides = where[2:, 2:] - where[2:, :2]
    assert len(sides) > 10
    assert 12 <= float(sides.min()) <= float(sides.max()) <= 24
    # A picture without a head has looks, too.
    assert len(looks(boxes[:0], ignore[:0], (64, 96))) == len(where) - 2


def test_boxes_teach_in_bright_field_alone(network) -> None:
    student = copy.deepcopy(network)
    with torch.no_grad():
        student.detection.proposals.get_parameter(
            next(n for n, _ in student.detection.proposals.named_parameters())
        ).add_(0.01)

    def losses_of(*modalities):
        image, target = batch_of(*modalities)
        outputs, shown = student(image), shown_by(network, image, target)
        assert set(shown) == (set(DETECTED) if "phase" in modalities else set())
        torch.manual_seed(0)
        divided = divided_losses(student, network, outputs, shown, target, LossSettings())
        return divided, outputs, target

    assert set(losses_of("phase", "phase")[0]) == IMITATED
    assert set(losses_of("brightfield", "")[0]) == TAUGHT
    divided, outputs, target = losses_of("phase", "brightfield")
    assert set(divided) == IMITATED | TAUGHT
    # What teaches is the bright crop: its own losses, and no others.
    torch.manual_seed(0)
    alone = detection_losses(
        student, {k: v[1:] for k, v in outputs.items()}, target_rows(target, [1]), LossSettings()
    )
    assert all(torch.equal(divided[name], alone[name]) for name in TAUGHT)


def test_crops_say_their_modality() -> None:
    for phase_share, told in ((0.0, "brightfield"), (1.0, "phase")):
        drawn = SpecimenCrops(3, (64, 64), 1.0, phase_share)
        assert drawn[0].modality == told
        assert mirrored(drawn[0], True, True).modality == told
        assert SpecimenCrops(3, (64, 64), 0.0, phase_share, 1.0)[0].modality == told
        assert SceneCrops(drawn, 1.0)[0].modality == told
    of_train = SpecimenCrops(3, (64, 64), 0.0, 0.0)
    assert {of_train[k].modality for k in range(12)} == {"brightfield", "phase"}
    target = batch_of("phase", "")[1]
    assert target.modality == ["phase", ""]
    assert target_rows(target, [1]).modality == [""]


def test_crops_are_those_that_they_were_before_they_said_so() -> None:
    rng = np.random.default_rng([3, 0])
    rng.random()
    sample = training_sample(rng, 64, 64)
    crop = SpecimenCrops(3, (64, 64), 0.0, 0.0)[0]
    # Mirrored or not: the same grey levels.
    assert (np.sort(crop.image, None) == np.sort(sample.image, None)).all()


def test_the_trainer_keeps_what_it_imitates_as_it_began(tmp_path) -> None:
    archive = export_random(tmp_path / "start.pt", "lite", seed=9)
    crops = SpecimenCrops(5, (64, 64), 1.0, 0.5)
    trainer = Trainer(SMALL)
    trainer.start_from(archive, crops)
    trainer.imitate(trainer.network)
    before = {name: value.clone() for name, value in trainer.teacher.state_dict().items()}
    image, target = batch_of("phase", "phase")
    first = trainer.train_step(image, target, 0.0)
    assert set(first) == IMITATED
    # It has not learnt yet, and answers as its teacher does.
    assert sum(first.values()) < 1e-4
    trainer.train_step(*batch_of("brightfield", "brightfield"), 0.0)
    assert sum(trainer.train_step(image, target, 0.0).values()) > 1e-4
    assert not trainer.teacher.training
    assert all(torch.equal(before[k], v) for k, v in trainer.teacher.state_dict().items())
    # The statistics of its normalisation are as they were: a teacher's are, too.
    held = trainer.network.state_dict()
    assert all(torch.equal(v, held[k]) for k, v in before.items() if "running_" in k)
    trainer.save(tmp_path)
    saved = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert set(saved["network"]) == set(before)


def test_a_resumed_imitation_ends_as_one_that_was_not_cut(tmp_path, monkeypatch) -> None:
    archive = export_random(tmp_path / "start.pt", "lite", seed=9)
    run(SMALL, tmp_path / "whole", init=archive)
    step = Trainer.train_step

    def killed(self, *arguments):
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, tmp_path / "cut", init=archive)
    with pytest.raises(ModelError, match="name --init or --teacher") as told:
        run(SMALL, tmp_path / "cut", resume=True)
    assert "\n" not in str(told.value)
    run(SMALL, tmp_path / "cut", init=archive, resume=True)
    whole, cut = (
        torch.load(tmp_path / name / WEIGHTS, weights_only=True)["average"]
        for name in ("whole", "cut")
    )
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


def test_another_than_what_it_began_with_can_be_imitated(tmp_path) -> None:
    first, other = (export_random(tmp_path / f"{k}.pt", "lite", seed=k) for k in (1, 2))
    seen = []
    imitate = Trainer.imitate

    def watched(self, network):
        seen.append((self.network, network))
        imitate(self, network)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "imitate", watched)
        run(replace(SMALL, steps=1), tmp_path / "run", init=first, teacher=other)
    ((student, teacher),) = seen
    held = torch.jit.load(str(other)).state_dict()["encoder.stem.0.weight"]
    assert torch.equal(teacher.encoder.stem[0].weight, held)
    assert not torch.equal(student.encoder.stem[0].weight, held)


def test_nothing_to_imitate_is_one_line(tmp_path) -> None:
    with pytest.raises(ModelError, match="add --imitate"):
        run(replace(SMALL, imitate=False), tmp_path, teacher=tmp_path / "some.pt")
    with pytest.raises(ModelError, match="name --init or --teacher"):
        Trainer(SMALL).train_step(*batch_of("phase"), 0.0)
    with pytest.raises(ModelError, match="'segment' has none"):
        Trainer(SMALL).imitate(SFCNet(variant("lite"), "segment"))


def test_no_preset_imitates_unless_told() -> None:
    assert not any(preset(name).imitate for name in ("lite", "paper", "tune", "maps", "boxes"))
