"""DeepLabV3+ (Chen et al. 2018) on SFCNet's encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.aspcp import AtrousPyramid
from models.sfcnet.encoder import Bottleneck, Encoder
from models.sfcnet.fusion import resized
from models.sfcnet.layers import convolution
from models.sfcnet.variant import LITE, Variant
from models.training.baselines.segmenter import OUTPUTS, Segmenter


class DeepLabV3Plus(nn.Module):
    """Atrous pyramid at a sixteenth of the size, joined with S2 by a decoder at a quarter."""

    def __init__(self, variant: Variant = LITE) -> None:
        super().__init__()
        self.encoder = Encoder(variant)
        _dilate(self.encoder.stages[3])
        self.pyramid = AtrousPyramid(variant)
        width = variant.aspcp_channels
        shallow = max(width // 4, 8)
        self.shallow = convolution(variant.channels[1], shallow, 1)
        self.decoder = nn.Sequential(
            convolution(width + shallow, width), convolution(width, width),
            nn.Conv2d(width, OUTPUTS, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, 7, H / 4, W / 4)."""
        stages = self.encoder(x)
        near = self.shallow(stages[1])
        far = resized(self.pyramid(stages[4]), near)
        y: Tensor = self.decoder(torch.cat([far, near], 1))
        return y


def _dilate(stage: nn.Module) -> None:
    """Keep the size of S4 in S5: rates of two instead of a stride of two."""
    for block in stage.modules():
        if isinstance(block, Bottleneck):
            for convolved in block.modules():
                if isinstance(convolved, nn.Conv2d):
                    convolved.stride = (1, 1)
                    if convolved.kernel_size == (3, 3):
                        convolved.dilation = convolved.padding = (2, 2)


def deeplab_v3_plus(variant: Variant = LITE) -> Segmenter:
    """Return DeepLabV3+ at the width of a variant."""
    return Segmenter(DeepLabV3Plus(variant))
