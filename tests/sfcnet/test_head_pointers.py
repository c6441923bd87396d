"""Pixels that point at their head: taught, exported, and believed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.sfcnet.export import export, write_archive
from models.sfcnet.head_pointers import UNIT_PX, pointer_loss
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import SFCNetDetector
from models.sfcnet.variant import LITE
from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.training.crops import collate, mirrored
from models.training.evaluation import specimen_frame
from models.training.window import cut


def a_frame(seed=41):
    return specimen_frame(Specimen(profile("exam"), seed), 0.2)


def led(crop):
    """Where each known pixel of a crop leads to, (N, 2) px, and which pixels."""
    known = np.isfinite(crop.to_head_px[0])
    rows, columns = np.nonzero(known)
    return np.stack([columns, rows], 1) + crop.to_head_px[:, known].T, known


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("down", [False, True])
def test_pixels_of_a_crop_lead_to_a_head_that_may_lie_outside(across, down):
    frame = a_frame()
    crop = mirrored(cut(frame, 96, 160, 256, 320), across, down)
    ends, known = led(crop)
    assert known.sum() > 500
    assert (crop.class_map[known] > 0).all()
    heads = frame.box_px[:, :2] - (160, 96)
    heads = np.where((across, down), (319, 255) - heads, heads)
    away = np.hypot(*(ends[:, None] - heads[None]).transpose(2, 0, 1))
    assert away.min(axis=1).max() < 1e-3
    # The head's own pixels lead to it, and it is not always in the crop.
    own = known & (crop.part_map == 1)
    assert np.hypot(*crop.to_head_px[:, own]).max() < 15.0
    outside = ((ends < -0.5) | (ends > (319.5, 255.5))).any(axis=1)
    assert outside.any()


def test_what_is_not_known_teaches_nothing():
    pointers = torch.randn(1, 2, 8, 8, requires_grad=True)
    assert pointer_loss(pointers, torch.full((1, 2, 32, 32), np.nan)) is None
    truth = torch.full((1, 2, 32, 32), np.nan)
    truth[0, :, 8:12, 8:12] = 16.0
    loss = pointer_loss(pointers, truth)
    assert loss is not None
    loss.backward()
    assert torch.isfinite(pointers.grad).all()
    assert float(pointers.grad[0, :, 5:].abs().max()) == 0.0
    right = torch.full((1, 2, 8, 8), 16.0)
    assert float(pointer_loss(right, truth)) == 0.0
    far, farther = (float(pointer_loss(right + k * UNIT_PX, truth)) for k in (1, 2))
    assert 0.0 < far < farther


def test_crops_without_identities_stand_beside_those_with_them():
    frame = a_frame()
    plain = cut(frame, 0, 0, 64, 64)
    _, target = collate([plain, type(plain)(plain.image, plain.boxes, plain.class_map,
                                            plain.part_map, plain.ignore)])  # fmt: skip
    assert target.to_head_px.shape == (2, 2, 64, 64)
    assert torch.isnan(target.to_head_px[1]).all()


def pointing():
    torch.manual_seed(2)
    network = SFCNet(LITE)
    network.attach_head_pointers()
    network.detection.second.classify.bias.data[1] = 3.0
    return network.eval()


def test_an_archive_holds_them_and_one_without_finds_the_same(tmp_path):
    network = pointing()
    image = np.random.default_rng(1).integers(60, 200, (160, 192)).astype(np.uint8)
    assert write_archive(network, tmp_path / "a.pt")["max_abs_difference"] <= 1e-3
    assert export(tmp_path / "a.pt", tmp_path / "b.pt")["max_abs_difference"] <= 1e-3
    detector = SFCNetDetector(tmp_path / "b.pt", dtype=torch.float32)
    assert detector._run(image)[2].shape == (1, 2, 40, 48)
    seen = detector.detect(image)
    plain = SFCNet(LITE).eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    write_archive(plain, tmp_path / "c.pt")
    without = SFCNetDetector(tmp_path / "c.pt", dtype=torch.float32).detect(image)
    assert np.array_equal(without.detections.box_px, seen.detections.box_px)
    assert np.array_equal(without.class_map > 0, seen.class_map > 0)


def test_a_network_for_detection_alone_has_none():
    network = SFCNet(LITE, "detect")
    network.attach_as_in(["head_pointers.pointers.0.weight"])
    assert network.head_pointers is None
    with pytest.raises(ModelError, match="need a network that segments"):
        network.attach_head_pointers()
