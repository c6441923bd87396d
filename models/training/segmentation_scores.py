"""Scores of segmentation: overlap by class, pooled over a set, and the enhanced alignment."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.types import Float64, Int64, SpermClass, UInt8

_CLASSES = len(SpermClass)
_THRESHOLDS = 256


@dataclass(slots=True)
class SegmentationScores:
    """Collects frames, then scores them together.

    Attributes
    ----------
    confusion : (3, 3) int64
        Pixels: truth by row, prediction by column (SpermClass).
    """

    confusion: Int64 = field(default_factory=lambda: np.zeros((_CLASSES, _CLASSES), np.int64))
    _alignment: list[tuple[float, float, float]] = field(default_factory=list)
    _per_image: list[dict[str, float]] = field(default_factory=list)

    def add(self, found: UInt8, truth: UInt8) -> None:
        """Add one frame of two class maps (H, W).

        Raises
        ------
        ValueError
            Maps of different size, or a value that is no SpermClass.
        """
        if found.shape != truth.shape:
            raise ValueError(f"class maps differ in size: {found.shape} and {truth.shape}")
        one = confusion_matrix(found, truth)
        self.confusion += one
        self._per_image.append(overlap_scores(one))
        self._alignment.append(e_measure(found > 0, truth > 0))

    def __len__(self) -> int:
        return len(self._alignment)

    def scores(self) -> dict[str, object]:
        """Return all scores in percent.

        dice, miou, sensitivity, precision: three classes with background, pooled over the frames,
        then averaged over classes. Under ``foreground`` the same over normal and abnormal, under
        ``binary`` of any sperm against the background, under ``per_image`` three classes, averaged
        over frames. e_measure is the largest over thresholds (of a class map: the adaptive one or
        that of a full picture), with mean and adaptive beside it.
        """
        result: dict[str, object] = dict(overlap_scores(self.confusion))
        result["foreground"] = overlap_scores(self.confusion, range(1, _CLASSES))
        result["binary"] = overlap_scores(_binary(self.confusion), range(1, 2))
        names = ("dice", "miou", "sensitivity", "precision")
        result["per_image"] = {n: _mean([s[n] for s in self._per_image]) for n in names}
        columns = np.array(self._alignment, np.float64).reshape(-1, 3)
        mean = columns.mean(axis=0) if len(columns) else np.full(3, np.nan)
        keys = ("e_measure", "e_measure_mean", "e_measure_adaptive")
        result.update({k: 100 * float(v) for k, v in zip(keys, mean, strict=True)})
        return result


def confusion_matrix(found: UInt8, truth: UInt8) -> Int64:
    """Count pixels by true (row) and found (column) class."""
    if found.size and max(int(found.max()), int(truth.max())) >= _CLASSES:
        raise ValueError(f"class maps hold values above {_CLASSES - 1}")
    pair = truth.astype(np.int64).ravel() * _CLASSES + found.astype(np.int64).ravel()
    return np.bincount(pair, minlength=_CLASSES**2).reshape(_CLASSES, _CLASSES).astype(np.int64)


def _binary(confusion: Int64) -> Int64:
    return np.array(
        [[confusion[0, 0], confusion[0, 1:].sum()],
         [confusion[1:, 0].sum(), confusion[1:, 1:].sum()]]
    )  # fmt: skip


def overlap_scores(confusion: Int64, classes: range | None = None) -> dict[str, float]:
    """Return dice, miou, sensitivity and precision in percent, averaged over classes.

    A class that occurs neither in truth nor in prediction has no score and is left out; a class
    that occurs in truth alone has a precision of zero, and in prediction alone a sensitivity of
    zero.
    """
    chosen = list(range(len(confusion)) if classes is None else classes)
    hit = np.diag(confusion).astype(np.float64)[chosen]
    truth = confusion.sum(axis=1)[chosen].astype(np.float64)
    found = confusion.sum(axis=0)[chosen].astype(np.float64)
    here = truth + found > 0
    hit, truth, found = hit[here], truth[here], found[here]
    return {
        "dice": _mean(200 * hit / (truth + found)),
        "miou": _mean(100 * hit / (truth + found - hit)),
        "sensitivity": _mean(100 * hit / np.maximum(truth, 1)),
        "precision": _mean(100 * hit / np.maximum(found, 1)),
    }


def _mean(values: Float64 | list[float]) -> float:
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def e_measure(
    found: NDArray[np.bool_] | Float64, truth: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Enhanced alignment of a map with a mask (Fan et al., IJCAI 2018).

    Parameters
    ----------
    found : (H, W) bool, or float from 0 to 1
    truth : (H, W) bool

    Returns
    -------
    largest, mean, adaptive : float
        0 to 1: over 256 thresholds, and at twice the map's mean. Divided by the number of pixels;
        an empty truth is scored by the share of background found, a full one by that of foreground.
    """
    level = np.round(np.clip(np.asarray(found, np.float64), 0, 1) * (_THRESHOLDS - 1)).astype(int)
    # Pixels at or above each threshold, on the mask and off it.
    on = _at_or_above(level[truth])
    off = _at_or_above(level[~truth])
    values = _alignment(on, off, int(truth.sum()), int(truth.size))
    adaptive = min(2 * float(level.mean()), _THRESHOLDS - 1)
    return float(values.max()), float(values.mean()), float(values[int(np.ceil(adaptive))])


def _at_or_above(level: Int64) -> Float64:
    counts = np.bincount(level, minlength=_THRESHOLDS)
    return np.cumsum(counts[::-1])[::-1].astype(np.float64)


def _alignment(on: Float64, off: Float64, mask: int, pixels: int) -> Float64:
    """E for maps of ``on`` pixels on a mask and ``off`` pixels off it, one value per threshold."""
    if mask == 0:
        return 1 - off / pixels
    if mask == pixels:
        return on / pixels
    mean_found, mean_truth = (on + off) / pixels, mask / pixels
    total = np.zeros_like(on)
    for truth_value, found_value, count in (
        (1, 1, on), (0, 1, off), (1, 0, mask - on), (0, 0, pixels - mask - off)
    ):  # fmt: skip
        a, b = truth_value - mean_truth, found_value - mean_found
        total += count * (1 + 2 * a * b / (a**2 + b**2)) ** 2 / 4
    return np.asarray(total / pixels, np.float64)
