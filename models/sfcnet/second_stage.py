"""Second stage: is the proposal a head, and where exactly (paper, section III-C4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.variant import Variant

ROI_SIZE = 7


def delta_scale(like: Tensor) -> Tensor:
    """Return the factors (4,) of the second stage's deltas, on the device of ``like``.

    These deltas are small: scaled up for the loss, as in Faster R-CNN.
    """
    return torch.tensor([10.0, 10.0, 5.0, 5.0], device=like.device)


class SecondStage(nn.Module):
    """Two fully connected layers on 7x7 bins, then class and box."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.second_channels
        self.body = nn.Sequential(
            nn.Linear(ROI_SIZE * ROI_SIZE * variant.pyramid_channels, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(width, 2)
        self.deltas = nn.Linear(width, 4)
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.deltas.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) (background, sperm) and scaled deltas (N, 4) of (N, 49, C)."""
        x = self.body(pooled.flatten(1))
        return self.classify(x), self.deltas(x)
