"""Cross-scale feature guide (paper, section III-B2, equation 1).

guided_j = branch_j + sum over i < j of f_ij(guided_i), with i from ``guide_start`` to 3 and j up
to 4, taken from the shallowest stage on. f_ij is (j - i) blocks of a strided 3x3 and a 1x1.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.sfcnet.layers import StochasticDepth, convolution
from models.sfcnet.variant import Variant


def guide_link(source: int, target: int, steps: int, drop: float) -> nn.Sequential:
    """Return f_ij: channels stay the source's until the last block takes the target's."""
    layers: list[nn.Module] = []
    for step in range(steps):
        width = target if step == steps - 1 else source
        layers.append(convolution(source, width, 3, 2))
        layers.append(convolution(width, width, 1))
    layers.append(StochasticDepth(drop))
    return nn.Sequential(*layers)


class GuidedStage(nn.Module):
    """All links into one stage."""

    def __init__(self, links: list[nn.Sequential]) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)

    def forward(self, branch: Tensor, guided: list[Tensor]) -> Tensor:
        """Add what the shallower stages send to ``branch``."""
        for i, link in enumerate(self.links):
            branch = branch + link(guided[i])
        return branch


class CrossScaleGuide(nn.Module):
    """Shallow, large features guide the deeper stages up to S4; S5 is not guided."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.start = variant.guide_start
        channels = variant.channels
        pairs = [(i, j) for j in range(self.start + 1, 5) for i in range(self.start, j)]
        drop = {
            pair: variant.guide_drop * n / max(len(pairs) - 1, 1) for n, pair in enumerate(pairs)
        }
        self.targets = nn.ModuleList(
            GuidedStage(
                [
                    guide_link(channels[i - 1], channels[j - 1], j - i, drop[i, j])
                    for i in range(self.start, j)
                ]
            )
            for j in range(self.start + 1, 5)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Return guided stages 1 to 4; those below the start come back as they are."""
        outputs: list[Tensor] = []
        for i in range(self.start):
            outputs.append(branches[i])
        guided = [branches[self.start - 1]]
        for i, target in enumerate(self.targets):
            stage = target(branches[self.start + i], guided)
            guided.append(stage)
            outputs.append(stage)
        return outputs
