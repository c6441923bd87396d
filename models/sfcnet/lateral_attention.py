"""Lateral attention with squeeze-excitation and the pyramid on it (paper, section III-C1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.layers import SqueezeExcitation, convolution
from models.sfcnet.variant import Variant


class LateralAttention(nn.Module):
    """3x3 to the pyramid's width, squeeze-excitation, 1x1."""

    def __init__(self, source: int, width: int, squeeze: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(source, width, 3),
            SqueezeExcitation(width, squeeze),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        y: Tensor = self.body(x)
        return y


class AttentionPyramid(nn.Module):
    """P_k = LAttn_k + upsampled P_k+1, smoothed by a 3x3; P6 is P5 pooled."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.pyramid_channels
        self.lateral = nn.ModuleList(
            LateralAttention(channels, width, variant.squeeze)
            for channels in reversed(variant.stage_channels)
        )
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(4))

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Return P2 to P6, each (B, pyramid_channels, H / 2**k, W / 2**k), of S1 to S5."""
        merged: list[Tensor] = []
        for i, lateral in enumerate(self.lateral):
            x = lateral(stages[4 - i])
            if i > 0:
                size = [x.shape[2], x.shape[3]]
                x = x.add_(functional.interpolate(merged[i - 1], size=size, mode="nearest"))
            merged.append(x)
        levels: list[Tensor] = []
        for i, smooth in enumerate(self.smooth):
            levels.append(smooth(merged[i]))
        return [
            levels[3],
            levels[2],
            levels[1],
            levels[0],
            functional.max_pool2d(levels[0], 1, 2),
        ]
