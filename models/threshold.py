"""The classical detector: background subtraction, a threshold, and connected components.

It needs no weights: the baseline that a network has to beat, and the fallback without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from models.types import Detections, Float32, Perception, UInt8

VERSION = "1"
_SHRINK = 4


@dataclass(frozen=True, slots=True)
class ThresholdSettings:
    """How the classical detector looks at a frame.

    Attributes
    ----------
    polarity : -1 or 1
        Heads darker (bright field) or brighter (phase contrast) than the background.
    background_px : float
        Scale of the background that is subtracted: the standard deviation of a Gaussian.
    smooth_px : float
        Standard deviation of the smoothing before the threshold.
    otsu_factor : float
        Threshold in units of Otsu's; 0 is a fixed threshold, ``level``.
    level : float
        Least threshold, grey levels: keeps an empty field empty.
    open_px, close_px : int
        Sizes of the elliptic opening (takes tails off) and closing (heals combed heads); 0 is none.
    area_px2 : (float, float)
        Smallest and largest component.
    grow : float
        Boxes are scaled by it ...
    pad_px : float
        ... and then padded on each side.
    score_by : 'area' or 'peak' or 'mass'
        What makes a component the surer a head.
    score_scale : float
        Value of that at which the score is one half.
    """

    polarity: int = -1
    background_px: float = 25.0
    smooth_px: float = 1.5
    otsu_factor: float = 1.0
    level: float = 8.0
    open_px: int = 7
    close_px: int = 0
    area_px2: tuple[float, float] = (20.0, 800.0)
    grow: float = 1.0
    pad_px: float = 1.0
    score_by: str = "area"
    score_scale: float = 57.0

    def __post_init__(self) -> None:
        if self.polarity not in (-1, 1):
            raise ValueError(f"ThresholdSettings.polarity: {self.polarity}, not -1 or 1")
        if self.score_by not in ("area", "peak", "mass"):
            raise ValueError(
                f"ThresholdSettings.score_by: {self.score_by!r}, not 'area', 'peak' or 'mass'"
            )
        if min(self.background_px, self.smooth_px, self.score_scale, self.level) <= 0:
            raise ValueError(
                "ThresholdSettings: background_px, smooth_px, level and score_scale must be > 0"
            )


# Tuned by random search on bright field and phase contrast recordings of human sperm at 20x; a
# score of one half is where F1 within 10 px was best.
BRIGHT_FIELD = ThresholdSettings()
PHASE_CONTRAST = ThresholdSettings(
    polarity=1, background_px=40.0, smooth_px=2.0, otsu_factor=0.8, open_px=3, close_px=3,
    area_px2=(80.0, 400.0), grow=1.3, pad_px=0.0, score_by="peak", score_scale=78.0,
)  # fmt: skip


class ThresholdDetector:
    """Heads as connected components beyond a threshold. Implements ``models.detector.Detector``.

    Parameters
    ----------
    settings : ThresholdSettings, optional
        Without them each frame is taken for bright field or phase contrast by the sign of its
        strongest objects, and the settings for that are used.
    pair : (ThresholdSettings, ThresholdSettings)
        Those for bright field and for phase contrast.
    """

    def __init__(
        self,
        settings: ThresholdSettings | None = None,
        pair: tuple[ThresholdSettings, ThresholdSettings] = (BRIGHT_FIELD, PHASE_CONTRAST),
    ) -> None:
        self._settings = settings
        self._pair = pair

    @property
    def name(self) -> str:
        """What it is, with its version."""
        return f"threshold {VERSION}"

    def warm_up(self, height_px: int, width_px: int) -> None:
        """Make the first frame as fast as the others."""
        self.detect(np.zeros((height_px, width_px), np.uint8))

    def detect(self, image: UInt8) -> Perception:
        """Find the heads in ``image`` (H, W) uint8; labels are 0, it does not tell classes apart.

        Raises
        ------
        ValueError
            An array that is no grey picture.
        """
        if image.ndim != 2 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(
                f"threshold: a grey picture (H, W) uint8 is needed, not {image.shape} {image.dtype}"
            )
        if self._settings is not None:
            settings = self._settings
            return Perception(_components(_contrast(image, settings), settings))
        bright_field, phase_contrast = self._pair
        contrast = _contrast(image, bright_field)
        dark_inside = float(contrast.max()) >= -float(contrast.min())
        if dark_inside:
            return Perception(_components(contrast, bright_field))
        return Perception(_components(_contrast(image, phase_contrast), phase_contrast))


def _contrast(image: UInt8, settings: ThresholdSettings) -> Float32:
    """Grey levels beyond the background, positive inside heads."""
    grey = image.astype(np.float32)
    # A background this smooth loses nothing at a quarter of the size, and costs a tenth there.
    height, width = image.shape
    small_size = (max(width // _SHRINK, 1), max(height // _SHRINK, 1))
    small = cv2.resize(grey, small_size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), settings.background_px / _SHRINK)
    background = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(grey, (0, 0), settings.smooth_px)
    return np.asarray(settings.polarity * (smooth - background), np.float32)


def _components(contrast: Float32, settings: ThresholdSettings) -> Detections:
    level = np.clip(contrast, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(level, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    threshold = max(settings.otsu_factor * otsu, settings.level)
    mask = (level > threshold).astype(np.uint8)
    for operation, size in (
        (cv2.MORPH_OPEN, settings.open_px), (cv2.MORPH_CLOSE, settings.close_px)
    ):  # fmt: skip
        if size > 1:
            element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
            mask = cv2.morphologyEx(mask, operation, element)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    stats = stats[1:]
    area = stats[:, cv2.CC_STAT_AREA].astype(np.float32)
    kept = np.flatnonzero((area >= settings.area_px2[0]) & (area <= settings.area_px2[1]))
    if not len(kept):
        return Detections.empty()
    stats, area = stats[kept].astype(np.float32), area[kept]
    evidence = area
    if settings.score_by == "peak":
        evidence = np.asarray(ndimage.maximum(contrast, labels, kept + 1), np.float32)
    elif settings.score_by == "mass":
        evidence = np.asarray(ndimage.sum(contrast, labels, kept + 1), np.float32)
    evidence = np.maximum(evidence, 0)
    score = evidence / (evidence + settings.score_scale)
    size = settings.grow * stats[:, 2:4] + 2 * settings.pad_px
    # Pixel k spans k - 1/2 to k + 1/2.
    centre = stats[:, :2] + (stats[:, 2:4] - 1) / 2
    order = np.argsort(-score, kind="stable")
    return Detections(
        np.hstack([centre, size])[order].astype(np.float32),
        score[order].astype(np.float32),
        np.zeros(len(order), np.int8),
    )
