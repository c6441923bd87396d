"""UNet and UNet++ as MONAI wrote them (Apache 2.0); MONAI is needed for comparisons alone."""

from __future__ import annotations

import importlib

from torch import Tensor, nn

from models.errors import ModelError
from models.training.baselines.segmenter import OUTPUTS, Segmenter


class _First(nn.Module):
    """The first output of a network that returns a list: UNet++ without deep supervision."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)[0]
        return y


def _monai(name: str, features: tuple[int, ...]) -> nn.Module:
    try:
        nets = importlib.import_module("monai.networks.nets")
    except ImportError as error:
        raise ModelError(
            "baselines: MONAI is not installed; pip install monai, or leave UNet and UNet++ out"
        ) from error
    network: nn.Module = getattr(nets, name)(
        spatial_dims=2, in_channels=1, out_channels=OUTPUTS, features=features, norm="batch",
        act=("relu", {"inplace": True}),
    )  # fmt: skip
    return network


def unet(width: int = 12) -> Segmenter:
    """Return a UNet of five sizes (Ronneberger et al. 2015), ``width`` channels at the largest."""
    w = width
    return Segmenter(_monai("BasicUNet", (w, w, 2 * w, 4 * w, 8 * w, w)))


def unet_plus_plus(width: int = 8) -> Segmenter:
    """Return a UNet++ (Zhou et al. 2018), ``width`` channels at the largest size."""
    w = width
    body = _monai("BasicUNetPlusPlus", (w, w, 2 * w, 4 * w, 8 * w, w))
    # Classifiers of the shallower networks in it, which deep supervision alone would use.
    for depth in (1, 2, 3):
        setattr(body, f"final_conv_0_{depth}", nn.Identity())
    return Segmenter(_First(body))
