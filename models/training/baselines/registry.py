"""Candidates by the names that the paper's tables give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.sfcnet.losses import LossSettings, Target
from models.sfcnet.variant import LITE, Variant
from models.training.baselines.deeplab import deeplab_v3_plus
from models.training.baselines.hrnet import hrnet
from models.training.baselines.retinanet import RetinaNet
from models.training.baselines.sfcnet import SFCNetCandidate
from models.training.baselines.unet import unet, unet_plus_plus

SEGMENTERS = ("UNet", "UNet++", "DeepLabV3+", "HRNet")
DETECTORS = ("Faster R-CNN", "RetinaNet")
SFCNET = "SFCNet"


class Candidate(Protocol):
    """What is trained and scored: any network of this package."""

    def losses(self, image: Tensor, target: Target, settings: LossSettings) -> dict[str, Tensor]:
        """Return the losses of a batch (B, 1, H, W), by name."""
        ...

    def found(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (N, 5) of boxes and scores, and logits, of one picture."""
        ...


_PLAIN: dict[str, Callable[[], nn.Module]] = {
    "UNet": unet,
    "UNet++": unet_plus_plus,
    "DeepLabV3+": deeplab_v3_plus,
    "HRNet": hrnet,
    "RetinaNet": RetinaNet,
    "Faster R-CNN": lambda: SFCNetCandidate(LITE, "detect", attention=False),
}


def candidate(name: str, task: str = "joint", variant: Variant = LITE) -> nn.Module:
    """Return an untrained candidate at reduced width.

    Parameters
    ----------
    name : str
        'SFCNet', or one of ``SEGMENTERS`` and ``DETECTORS``, whose task their name says.
    task : {'joint', 'detect', 'segment'}
        Of SFCNet.
    variant : Variant
        Of SFCNet: what an ablation changes.

    Raises
    ------
    ModelError
        A name that is not known, or a library that is missing.
    """
    if name == SFCNET:
        return SFCNetCandidate(variant, task)
    if name not in _PLAIN:
        known = ", ".join((SFCNET, *_PLAIN))
        raise ModelError(f"candidate '{name}' is unknown; choose {known}")
    return _PLAIN[name]()


def cost(network: nn.Module, height_px: int = 480, width_px: int = 640) -> tuple[float, float]:
    """Return parameters (millions) and multiply-adds (billions) of one picture.

    Of convolutions and fully connected layers; of SFCNet's second stage, what its proposals on an
    empty picture take.
    """
    macs = [0]

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.ConvTranspose2d):
            macs[0] += inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d):
            macs[0] += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            macs[0] += output.numel() * module.in_features

    hooks = [m.register_forward_hook(add) for m in network.modules()]
    training = network.training
    with torch.no_grad():
        network.eval()
        network.found(torch.full((1, 1, height_px, width_px), 128.0))  # type: ignore[operator]
    network.train(training)
    for hook in hooks:
        hook.remove()
    return sum(p.numel() for p in network.parameters()) / 1e6, macs[0] / 1e9
