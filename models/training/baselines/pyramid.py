"""A plain feature pyramid (Lin et al. 2017): 1x1 laterals, without attention."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.variant import Variant


class FeaturePyramid(nn.Module):
    """P2 to P6 from S2 to S5, in the place of SFCNet's attention pyramid."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width = variant.pyramid_channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in variant.stage_channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(4))

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Return P2 to P6, each (B, pyramid_channels, H / 2**k, W / 2**k), of S1 to S5."""
        merged = [lateral(x) for lateral, x in zip(self.lateral, stages[1:], strict=True)]
        for k in (2, 1, 0):
            size = [merged[k].shape[2], merged[k].shape[3]]
            merged[k] = merged[k] + functional.interpolate(merged[k + 1], size=size)
        levels = [smooth(x) for smooth, x in zip(self.smooth, merged, strict=True)]
        return [*levels, functional.max_pool2d(levels[3], 1, 2)]
