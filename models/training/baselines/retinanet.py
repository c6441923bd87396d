"""RetinaNet (Lin et al. 2017): one stage, focal loss, on SFCNet's encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.anchors import anchor_boxes, decode, encode
from models.sfcnet.encoder import Encoder
from models.sfcnet.layers import convolution
from models.sfcnet.losses import LossSettings, Target, inside_any, smooth_l1
from models.sfcnet.network import STRIDES, normalise
from models.sfcnet.nms import box_iou, nms_sorted
from models.sfcnet.proposals import level_shapes
from models.sfcnet.variant import LITE, Variant
from models.training.baselines.pyramid import FeaturePyramid

_ALPHA, _GAMMA = 0.25, 2.0
_POSITIVE_IOU, _NEGATIVE_IOU = 0.5, 0.4
_PRIOR_LOGIT = -4.6  # one anchor in a hundred
_CANDIDATES = 1000
# Deltas are small next to 1: scaled, so that the linear part of the loss is reached.
_DELTA_SCALE = 5.0


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the focal loss of binary ``truth``, summed."""
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = torch.exp(-each)
    weight = torch.where(truth > 0, _ALPHA, 1 - _ALPHA)
    return (weight * (1 - right) ** _GAMMA * each).sum()


class RetinaNet(nn.Module):
    """Two towers slide over P2 to P6: is there a head, and where exactly."""

    def __init__(self, variant: Variant = LITE, depth: int = 2) -> None:
        super().__init__()
        self.encoder = Encoder(variant)
        self.pyramid = FeaturePyramid(variant)
        width, ratios = variant.pyramid_channels, len(variant.anchor_ratios)
        towers = [[convolution(width, width) for _ in range(depth)] for _ in range(2)]
        self.heads = nn.Sequential(*towers[0], nn.Conv2d(width, ratios, 3, 1, 1))
        self.places = nn.Sequential(*towers[1], nn.Conv2d(width, 4 * ratios, 3, 1, 1))
        nn.init.constant_(self.heads[-1].bias, _PRIOR_LOGIT)  # type: ignore[arg-type]
        self.sizes, self.ratios = list(variant.anchor_sizes_px), list(variant.anchor_ratios)
        self.rows, self.box_iou = variant.boxes, variant.box_iou

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, N), deltas (B, N, 4) and the corner boxes (N, 4) of the anchors."""
        levels = self.pyramid(self.encoder(normalise(image)))
        batch = image.shape[0]
        logits = [self.heads(x).permute(0, 2, 3, 1).reshape(batch, -1) for x in levels]
        deltas = [self.places(x).permute(0, 2, 3, 1).reshape(batch, -1, 4) for x in levels]
        count = sum(x.shape[1] for x in logits)
        index = torch.arange(count, device=image.device)
        anchors = anchor_boxes(index, level_shapes(levels, list(STRIDES)), self.sizes, self.ratios)
        return torch.cat(logits, 1).float(), torch.cat(deltas, 1).float(), anchors

    def losses(self, image: Tensor, target: Target, settings: LossSettings) -> dict[str, Tensor]:
        """Return the losses of a batch, by name."""
        logits, deltas, anchors = self(image)
        classes, places, positives = [], [], 0
        for k, (boxes, ignore) in enumerate(zip(target.boxes, target.ignore, strict=True)):
            nearest, positive, counts = matched(anchors, boxes, ignore)
            classes.append(focal_loss(logits[k][counts], positive[counts].float()))
            if len(boxes):
                wanted = encode(boxes[nearest[positive]], anchors[positive])
                places.append(smooth_l1(_DELTA_SCALE * deltas[k][positive], _DELTA_SCALE * wanted))
            positives += int(positive.sum())
        total = max(positives, 1)
        zero = deltas.sum() * 0.0
        return {
            "heads": torch.stack(classes).sum() / total,
            "places": (torch.stack(places).sum() if places else zero) / total,
        }

    def found(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (N, 5) of centre x, y, width, height, score, best first; no logits."""
        logits, deltas, anchors = self(image)
        score, index = torch.topk(logits[0].sigmoid(), min(_CANDIDATES, logits.shape[1]))
        boxes = decode(deltas[0][index], anchors[index])
        keep = nms_sorted(boxes, self.box_iou, 0)
        boxes, score = boxes[keep][: self.rows], score[keep][: self.rows]
        centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        return torch.cat([centre, size, score[:, None]], 1), torch.zeros(0)


def matched(anchors: Tensor, boxes: Tensor, ignore: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each anchor its nearest box, whether it is positive, and whether it counts."""
    counts = ~inside_any(anchors, ignore)
    nearest = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    positive = torch.zeros(len(anchors), dtype=torch.bool, device=anchors.device)
    if len(boxes):
        iou = box_iou(anchors, boxes)
        best, nearest = iou.max(1)
        positive = best >= _POSITIVE_IOU
        champion = iou.argmax(0)
        positive[champion] = True
        nearest[champion] = torch.arange(len(boxes), device=anchors.device)
        counts = (counts & (best < _NEGATIVE_IOU)) | positive
    return nearest, positive, counts
