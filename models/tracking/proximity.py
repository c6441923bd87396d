"""Who is near whom: distances between tracks and detections, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.types import Float64, Int64

Bool = NDArray[np.bool_]


@njit(cache=True, nogil=True)
def nearest_um(position_um: Float64, other_um: Float64) -> Float64:
    """Distance of (N, 2) points to the nearest of (M, 2) others; infinite without any."""
    least = np.full(position_um.shape[0], np.inf)
    for i in range(position_um.shape[0]):
        for j in range(other_um.shape[0]):
            dx = position_um[i, 0] - other_um[j, 0]
            dy = position_um[i, 1] - other_um[j, 1]
            least[i] = min(least[i], dx * dx + dy * dy)
    distance: Float64 = np.sqrt(least)
    return distance


@njit(cache=True, nogil=True)
def depth_um(x_um: float, y_um: float, inward: Float64, offset_um: Float64) -> float:
    """Distance of a point from the border of a View; negative outside."""
    depth = np.inf
    for k in range(offset_um.shape[0]):
        depth = min(depth, inward[k, 0] * x_um + inward[k, 1] * y_um - offset_um[k])
    return depth


@njit(cache=True, nogil=True)
def nearest_fellow_um(position_um: Float64, counts: Bool, reach_um: float = np.inf) -> Float64:
    """Distance of each of (N, 2) points to the nearest other one that ``counts`` (N,).

    Infinite where there is none within ``reach_um``.
    """
    n = position_um.shape[0]
    least = np.full(n, np.inf)
    for i in range(n):
        x, y = position_um[i, 0], position_um[i, 1]
        for j in range(i):
            dx = x - position_um[j, 0]
            if dx > reach_um or dx < -reach_um:
                continue
            dy = y - position_um[j, 1]
            d2 = dx * dx + dy * dy
            if d2 > reach_um * reach_um:
                continue
            if counts[j]:
                least[i] = min(least[i], d2)
            if counts[i]:
                least[j] = min(least[j], d2)
    distance: Float64 = np.sqrt(least)
    return distance


@njit(cache=True, nogil=True)
def shadows_senior(position_um: Float64, confirmed: Bool, seen: Bool, reach_um: float) -> Bool:
    """Whether a track shares one detection with a senior one within ``reach_um`` (N,).

    Rows are ordered by age. A confirmed track is senior to a tentative one; otherwise the older
    one is. Where both are seen they are two sperm.
    """
    n = position_um.shape[0]
    shadow = np.zeros(n, np.bool_)
    for i in range(n):
        for j in range(i):
            dx = position_um[i, 0] - position_um[j, 0]
            if dx > reach_um or dx < -reach_um or (seen[i] and seen[j]):
                continue
            dy = position_um[i, 1] - position_um[j, 1]
            if dx * dx + dy * dy < reach_um * reach_um:
                if confirmed[i] and not confirmed[j]:
                    shadow[j] = True
                else:
                    shadow[i] = True
    return shadow


@njit(cache=True, nogil=True)
def contested(
    start: Int64, measurement: Int64, share: Float64, measurements: int, least: float
) -> Int64:
    """Rows of tracks (C, 2) that may both have the same measurement, elder first.

    ``start``, ``measurement`` and ``share`` are those of the gated pairs; a share below ``least``
    does not count. Of more than two tracks, each is paired with the one before it.
    """
    holder = np.full(measurements, -1, np.int64)
    found = np.empty((share.shape[0], 2), np.int64)
    count = 0
    for i in range(start.shape[0] - 1):
        for e in range(start[i], start[i + 1]):
            if share[e] < least:
                continue
            j = measurement[e]
            if holder[j] >= 0:
                found[count, 0], found[count, 1] = holder[j], i
                count += 1
            holder[j] = i
    return found[:count].copy()
