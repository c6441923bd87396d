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
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of ``x`` (B, C, H, W)."""
        # Rows first: a plain mean over both takes four times as long, channels last.
        batch, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch, height, width * channels).sum(1)
        mean = rows.reshape(batch, width, channels).sum(1) / float(height * width)
        weight = torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))
        scaled: Tensor = x * weight[:, :, None, None]
        return scaled


class SubpixelConvolution(nn.Module):
    """Doubles height and width: a 3x3 for each quarter of a pixel (Shi et al. 2016).

    Whatever bilinear doubling and a 3x3 after it compute, one 3x3 at the small size for each of
    the four places computes too, but for the outermost row: it sees the same 3x3 small pixels.
    """

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.body = convolution(source, 4 * target, 3, active=False)

    def start_equal(self) -> None:
        """Make the four kernels equal: no chequerboard to be unlearnt (Aitken et al. 2017)."""
        kernel: Tensor = self.body[0].weight  # type: ignore[assignment]
        with torch.no_grad():
            kernel.copy_(kernel[: kernel.shape[0] // 4].repeat(4, 1, 1, 1))

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Return (B, target, 2 H, 2 W), which must be the size of ``like``."""
        y: Tensor = self.body(x).permute(0, 2, 3, 1)
        batch, height, width, channels = y.shape
        y = y.reshape(batch, height, width, 2, 2, channels // 4).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(batch, 2 * height, 2 * width, channels // 4)
        return y.permute(0, 3, 1, 2)


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
