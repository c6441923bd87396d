"""Exponential moving average of a network's weights: what is exported."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class AverageWeights(Generic[NetworkT]):
    """Follows a network; statistics of the normalisation are averaged too.

    Parameters
    ----------
    network : nn.Module
    decay : float
        Share of the old average kept at each step, lower during the first steps.
    """

    def __init__(self, network: NetworkT, decay: float) -> None:
        self.network: NetworkT = copy.deepcopy(network).eval()
        self.decay = decay
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Take one step towards ``network``."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [mine[name] for name in floating], [theirs[name] for name in floating], 1.0 - decay
        )
        for name, value in mine.items():
            if not value.is_floating_point():
                value.copy_(theirs[name])
