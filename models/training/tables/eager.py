"""A candidate as a Detector, in float32, without what SFCNet's runtime adds to it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.sfcnet.finish import class_and_part_maps
from models.types import Detections, Perception, UInt8

_STRIDE_PX = 32
# Average precision needs the whole curve, down to weak detections.
_LEAST_SCORE = 0.02


class EagerDetector:
    """Runs a candidate on frames of any size; every pixel keeps the class it was given.

    Parameters
    ----------
    name : str
    network : nn.Module
        A candidate.
    params_m, gmacs : float
        What it costs.
    """

    def __init__(self, name: str, network: nn.Module, params_m: float, gmacs: float) -> None:
        self.name = name
        self.network = network.eval()
        self.params_m = params_m
        self.gmacs = gmacs

    def warm_up(self, height_px: int, width_px: int) -> None:
        """Run one empty frame."""
        self.detect(np.full((height_px, width_px), 128, np.uint8))

    def logits(self, image: UInt8) -> tuple[np.ndarray, np.ndarray]:
        """Return rows (N, 5) and logits (planes, h, w) of the frame, padded to multiples of 32."""
        height, width = image.shape
        spare = ((0, -height % _STRIDE_PX), (0, -width % _STRIDE_PX))
        padded = np.ascontiguousarray(np.pad(image, spare, "reflect"))
        with torch.inference_mode():
            rows, logits = self.network.found(torch.from_numpy(padded)[None, None])  # type: ignore[operator]
        return rows.numpy(), (logits[0].numpy() if logits.numel() else np.zeros((0, 0, 0)))

    def detect(self, image: UInt8) -> Perception:
        """Find heads and pixels in a grey frame (H, W) uint8."""
        height, width = image.shape
        rows, logits = self.logits(image)
        rows = rows[rows[:, 4] >= _LEAST_SCORE]
        boxes = np.ascontiguousarray(rows[:, :4], np.float32)
        found = Detections(
            boxes, np.ascontiguousarray(rows[:, 4], np.float32), np.zeros(len(rows), np.int8)
        )
        if not logits.size:
            return Perception(found)
        size = (height + -height % _STRIDE_PX, width + -width % _STRIDE_PX)
        class_map, part_map = class_and_part_maps(logits, *size)
        return Perception(
            found,
            np.ascontiguousarray(class_map[:height, :width]),
            np.ascontiguousarray(part_map[:height, :width]),
            np.ascontiguousarray(logits, np.float32),
            logits.shape[1] / size[0],
        )
