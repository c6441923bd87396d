"""Live tracks in one block of memory: a record for each, read and written by compiled code."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.types import Float64

# Frames of a trail, and its columns: time, x, y, and the three of Piece.look.
TRAIL, COLUMNS = 48, 6
Records = NDArray[np.void]


def record_type(modes: int) -> np.dtype[np.void]:
    """Layout of one track that may move in so many modes.

    track_id
    mode_mean (K, 4), mode_covariance (K, 4, 4), mode (K,)
        Estimate in each mode of motion, and how probable the mode is.
    mean (4,), covariance (4, 4)
        x, y (um), vx, vy (um/s), stage frame: over all modes.
    detectable, hidden
        Probabilities; their sum is the existence probability.
    confirmed, coasting
        ``coasting``: not seen in the newest frame.
    hits
        One bit per frame, newest in bit 0: seen or not.
    steps
        Frames since birth, that of the birth included.
    seen_s
        When it was last seen.
    size_px (2,)
        Smoothed width and height of its box.
    score
        Smoothed score of its detections.
    votes (3,)
        Decaying count of each SpermClass.
    shadow_s
        For how long it has shared one detection with a senior track at the same place.
    trail (H, COLUMNS)
        Its own detections of late, in no order; NaN times are empty.
    identity, doubt_until_s
        Probability that it still follows the same sperm, and when that is forgotten.
    """
    f8, i8 = np.float64, np.int64
    return np.dtype(
        [
            ("track_id", i8), ("mode_mean", f8, (modes, 4)),
            ("mode_covariance", f8, (modes, 4, 4)), ("mode", f8, (modes,)),
            ("mean", f8, (4,)), ("covariance", f8, (4, 4)),
            ("detectable", f8), ("hidden", f8), ("hits", i8), ("steps", i8), ("seen_s", f8),
            ("size_px", f8, (2,)), ("score", f8), ("votes", f8, (3,)), ("shadow_s", f8),
            ("trail", f8, (TRAIL, COLUMNS)), ("identity", f8), ("doubt_until_s", f8),
            ("confirmed", np.bool_), ("coasting", np.bool_),
        ],
        align=True,
    )  # fmt: skip


class Population:
    """All live tracks, eldest first; owned and changed by the tracker alone.

    Attributes
    ----------
    records : (N,) records
        Of ``record_type``; a window on a larger block.
    """

    def __init__(self, modes: int) -> None:
        self._block: Records = np.zeros(64, record_type(modes))
        self.records = self._block[:0]

    def __len__(self) -> int:
        return len(self.records)

    def room(self, more: int) -> Records:
        """Return the block, with room for so many more tracks behind those that live."""
        n = len(self.records)
        if n + more > len(self._block):
            block = np.zeros(2 * (n + more), self._block.dtype)
            block[:n] = self.records
            self._block, self.records = block, block[:n]
        return self._block

    def resize(self, count: int) -> None:
        """Let the first ``count`` records of the block be those that live."""
        self.records = self._block[:count]


@njit(cache=True, nogil=True)
def exchange(records: Records, i: int, j: int, since_s: float) -> None:
    """Let two tracks exchange the bodies that they follow; what was before stays."""
    a, b = records[i], records[j]
    for k in range(a.mode.shape[0]):
        a.mode[k], b.mode[k] = b.mode[k], a.mode[k]
        for p in range(4):
            a.mode_mean[k, p], b.mode_mean[k, p] = b.mode_mean[k, p], a.mode_mean[k, p]
            for q in range(4):
                held = a.mode_covariance[k, p, q]
                a.mode_covariance[k, p, q] = b.mode_covariance[k, p, q]
                b.mode_covariance[k, p, q] = held
    for p in range(4):
        a.mean[p], b.mean[p] = b.mean[p], a.mean[p]
        for q in range(4):
            a.covariance[p, q], b.covariance[p, q] = b.covariance[p, q], a.covariance[p, q]
    for p in range(2):
        a.size_px[p], b.size_px[p] = b.size_px[p], a.size_px[p]
    for p in range(3):
        a.votes[p], b.votes[p] = b.votes[p], a.votes[p]
    a.detectable, b.detectable = b.detectable, a.detectable
    a.hidden, b.hidden = b.hidden, a.hidden
    a.coasting, b.coasting = b.coasting, a.coasting
    a.hits, b.hits = b.hits, a.hits
    a.seen_s, b.seen_s = b.seen_s, a.seen_s
    a.score, b.score = b.score, a.score
    a.shadow_s, b.shadow_s = b.shadow_s, a.shadow_s
    first, second = a.trail.copy(), b.trail.copy()
    _mend(a.trail, first, second, since_s)
    _mend(b.trail, second, first, since_s)


@njit(cache=True, nogil=True)
def _mend(trail: Float64, own: Float64, other: Float64, since_s: float) -> None:
    """Join what is older of its own to what is newer of the other, in slots that leaves free."""
    free = 0
    for k in range(trail.shape[0]):
        # A comparison with NaN is false.
        if other[k, 0] > since_s:
            trail[k] = other[k]
        else:
            trail[k, :] = np.nan
    for k in range(trail.shape[0]):
        if own[k, 0] <= since_s:
            while free < trail.shape[0] and not np.isnan(trail[free, 0]):
                free += 1
            if free < trail.shape[0]:
                trail[free] = own[k]
