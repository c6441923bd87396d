"""Top-down link and multi-scale fusion (paper, section III-B4), with the part output.

The fusion resizes all outputs to one stage, concatenates them and classifies with one 1x1
convolution. A 1x1 convolution is linear over channels and bilinear resizing is linear over
pixels, so the two commute: here each output is classified at its own size and the few logits
are resized and added. The function is the same to rounding; the cost is a tenth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.layers import SubpixelConvolution, convolution
from models.sfcnet.variant import Variant


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Return ``x`` resized bilinearly to the height and width of ``like``."""
    size = [like.shape[2], like.shape[3]]
    if x.shape[2] == size[0] and x.shape[3] == size[1]:
        return x
    # In float32, which is resized twice as fast as bfloat16 on a processor.
    full = functional.interpolate(
        x.to(torch.float32), size=size, mode="bilinear", align_corners=False
    )
    return full.to(x.dtype)


class ResizedConvolution(nn.Module):
    """Bilinear resizing and a 3x3 after it, as the paper has it."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.body = convolution(source, target, 3, active=False)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """Return (B, target, H, W) at the size of ``like``."""
        y: Tensor = self.body(resized(x, like))
        return y


class LinkStage(nn.Module):
    """Brings the deeper output up to one guided stage: concatenate, 3x3, 1x1.

    A convolution of a concatenation is the sum of two convolutions; that spares the copy.
    """

    def __init__(self, deeper: int, stage: int, width: int, doubling: type[nn.Module]) -> None:
        super().__init__()
        self.across = convolution(stage, width, 3, active=False)
        self.down = doubling(deeper, width)
        self.activation = nn.ReLU(inplace=True)
        self.mix = convolution(width, width, 1)

    def forward(self, deeper: Tensor, stage: Tensor) -> Tensor:
        """Return (B, width, H, W) at the size of ``stage``."""
        joined = self.across(stage) + self.down(deeper, stage)
        y: Tensor = self.mix(self.activation(joined))
        return y


class TopDownLink(nn.Module):
    """From S5 down to S1."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        doubling = SubpixelConvolution if variant.subpixel_link else ResizedConvolution
        deeper = variant.channels[4]
        stages = []
        for i in (3, 2, 1, 0):
            width = variant.link_channels[i]
            stages.append(LinkStage(deeper, variant.channels[i], width, doubling))
            deeper = width
        self.stages = nn.ModuleList(stages)

    def forward(self, guided: list[Tensor], deepest: Tensor) -> list[Tensor]:
        """Return the linked outputs at S4, S3, S2, S1."""
        outputs: list[Tensor] = []
        x = deepest
        for i, stage in enumerate(self.stages):
            x = stage(x, guided[3 - i])
            outputs.append(x)
        return outputs


class MultiScaleFusion(nn.Module):
    """Class logits (background, normal, abnormal) and part logits at the resize stage."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.link = TopDownLink(variant)
        self.resize_stage = variant.resize_stage
        outputs = variant.classes + variant.parts
        widths = [variant.aspcp_channels, variant.channels[4], *reversed(variant.link_channels)]
        self.classifier = nn.ModuleList(
            nn.Conv2d(width, outputs, 1, bias=i == 0) for i, width in enumerate(widths)
        )

    def forward(
        self, guided: list[Tensor], deepest: Tensor, pyramid: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Fuse guided S1 to S4, S5 and ASPCP's output.

        Returns
        -------
        logits : (B, classes + parts, h, w) tensor
        outputs : list of 6 tensors
            What was fused: ASPCP, S5, then linked S4, S3, S2, S1.
        """
        outputs = [pyramid, deepest]
        outputs.extend(self.link(guided, deepest))
        # Outputs 0 and 1 are at S5, then S4, S3, S2, S1. Up by doubling, so that only one resize
        # is at the largest size; stages above the resize stage are brought down at once.
        total = torch.zeros(0)
        last = 6 - self.resize_stage
        for i, classify in enumerate(self.classifier):
            # Added in float32: more exact, and no slower.
            logits = classify(outputs[i]).to(torch.float32)
            if i == 0:
                total = logits
            elif i <= last:
                total = resized(total, logits).add_(logits)
            else:
                total = total + resized(logits, total)
        return total, outputs
