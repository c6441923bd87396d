"""Losses of both tasks: equations (2) and (5) to (7) of the paper, and a soft Dice beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.anchors import anchor_boxes, encode
from models.sfcnet.class_head import ClassHead
from models.sfcnet.head_pointers import pointer_loss
from models.sfcnet.network import STRIDES, SFCNet
from models.sfcnet.nms import box_iou
from models.sfcnet.part_output import class_planes, part_loss, part_planes
from models.sfcnet.proposals import level_shapes, select_proposals
from models.sfcnet.second_stage import delta_scale
from models.sfcnet.sperm_losses import sperm_losses
from models.types import SpermPart

UNKNOWN = -100
HEAD = int(SpermPart.HEAD)


@dataclass(frozen=True, slots=True)
class Target:
    """Truth of a batch.

    Attributes
    ----------
    class_map, part_map : (B, H, W) int64 tensors
        UNKNOWN where nothing is known.
    boxes, ignore : B tensors (N, 4)
        Corner boxes of heads, and of what is neither right nor wrong to find.
    to_head_px : (B, 2, H, W) tensor, optional
        From each pixel of a sperm to the middle of its head, x and y, px; NaN elsewhere and where
        not known.
    modality : list of str
        Of each picture, see ``models.specimen.profiles.MODALITIES``; '' where unknown. Empty:
        nothing is known of any.
    """

    class_map: Tensor
    part_map: Tensor
    boxes: list[Tensor]
    ignore: list[Tensor]
    to_head_px: Tensor | None = None
    modality: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Weights and sample sizes.

    Sperm cover 1 to 3% of the pixels: the soft Dice term works on the quantity that is reported,
    the class weights keep thin tails from drowning in background, and ``kinds`` weighs a
    cross-entropy of normal against abnormal on the pixels of sperm alone, where the equation's
    mean over all pixels leaves nearly nothing of it. In it a pixel of a head, which is what a
    person would judge by, counts as much as ``head_weight`` others:
    it decides for the whole sperm (models.sfcnet.whole_sperm). With ``whole_sperm`` pixels are
    taught as sperm or not (models.sfcnet.sperm_losses): a class head tells the class.
    """

    class_weights: tuple[float, ...] = (1.0, 2.0, 2.0)
    part_weights: tuple[float, ...] = (1.0, 2.0, 3.0, 2.0)
    dice: float = 1.0
    kinds: float = 1.5
    head_weight: float = 25.0
    parts: float = 0.5
    pointers: float = 0.5
    middles: float = 0.5
    whole_sperm: bool = False
    anchors_per_picture: int = 128
    boxes_per_picture: int = 64
    proposals: int = 96
    positive_iou: float = 0.5
    negative_iou: float = 0.3


def smooth_l1(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return equation (6), summed over the four coordinates and all rows."""
    difference = (prediction - truth).abs()
    return torch.where(difference < 1.0, 0.5 * difference**2, difference - 0.5).sum()


def soft_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - mean Dice of the foreground classes, counts pooled over the batch.

    ``logits`` is (B, C, H, W), ``truth`` (B, H, W) with class 0 as the background.
    """
    probability = logits.softmax(1) * (truth != UNKNOWN)[:, None]
    losses = []
    for k in range(1, logits.shape[1]):
        there = (truth == k).to(probability.dtype)
        overlap = (probability[:, k] * there).sum()
        total = probability[:, k].sum() + there.sum()
        losses.append(1.0 - (2.0 * overlap + 1.0) / (total + 1.0))
    return torch.stack(losses).mean()


def segmentation_losses(
    logits: Tensor, target: Target, settings: LossSettings
) -> dict[str, Tensor]:
    """Return the losses of class and part maps from logits at the resize stage."""
    size = [target.class_map.shape[1], target.class_map.shape[2]]
    logits = functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
    classes = len(settings.class_weights)
    weight = torch.tensor(settings.class_weights, device=logits.device)
    losses: dict[str, Tensor] = {}
    class_logits = class_planes(logits, classes)
    if bool((target.class_map != UNKNOWN).any()):
        losses["classes"] = functional.cross_entropy(class_logits, target.class_map, weight)
        losses["dice"] = settings.dice * soft_dice_loss(class_logits, target.class_map)
    sperm = target.class_map > 0
    if bool(sperm.any()):
        kinds = class_logits.permute(0, 2, 3, 1)[sperm][:, 1:]
        each = functional.cross_entropy(kinds, target.class_map[sperm] - 1, reduction="none")
        share = torch.where(target.part_map[sperm] == HEAD, settings.head_weight, 1.0)
        losses["kinds"] = settings.kinds * (each * share).sum() / share.sum()
    if bool((target.part_map != UNKNOWN).any()):
        parts = part_planes(logits, classes)
        losses["parts"] = settings.parts * part_loss(parts, target.part_map, settings.part_weights)
    return losses


def whole_sperm_losses(logits: Tensor, target: Target, settings: LossSettings) -> dict[str, Tensor]:
    """Return the losses of maps that need not tell normal from abnormal."""
    return sperm_losses(
        logits, target.class_map, target.part_map, target.boxes, unknown=UNKNOWN,
        class_weights=settings.class_weights, part_weights=settings.part_weights,
        parts=settings.parts, kinds=settings.kinds, dice=settings.dice, middles=settings.middles,
    )  # fmt: skip


def inside_any(boxes: Tensor, regions: Tensor) -> Tensor:
    """Say whose centre lies inside any of ``regions``."""
    if len(regions) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    centre = (boxes[:, :2] + boxes[:, 2:]) * 0.5
    low, high = regions[None, :, :2], regions[None, :, 2:]
    return ((centre[:, None] >= low) & (centre[:, None] <= high)).all(2).any(1)


def _pick(candidates: Tensor, count: int) -> Tensor:
    """Return up to ``count`` of the row numbers, at random."""
    if len(candidates) <= count:
        return candidates
    return candidates[torch.randperm(len(candidates), device=candidates.device)[:count]]


def _pick_negatives(candidates: Tensor, score: Tensor, count: int) -> Tensor:
    """Return half at random, half those that look most like a head."""
    if len(candidates) <= count:
        return candidates
    hardest = candidates[torch.topk(score[candidates], count // 2).indices]
    return torch.cat([hardest, _pick(candidates, count - count // 2)])


def proposal_losses(
    objectness: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    boxes: Tensor,
    ignore: Tensor,
    settings: LossSettings,
) -> tuple[Tensor, Tensor]:
    """Return the class and box losses of one picture's proposals."""
    count = settings.anchors_per_picture
    nearest = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    positive = torch.zeros(len(anchors), dtype=torch.bool, device=anchors.device)
    negative = ~inside_any(anchors, ignore)
    if len(boxes):
        iou = box_iou(anchors, boxes)
        best, nearest = iou.max(1)
        positive = best >= settings.positive_iou
        # Every head has at least its best anchor.
        top, champion = iou.max(0)
        champion = champion[top > 0.2]
        positive[champion] = True
        nearest[champion] = torch.nonzero(top > 0.2)[:, 0]
        negative &= (best < settings.negative_iou) & ~positive
    chosen = _pick(torch.nonzero(positive)[:, 0], count // 2)
    others = _pick_negatives(
        torch.nonzero(negative)[:, 0], objectness.detach(), count - len(chosen)
    )
    rows = torch.cat([chosen, others])
    truth = torch.zeros(len(rows), device=anchors.device)
    truth[: len(chosen)] = 1.0
    classes = functional.binary_cross_entropy_with_logits(objectness[rows], truth, reduction="sum")
    if len(chosen):
        wanted = encode(boxes[nearest[chosen]], anchors[chosen])
        # Deltas are small next to 1: scaled, so that the linear part of the loss is reached.
        regression = smooth_l1(deltas[chosen] * 3.0, wanted * 3.0)
    else:
        regression = deltas.sum() * 0.0
    return classes / count, regression / count


def box_losses(
    network: SFCNet,
    levels: list[Tensor],
    proposals: Tensor,
    boxes: Tensor,
    ignore: Tensor,
    settings: LossSettings,
) -> tuple[Tensor, Tensor]:
    """Return the class and box losses of one picture's second stage, equation (7)."""
    detection = network.detection
    if detection is None:
        raise ValueError("a network without detection has no second stage")
    count = settings.boxes_per_picture
    if len(boxes):
        size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        jittered = boxes + 0.15 * size * torch.randn_like(boxes)
        proposals = torch.cat([proposals, boxes, jittered])
        best, nearest = box_iou(proposals, boxes).max(1)
    else:
        best = torch.zeros(len(proposals), device=proposals.device)
        nearest = torch.zeros(len(proposals), dtype=torch.int64, device=proposals.device)
    positive = best >= settings.positive_iou
    negative = ~positive & ~inside_any(proposals, ignore)
    chosen = _pick(torch.nonzero(positive)[:, 0], count // 2)
    # Proposals come best first, so their order is a score.
    rank = -torch.arange(len(proposals), device=proposals.device, dtype=torch.float32)
    others = _pick_negatives(torch.nonzero(negative)[:, 0], rank, count - len(chosen))
    rows = torch.cat([chosen, others])
    logits, deltas = detection.judge(levels, proposals[rows])
    truth = torch.zeros(len(rows), dtype=torch.int64, device=proposals.device)
    truth[: len(chosen)] = 1
    classes = functional.cross_entropy(logits.float(), truth, reduction="sum")
    if len(chosen):
        wanted = encode(boxes[nearest[chosen]], proposals[chosen]) * delta_scale(boxes)
        regression = smooth_l1(deltas[: len(chosen)].float(), wanted)
    else:
        regression = deltas.sum() * 0.0
    return classes / count, regression / count


def detection_losses(
    network: SFCNet, outputs: dict[str, Tensor], target: Target, settings: LossSettings
) -> dict[str, Tensor]:
    """Return the four losses of the detection, averaged over the batch."""
    variant = network.variant
    levels = [outputs[f"p{k}"] for k in range(2, 7)]
    shapes = level_shapes(levels, list(STRIDES))
    objectness, deltas = outputs["objectness"].float(), outputs["deltas"].float()
    index = torch.arange(objectness.shape[1], device=objectness.device)
    sizes, ratios = list(variant.anchor_sizes_px), list(variant.anchor_ratios)
    anchors = anchor_boxes(index, shapes, sizes, ratios)
    # Unbound once: indexing a batch picture by picture makes a full-size gradient each time.
    pictures = list(zip(*(level.float().unbind(0) for level in levels[:4]), strict=True))
    scores, shifts = objectness.unbind(0), deltas.unbind(0)
    sums: list[list[Tensor]] = [[], [], [], []]
    for picture in range(len(pictures)):
        boxes, ignore = target.boxes[picture], target.ignore[picture]
        first = proposal_losses(scores[picture], shifts[picture], anchors, boxes, ignore, settings)
        with torch.no_grad():
            proposals, kept = select_proposals(
                scores[picture], shifts[picture], shapes, sizes, ratios,
                2 * settings.proposals, settings.proposals, variant.proposal_iou, 0,
                variant.by_level,
            )  # fmt: skip
        second = box_losses(
            network, list(pictures[picture]), proposals[kept], boxes, ignore, settings
        )
        for column, value in zip(sums, (*first, *second), strict=True):
            column.append(value)
    names = ("objectness", "anchor_boxes", "sperm", "boxes")
    return {name: torch.stack(values).mean() for name, values in zip(names, sums, strict=True)}


def class_head_loss(
    head: ClassHead, outputs: dict[str, Tensor], target: Target
) -> dict[str, Tensor]:
    """Return the cross-entropy of the class head on heads whose class the maps tell."""
    logits: list[Tensor] = []
    classes: list[Tensor] = []
    for k, boxes in enumerate(target.boxes):
        told = _told_classes(target.class_map[k], boxes)
        known = told > 0
        if not bool(known.any()):
            continue
        centre_px = ((boxes[:, :2] + boxes[:, 2:]) * 0.5)[known]
        # The maps say where the tails are, and learn nothing by it.
        maps = outputs["segmentation"][k].detach().float()
        tail, near = head.windows(outputs["contrast"][k], maps, centre_px, centre_px[:, 0] * 0.0)
        logits.append(head(tail, near)[0])
        classes.append(told[known] - 1)
    if not logits:
        return {}
    return {"sperm_class": functional.cross_entropy(torch.cat(logits).float(), torch.cat(classes))}


def _told_classes(class_map: Tensor, boxes: Tensor) -> Tensor:
    """Return the class (N,) of most sperm pixels about the middle of each corner box; 0: none."""
    middle = torch.round((boxes[:, :2] + boxes[:, 2:]) * 0.5).to(torch.int64)
    steps = torch.arange(-2, 3, device=boxes.device)
    rows = (middle[:, 1, None, None] + steps[:, None]).clamp(0, class_map.shape[0] - 1)
    columns = (middle[:, 0, None, None] + steps).clamp(0, class_map.shape[1] - 1)
    seen = class_map[rows, columns].flatten(1)
    normal, abnormal = (seen == 1).sum(1), (seen == 2).sum(1)
    return torch.where(normal + abnormal == 0, 0, torch.where(normal >= abnormal, 1, 2))


def _learns(part: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in part.parameters())


def total_losses(
    network: SFCNet, outputs: dict[str, Tensor], target: Target, settings: LossSettings
) -> dict[str, Tensor]:
    """Return every loss of the network's task, by name; their sum is what is minimised."""
    losses: dict[str, Tensor] = {}
    if "segmentation" in outputs:
        teach = whole_sperm_losses if settings.whole_sperm else segmentation_losses
        losses.update(teach(outputs["segmentation"], target, settings))
    if "objectness" in outputs:
        losses.update(detection_losses(network, outputs, target, settings))
    if network.class_head is not None and "contrast" in outputs and _learns(network.class_head):
        losses.update(class_head_loss(network.class_head, outputs, target))
    if "to_head" in outputs and target.to_head_px is not None:
        told = pointer_loss(outputs["to_head"], target.to_head_px)
        if told is not None:
            losses["head_pointers"] = settings.pointers * told
    return losses
