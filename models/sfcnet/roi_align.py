"""ROIAlign over all levels of a pyramid with one gather, in scriptable torch (He et al. 2017).

Image coordinates have their origin at the centre of the top-left pixel, so image coordinate u
lies at (u + 0.5) / stride - 0.5 of a feature map. Samples outside the map take its border's
value.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def level_of(boxes: Tensor, levels: int) -> Tensor:
    """Return the pyramid level (0 is P2) of corner boxes (N, 4) by their size (Lin et al. 2017)."""
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=1.0)
    level = torch.floor(2.0 + torch.log2(torch.sqrt(area) / 224.0) + 1e-6)
    return level.clamp(0, levels - 1).to(torch.int64)


def roi_align(
    levels: list[Tensor], strides: list[int], boxes: Tensor, level: Tensor, size: int, samples: int
) -> Tensor:
    """Pool each box from its level.

    Parameters
    ----------
    levels : list of (C, H_k, W_k) tensors
    strides : list of int
        Image pixels per cell of each level.
    boxes : (N, 4) tensor
        Corner boxes in image coordinates.
    level : (N,) int64 tensor
        Row of ``levels`` for each box.
    size, samples : int
        Bins a side; samples a side in a bin.

    Returns
    -------
    (N, size * size, C) tensor
        Bins row by row.
    """
    channels = levels[0].shape[0]
    count = boxes.shape[0]
    rows: list[Tensor] = []
    shape: list[list[int]] = []
    start = 0
    for k, feature in enumerate(levels):
        rows.append(feature.permute(1, 2, 0).reshape(-1, channels))
        shape.append([feature.shape[1], feature.shape[2], strides[k], start])
        start += feature.shape[1] * feature.shape[2]
    table = torch.cat(rows, 0)
    facts = torch.tensor(shape, device=boxes.device, dtype=boxes.dtype)[level]

    points = size * samples
    offset = (torch.arange(points, device=boxes.device, dtype=boxes.dtype) + 0.5) / points
    span_x = (boxes[:, 2] - boxes[:, 0])[:, None]
    span_y = (boxes[:, 3] - boxes[:, 1])[:, None]
    height, width, stride, first = facts[:, 0:1], facts[:, 1:2], facts[:, 2:3], facts[:, 3:4]
    x = (boxes[:, 0:1] + offset * span_x + 0.5) / stride - 0.5
    y = (boxes[:, 1:2] + offset * span_y + 0.5) / stride - 0.5
    x = torch.minimum(x.clamp(min=0.0), width - 1.0)
    y = torch.minimum(y.clamp(min=0.0), height - 1.0)
    left, top = torch.floor(x), torch.floor(y)
    right = torch.minimum(left + 1.0, width - 1.0)
    bottom = torch.minimum(top + 1.0, height - 1.0)
    part_x, part_y = (x - left)[:, None, :], (y - top)[:, :, None]

    # Row numbers stay below 2**24, so float32 holds them exactly.
    upper = (first + top * width)[:, :, None]
    lower = (first + bottom * width)[:, :, None]
    left, right = left[:, None, :], right[:, None, :]
    corners = torch.stack([upper + left, upper + right, lower + left, lower + right], 3)
    weights = torch.stack(
        [
            (1.0 - part_y) * (1.0 - part_x),
            (1.0 - part_y) * part_x,
            part_y * (1.0 - part_x),
            part_y * part_x,
        ],
        3,
    )
    # A bag is one sample: the weighted sum of its four corners, gathered and added in one pass.
    pooled = functional.embedding_bag(
        corners.reshape(-1, 4).to(torch.int64),
        table,
        mode="sum",
        per_sample_weights=weights.reshape(-1, 4).to(table.dtype),
    )
    if samples > 1:
        pooled = pooled.reshape(count, size, samples, size, samples, channels).mean((2, 4))
    return pooled.reshape(count, size * size, channels)
