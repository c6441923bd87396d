"""SFCNet inside detectron2: its trainers and evaluators, and the same weights there and here.

detectron2 (Wu et al. 2019, https://github.com/facebookresearch/detectron2) is what the paper's
detection was written in. Nothing in this program needs it: it is imported when something here is
called. Install it as upstream says, beside a torch and a torchvision that fit each other::

    pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'

Then, with labelled folders of any kind (models.training.detectron2_data)::

    register_data("mine", [Path("MYDIR")], Path("cache"))
    cfg = config(LITE, train=["mine"])
    trainer = detectron2.engine.DefaultTrainer(cfg)
    trainer.train()
    save_weights(trainer.model, LITE, Path("weights.pt"))  # sfcscope export --weights weights.pt

Boxes in detectron2 count from the picture's edge, here from the centre of the top-left pixel: half
a pixel less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.sfcnet.encoder import Encoder
from models.sfcnet.lateral_attention import AttentionPyramid
from models.sfcnet.losses import LossSettings
from models.sfcnet.network import STRIDES, SFCNet, normalise
from models.sfcnet.second_stage import ROI_SIZE
from models.sfcnet.variant import Variant

BACKBONE = "build_sfcnet_backbone"
META_ARCHITECTURE = "SFCNetRCNN"
LEVELS = ("p2", "p3", "p4", "p5", "p6")
_LEAST_SCORE = 0.02
# Beginnings of names here and there; the rest of each name is the same.
_NAMES = (
    ("encoder.", "backbone.encoder."),
    ("detection.pyramid.", "backbone.pyramid."),
    ("detection.proposals.slide.0.", "proposal_generator.rpn_head.conv."),
    ("detection.proposals.objectness.", "proposal_generator.rpn_head.objectness_logits."),
    ("detection.proposals.deltas.", "proposal_generator.rpn_head.anchor_deltas."),
    ("detection.second.body.0.", "roi_heads.box_head.fc1."),
    ("detection.second.body.2.", "roi_heads.box_head.fc2."),
    ("detection.second.classify.", "roi_heads.box_predictor.cls_score."),
    ("detection.second.deltas.", "roi_heads.box_predictor.bbox_pred."),
)


def part(name: str) -> Any:
    """Return a module of detectron2; ModelError, with what to install, where there is none."""
    try:
        return import_module(f"detectron2.{name}")
    except ImportError as error:
        raise ModelError(
            f"detectron2 cannot be imported ({error}); install it from "
            "https://github.com/facebookresearch/detectron2, with torchvision"
        ) from error


@cache
def register() -> None:
    """Enter the backbone (encoder and lateral attention) and the network around it, once."""
    modeling, layers = part("modeling"), part("layers")
    image_list = part("structures").ImageList

    class SFCNetBackbone(modeling.Backbone):  # type: ignore[misc, name-defined]
        """Contrast pictures (B, 1, H, W), H and W of 32s, to P2 to P6."""

        def __init__(self, settings: Variant) -> None:
            super().__init__()
            self.encoder = Encoder(settings)
            self.pyramid = AttentionPyramid(settings)
            self._channels = settings.pyramid_channels

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return dict(zip(LEVELS, self.pyramid(self.encoder(x)), strict=True))

        @property
        def size_divisibility(self) -> int:
            return 32

        def output_shape(self) -> dict[str, object]:
            return {
                name: layers.ShapeSpec(channels=self._channels, stride=stride)
                for name, stride in zip(LEVELS, STRIDES, strict=True)
            }

    def build_sfcnet_backbone(cfg: Any, input_shape: object) -> nn.Module:
        backbone: nn.Module = SFCNetBackbone(settings_of(cfg))
        return backbone

    class SFCNetRCNN(modeling.GeneralizedRCNN):  # type: ignore[misc, name-defined]
        """Faster R-CNN on grey levels: contrast against each picture's own mean, then padding."""

        def preprocess_image(self, batched_inputs: list[dict[str, Tensor]]) -> object:
            pictures = [normalise(x["image"].to(self.device)[None])[0] for x in batched_inputs]
            return image_list.from_tensors(pictures, self.backbone.size_divisibility)

    modeling.BACKBONE_REGISTRY.register(build_sfcnet_backbone)
    modeling.META_ARCH_REGISTRY.register(SFCNetRCNN)


def config(
    settings: Variant, *, train: Sequence[str] = (), test: Sequence[str] = (), device: str = "cpu"
) -> Any:
    """Return detectron2's configuration of a variant.

    Parameters
    ----------
    train, test : sequence of str
        Names of registered data sets.
    device : str

    Raises
    ------
    ModelError
        detectron2 is not installed.
    """
    register()
    losses = LossSettings()
    cfg = part("config").get_cfg()
    known = {name.upper(): value for name, value in asdict(settings).items()}
    cfg.MODEL.SFCNET = part("config").CfgNode(known)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = tuple(train), tuple(test)
    # Enlarged as the variant wants it; 0 leaves frames as they are.
    short_side = settings.short_side_px
    cfg.INPUT.FORMAT = "L"
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TEST = (short_side,), short_side
    model = cfg.MODEL
    model.DEVICE, model.WEIGHTS, model.META_ARCHITECTURE = device, "", META_ARCHITECTURE
    model.PIXEL_MEAN, model.PIXEL_STD = [0.0], [1.0]
    model.BACKBONE.NAME = BACKBONE
    anchors = model.ANCHOR_GENERATOR
    anchors.SIZES = [[size] for size in settings.anchor_sizes_px]
    anchors.ASPECT_RATIOS, anchors.OFFSET = [list(settings.anchor_ratios)], 0.5
    rpn = model.RPN
    rpn.IN_FEATURES = list(LEVELS)
    rpn.IOU_THRESHOLDS = [losses.negative_iou, losses.positive_iou]
    rpn.BATCH_SIZE_PER_IMAGE, rpn.SMOOTH_L1_BETA = losses.anchors_per_picture, 1.0
    rpn.PRE_NMS_TOPK_TRAIN = rpn.PRE_NMS_TOPK_TEST = settings.proposals_before
    rpn.POST_NMS_TOPK_TRAIN = rpn.POST_NMS_TOPK_TEST = settings.proposals
    rpn.NMS_THRESH = settings.proposal_iou
    heads, box = model.ROI_HEADS, model.ROI_BOX_HEAD
    heads.NAME, heads.IN_FEATURES, heads.NUM_CLASSES = "StandardROIHeads", list(LEVELS[:4]), 1
    heads.IOU_THRESHOLDS, heads.POSITIVE_FRACTION = [losses.positive_iou], 0.5
    heads.BATCH_SIZE_PER_IMAGE = losses.boxes_per_picture
    heads.NMS_THRESH_TEST, heads.SCORE_THRESH_TEST = settings.box_iou, _LEAST_SCORE
    box.NAME, box.NUM_FC, box.FC_DIM = "FastRCNNConvFCHead", 2, settings.second_channels
    box.POOLER_RESOLUTION, box.POOLER_SAMPLING_RATIO = ROI_SIZE, settings.roi_samples
    box.SMOOTH_L1_BETA = 1.0
    cfg.TEST.DETECTIONS_PER_IMAGE = settings.boxes
    return cfg


def settings_of(cfg: Any) -> Variant:
    """Return the variant that a configuration describes."""
    node = cfg.MODEL.SFCNET
    return Variant(**{field.name: node[field.name.upper()] for field in fields(Variant)})


def model_of(network: SFCNet) -> nn.Module:
    """Return a network with detection as detectron2's model, with the same weights."""
    cfg = config(network.variant)
    model: nn.Module = part("modeling").build_model(cfg)
    model.load_state_dict(to_detectron2(network.state_dict()), strict=True)
    return model.eval()


def to_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of encoder and detection under detectron2's names, in its order.

    Its second stage flattens channels before bins, and its last class is the background.
    """
    return _renamed(state, _NAMES, bins_first=True)


def from_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a detectron2 model under the names that they have here."""
    return _renamed(state, tuple((theirs, ours) for ours, theirs in _NAMES), bins_first=False)


def _renamed(
    state: Mapping[str, Tensor], names: tuple[tuple[str, str], ...], *, bins_first: bool
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        for source, target in names:
            if not name.startswith(source):
                continue
            both = source + target
            if "second.body.0." in both and value.ndim == 2:
                inner = (ROI_SIZE * ROI_SIZE, -1) if bins_first else (-1, ROI_SIZE * ROI_SIZE)
                value = value.unflatten(1, inner).transpose(1, 2).flatten(1)
            elif "second.classify." in both:
                value = value.flip(0)
            found[target + name.removeprefix(source)] = value
    return found


def save_weights(model: nn.Module, settings: Variant, out: Path) -> None:
    """Write a detectron2 model as the weights of a training for detection.

    ``sfcscope export --weights`` and ``train --init`` take the file.

    Raises
    ------
    ModelError
        The model is not of this variant.
    """
    network = SFCNet(settings, "detect")
    try:
        network.load_state_dict(from_detectron2(model.state_dict()))
    except RuntimeError as error:
        raise ModelError(
            f"{out}: the model is not of variant '{settings.name}' ({str(error).splitlines()[0]}); "
            "name the variant it was configured with"
        ) from error
    held = {"variant": settings.name, "task": "detect"}
    torch.save({"settings": held, "step": 0, "average": network.state_dict()}, out)


def rows_of(instances: Any) -> Tensor:
    """Return detectron2's detections of one picture as rows (N, 5): x, y, width, height, score.

    Image frame of this program, px; best first.
    """
    boxes: Tensor = instances.pred_boxes.tensor - 0.5
    centre, size = (boxes[:, :2] + boxes[:, 2:]) * 0.5, boxes[:, 2:] - boxes[:, :2]
    return torch.cat([centre, size, instances.scores[:, None]], 1)
