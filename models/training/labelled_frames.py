"""One type for everything that is labelled: recordings, specimen directories, live specimens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.types import Float64, Int8, Int64, UInt8


def _no_boxes() -> Float64:
    return np.zeros((0, 4))


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A grey frame and what is true of it. Image frame, px; the top-left pixel's centre is 0, 0.

    Attributes
    ----------
    image : (H, W) uint8
    box_px : (N, 4) float64
        Heads: centre x, y, width, height.
    label : (N,) int8
        SpermClass; 0 where normal and abnormal are not told apart.
    sperm_id : (N,) int64 or None
        Identities, where any is known: from 1 on, ``identities.ZERO`` where a file says 0; below
        0 a head without one.
    ignored_px : (M, 4) float64
        Labelled things that are neither to be found nor a mistake if found.
    class_map, part_map : (H, W) uint8 or None
        SpermClass and SpermPart of each pixel.
    instance_map : (H, W) int32 or None
        Which sperm a pixel belongs to: 0 none, above 0 its identity, below 0 one without.
    modality : str
        One of ``models.specimen.profiles.MODALITIES``; '' where unknown.
    """

    image: UInt8
    box_px: Float64
    label: Int8
    sperm_id: Int64 | None = None
    ignored_px: Float64 = field(default_factory=_no_boxes)
    class_map: UInt8 | None = None
    part_map: UInt8 | None = None
    instance_map: NDArray[np.int32] | None = None
    modality: str = ""

    def __post_init__(self) -> None:
        n = len(self.box_px)
        if self.box_px.shape != (n, 4) or self.label.shape != (n,):
            raise ValueError(
                f"LabelledFrame: box_px {self.box_px.shape}, label {self.label.shape}: not N rows"
            )


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """The frames of one recording, read when they are iterated over, as often as wanted.

    Attributes
    ----------
    name : str
        For messages.
    count : int
        Number of frames.
    read : callable
        Returns a fresh iterator over the frames.
    um_per_px : float
        Pixel size on the object side; NaN where unknown.
    fps : float
        Frames per second; NaN where unknown.
    """

    name: str
    count: int
    read: Callable[[], Iterator[LabelledFrame]]
    um_per_px: float = float("nan")
    fps: float = float("nan")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[LabelledFrame]:
        return self.read()
