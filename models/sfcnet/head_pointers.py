"""Where the head of each pixel's sperm is: every place of a tail points at it.

The paper has no such output: there, as in the class map, a pixel does not know whose it is, and
where tails cross or are seen in pieces the nearest head along the pixels is often another's. Here
each place says how far it is from its own head (as in Panoptic-DeepLab, Cheng et al. 2020, whose
pixels point at the centre of their instance); ``whole_sperm`` gives the pixel to the head that is
found there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.fusion import resized
from models.sfcnet.variant import Variant

# What the convolutions say is in this unit, so that it is of the size of the other outputs.
UNIT_PX = 32.0
# Below so many units an error counts by its square (Huber).
_NEAR = 0.1


class HeadPointers(nn.Module):
    """A 1x1 on each output of the segmentation down to S2, resized and added."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.unit_px = UNIT_PX
        widths = [variant.aspcp_channels, variant.channels[4], *reversed(variant.link_channels[1:])]
        self.pointers = nn.ModuleList(
            nn.Conv2d(width, 2, 1, bias=i == 0) for i, width in enumerate(widths)
        )

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """Return (B, 2, H / 4, W / 4): x and y of the head as seen from each cell, px.

        ``outputs`` are those of ``MultiScaleFusion``: ASPCP, S5, then linked S4, S3, S2, S1.
        """
        total = torch.zeros(0)
        for i, pointer in enumerate(self.pointers):
            said = pointer(outputs[i]).to(torch.float32)
            total = said if i == 0 else resized(total, said).add_(said)
        return total.mul(self.unit_px)


def pointer_loss(pointers: Tensor, to_head_px: Tensor) -> Tensor | None:
    """Return how far pointers lead from the heads, in UNIT_PX (Huber), mean over the known pixels.

    Parameters
    ----------
    pointers : (B, 2, h, w) tensor, px
    to_head_px : (B, 2, H, W) tensor, px
        From each pixel of a sperm to the middle of its head; NaN elsewhere and where not known.
    """
    size = [to_head_px.shape[2], to_head_px.shape[3]]
    full = functional.interpolate(pointers, size=size, mode="bilinear", align_corners=False)
    known = torch.isfinite(to_head_px[:, 0])
    if not bool(known.any()):
        return None
    said = full.permute(0, 2, 3, 1)[known] / UNIT_PX
    true = to_head_px.permute(0, 2, 3, 1)[known] / UNIT_PX
    return functional.smooth_l1_loss(said, true, beta=_NEAR)
