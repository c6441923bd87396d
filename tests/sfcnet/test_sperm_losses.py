"""Losses of maps that tell sperm from background and leave the class to the class head."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.sfcnet.losses import UNKNOWN, LossSettings, Target, whole_sperm_losses
from models.sfcnet.sperm_losses import middle_errors

SETTINGS = LossSettings(whole_sperm=True)
SIDE = 64
MIDDLE = (30.0, 26.0)


def ellipse(x_px, y_px, a=6.0, b=4.0):
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return ((columns - x_px) / a) ** 2 + ((rows - y_px) / b) ** 2 <= 1.0


def logits_of(head, size=8.0):
    """Logits (1, 7, H, W) of a map that is sure of one head."""
    planes = torch.full((7, SIDE, SIDE), -size)
    planes[0], planes[1] = torch.where(head, -size, size), torch.where(head, size, -size)
    planes[3], planes[4] = torch.where(head, -size, size), torch.where(head, size, -size)
    return planes[None]


def target(head, label=1):
    x, y = MIDDLE
    box = torch.tensor([[x - 7.0, y - 5.0, x + 7.0, y + 5.0]])
    classes = torch.where(head, label, 0)[None]
    return Target(classes, torch.where(head, 1, 0)[None], [box], [torch.zeros(0, 4)])


@pytest.mark.parametrize("off_px", [(0.0, 0.0), (1.0, 0.0), (0.0, -1.0), (1.5, 1.0)])
def test_a_middle_is_off_by_what_the_map_is_off(off_px):
    logits = logits_of(ellipse(MIDDLE[0] + off_px[0], MIDDLE[1] + off_px[1]))
    box = target(ellipse(*MIDDLE)).boxes
    away = middle_errors(logits[:, :3], logits[:, 3:], box)
    assert away.shape == (1, 2)
    assert away[0].tolist() == pytest.approx(off_px, abs=0.12)


def test_a_head_at_the_border_has_no_middle():
    logits = logits_of(ellipse(6.0, 26.0))
    box = [torch.tensor([[-1.0, 21.0, 13.0, 31.0]])]
    assert middle_errors(logits[:, :3], logits[:, 3:], box).shape == (0, 2)


def test_the_class_costs_little_and_the_place_much():
    head = ellipse(*MIDDLE)
    right = whole_sperm_losses(logits_of(head), target(head), SETTINGS)
    other = whole_sperm_losses(logits_of(head), target(head, label=2), SETTINGS)
    moved = whole_sperm_losses(logits_of(ellipse(34.0, 26.0)), target(head), SETTINGS)
    for name in ("sperm_pixels", "dice", "parts", "middles"):
        assert float(other[name]) == pytest.approx(float(right[name]))
        assert float(moved[name]) > float(right[name]) + 0.1
    assert float(other["kinds"]) > float(right["kinds"])
    assert sum(float(v) for v in right.values()) < 0.1


def test_unknown_pixels_teach_nothing():
    head = ellipse(*MIDDLE)
    known = target(head)
    there = torch.arange(SIDE)[None, None].expand(1, SIDE, SIDE) < SIDE // 2
    half = replace(
        known,
        class_map=torch.where(there, known.class_map, UNKNOWN),
        part_map=torch.where(there, known.part_map, UNKNOWN),
        boxes=[torch.zeros(0, 4)],
    )
    logits = logits_of(head)
    wrong = logits.clone()
    wrong[..., SIDE // 2 :] *= -1.0
    a, b = (whole_sperm_losses(x, half, SETTINGS) for x in (logits, wrong))
    assert {k: float(v) for k, v in a.items()} == pytest.approx({k: float(v) for k, v in b.items()})
