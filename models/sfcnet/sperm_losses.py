"""Losses of a segmentation whose classes a class head tells: sperm or not, parts, middles of heads.

Equation (2) of the paper teaches three classes to every pixel. Where ``class_head`` says whether a
sperm is normal, pixels need only be sperm or not: what is asked is the binary Dice. The middle of
each head in the soft map of heads, which kinematics may be taken from, is taught as what it is, a
distance.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.sfcnet.part_output import class_planes, part_loss, part_planes

# As models.measure.head takes a head's outline: where the soft map crosses one half, near its box.
_STEEP, _MARGIN_PX, _REACH = 12.0, 2.5, 1.6
_LEAST_PX = 4.0
# A head that the crop's border cuts has no middle.
_BORDER_PX = 4.0
# Pixels below which an error of a middle counts by its square (Huber).
_NEAR_PX = 0.3
# A pixel of sperm weighs twice one of background.
_SPERM_WEIGHT = 1.0


def sperm_losses(
    logits: Tensor,
    class_map: Tensor,
    part_map: Tensor,
    boxes: list[Tensor],
    *,
    unknown: int,
    class_weights: tuple[float, ...],
    part_weights: tuple[float, ...],
    parts: float,
    kinds: float,
    dice: float,
    middles: float,
) -> dict[str, Tensor]:
    """Return the losses, by name.

    Parameters
    ----------
    logits : (B, classes + parts, h, w) tensor
    class_map, part_map : (B, H, W) int64 tensors
        ``unknown`` where nothing is known.
    boxes : B tensors (N, 4)
        Corner boxes of heads, px.
    class_weights, part_weights
        Of the classes (their number is what counts here) and of the parts.
    parts, kinds, dice, middles : float
        Weights of the losses.
    """
    size = [class_map.shape[1], class_map.shape[2]]
    logits = functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
    classes = class_planes(logits, len(class_weights))
    losses: dict[str, Tensor] = {}
    known = class_map != unknown
    if bool(known.any()):
        # What models.sfcnet.finish asks: whether any class beats the background.
        sperm = classes[:, 1:].amax(1) - classes[:, 0]
        true = (class_map > 0).to(sperm.dtype)
        weight = known.to(sperm.dtype) * (1.0 + _SPERM_WEIGHT * true)
        each = functional.binary_cross_entropy_with_logits(sperm, true, reduction="none")
        losses["sperm_pixels"] = 2.0 * (each * weight).sum() / weight.sum()
        found = torch.sigmoid(sperm) * known
        overlap, total = (found * true).sum(), found.sum() + true.sum()
        losses["dice"] = dice * (1.0 - (2.0 * overlap + 1.0) / (total + 1.0))
    inside = class_map > 0
    if bool(inside.any()):
        told = classes.permute(0, 2, 3, 1)[inside][:, 1:]
        losses["kinds"] = kinds * functional.cross_entropy(told, class_map[inside] - 1)
    if bool((part_map != unknown).any()):
        planes = part_planes(logits, len(class_weights))
        losses["parts"] = parts * part_loss(planes, part_map, part_weights)
        away = middle_errors(classes, planes, boxes)
        if len(away):
            errors = functional.smooth_l1_loss(
                away, torch.zeros_like(away), beta=_NEAR_PX, reduction="sum"
            )
            losses["middles"] = middles * errors / len(away)
    return losses


def middle_errors(classes: Tensor, parts: Tensor, boxes: list[Tensor]) -> Tensor:
    """Return how far the middle of each head in the soft map lies from that of its box.

    Parameters
    ----------
    classes, parts : (B, planes, H, W) tensors
        Logits at the picture's size.
    boxes : B tensors (N, 4)
        Corner boxes, px.

    Returns
    -------
    (M, 2) tensor
        x and y, px, of heads that lie within the picture and are seen in the map.
    """
    height, width = classes.shape[2], classes.shape[3]
    sperm = torch.sigmoid(torch.logsumexp(classes[:, 1:], 1) - classes[:, 0])
    # The parts' first plane is 'no part': heads are a share of what is sperm.
    soft = sperm * parts[:, 1:].softmax(1)[:, 0]
    inside = torch.sigmoid(_STEEP * (soft - 0.5))
    away: list[Tensor] = []
    for picture, its_boxes in zip(inside, boxes, strict=True):
        for x0, y0, x1, y1 in its_boxes.tolist():
            low, high = min(x0, y0), max(x1 - width, y1 - height)
            if low < _BORDER_PX or high > -1.0 - _BORDER_PX:
                continue
            rows = torch.arange(int(y0 - 2.0), int(y1 + 3.0), device=picture.device)
            columns = torch.arange(int(x0 - 2.0), int(x1 + 3.0), device=picture.device)
            dx, dy = columns - 0.5 * (x0 + x1), rows - 0.5 * (y0 + y1)
            a, b = 0.5 * (x1 - x0) + _MARGIN_PX, 0.5 * (y1 - y0) + _MARGIN_PX
            near = (dx[None] / a) ** 2 + (dy[:, None] / b) ** 2 <= _REACH
            head = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * near
            mass = head.sum()
            if float(mass.detach()) >= _LEAST_PX:
                middle = torch.stack([(head * dx[None]).sum(), (head * dy[:, None]).sum()])
                away.append(middle / mass)
    return torch.stack(away) if away else classes.new_zeros((0, 2))
