"""Augmentation of labelled frames as the paper has it: crop, resize, blur, distort, rotate.

One mapping says for each pixel of the crop where in the frame it comes from; the picture is
sampled bilinearly through it, the maps by their nearest pixel, and boxes go through its inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.training.crops import UNKNOWN_PIXEL, Crop, mirrored
from models.training.labelled_frames import LabelledFrame
from models.training.window import boxes_in
from models.types import Float64, UInt8

_GRID = 5
# Points that stand for a box: on the ellipse in it, which is what a head is.
_ROUND = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_ELLIPSE = np.stack([np.cos(_ROUND), np.sin(_ROUND)], 1) / 2
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges to draw from, uniformly.

    Attributes
    ----------
    window : (low, high)
        Side of the window that is cut out, as a part of the frame's short side, before it is
        resized to the crop.
    short_side_px : (low, high) or None
        Instead of ``window``: what the frame's short side is enlarged or reduced to.
    angle_deg : float
        Largest rotation either way.
    distortion_px : float
        Standard deviation of the smooth displacement of the crop's pixels.
    blur_px : float
        Largest standard deviation of the Gaussian blur, which half of the crops have.
    """

    window: tuple[float, float] = (0.5, 1.0)
    short_side_px: tuple[float, float] | None = None
    angle_deg: float = 180.0
    distortion_px: float = 2.0
    blur_px: float = 1.5


AUGMENTATIONS = {
    "paper": Augmentation(),
    # Of the detection: the size alone.
    "short side": Augmentation(
        short_side_px=(480.0, 800.0), angle_deg=0.0, distortion_px=0.0, blur_px=0.0
    ),
}


class _Mapping:
    """From pixels of the crop to places in the frame, and back."""

    def __init__(
        self, frame: UInt8, rng: np.random.Generator, size_px: tuple[int, int], how: Augmentation
    ) -> None:
        height, width = size_px
        short = min(frame.shape)
        if how.short_side_px is not None:
            self.scale = short / rng.uniform(*how.short_side_px)
        else:
            self.scale = short * rng.uniform(*how.window) / min(size_px)
        angle = np.deg2rad(rng.uniform(-how.angle_deg, how.angle_deg))
        cosine, sine = np.cos(angle), np.sin(angle)
        self.turn = self.scale * np.array([[cosine, -sine], [sine, cosine]])
        self.middle = np.array([(width - 1) / 2, (height - 1) / 2])
        reach = self.scale * np.array([width, height]) / 2
        extent = np.array([frame.shape[1], frame.shape[0]], np.float64)
        # Inside the frame where it fits, on its middle where it does not.
        low, high = np.minimum(reach, extent / 2), np.maximum(extent - reach, extent / 2)
        self.centre = rng.uniform(low, high) - 0.5
        grid = rng.normal(0, how.distortion_px, (_GRID, _GRID, 2)).astype(np.float32)
        self.shift = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)

    def sources(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where in the frame each pixel of the crop comes from: x and y, float32."""
        height, width = self.shift.shape[:2]
        y, x = np.mgrid[:height, :width]
        points = np.stack([x, y], 2) + self.shift - self.middle
        source = (points @ self.turn.T + self.centre).astype(np.float32)
        return np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1])

    def back(self, points: Float64) -> Float64:
        """Return the pixels of the crop that show places (N, 2) of the frame."""
        plain: Float64 = (points - self.centre) @ np.linalg.inv(self.turn).T + self.middle
        found: Float64 = plain
        # The displacement is smooth and small: each round divides the error by ten and more.
        for _ in range(4):
            found = plain - self._shift_at(found)
        return found

    def _shift_at(self, points: Float64) -> Float64:
        x, y = (np.ascontiguousarray(points[:, k], np.float32) for k in (0, 1))
        shift = cv2.remap(self.shift, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(shift.reshape(-1, 2), np.float64)

    def boxes(self, box_px: Float64, outline: Float64) -> Float64:
        """Return the boxes about what ``outline`` (N, 2), in units of a box, becomes."""
        if not len(box_px):
            return np.zeros((0, 4))
        points = box_px[:, None, :2] + outline[None] * box_px[:, None, 2:]
        moved = self.back(points.reshape(-1, 2)).reshape(points.shape)
        low, high = moved.min(axis=1), moved.max(axis=1)
        return np.hstack([(low + high) / 2, high - low])


def augmented(
    frame: LabelledFrame, rng: np.random.Generator, size_px: tuple[int, int], how: Augmentation
) -> Crop:
    """Draw one crop of a frame.

    Beyond the frame the picture repeats its border, and nothing is known.

    Parameters
    ----------
    frame : LabelledFrame
    rng : numpy.random.Generator
    size_px : (height, width)
    how : Augmentation
    """
    mapping = _Mapping(frame.image, rng, size_px, how)
    x, y = mapping.sources()
    image = cv2.remap(frame.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if how.blur_px and rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, how.blur_px))
    boxes, gone = boxes_in(mapping.boxes(frame.box_px, _ELLIPSE), 0, 0, *size_px)
    ignored = boxes_in(mapping.boxes(frame.ignored_px, _CORNERS), 0, 0, *size_px)
    crop = Crop(
        image=np.asarray(image, np.uint8),
        boxes=boxes,
        class_map=_sampled(frame.class_map, frame, x, y),
        part_map=_sampled(frame.part_map, frame, x, y),
        ignore=np.concatenate([*ignored, gone]),
        modality=frame.modality,
    )
    return mirrored(crop, bool(rng.random() < 0.5), bool(rng.random() < 0.5))


def _sampled(labels: UInt8 | None, frame: LabelledFrame, x: np.ndarray, y: np.ndarray) -> UInt8:
    if labels is None:
        return np.full(x.shape, UNKNOWN_PIXEL, np.uint8)
    found = cv2.remap(
        labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=UNKNOWN_PIXEL
    )
    return np.asarray(found, np.uint8)
