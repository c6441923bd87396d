"""The same weights give detectron2's boxes and scores, to a thousandth.

The numbers of detectron2 are committed (golden_detectron2.py says what ran there and how they were
made); where detectron2 is installed, the adapter is tried as well.
"""

from __future__ import annotations

import importlib.util

import golden_detectron2 as golden
import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.detectron2 import (
    config,
    from_detectron2,
    model_of,
    rows_of,
    save_weights,
    settings_of,
    to_detectron2,
)
from models.sfcnet.export import network_from
from models.sfcnet.inference import Inference
from models.sfcnet.network import SFCNet, normalise
from models.sfcnet.proposals import level_shapes, select_proposals
from models.sfcnet.roi_align import level_of, roi_align
from models.sfcnet.variant import LITE

TOLERANCE = 1e-3
INSTALLED = importlib.util.find_spec("detectron2") is not None
needs_detectron2 = pytest.mark.skipif(not INSTALLED, reason="detectron2 is not installed")


@pytest.fixture(scope="module")
def answers():
    with np.load(golden.FILE) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.fixture(scope="module", params=sorted(golden.VARIANTS))
def case(request):
    return request.param, golden.network(request.param)


def farthest(a, b):
    """Return the largest difference of a row of ``a`` from the likest row of ``b``.

    In pixels of a box of up to one pixel, else in parts of its longer side: processors round
    differently, and with random weights boxes are enlarged up to thirty times. Equal scores may
    change places.
    """
    # Rows are centre and size, proposals are corners.
    size = a[:, 2:4] if a.shape[1] > 4 else a[:, 2:4] - a[:, :2]
    longer = size.abs().amax(1).clamp(min=1.0)
    scale = torch.ones_like(a)
    scale[:, :4] = longer[:, None]
    return float(((a[:, None] - b[None]).abs() / scale[:, None]).amax(2).min(1).values.max())


def proposals_of(network):
    settings = network.variant
    with torch.inference_mode():
        stages = network.encoder(normalise(golden.picture()[None]))
        levels, objectness, deltas = network.detection(stages)
        boxes, kept = select_proposals(
            objectness[0], deltas[0], level_shapes(levels, [4, 8, 16, 32, 64]),
            list(settings.anchor_sizes_px), list(settings.anchor_ratios),
            settings.proposals_before, settings.proposals, settings.proposal_iou, 0, True,
        )  # fmt: skip
    return levels, boxes[kept]


def test_proposals_and_second_stage_are_those_of_detectron2(case, answers):
    name, network = case
    expected = answers[f"{name}_proposals"]
    levels, boxes = proposals_of(network)
    assert boxes.shape == expected.shape
    assert farthest(boxes, expected) < TOLERANCE
    assert farthest(expected, boxes) < TOLERANCE
    # Some were cut at the border.
    assert bool((expected[:, 0] == -0.5).any())
    with torch.inference_mode():
        first = [level[0] for level in levels[:4]]
        logits, deltas = network.detection.judge(first, expected[:20])
    assert float((logits - answers[f"{name}_logits"]).abs().max()) < TOLERANCE
    assert float((deltas - answers[f"{name}_deltas"]).abs().max()) < TOLERANCE


@pytest.mark.parametrize("scripted", [False, True], ids=["eager", "scripted"])
def test_boxes_and_scores_are_those_of_detectron2(case, answers, scripted):
    name, network = case
    expected = answers[f"{name}_rows"]
    inference = Inference(network).eval()
    with torch.inference_mode():
        run = torch.jit.script(inference) if scripted else inference
        rows, *_ = run(golden.picture()[None])
    rows = rows[rows[:, 4] >= golden.LEAST_SCORE]
    assert rows.shape == expected.shape
    assert len(expected) > 20
    assert farthest(rows, expected) < TOLERANCE
    assert farthest(expected, rows) < TOLERANCE


@pytest.mark.parametrize("samples", [1, 2])
def test_roi_align_and_its_levels_are_those_of_detectron2(answers, samples):
    boxes = golden.boxes()
    level = level_of(boxes, 4)
    assert set(level.tolist()) >= {0, 1}
    pooled = roi_align(golden.features(), [4, 8, 16, 32], boxes, level, 7, samples)
    expected = answers[f"pooled_{samples}"].flatten(2).transpose(1, 2)
    assert float((pooled - expected).abs().max()) < TOLERANCE


def test_weights_go_there_and_back(case):
    _, network = case
    state = network.state_dict()
    back = from_detectron2(to_detectron2(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


@pytest.mark.skipif(INSTALLED, reason="detectron2 is installed")
def test_without_detectron2_one_line_says_what_to_install():
    with pytest.raises(ModelError, match=r"cannot be imported .*install it from https://github"):
        config(LITE)


@needs_detectron2
def test_the_answers_are_made_again(answers):
    for key, value in golden.answers().items():
        assert np.allclose(value, answers[key].numpy(), atol=1e-4), key


@needs_detectron2
def test_a_model_of_detectron2_trains_and_comes_back_as_weights(tmp_path):
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

    settings = golden.VARIANTS["lite"]
    assert settings_of(config(settings)) == settings
    model = model_of(SFCNet(LITE.with_changes(by_level=True), "detect")).train()
    truth = Instances(golden.SIZE)
    truth.gt_boxes = Boxes(torch.tensor([[20.0, 30.0, 32.0, 40.0], [90.0, 80.0, 104.0, 90.0]]))
    truth.gt_classes = torch.zeros(2, dtype=torch.int64)
    with EventStorage():
        losses = model([{"image": golden.picture(), "instances": truth}])
        sum(losses.values()).backward()
    assert {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg"} <= losses.keys()
    assert float(model.backbone.encoder.stem[0].weight.grad.abs().sum()) > 0
    save_weights(model, LITE, tmp_path / "weights.pt")
    network = network_from(tmp_path / "weights.pt")
    assert network.task == "detect"
    with pytest.raises(ModelError, match="not of variant 'r50'"):
        save_weights(model, golden.VARIANTS["r50"], tmp_path / "other.pt")
    found = rows_of(model.eval()([{"image": golden.picture()}])[0]["instances"])
    assert found.shape[1] == 5
