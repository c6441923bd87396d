"""Parameters and multiply-adds of the network, counted on the network itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.sfcnet.network import TASKS, SFCNet
from models.sfcnet.second_stage import ROI_SIZE
from models.sfcnet.sperm_windows import FIELDS, HEAD_SIDE, TAIL_COLUMNS, TAIL_ROWS
from models.sfcnet.variant import Variant

# What costs are quoted for: boxes that the second stage judges, sperm that the class head judges.
BOXES, SPERM = 100, 30


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one task at one input size.

    Attributes
    ----------
    params_m : float
        Parameters, millions, those of the normalisation among them: an archive has them merged into
        its convolutions.
    gmacs : float
        Multiply-adds of convolutions and fully connected layers, billions. What the suppression,
        ROIAlign, resizing and element-wise operations take is not counted, as is usual.
    """

    params_m: float
    gmacs: float


def count(
    variant: Variant,
    task: str,
    *,
    height_px: int | None = None,
    width_px: int | None = None,
    boxes: int = BOXES,
    parts: Collection[str] = (),
    sperm: int = SPERM,
) -> Cost:
    """Count one task of a variant.

    Parameters
    ----------
    height_px, width_px : int, optional
        Input size; the variant's own when left out.
    boxes : int
        Proposals that the second stage judges.
    parts : collection of str
        What is attached beside the tasks: names of modules or weights, of which ``class_head`` and
        ``head_pointers`` count where the task can have them.
    sperm : int
        Sperm that a class head judges.
    """
    height = height_px or variant.input_px[0]
    width = width_px or variant.input_px[1]
    macs = [0]

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            taps = module.kernel_size[0] * module.kernel_size[1]
            macs[0] += output.numel() * taps * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            macs[0] += output.numel() * module.in_features

    # On the meta device nothing is computed, only shapes: r50 takes milliseconds.
    with torch.device("meta"), torch.no_grad():
        network = SFCNet(variant, task)
        network.attach_as_in(parts)
        network.eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(add)
        network(torch.zeros(1, 1, height, width))
        if network.detection is not None:
            network.detection.second(
                torch.zeros(boxes, ROI_SIZE * ROI_SIZE, variant.pyramid_channels)
            )
        if network.class_head is not None:
            network.class_head.favour(
                torch.zeros(sperm, FIELDS, TAIL_ROWS, TAIL_COLUMNS),
                torch.zeros(sperm, FIELDS, HEAD_SIDE, HEAD_SIDE),
            )
    parameters = sum(p.numel() for p in network.parameters())
    return Cost(parameters / 1e6, macs[0] / 1e9)


def count_all(
    variant: Variant,
    *,
    height_px: int | None = None,
    width_px: int | None = None,
    boxes: int = BOXES,
    parts: Collection[str] = (),
    sperm: int = SPERM,
) -> dict[str, Cost]:
    """Return the cost of each task, as ``count``; ``joint`` is both on the shared encoder."""
    return {
        task: count(
            variant, task, height_px=height_px, width_px=width_px, boxes=boxes, parts=parts,
            sperm=sperm,
        )
        for task in TASKS
    }  # fmt: skip
