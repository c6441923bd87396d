"""SFCNet: an encoder that two tasks share, the segmentation and the detection on it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.sfcnet.aspcp import AtrousPyramid
from models.sfcnet.class_head import ClassHead
from models.sfcnet.collateral import CollateralConvolution
from models.sfcnet.encoder import Encoder
from models.sfcnet.fusion import MultiScaleFusion
from models.sfcnet.guide import CrossScaleGuide
from models.sfcnet.head_pointers import HeadPointers
from models.sfcnet.lateral_attention import AttentionPyramid
from models.sfcnet.layers import SubpixelConvolution
from models.sfcnet.proposals import ProposalHead
from models.sfcnet.roi_align import level_of, roi_align
from models.sfcnet.second_stage import ROI_SIZE, SecondStage
from models.sfcnet.variant import Variant

TASKS = ("joint", "detect", "segment")
STRIDES = (4, 8, 16, 32, 64)
_CLASS_HEAD, _HEAD_POINTERS = "class_head.", "head_pointers."


def normalise(image: Tensor) -> Tensor:
    """Return the contrast of grey levels (B, 1, H, W) against each picture's own mean."""
    # Contrast is what carries meaning; 4 brings a head's to about 1.
    scale = 4.0
    image = image.to(torch.float32)
    mean = image.mean((1, 2, 3), keepdim=True)
    # In place: less memory is touched than with a new picture for every operation.
    return (image - mean).div_(mean.clamp(min=1.0)).mul_(scale)


class Segmentation(nn.Module):
    """Collateral convolution, cross-scale guide, ASPCP and fusion."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.collateral = CollateralConvolution(variant)
        self.guide = CrossScaleGuide(variant)
        self.aspcp = AtrousPyramid(variant)
        self.fusion = MultiScaleFusion(variant)

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return logits (B, classes + parts, h, w) at the resize stage, and what was fused."""
        guided = self.guide(self.collateral(stages))
        logits, outputs = self.fusion(guided, stages[4], self.aspcp(stages[4]))
        return logits, outputs


class Detection(nn.Module):
    """Attention pyramid, proposals and second stage."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.pyramid = AttentionPyramid(variant)
        self.proposals = ProposalHead(variant)
        self.second = SecondStage(variant)
        self.roi_samples = variant.roi_samples
        self.roi_size = ROI_SIZE

    def forward(self, stages: list[Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return P2 to P6, objectness (B, N) and deltas (B, N, 4)."""
        levels = self.pyramid(stages)
        objectness, deltas = self.proposals(levels)
        return levels, objectness, deltas

    @torch.jit.export
    def judge(self, levels: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Run the second stage on corner ``boxes`` (N, 4) of one picture.

        ``levels`` are P2 to P5 of that picture, (C, H, W).
        """
        logits, deltas = self.second(self.pool(levels, boxes))
        return logits, deltas

    @torch.jit.export
    def pool(self, levels: list[Tensor], boxes: Tensor) -> Tensor:
        """Return what the second stage sees of each of ``boxes``: (N, bins, C)."""
        return roi_align(
            levels, [4, 8, 16, 32], boxes, level_of(boxes, 4), self.roi_size, self.roi_samples
        )


class SFCNet(nn.Module):
    """The network of one variant for one task, or for both on a shared encoder.

    Parameters
    ----------
    variant : Variant
    task : {'joint', 'detect', 'segment'}
    """

    def __init__(self, variant: Variant, task: str = "joint") -> None:
        super().__init__()
        if task not in TASKS:
            raise ModelError(f"network task '{task}' is unknown; choose {', '.join(TASKS)}")
        self.variant = variant
        self.task = task
        self.encoder = Encoder(variant)
        self.segmentation = Segmentation(variant) if task != "detect" else None
        self.detection = Detection(variant) if task != "segment" else None
        self.class_head: ClassHead | None = None
        self.head_pointers: HeadPointers | None = None
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, SubpixelConvolution):
                module.start_equal()

    def attach_class_head(self) -> ClassHead:
        """Give a network for both tasks a head that tells normal sperm from abnormal ones.

        Raises
        ------
        ModelError
            A network of one task, or one whose maps are not at half size.
        """
        if self.task != "joint" or self.variant.resize_stage != 1:
            raise ModelError(
                f"a class head needs both tasks and maps at half size; this network is for task "
                f"'{self.task}' with maps at stage {self.variant.resize_stage}"
            )
        self.class_head = ClassHead(self.variant)
        return self.class_head

    def attach_head_pointers(self) -> HeadPointers:
        """Give a network that segments an output that says where the head of each pixel is.

        Raises
        ------
        ModelError
            A network for detection alone.
        """
        if self.segmentation is None:
            raise ModelError("head pointers need a network that segments; this one is for 'detect'")
        self.head_pointers = HeadPointers(self.variant)
        return self.head_pointers

    def attach_as_in(self, names: Iterable[str]) -> None:
        """Attach what ``names`` of weights tell of, and this network may have and has not."""
        told = {name.partition(".")[0] + "." for name in names}
        if _CLASS_HEAD in told and self.class_head is None and self.task == "joint":
            self.attach_class_head()
        if _HEAD_POINTERS in told and self.head_pointers is None and self.segmentation is not None:
            self.attach_head_pointers()

    def forward(
        self, image: Tensor, detect: bool = True, segment: bool = True
    ) -> dict[str, Tensor]:
        """Return what each task says of grey levels ``image`` (B, 1, H, W), H and W of 32s.

        ``detect`` False leaves the detection out: training needs it less often. ``segment`` False
        leaves the segmentation out: where the detection alone is trained, nothing is asked of it.

        Keys: ``segmentation`` (B, classes + parts, h, w) logits; ``objectness`` (B, N),
        ``deltas`` (B, N, 4) and ``p2`` to ``p6`` for the second stage; with a class
        head ``contrast`` (B, H, W), which it looks at; with head pointers ``to_head``
        (B, 2, H / 4, W / 4), px.
        """
        contrast = normalise(image)
        stages = self.encoder(contrast)
        outputs: dict[str, Tensor] = {}
        if self.class_head is not None:
            outputs["contrast"] = contrast[:, 0]
        if self.segmentation is not None and segment:
            outputs["segmentation"], fused = self.segmentation(stages)
            if self.head_pointers is not None:
                outputs["to_head"] = self.head_pointers(fused)
        if self.detection is not None and detect:
            levels, outputs["objectness"], outputs["deltas"] = self.detection(stages)
            for k, level in enumerate(levels):
                outputs[f"p{k + 2}"] = level
        return outputs
