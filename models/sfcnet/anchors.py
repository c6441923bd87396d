"""Anchors of the proposals, and the code between a box and its anchor.

Anchors are numbered level by level (P2 to P6), row by row, cell by cell, ratio by ratio, and are
computed from their numbers: inference needs a few hundred of the 77,000 of a frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def anchor_boxes(
    index: Tensor, shapes: list[list[int]], sizes_px: list[float], ratios: list[float]
) -> Tensor:
    """Return the corner boxes of some anchors.

    Parameters
    ----------
    index : (K,) int64 tensor
        Numbers of the anchors.
    shapes : list of [height, width, stride]
        Of each level.
    sizes_px : list of float
        Side of the square anchor of each level.
    ratios : list of float
        Height over width.

    Returns
    -------
    (K, 4) float32 tensor
        x0, y0, x1, y1, image frame.
    """
    device = index.device
    starts: list[int] = []
    total = 0
    for shape in shapes:
        starts.append(total)
        total += shape[0] * shape[1] * len(ratios)
    start = torch.tensor(starts, device=device)
    level = (index[:, None] >= start[None, :]).sum(1) - 1
    width = torch.tensor([shape[1] for shape in shapes], device=device)[level]
    stride = torch.tensor([float(shape[2]) for shape in shapes], device=device)[level]
    size = torch.tensor(sizes_px, device=device)[level]
    local = index - start[level]
    kind = local % len(ratios)
    cell = torch.div(local, len(ratios), rounding_mode="floor")
    row = torch.div(cell, width, rounding_mode="floor")
    column = cell - row * width
    x = (column.to(torch.float32) + 0.5) * stride - 0.5
    y = (row.to(torch.float32) + 0.5) * stride - 0.5
    root = torch.tensor([math.sqrt(ratio) for ratio in ratios], device=device)[kind]
    half_w, half_h = 0.5 * size / root, 0.5 * size * root
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], 1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return the (N, 4) deltas that turn ``anchors`` into ``boxes`` (both corners)."""
    anchor_size = anchors[:, 2:] - anchors[:, :2]
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0.1)
    shift = (boxes[:, 2:] + boxes[:, :2] - anchors[:, 2:] - anchors[:, :2]) * 0.5
    return torch.cat([shift / anchor_size, torch.log(size / anchor_size)], 1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Return the (N, 4) corner boxes for ``deltas`` on ``anchors``."""
    # exp(4.135) = 62: a box grows by no more than that, so that a wild delta stays finite.
    largest_log_growth = 4.135
    anchor_size = anchors[:, 2:] - anchors[:, :2]
    centre = (anchors[:, 2:] + anchors[:, :2]) * 0.5 + deltas[:, :2] * anchor_size
    half = 0.5 * torch.exp(deltas[:, 2:].clamp(max=largest_log_growth)) * anchor_size
    return torch.cat([centre - half, centre + half], 1)


def cut(boxes: Tensor, height: int, width: int) -> Tensor:
    """Cut corner ``boxes`` (..., 4) at the border of a picture of ``height`` x ``width`` px."""
    x = boxes[..., 0::2].clamp(min=-0.5, max=width - 0.5)
    y = boxes[..., 1::2].clamp(min=-0.5, max=height - 0.5)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], -1)
