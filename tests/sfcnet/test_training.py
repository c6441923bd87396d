"""Training: losses, resuming, and shipped weights against a floor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.losses import (
    UNKNOWN,
    LossSettings,
    Target,
    segmentation_losses,
    smooth_l1,
    soft_dice_loss,
    total_losses,
)
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.network import SFCNet
from models.sfcnet.part_output import part_planes
from models.sfcnet.runtime import SFCNetDetector
from models.sfcnet.variant import LITE
from models.training.crops import SpecimenCrops, StepSampler, collate, mirrored
from models.training.evaluation import evaluate_exam
from models.training.folder_crops import cut
from models.training.labelled_frames import LabelledFrame
from models.training.release import with_margin
from models.training.scene_crops import SceneCrops
from models.training.schedule import learning_rate
from models.training.train import CHECKPOINT, Trainer, TrainSettings, run, train

SMALL = TrainSettings(
    steps=4, batch=2, crop_px=64, workers=0, check_every=2, check_frames=0, warm_up=2, seed=5
)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def weights_of(trainer):
    return torch.cat([p.flatten() for p in trainer.network.state_dict().values()])


def steps(trainer, first, last):
    crops = SpecimenCrops(5, (64, 64), 0.5, 0.2)
    for step in range(first, last):
        batch = collate([crops[i] for i in StepSampler(step, step + 1, 2)])
        trainer.train_step(*batch, step / 4)


def test_resumed_training_equals_the_uninterrupted_one(tmp_path):
    whole = Trainer(SMALL)
    steps(whole, 0, 2)
    whole.save(tmp_path)
    steps(whole, 2, 4)
    resumed = Trainer(SMALL)
    resumed.resume(tmp_path)
    assert resumed.step == 2
    steps(resumed, 2, 4)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    averages = [t.average.network.state_dict() for t in (whole, resumed)]
    assert all(torch.equal(averages[0][k], averages[1][k]) for k in averages[0])


def test_a_run_ends_with_weights_that_export(tmp_path):
    from models.sfcnet.export import export

    result = train("segment", [], tmp_path / "run", steps=2, batch=2, crop_px=64, workers=0,
                   check_frames=0, check_every=2)  # fmt: skip
    assert result["steps"] == 2
    assert (tmp_path / "run" / CHECKPOINT).is_file()
    done = export(tmp_path / "run" / "weights.pt", tmp_path / "out.pt", half=True)
    assert SFCNetDetector(tmp_path / "out.pt").entry.sha256 == done["sha256"]


def test_damaged_checkpoint_and_unknown_preset(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read"):
        run(SMALL, tmp_path, resume=True)
    with pytest.raises(ModelError, match="preset 'huge' is unknown; choose tune, lite, paper"):
        train("joint", [], tmp_path, preset="huge")


def test_sample_numbers_go_on_where_they_stopped():
    assert list(StepSampler(3, 5, 4)) == list(range(12, 20))
    crops = SpecimenCrops(9, (48, 48), 0.5, 0.5)
    assert (crops[7].image == crops[7].image).all()
    assert not (crops[7].image == crops[8].image).all()


def test_mirrored_labels_follow_their_pixels():
    crop = SpecimenCrops(2, (96, 128), 1.0, 0.0)[1]
    twice = mirrored(mirrored(crop, True, True), True, True)
    assert (twice.image == crop.image).all()
    assert np.allclose(twice.boxes, crop.boxes)
    turned = mirrored(crop, True, False)
    assert (turned.class_map == crop.class_map[:, ::-1]).all()
    assert np.allclose(turned.boxes[:, 0], 127 - crop.boxes[:, 0])


def test_a_window_keeps_whole_heads_and_ignores_cut_ones():
    frame = LabelledFrame(
        np.zeros((50, 60), np.uint8),
        np.array([[10.0, 10, 8, 8], [31.5, 10, 8, 8], [50, 40, 8, 8]]),
        np.ones(3, np.int8),
    )
    crop = cut(frame, 0, 0, 32, 30)
    assert crop.boxes.tolist() == [[10, 10, 8, 8]]
    assert crop.ignore.tolist() == [[28.5, 10, 2, 8]]
    assert collate([crop])[1].class_map.unique().tolist() == [UNKNOWN]
    assert cut(frame, 0, 0, 64, 64).image.shape == (64, 64)


def test_unknown_pixels_teach_nothing():
    logits = torch.randn(1, 7, 8, 8)
    maps = torch.full((1, 16, 16), UNKNOWN)
    target = Target(maps, maps, [torch.zeros(0, 4)], [torch.zeros(0, 4)])
    assert segmentation_losses(logits, target, LossSettings()) == {}


def test_known_parts_are_learnt_where_they_are_known():
    logits = torch.zeros(1, 7, 8, 8)
    logits[:, 3 + 1] = 4.0  # every pixel looks like a head
    classes = torch.full((1, 8, 8), UNKNOWN)
    parts = torch.full((1, 8, 8), UNKNOWN)
    right, wrong = parts.clone(), parts.clone()
    right[0, 2, 3], wrong[0, 2, 3] = 1, 3
    boxes = [torch.zeros(0, 4)]
    losses = [
        segmentation_losses(logits, Target(classes, m, boxes, boxes), LossSettings())["parts"]
        for m in (right, wrong)
    ]
    # One pixel, whatever its weight: the mean is over its weight.
    assert float(losses[1] - losses[0]) == pytest.approx(0.5 * 4.0, abs=1e-4)
    assert part_planes(logits, 3).shape == (1, 4, 8, 8)


def test_losses_of_the_paper():
    a, b = torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0])
    assert float(smooth_l1(a, b)) == pytest.approx(0.125 + 2.5)
    truth = torch.tensor([[[0, 1], [2, 2]]])
    sure = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2) * 100.0
    assert float(soft_dice_loss(sure, truth)) == pytest.approx(0.0, abs=1e-5)
    assert float(soft_dice_loss(-sure, truth)) > 0.3


def test_a_crop_without_sperm_trains_without_nan():
    network = SFCNet(LITE)
    empty = torch.zeros(2, 64, 64, dtype=torch.int64)
    target = Target(empty, empty, [torch.zeros(0, 4)] * 2, [torch.zeros(0, 4)] * 2)
    losses = total_losses(network, network(torch.rand(2, 1, 64, 64) * 255), target, LossSettings())
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_schedule_rises_then_falls():
    rates = [learning_rate(k, k / 100, peak=1.0, warm_up=10, last=0.01) for k in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, abs=0.05)
    assert rates[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_shipped_weights_find_and_segment_fresh_specimens():
    detector = SFCNetDetector(shipped_archive("lite"), dtype=torch.float32, score_threshold=0.02)
    scores = evaluate_exam(detector, range(95_000, 95_002), frames=1)
    assert scores["ap50"] >= 80.0
    assert scores["dice"] >= 50.0


def test_scene_crops_are_the_same_in_any_order():
    drawn = SpecimenCrops(4, (96, 96), 0.5, 0.0)
    forward, jumping = SceneCrops(drawn, 0.6), SceneCrops(drawn, 0.6)
    first = [forward[i] for i in range(12)]
    for i in (11, 2, 7):
        again = jumping[i]
        assert (again.image == first[i].image).all()
        assert (again.class_map == first[i].class_map).all()
    assert len({crop.image.tobytes() for crop in first}) == 12


def test_a_margin_turns_background_into_sperm_and_nothing_else():
    torch.manual_seed(2)
    network = SFCNet(LITE, "segment").eval()
    image = torch.rand(1, 1, 64, 64) * 255
    with torch.no_grad():
        before = network(image)["segmentation"]
        after = with_margin(network, 1.5)(image)["segmentation"]
    assert torch.allclose(before[:, 0] - 1.5, after[:, 0], atol=1e-5)
    assert torch.allclose(before[:, 1:], after[:, 1:], atol=1e-6)
