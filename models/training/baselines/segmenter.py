"""A network that segments, with the interface by which candidates are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.losses import LossSettings, Target, segmentation_losses
from models.sfcnet.network import normalise
from models.sfcnet.variant import LITE

# Classes and parts: every candidate learns what SFCNet learns.
OUTPUTS = LITE.classes + LITE.parts


class Segmenter(nn.Module):
    """Wraps a body that turns (B, 1, H, W) into logits (B, 7, h, w)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of grey levels (B, 1, H, W)."""
        y: Tensor = self.body(normalise(image))
        return y

    def losses(self, image: Tensor, target: Target, settings: LossSettings) -> dict[str, Tensor]:
        """Return the losses of a batch, by name."""
        return segmentation_losses(self(image), target, settings)

    def found(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return no boxes (0, 5), and logits (1, 7, h, w)."""
        return torch.zeros(0, 5), self(image).float()
