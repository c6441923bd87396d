"""Columns of equal length: what is found in a frame, what is followed, what is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]


class SpermClass(IntEnum):
    """Classes of the segmentation, and labels of a detection."""

    BACKGROUND = 0
    NORMAL = 1
    ABNORMAL = 2


class SpermPart(IntEnum):
    """Parts of a sperm in the part map."""

    NONE = 0
    HEAD = 1
    MIDPIECE = 2
    TAIL = 3


class TrackState(IntEnum):
    """Life of a track."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2


@dataclass(frozen=True, slots=True)
class Detections:
    """Heads found in one frame. Image frame, N rows, best score first.

    Attributes
    ----------
    box_px : (N, 4) float32
        Box centre x, y, width, height.
    score : (N,) float32
        0 to 1.
    label : (N,) int8
        SpermClass; 0 where the detector does not tell normal from abnormal.
    """

    box_px: Float32
    score: Float32
    label: Int8

    def __post_init__(self) -> None:
        n = len(self.score)
        if self.box_px.shape != (n, 4) or self.label.shape != (n,):
            raise ValueError(
                f"Detections: columns differ in length: box_px {self.box_px.shape}, "
                f"score {self.score.shape}, label {self.label.shape}"
            )

    def __len__(self) -> int:
        return len(self.score)

    @staticmethod
    def empty() -> Detections:
        """No head at all."""
        return Detections(
            np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int8)
        )


@dataclass(frozen=True, slots=True)
class Perception:
    """All that a detector says of one frame.

    Attributes
    ----------
    detections : Detections
    class_map : (H, W) uint8 or None
        SpermClass of each pixel; None from a detector that does not segment.
    part_map : (H, W) uint8 or None
        SpermPart of each pixel; None from weights trained without parts.
    logits : (7, h, w) float32 or None
        What both maps were made from, for measures finer than a pixel: background, normal,
        abnormal, then no part, head, midpiece, tail.
    logits_per_px : float
        Cells of ``logits`` per pixel; cell 0 begins where the picture does.
    weak : Detections
        What scores too low to be a head found, but may be one that is followed already.
    """

    detections: Detections
    class_map: UInt8 | None = None
    part_map: UInt8 | None = None
    logits: Float32 | None = None
    logits_per_px: float = 0.5
    weak: Detections = field(default_factory=Detections.empty)


@dataclass(frozen=True, slots=True)
class Tracks:
    """Sperm followed, as of one frame. Stage frame, N rows.

    Attributes
    ----------
    time_s : float
        Mid exposure of the frame.
    track_id : (N,) int64
        Unique in a session, from 1, never used again.
    position_um : (N, 2) float64
        Filtered head position x, y.
    velocity_um_s : (N, 2) float64
        Filtered velocity of the mean path.
    covariance : (N, 4, 4) float64
        Of (x, y, vx, vy).
    raw_um : (N, 2) float64
        Associated measurement; NaN while coasting. Kinematics come from these.
    size_px : (N, 2) float64
        Box width, height, smoothed.
    score : (N,) float64
        Detector score of the associated measurement; NaN while coasting.
    p_exist : (N,) float64
        Existence probability.
    state : (N,) int8
        TrackState.
    label : (N,) int8
        SpermClass by majority over the track's recent frames.
    detection : (N,) int64
        Row of the associated detection in this frame's Detections, -1 where there is none; a weak
        one (``Perception.weak``) is no row of them, and has a ``box_um`` all the same.
    identity : (N,) float64
        Probability that the track follows the sperm that it followed before its last encounter
        with another; 1 when it met none of late. Left out, all are 1.
    box_um : (N, 2) float64
        Centre of the associated detection's box; NaN while coasting. Left out, ``raw_um``, which
        may be a finer place, of one field of an interlaced frame.
    shared_um : (N, 2) float64
        Of a track without a detection of its own: the detection near it that may be its head and
        another's as one; else NaN. Left out, all are NaN.
    head_um : (N, 2) float64
        Where the head is: the mean path, and of the swing about it what is not the detector's
        noise. Left out, ``position_um``.
    """

    time_s: float
    track_id: Int64
    position_um: Float64
    velocity_um_s: Float64
    covariance: Float64
    raw_um: Float64
    size_px: Float64
    score: Float64
    p_exist: Float64
    state: Int8
    label: Int8
    detection: Int64
    identity: Float64 = field(default_factory=lambda: np.zeros(0))
    box_um: Float64 = field(default_factory=lambda: np.zeros((0, 2)))
    shared_um: Float64 = field(default_factory=lambda: np.zeros((0, 2)))
    head_um: Float64 = field(default_factory=lambda: np.zeros((0, 2)))

    def __post_init__(self) -> None:
        n = len(self.track_id)
        if len(self.box_um) == 0:
            object.__setattr__(self, "box_um", self.raw_um)
        if len(self.head_um) == 0:
            object.__setattr__(self, "head_um", self.position_um)
        if len(self.shared_um) == 0:
            none = np.full((n, 2), np.nan)
            none.flags.writeable = False
            object.__setattr__(self, "shared_um", none)
        if len(self.identity) == 0:
            sure = np.ones(n)
            sure.flags.writeable = False
            object.__setattr__(self, "identity", sure)
        shapes = {
            "position_um": (n, 2), "velocity_um_s": (n, 2), "covariance": (n, 4, 4),
            "raw_um": (n, 2), "size_px": (n, 2), "score": (n,), "p_exist": (n,),
            "state": (n,), "label": (n,), "detection": (n,), "identity": (n,),
            "box_um": (n, 2), "shared_um": (n, 2), "head_um": (n, 2),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"Tracks.{name}: {getattr(self, name).shape}, not {shape}")

    def __len__(self) -> int:
        return len(self.track_id)

    @staticmethod
    def empty(time_s: float) -> Tracks:
        """Nothing followed."""
        return Tracks(
            time_s, np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2)),
            np.zeros((0, 4, 4)), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0),
            np.zeros(0, np.int8), np.zeros(0, np.int8), np.zeros(0, np.int64),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measurements:
    """Numbers of each track, one row per track; NaN is 'cannot be known', never zero.

    Attributes
    ----------
    track_id : (N,) int64
    values : dict of str to (N,) float64
        By column name of sperm.csv: vsl_um_s, vcl_um_s, vap_um_s, ...
    quality : tuple of N str
        'ok', or the reason that it is not.
    grade : tuple of N str
        rapid, slow, nonprogressive, immotile; empty where it is not known. Or no tuple at all.
    reasons : tuple of N tuples of str
        What the verdict rests on, worst first. Or no tuple at all.
    """

    track_id: Int64
    values: dict[str, Float64] = field(default_factory=dict)
    quality: tuple[str, ...] = ()
    grade: tuple[str, ...] = ()
    reasons: tuple[tuple[str, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.track_id)
