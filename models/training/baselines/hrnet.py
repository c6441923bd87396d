"""HRNet (Wang et al. 2020): branches of four sizes side by side that exchange after each stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.encoder import Bottleneck
from models.sfcnet.fusion import resized
from models.sfcnet.layers import convolution
from models.training.baselines.segmenter import OUTPUTS, Segmenter


class BasicBlock(nn.Module):
    """Two 3x3 with a skip connection (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(width, width), convolution(width, width, active=False)
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, H, W)."""
        y: Tensor = self.activation(x + self.body(x))
        return y


class Exchange(nn.Module):
    """Every branch receives every other: down by strided 3x3, up by 1x1 and resizing."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.rows = nn.ModuleList(
            nn.ModuleList(self._way(widths, i, j) for i in range(len(widths)))
            for j in range(len(widths))
        )
        self.activation = nn.ReLU()

    @staticmethod
    def _way(widths: list[int], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source > target:
            return convolution(widths[source], widths[target], 1, active=False)
        steps = target - source
        return nn.Sequential(*(
            convolution(widths[source], widths[target if last else source], 3, 2, active=not last)
            for last in (k == steps - 1 for k in range(steps))
        ))  # fmt: skip

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Return the branches, each at its own size."""
        outputs: list[Tensor] = []
        for j, row in enumerate(self.rows):
            if not isinstance(row, nn.ModuleList):
                raise TypeError("a row of an exchange is a list of ways")
            arriving = [resized(way(x), branches[j]) for way, x in zip(row, branches, strict=True)]
            outputs.append(self.activation(torch.stack(arriving).sum(0)))
        return outputs


class HRNet(nn.Module):
    """Stem to a quarter of the size, then two, three and four branches; all are joined at the end.

    Parameters
    ----------
    width : int
        Channels of the largest branch; each smaller one has twice as many.
    blocks : int
        Blocks of each branch in each stage.
    """

    def __init__(self, width: int = 12, blocks: int = 2) -> None:
        super().__init__()
        widths = [width * 2**k for k in range(4)]
        self.stem = nn.Sequential(
            convolution(1, width, 3, 2), convolution(width, width, 3, 2),
            Bottleneck(width, 2 * width, width // 2, 1), convolution(2 * width, width),
        )  # fmt: skip
        self.widen = nn.ModuleList(convolution(widths[k], widths[k + 1], 3, 2) for k in range(3))
        self.stages = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(*(BasicBlock(w) for _ in range(blocks))) for w in widths[: k + 2]
            )
            for k in range(3)
        )
        self.exchanges = nn.ModuleList(Exchange(widths[: k + 2]) for k in range(3))
        total = sum(widths)
        self.head = nn.Sequential(convolution(total, total, 1), nn.Conv2d(total, OUTPUTS, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 7, H / 4, W / 4)."""
        branches: list[Tensor] = [self.stem(x)]
        for widen, stage, exchange in zip(self.widen, self.stages, self.exchanges, strict=True):
            branches.append(widen(branches[-1]))
            if not isinstance(stage, nn.ModuleList):
                raise TypeError("a stage is a list of branches")
            branches = [branch(x) for branch, x in zip(stage, branches, strict=True)]
            branches = exchange(branches)
        joined = torch.cat([resized(branch, branches[0]) for branch in branches], 1)
        y: Tensor = self.head(joined)
        return y


def hrnet(width: int = 12) -> Segmenter:
    """Return HRNet."""
    return Segmenter(HRNet(width))
