"""How well identities hold: HOTA, IDF1 and MOTA for points.

Sources: HOTA, Luiten et al. (2021); IDF1, Ristani et al. (2016); CLEAR MOT, Bernardin and
Stiefelhagen (2008). Heads are points here: similarity falls linearly with the distance of the
centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.types import Float64, Int64

_ALPHA = np.arange(0.05, 0.96, 0.05)


@dataclass(frozen=True, slots=True)
class Points:
    """Identified points of a recording, one row per point.

    Attributes
    ----------
    frame : (N,) int64
    identity : (N,) int64
    position : (N, 2) float64
        Any unit; that of the gates.
    """

    frame: Int64
    identity: Int64
    position: Float64


@dataclass(frozen=True, slots=True)
class IdentityScores:
    """0 to 1, but for the counts."""

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    mota: float
    switches: int
    tracks_found: int
    tracks_true: int


def identity_scores(
    truth: Points, found: Points, *, reach: float = 20.0, gate: float = 10.0
) -> IdentityScores:
    """Compare ``found`` with ``truth``.

    Parameters
    ----------
    reach : float
        Distance at which the similarity of HOTA is 0.
    gate : float
        Largest distance of a match for IDF1 and MOTA.
    """
    true_ids, true_row = np.unique(truth.identity, return_inverse=True)
    found_ids, found_row = np.unique(found.identity, return_inverse=True)
    frames = _pair_frames(truth, found, true_row, found_row)
    true_count = np.bincount(true_row, minlength=len(true_ids)).astype(np.float64)
    found_count = np.bincount(found_row, minlength=len(found_ids)).astype(np.float64)
    det_a, ass_a = _hota(frames, true_count, found_count, reach)
    idf1 = _idf1(frames, true_count, found_count, gate)
    matches, switches = _clear(frames, gate)
    missed = len(truth.frame) - matches
    false = len(found.frame) - matches
    return IdentityScores(
        hota=float(np.sqrt(det_a * ass_a).mean()),
        det_a=float(det_a.mean()),
        ass_a=float(ass_a.mean()),
        idf1=idf1,
        mota=1.0 - (missed + false + switches) / max(len(truth.frame), 1),
        switches=switches,
        tracks_found=len(found_ids),
        tracks_true=len(true_ids),
    )


_Frame = tuple[Int64, Int64, Float64]


def _pair_frames(truth: Points, found: Points, true_row: Int64, found_row: Int64) -> list[_Frame]:
    frames = []
    for frame in np.union1d(truth.frame, found.frame):
        a, b = truth.frame == frame, found.frame == frame
        apart = truth.position[a][:, None, :] - found.position[b][None, :, :]
        frames.append((true_row[a], found_row[b], np.hypot(apart[..., 0], apart[..., 1])))
    return frames


def _hota(
    frames: list[_Frame], true_count: Float64, found_count: Float64, reach: float
) -> tuple[Float64, Float64]:
    """DetA and AssA at each localisation threshold."""
    potential = np.zeros((len(true_count), len(found_count)))
    similarities = []
    for rows, columns, distance in frames:
        similarity = np.maximum(0.0, 1.0 - distance / reach)
        similarities.append(similarity)
        union = similarity.sum(0)[None, :] + similarity.sum(1)[:, None] - similarity
        share = np.divide(similarity, union, out=np.zeros_like(union), where=union > 1e-12)
        potential[np.ix_(rows, columns)] += share
    alignment = potential / (true_count[:, None] + found_count[None, :] - potential)
    matched = np.zeros((len(_ALPHA), len(true_count), len(found_count)))
    for (rows, columns, _), similarity in zip(frames, similarities, strict=True):
        score = alignment[np.ix_(rows, columns)] * similarity
        a, b = linear_sum_assignment(-score)
        for k, alpha in enumerate(_ALPHA):
            good = similarity[a, b] >= alpha - 1e-12
            matched[k, rows[a[good]], columns[b[good]]] += 1
    true_positive = matched.sum(axis=(1, 2))
    total = true_count.sum() + found_count.sum()
    det_a = true_positive / np.maximum(total - true_positive, 1.0)
    jaccard = matched / np.maximum(
        true_count[None, :, None] + found_count[None, None, :] - matched, 1.0
    )
    ass_a = (matched * jaccard).sum(axis=(1, 2)) / np.maximum(true_positive, 1.0)
    return det_a, ass_a


def _idf1(frames: list[_Frame], true_count: Float64, found_count: Float64, gate: float) -> float:
    together = np.zeros((len(true_count), len(found_count)))
    for rows, columns, distance in frames:
        together[np.ix_(rows, columns)] += distance <= gate
    a, b = linear_sum_assignment(-together)
    return float(2.0 * together[a, b].sum() / max(true_count.sum() + found_count.sum(), 1.0))


def _clear(frames: list[_Frame], gate: float) -> tuple[int, int]:
    """Count matches and identity switches; a match is kept while it stays inside the gate."""
    last: dict[int, int] = {}
    matches = switches = 0
    previous: dict[int, int] = {}
    for rows, columns, distance in frames:
        cost = np.where(distance <= gate, distance, 1e6)
        for r, row in enumerate(rows):
            kept = np.flatnonzero(columns == previous.get(int(row), -1))
            if len(kept) and distance[r, kept[0]] <= gate:
                cost[r, kept[0]] -= 1e3
        current: dict[int, int] = {}
        for r, c in zip(*linear_sum_assignment(cost), strict=True):
            if cost[r, c] < 1e5:
                row, column = int(rows[r]), int(columns[c])
                current[row] = column
                switches += last.get(row, column) != column
                last[row] = column
        matches += len(current)
        previous = current
    return matches, switches
