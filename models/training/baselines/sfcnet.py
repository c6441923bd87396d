"""SFCNet, and Faster R-CNN as SFCNet without its attention, as candidates."""

from __future__ import annotations

from torch import Tensor, nn

from models.sfcnet.inference import Inference
from models.sfcnet.losses import LossSettings, Target, total_losses
from models.sfcnet.network import SFCNet
from models.sfcnet.variant import Variant
from models.training.baselines.pyramid import FeaturePyramid
from models.training.beginning import begin_even


class SFCNetCandidate(nn.Module):
    """SFCNet of a variant for a task.

    Parameters
    ----------
    variant : Variant
    task : {'joint', 'detect', 'segment'}
    attention : bool
        False puts a plain feature pyramid (Lin et al. 2017) in the place of the lateral attention:
        Faster R-CNN.
    """

    def __init__(self, variant: Variant, task: str, *, attention: bool = True) -> None:
        super().__init__()
        self.network = SFCNet(variant, task)
        begin_even(self.network)
        if not attention and self.network.detection is not None:
            self.network.detection.pyramid = FeaturePyramid(variant)  # type: ignore[assignment]
        self.inference = Inference(self.network)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the network says of grey levels (B, 1, H, W)."""
        outputs: dict[str, Tensor] = self.network(image)
        return outputs

    def losses(self, image: Tensor, target: Target, settings: LossSettings) -> dict[str, Tensor]:
        """Return the losses of a batch, by name."""
        return total_losses(self.network, self(image), target, settings)

    def found(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (300, 5), or (0, 5) without detection, and logits, which may be empty."""
        rows, logits, _ = self.inference(image)
        return rows.reshape(-1, 5), logits
