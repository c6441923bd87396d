"""Multi-scale region proposals (paper, section III-C2): a 3x3 slides over P2 to P6."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.anchors import anchor_boxes, cut, decode
from models.sfcnet.nms import nms_each, nms_sorted
from models.sfcnet.variant import Variant


class ProposalHead(nn.Module):
    """Objectness and box deltas of every anchor."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width, ratios = variant.pyramid_channels, len(variant.anchor_ratios)
        self.slide = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(inplace=True))
        self.objectness = nn.Conv2d(width, ratios, 1)
        self.deltas = nn.Conv2d(width, 4 * ratios, 1)
        # Few anchors hold a head: start from a low prior (Lin et al. 2017, focal loss).
        nn.init.constant_(self.objectness.bias, -3.0)  # type: ignore[arg-type]

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return objectness (B, N) and deltas (B, N, 4) in the order of the anchors."""
        scores: list[Tensor] = []
        deltas: list[Tensor] = []
        for level in levels:
            x = self.slide(level)
            batch = x.shape[0]
            scores.append(self.objectness(x).permute(0, 2, 3, 1).reshape(batch, -1))
            deltas.append(self.deltas(x).permute(0, 2, 3, 1).reshape(batch, -1, 4))
        return torch.cat(scores, 1), torch.cat(deltas, 1)


def level_shapes(levels: list[Tensor], strides: list[int]) -> list[list[int]]:
    """Return [height, width, stride] of each level."""
    shapes: list[list[int]] = []
    for k, level in enumerate(levels):
        shapes.append([level.shape[2], level.shape[3], strides[k]])
    return shapes


def best_of(score: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` highest of ``score`` (N,), best first.

    The highest lie in the groups with the highest maxima: a quarter of topk's time on 76740.
    """
    group = 16
    groups = score.shape[0] // group
    if score.is_cuda or groups <= count:
        return torch.topk(score, min(count, score.shape[0])).indices
    highest = torch.topk(score[: groups * group].reshape(groups, group).amax(1), count).indices
    rest = torch.arange(groups * group, score.shape[0], device=score.device)
    inside = torch.arange(group, device=score.device)
    index = torch.cat([(highest[:, None] * group + inside).reshape(-1), rest])
    return index[torch.topk(score[index], count).indices]


def select_proposals(
    objectness: Tensor,
    deltas: Tensor,
    shapes: list[list[int]],
    sizes_px: list[float],
    ratios: list[float],
    before: int,
    after: int,
    iou: float,
    rounds: int,
    by_level: bool = False,
    most: int = 0,
    room: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Choose the best proposals of one picture.

    Parameters
    ----------
    objectness, deltas : (N,), (N, 4) tensors
        Of every anchor.
    before, after : int
        How many go into the suppression, and how many come out.
    by_level : bool
        ``before`` of each level go in, a box is suppressed by boxes of its own level alone, and
        boxes are cut at the border first: the rule of detectron2. Else all levels are one list,
        and the worst shape of each cell stays out: all shapes of an anchor that lies well score
        high, and would leave little room for heads that are hard to see.
    most, room : int, scalar int64 tensor
        ``room`` (``crowd.room_for``, ``before`` to ``most``) takes the place of ``before``, and
        ``after`` grows in proportion. Not ``by_level``.

    Returns
    -------
    boxes : (after, 4) float32 tensor
        Corner boxes, the kept ones first, best first. With ``room`` more; with ``rounds``, which
        are for a GPU, always as many as for ``most``, so that nothing waits for a number.
    kept : (after,) bool tensor
    """
    if by_level:
        return _select_by_level(
            objectness, deltas, shapes, sizes_px, ratios, before, after, iou, rounds
        )
    shapes_of_cell = len(ratios)
    count = before
    if room is not None:
        count = int(room) if rounds == 0 else most
    # At most one of three leaves, so that half as many again are enough.
    index = best_of(objectness, count + (count + 1) // 2)
    if shapes_of_cell > 2:
        cell = torch.div(index, shapes_of_cell, rounding_mode="floor")
        worst = objectness.reshape(-1, shapes_of_cell)[cell].amin(1)
        left_out = (objectness[index] <= worst).to(torch.int8)
        index = index[torch.argsort(left_out, stable=True)]
    index = index[:count]
    anchors = anchor_boxes(index, shapes, sizes_px, ratios)
    boxes = decode(deltas[index].to(torch.float32), anchors)
    keep = nms_sorted(boxes, iou, rounds)
    # A stable sort brings the kept ones to the front without a data-dependent shape.
    order = torch.argsort((~keep).to(torch.int8), stable=True)[: after * count // before]
    keep = keep[order]
    if room is not None and rounds > 0:
        # No box suppresses a better one: what had no room changed nothing in front of it.
        rank = torch.arange(order.shape[0], device=order.device)
        proposed = torch.div(after * room, before, rounding_mode="floor")
        keep = keep & (order < room) & (rank < proposed)
    return boxes[order], keep


def _select_by_level(
    objectness: Tensor,
    deltas: Tensor,
    shapes: list[list[int]],
    sizes_px: list[float],
    ratios: list[float],
    before: int,
    after: int,
    iou: float,
    rounds: int,
) -> tuple[Tensor, Tensor]:
    lowest = float("-inf")
    # Levels with fewer anchors are filled up, so that all are suppressed in one go.
    rows = min(before, shapes[0][0] * shapes[0][1] * len(ratios))
    scores: list[Tensor] = []
    numbers: list[Tensor] = []
    start = 0
    for shape in shapes:
        count = shape[0] * shape[1] * len(ratios)
        value, index = torch.topk(objectness[start : start + count], min(rows, count))
        missing = rows - value.shape[0]
        scores.append(functional.pad(value, [0, missing], value=lowest))
        numbers.append(functional.pad(index + start, [0, missing], value=float(start)))
        start += count
    index = torch.cat(numbers)
    anchors = anchor_boxes(index, shapes, sizes_px, ratios)
    stride = shapes[0][2]
    boxes = cut(
        decode(deltas[index].to(torch.float32), anchors),
        shapes[0][0] * stride,
        shapes[0][1] * stride,
    )
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    kept = nms_each(boxes.reshape(len(shapes), rows, 4), iou, rounds).reshape(-1) & there
    score = torch.where(kept, torch.cat(scores), torch.full_like(boxes[:, 0], lowest))
    score, order = torch.sort(score, descending=True)
    order = order[:after]
    return boxes[order], score[:after] > lowest
