"""Collateral multi-scale convolution (paper, section III-B1): a bottleneck beside each stage."""

from __future__ import annotations

from torch import Tensor, nn

from models.sfcnet.layers import SqueezeExcitation, convolution
from models.sfcnet.variant import Variant


class CollateralBottleneck(nn.Module):
    """1x1, 3x3, squeeze-excitation, 1x1 with a skip connection."""

    def __init__(self, channels: int, factor: float, squeeze: int) -> None:
        super().__init__()
        hidden = max(int(channels * factor), 4)
        self.body = nn.Sequential(
            convolution(channels, hidden, 1),
            convolution(hidden, hidden, 3),
            SqueezeExcitation(hidden, squeeze),
            convolution(hidden, channels, 1, active=False),
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H, W)."""
        y: Tensor = self.activation(x + self.body(x))
        return y


class CollateralConvolution(nn.Module):
    """One bottleneck on each of S1 to S4, side by side."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            CollateralBottleneck(channels, factor, variant.squeeze)
            for channels, factor in zip(
                variant.channels[:4], variant.collateral_factor, strict=True
            )
        )

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Return branches 1 to 4 of S1 to S5."""
        outputs: list[Tensor] = []
        for i, branch in enumerate(self.branches):
            outputs.append(branch(stages[i]))
        return outputs
