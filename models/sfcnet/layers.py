"""The three building blocks that every module of the network uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def convolution(
    source: int, target: int, size: int = 3, stride: int = 1, rate: int = 1, active: bool = True
) -> nn.Sequential:
    """Return a convolution, batch normalisation and, if ``active``, a ReLU. Size is kept."""
    padding = rate * (size // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(source, target, size, stride, padding, dilation=rate, bias=False),
        nn.BatchNorm2d(target),
    ]
    if active:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    """Channel attention from the global mean (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of ``x`` (B, C, H, W)."""
        weight = x.mean((2, 3), keepdim=True)
        weight = torch.relu(self.squeeze(weight))
        return x * torch.sigmoid(self.excite(weight))


class StochasticDepth(nn.Module):
    """Drops whole samples of a residual in training (Huang et al. 2016); the identity otherwise."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = float(probability)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, or zero for some of its samples."""
        if self.training and self.probability > 0.0:
            keep = 1.0 - self.probability
            mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype) < keep
            return x * mask.to(x.dtype) / keep
        return x
