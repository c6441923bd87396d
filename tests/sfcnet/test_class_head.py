"""The class head: what it sees, what it says, and its way into archives and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.class_head import ClassHead
from models.sfcnet.export import export, largest_difference, write_archive
from models.sfcnet.fold import folded
from models.sfcnet.inference import LEAST_JUDGED, MOST_JUDGED, Inference
from models.sfcnet.losses import Target, class_head_loss
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import SFCNetDetector
from models.sfcnet.sperm_windows import (
    HEAD_SIDE,
    TAIL_BEFORE_PX,
    TAIL_COLUMNS,
    TAIL_ROWS,
    TAIL_STEP_PX,
    SpermWindows,
)
from models.sfcnet.variant import LITE

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
CENTRE = (97.0, 110.0)


def drawn(angle, centre=CENTRE, size=(224, 256), reach=60.0):
    """A picture with a head and a straight tail of ``reach`` px, and what a network would say."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    u = (x - centre[0]) * math.cos(angle) + (y - centre[1]) * math.sin(angle)
    v = -(x - centre[0]) * math.sin(angle) + (y - centre[1]) * math.cos(angle)
    head = np.exp(-((u / 5) ** 2 + (v / 3) ** 2))
    tail = ((u > 4) & (u < reach)) * np.exp(-((v / 1.5) ** 2))
    logits = np.zeros((7, size[0] // 2, size[1] // 2), np.float32)
    logits[3] = 2.0
    logits[6] = 8.0 * tail.reshape(size[0] // 2, 2, size[1] // 2, 2).max((1, 3))
    return torch.from_numpy(head + 0.5 * tail), torch.from_numpy(logits)


def look(angle, centre=CENTRE, **more):
    picture, logits = drawn(angle, centre, **more)
    place = torch.tensor([centre])
    return SpermWindows(3)(picture, logits, place, torch.zeros(1))


@pytest.mark.parametrize("degrees", [0, 40, 95, 178, 230, 305])
def test_windows_are_laid_along_the_tail(degrees):
    angle = math.radians(degrees)
    _, logits = drawn(angle)
    found = SpermWindows(3).tail_directions(logits, torch.tensor([CENTRE]))[0]
    assert float(found.norm()) == pytest.approx(1.0, abs=1e-5)
    off = math.atan2(float(found[1]), float(found[0])) - angle
    assert abs(math.remainder(off, 2 * math.pi)) < math.radians(8)
    tail, head = look(angle)
    assert tail.shape == (1, 2, TAIL_ROWS, TAIL_COLUMNS)
    assert head.shape == (1, 2, HEAD_SIDE, HEAD_SIDE)
    # Of what is bright, next to nothing lies before the head, and the tail ends where it does.
    columns = tail[0].mean(0).amax(0)
    behind = torch.arange(TAIL_COLUMNS) * TAIL_STEP_PX - TAIL_BEFORE_PX
    assert float(columns[(behind > 8) & (behind < 54)].min()) > 0.2
    assert float(columns[behind > 68].max()) < 0.1
    # A head is seen upright: longer along than across.
    seen = head[0].mean(0) > 0.5
    assert int(seen.any(0).sum()) > int(seen.any(1).sum())


def test_a_sperm_looks_the_same_wherever_it_swims_to():
    straight = look(0.0)
    for degrees in (60, 150, 285):
        for one, other in zip(straight, look(math.radians(degrees)), strict=True):
            assert float((one - other).abs().mean()) < 0.03


def test_rows_of_two_fields_are_seen_apart():
    picture, logits = drawn(0.0)
    picture[0::2] = 0.0
    tail, head = SpermWindows(3)(picture, logits, torch.tensor([CENTRE]), torch.zeros(1))
    for seen in (tail, head):
        assert float(seen[0, 0].abs().max()) == 0.0
        assert float(seen[0, 1].max()) > 0.5


def test_the_border_goes_on_outside():
    tail, _ = look(math.pi, (20.0, 30.0))
    assert torch.isfinite(tail).all()
    everywhere = SpermWindows(3)(
        torch.full((64, 96), 0.7), torch.zeros(7, 32, 48), torch.tensor([[-3.0, 70.0]]),
        torch.zeros(1),
    )  # fmt: skip
    for seen in everywhere:
        assert torch.allclose(seen, torch.full_like(seen, 0.7))


def with_head(seed=3):
    torch.manual_seed(seed)
    network = SFCNet(LITE)
    head = network.attach_class_head()
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    # Else nothing random scores as a head.
    network.detection.second.classify.bias.data[1] = 3.0
    return network.eval()


def frame(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(60, 200, (160, 192)).astype(np.uint8)


def test_votes_stand_beside_the_boxes():
    network = with_head()
    image = torch.from_numpy(frame())[None, None]
    with torch.inference_mode():
        rows, logits, _ = Inference(network).eval()(image)
        again, *_ = folded(Inference(network))(image)
        without = SFCNet(LITE).eval()
        without.load_state_dict(network.state_dict(), strict=False)
        plain, same, _ = Inference(without).eval()(image)
    assert rows.shape == (300, 6)
    assert torch.equal(rows[:, :5], plain)
    assert torch.equal(logits, same)
    # The best of those that are likely heads, up to a number.
    judged = (rows[:, 4] >= LEAST_JUDGED) & (torch.arange(300) < MOST_JUDGED)
    assert int(judged.sum()) == MOST_JUDGED
    assert bool((rows[judged, 5] != 0.0).all())
    assert bool((rows[~judged, 5] == 0.0).all())
    assert torch.allclose(rows[:, 4], again[:, 4], atol=1e-4)


def test_archives_with_a_class_head_agree_with_eager_and_come_back(tmp_path):
    network = with_head()
    done = write_archive(network, tmp_path / "a.pt")
    assert done["max_abs_difference"] <= 1e-3
    again = export(tmp_path / "a.pt", tmp_path / "b.pt")
    assert again["max_abs_difference"] <= 1e-3
    loaded = torch.jit.load(str(tmp_path / "b.pt")).eval()
    assert largest_difference(network, loaded) <= 1e-3


def test_the_vote_is_the_sperms_class(tmp_path, monkeypatch):
    write_archive(with_head(), tmp_path / "a.pt", score_threshold=0.5)
    detector = SFCNetDetector(tmp_path / "a.pt", dtype=torch.float32)
    plain = detector.detect(frame())
    forward = detector._forward

    def turned(image):
        """Return what the network does, with every vote turned round."""
        rows, logits, pointers = forward(image)
        rows[:, 5] *= -1.0
        return rows, logits, pointers

    monkeypatch.setattr(detector, "_forward", turned)
    other = detector.detect(frame())
    judged = min(len(plain.detections), MOST_JUDGED)
    assert judged > 20
    assert set(plain.detections.label[:judged]) <= {1, 2}
    assert (plain.detections.label + other.detections.label == 3)[:judged].all()


def test_only_a_network_for_both_tasks_has_a_class_head():
    for task in ("detect", "segment"):
        network = SFCNet(LITE, task)
        network.attach_as_in(["class_head.classify.weight"])
        assert network.class_head is None
        with pytest.raises(ModelError, match="a class head needs both tasks"):
            network.attach_class_head()


def test_it_learns_from_maps_that_tell_classes():
    head = ClassHead(LITE).eval()
    picture, logits = drawn(0.3)
    boxes = torch.tensor([[92.0, 105.0, 102.0, 115.0], [20.0, 20.0, 30.0, 30.0]])
    class_map = torch.zeros(1, *picture.shape, dtype=torch.int64)
    outputs = {"contrast": picture[None], "segmentation": logits[None].requires_grad_()}

    def loss():
        """Return the loss of the one picture."""
        target = Target(class_map, class_map, [boxes], [boxes[:0]])
        return class_head_loss(head, outputs, target)

    assert loss() == {}
    class_map[0, 105:116, 92:103] = 2
    before = loss()["sperm_class"]
    before.backward()
    # The maps say where the tail is, and are not taught by it.
    assert outputs["segmentation"].grad is None
    with torch.no_grad():
        for parameter in head.parameters():
            if parameter.grad is not None:
                parameter -= 0.05 * parameter.grad
        assert loss()["sperm_class"] < before
