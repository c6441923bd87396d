"""Candidates of the comparison: shapes, losses that teach, boxes that mean something."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelError
from models.sfcnet.losses import LossSettings, Target
from models.sfcnet.variant import LITE
from models.training.baselines.registry import DETECTORS, SEGMENTERS, SFCNET, candidate, cost
from models.training.baselines.retinanet import RetinaNet, focal_loss, matched

EVERY = [*((name, "segment") for name in SEGMENTERS), *((name, "detect") for name in DETECTORS),
         (SFCNET, "joint")]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch() -> tuple[torch.Tensor, Target]:
    """One dark square, twice."""
    image = torch.full((2, 1, 64, 64), 150.0)
    image[:, :, 20:32, 24:36] = 40.0
    maps = torch.zeros(2, 64, 64, dtype=torch.int64)
    maps[:, 20:32, 24:36] = 1
    box = torch.tensor([[23.5, 19.5, 35.5, 31.5]])
    return image, Target(maps, maps, [box, box], [torch.zeros(0, 4)] * 2)


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_a_few_steps_lower_the_loss(name: str, task: str) -> None:
    torch.manual_seed(3)
    network = candidate(name, task)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    image, target = batch()
    totals = []
    for _ in range(6):
        losses = network.losses(image, target, LossSettings())
        total = torch.stack(list(losses.values())).sum()
        totals.append(float(total.detach()))
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
    assert min(totals[3:]) < totals[0]
    # Nothing is left out of the training.
    assert all(p.grad is not None for p in network.parameters())
    network.eval()
    with torch.no_grad():
        rows, logits = network.found(image[:1])
    if task != "detect":
        assert logits.shape[:2] == (1, 7)
    if task != "segment":
        assert rows.shape[1] == 5
        assert (rows[:-1, 4] >= rows[1:, 4]).all()
    else:
        assert rows.shape == (0, 5)


@pytest.mark.parametrize("name", [*SEGMENTERS, SFCNET])
def test_no_class_is_ahead_before_anything_is_learnt(name: str) -> None:
    torch.manual_seed(5)
    network = candidate(name, "segment").train()
    picture = torch.randint(90, 170, (4, 1, 64, 64)).float()
    with torch.no_grad():
        said = network(picture)
    logits = said["segmentation"] if isinstance(said, dict) else said
    assert logits.std() < 1.5


def test_costs_are_counted() -> None:
    params_m, gmacs = cost(candidate("UNet"), 64, 64)
    assert params_m == pytest.approx(0.28, abs=0.01)
    # Four times the pixels, four times the cost.
    assert cost(candidate("UNet"), 128, 128)[1] == pytest.approx(4 * gmacs)
    attention = cost(candidate(SFCNET, "detect"), 64, 64)[0]
    assert cost(candidate("Faster R-CNN"), 64, 64)[0] < attention
    with pytest.raises(ModelError, match="candidate 'YOLO' is unknown; choose SFCNet, UNet"):
        candidate("YOLO")


def test_the_ablation_reaches_the_candidate() -> None:
    changed = candidate(SFCNET, "segment", LITE.with_changes(resize_stage=3)).eval()
    with torch.no_grad():
        assert changed.found(torch.zeros(1, 1, 64, 64))[1].shape == (1, 7, 8, 8)


def test_focal_loss_spares_what_is_sure() -> None:
    truth = torch.tensor([1.0, 0.0])
    sure, unsure = (float(focal_loss(k * torch.tensor([1.0, -1.0]), truth)) for k in (6.0, 0.0))
    assert sure < 1e-5 < unsure
    # By definition: half of log 2 squared away, weighed 0.25 and 0.75.
    assert unsure == pytest.approx(0.25 * 0.6931, abs=1e-3)


def test_anchors_are_matched_to_their_heads() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [0, 0, 6, 10], [50, 50, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [51, 51, 75, 75]])
    ignore = torch.tensor([[18.0, 18, 32, 32]])
    nearest, positive, counts = matched(anchors, boxes, ignore)
    # The last is the best there is for the second box; the second lies in what is ignored.
    assert positive.tolist() == [True, False, True, True]
    assert nearest[positive].tolist() == [0, 0, 1]
    assert counts.tolist() == [True, False, True, True]


def test_retinanet_reports_boxes_where_its_logits_are_high() -> None:
    network = RetinaNet().eval()
    image = torch.full((1, 1, 64, 64), 128.0)
    with torch.no_grad():
        network.places[-1].weight.zero_()
        network.places[-1].bias.zero_()
        logits, _, anchors = network(image)
        rows, _ = network.found(image)
    best = anchors[logits[0].argmax()]
    assert torch.allclose(rows[0, :2], (best[:2] + best[2:]) / 2)
    assert torch.allclose(rows[0, 2:4], best[2:] - best[:2])
