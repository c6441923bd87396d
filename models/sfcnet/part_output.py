"""The part output: head, midpiece and tail of every pixel, beside the paper's classes.

The paper tells head from tail by the shape of what it segmented (its ref. [34]). Here the fused
features say it themselves: the last planes of the fusion's one classifier are the part output, at
the price of four more planes of a 1x1. It learns where the data has parts, as the specimen model
does; where they are not known (losses.UNKNOWN) it learns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def class_planes(logits: Tensor, classes: int) -> Tensor:
    """Return the planes of background, normal and abnormal of (B, classes + parts, h, w)."""
    return logits[:, :classes]


def part_planes(logits: Tensor, classes: int) -> Tensor:
    """Return the planes of no part, head, midpiece and tail."""
    return logits[:, classes:]


def part_loss(logits: Tensor, part_map: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the cross-entropy of the part output on the pixels whose part is known.

    Parameters
    ----------
    logits : (B, parts, H, W) tensor
    part_map : (B, H, W) int64 tensor
        SpermPart of each pixel; losses.UNKNOWN where it is not known.
    weights : sequence of float
        Of each part: a midpiece is few pixels.
    """
    return functional.cross_entropy(logits, part_map, logits.new_tensor(weights))
