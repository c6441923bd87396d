"""The shape of each sperm over its frames: medians of the good ones, with their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from models.measure.shapes import HEAD_FLAGS, Flag, Shapes
from models.types import Float64, Int64

COLUMNS = (
    "head_area_um2", "head_length_um", "head_width_um", "head_ellipticity", "head_angle_deg",
    "tail_length_um",
)  # fmt: skip
KEPT = 32
LEAST_HEADS = 4
LEAST_TAILS = 4
# Tails break off more often than they are drawn too long: not the median, but this quantile.
_TAIL_QUANTILE = 0.75
# So far below that quantile the frames still count as having seen the tip.
_TAIL_AGREES = 0.15
_LEAST_AGREEING = 0.3
# What the mean over any number of frames leaves, relative; the bend's in degrees. From specimens.
_FLOOR = np.array([0.06, 0.04, 0.05, 0.05, 4.0, 0.05])
_REFUSED = {
    Flag.BORDER: "at the border", Flag.OVERLAP: "touches another", Flag.BLURRED: "out of focus",
    Flag.UNLIKE: "unlike one head",
}  # fmt: skip
_TAIL = Flag.BORDER | Flag.TAIL_CUT | Flag.TAIL_CROSSED
_TAIL_REFUSED = {
    Flag.TAIL_UNSEEN: "unseen", Flag.TAIL_CUT: "leaves the picture",
    Flag.TAIL_CROSSED: "crosses another",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of one sperm's shape.

    Attributes
    ----------
    values, uncertainty : (6,) float64
        In the order of COLUMNS; NaN is unknown.
    frames : (6,) int64
        Good frames behind each.
    why_not, tail_why_not : str
        Why there is no head, no tail; empty where there is.
    """

    values: Float64
    uncertainty: Float64
    frames: Int64
    why_not: str = ""
    tail_why_not: str = ""


@dataclass(slots=True)
class _Ring:
    """The newest good frames of one sperm: heads in columns 0 to 3, bend in 4, tail in 5."""

    values: Float64 = field(default_factory=lambda: np.full((KEPT, 6), np.nan))
    at: Int64 = field(default_factory=lambda: np.zeros(6, np.int64))
    seen: int = 0
    refused: Int64 = field(default_factory=lambda: np.zeros(4, np.int64))  # by _REFUSED
    tail_refused: Int64 = field(default_factory=lambda: np.zeros(3, np.int64))  # by _TAIL_REFUSED
    tail_um: float = math.nan  # as it was known last

    def add(self, columns: slice, values: Float64) -> None:
        self.values[self.at[columns.start] % KEPT, columns] = values
        self.at[columns] += 1


class ShapeRecord:
    """Keeps the shapes of all sperm, by track; the newest KEPT good frames of each.

    Parameters
    ----------
    um_per_px : float
    """

    def __init__(self, um_per_px: float) -> None:
        if not (math.isfinite(um_per_px) and um_per_px > 0.0):
            raise ValueError(f"ShapeRecord: um_per_px is {um_per_px}")
        self._unit = np.array([um_per_px**2, um_per_px, um_per_px, 1.0, 1.0, um_per_px])
        self._rings: dict[int, _Ring] = {}

    def add(self, track_id: Int64, detection: Int64, shapes: Shapes) -> None:
        """Take in a frame.

        Parameters
        ----------
        track_id, detection : (N,) int64
            Tracks, and the row of ``shapes`` that each was seen as; -1 for none.
        """
        for track, row in zip(track_id.tolist(), detection.tolist(), strict=True):
            if row < 0:
                continue
            ring = self._rings.setdefault(track, _Ring())
            flags = Flag(int(shapes.flags[row]))
            values = shapes.values[row] * self._unit
            ring.seen += 1
            if flags & HEAD_FLAGS:
                for k, flag in enumerate(_REFUSED):
                    ring.refused[k] += bool(flags & flag)
                continue
            ring.add(slice(0, 4), values[:4])
            if math.isfinite(values[4]) and not flags & (Flag.TWO_TAILS | Flag.TAIL_CROSSED):
                ring.add(slice(4, 5), values[4:5])
            for k, flag in enumerate(_TAIL_REFUSED):
                ring.tail_refused[k] += bool(flags & flag)
            if math.isfinite(values[5]) and not flags & _TAIL:
                ring.add(slice(5, 6), values[5:6])

    def keep(self, track_id: Int64) -> None:
        """Forget all other tracks."""
        present = set(track_id.tolist())
        for gone in self._rings.keys() - present:
            del self._rings[gone]

    def frames(self, track: int) -> int:
        """Return in how many frames a track was looked at."""
        ring = self._rings.get(track)
        return 0 if ring is None else ring.seen

    def shape(self, track: int) -> Shape:
        """Return what is known of a track's shape by now."""
        values, spread = np.full(6, np.nan), np.full(6, np.nan)
        ring = self._rings.get(track)
        if ring is None:
            none = "not segmented"
            return Shape(values, spread, np.zeros(6, np.int64), none, none)
        frames = np.minimum(ring.at, KEPT)
        if frames[0] >= LEAST_HEADS:
            heads = ring.values[: frames[0], :4]
            values[:4] = np.median(heads, axis=0)
            spread[:4] = np.hypot(_standard_error(heads), _FLOOR[:4] * values[:4])
        if frames[4] >= LEAST_HEADS:
            bend = ring.values[: frames[4], 4:5]
            values[4] = abs(float(np.median(bend)))
            spread[4] = math.hypot(float(_standard_error(bend)[0]), _FLOOR[4])
        if frames[5] >= LEAST_TAILS:
            values[5], spread[5] = _tail(ring.values[: frames[5], 5], ring.tail_um)
            ring.tail_um = values[5]
        why_not = self._why_not(ring, int(frames[0]))
        tail = "" if math.isfinite(values[5]) else self._tail_why_not(ring, int(frames[5]), why_not)
        return Shape(values, spread, frames, why_not, tail)

    def _why_not(self, ring: _Ring, frames: int) -> str:
        if frames >= LEAST_HEADS:
            return ""
        if ring.refused.sum() > frames:
            return tuple(_REFUSED.values())[int(ring.refused.argmax())]
        return f"{frames} of {LEAST_HEADS} good frames"

    def _tail_why_not(self, ring: _Ring, frames: int, head: str) -> str:
        if frames >= LEAST_TAILS:
            return "its frames disagree"
        if head:  # without its head a tail is not looked at
            return head
        if ring.tail_refused.sum() > frames:
            return tuple(_TAIL_REFUSED.values())[int(ring.tail_refused.argmax())]
        return f"{frames} of {LEAST_TAILS} good frames"


def _standard_error(values: Float64) -> Float64:
    """Of the median over axis 0; frames that follow each other are alike: half of them count."""
    middle = np.median(values, axis=0)
    sd = 1.4826 * np.median(np.abs(values - middle), axis=0)
    return np.asarray(1.2533 * sd / np.sqrt(max(len(values) / 2.0, 1.0)))


def _tail(lengths: Float64, former: float) -> tuple[float, float]:
    """Length that enough frames agree upon, and its uncertainty; NaN where they do not.

    Where they do not any more, the ``former`` length stands while as many frames as made it known
    still show it: two tips beyond it are no reason to know nothing.
    """
    top = float(np.quantile(lengths, _TAIL_QUANTILE))
    for length, least in ((top, _LEAST_AGREEING * len(lengths)), (former, 0.0)):
        agree = np.abs(lengths - length) <= _TAIL_AGREES * length
        count = int(agree.sum())
        if count >= max(LEAST_TAILS, least):
            value = float(np.median(lengths[agree]))
            sd = float(np.std(lengths[agree])) / math.sqrt(max(count / 2.0, 1.0))
            return value, math.hypot(sd, _FLOOR[5] * value)
    return math.nan, math.nan
