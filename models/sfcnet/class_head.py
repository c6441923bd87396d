"""Says of each head found whether its sperm is normal, from its outline and its tail.

The paper has no such module: there, as in the maps here, every pixel has a class of its own. A
sperm is abnormal by its head or by its tail, which is up to 100 px long, so the class of a sperm
is decided here on two windows that are laid along it (``sperm_windows``). Its vote goes to the
whole sperm (``whole_sperm``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.sfcnet.layers import convolution
from models.sfcnet.sperm_windows import FIELDS, HEAD_SIDE, TAIL_COLUMNS, TAIL_ROWS, SpermWindows
from models.sfcnet.variant import Variant

# What else is taught, because it says why: kind of head, kind of tail, length of the tail.
HEAD_KINDS, TAIL_KINDS = 6, 6
LESSONS = HEAD_KINDS + TAIL_KINDS + 1
TAIL_CHANNELS, HEAD_CHANNELS, HIDDEN = (16, 32, 48, 64), (16, 32, 48), 96
DROPOUT = 0.2


class ClassHead(nn.Module):
    """Two small stacks of convolutions, one for the tail and one for the head."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.windows = SpermWindows(variant.classes)
        first, second, third, fourth = TAIL_CHANNELS
        self.tail = nn.Sequential(
            convolution(FIELDS, first, 3, 2), convolution(first, second, 3, 2),
            convolution(second, third), convolution(third, fourth, 3, 2),
        )  # fmt: skip
        a, b, c = HEAD_CHANNELS
        self.head = nn.Sequential(
            convolution(FIELDS, a, 3, 2), convolution(a, b, 3, 2), convolution(b, c),
            convolution(c, c, 3, 2),
        )  # fmt: skip
        # Sides are halved, rounded up, three times. Convolutions without padding, not fully
        # connected layers: oneDNN keeps their weights laid out. A sum, as of a concatenation.
        size = -(-TAIL_ROWS // 8), -(-TAIL_COLUMNS // 8)
        self.from_tail = nn.Conv2d(fourth, HIDDEN, size)
        self.from_head = nn.Conv2d(c, HIDDEN, -(-HEAD_SIDE // 8))
        self.activation = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(DROPOUT)
        self.classify = nn.Linear(HIDDEN, 2)
        self.lessons = nn.Linear(HIDDEN, LESSONS)

    def forward(self, tail: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
        """Judge windows.

        Parameters
        ----------
        tail, head : as ``SpermWindows`` returns them

        Returns
        -------
        logits : (N, 2) tensor
            Normal, abnormal.
        lessons : (N, LESSONS) tensor
            Logits of the kinds of head and of tail, and the length of the tail in units of 50 px.
        """
        features = self.drop(self.features(tail, head))
        return self.classify(features), self.lessons(features)

    def features(self, tail: Tensor, head: Tensor) -> Tensor:
        """Return (N, HIDDEN) of windows."""
        y = self.from_tail(self.tail(tail)) + self.from_head(self.head(head))
        joined: Tensor = self.activation(y).flatten(1)
        return joined

    @torch.jit.export
    def favour(self, tail: Tensor, head: Tensor) -> Tensor:
        """Return by how much (N,) normal is likelier than abnormal, as a difference of logits."""
        precision: torch.dtype = self.from_tail.weight.dtype
        logits: Tensor = self.classify(self.features(tail.to(precision), head.to(precision)))
        return (logits[:, 0] - logits[:, 1]).to(torch.float32)
