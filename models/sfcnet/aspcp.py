"""Atrous spatial pyramid convolution with pooling, on S5 (paper, section III-B3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.layers import convolution
from models.sfcnet.variant import Variant


class AtrousPyramid(nn.Module):
    """A 1x1, three atrous 3x3 and global average pooling, concatenated; then a 1x1."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        source, width = variant.channels[4], variant.aspcp_channels
        self.branches = nn.ModuleList([convolution(source, width, 1)])
        for rate in variant.aspcp_rates:
            self.branches.append(convolution(source, width, 3, rate=rate))
        # No normalisation on the pooled branch: it has one value per channel and sample.
        self.pooled = nn.Sequential(nn.Conv2d(source, width, 1), nn.ReLU(inplace=True))
        self.projection = convolution(5 * width, width, 1)
        self.dropout = nn.Dropout(variant.aspcp_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, aspcp_channels, H, W) of S5."""
        outputs: list[Tensor] = []
        for branch in self.branches:
            outputs.append(branch(x))
        pooled = self.pooled(x.mean((2, 3), keepdim=True))
        outputs.append(pooled.expand(-1, -1, x.shape[2], x.shape[3]))
        y: Tensor = self.dropout(self.projection(torch.cat(outputs, 1)))
        return y
