"""The class map as the tracks have it: a sperm keeps its colour when one frame thinks otherwise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.types import Float64, Int64, SpermClass, Tracks, TrackState, UInt8

BoolArray = NDArray[np.bool_]
_CLASSES = (SpermClass.NORMAL, SpermClass.ABNORMAL)
_TAKEN = 255  # a mark of its own while a region is looked at
_NEAR_PX = 2  # a head's middle may fall beside its mask by so much
_AROUND = np.mgrid[-_NEAR_PX : _NEAR_PX + 1, -_NEAR_PX : _NEAR_PX + 1].reshape(2, -1)


def settled(class_map: UInt8, track_px: Float64, tracks: Tracks) -> UInt8:
    """Give each seen sperm the class of its track, a majority over recent frames.

    Parameters
    ----------
    class_map : (H, W) uint8
        SpermClass of each pixel in this frame alone. Not changed.
    track_px : (N, 2) float64
        Head of each track, image frame.
    tracks : Tracks
        N rows, as of this frame.

    Returns
    -------
    (H, W) uint8
        The same array where nothing differs. A region that also holds the head of a sperm which
        is rightly of the region's class stays as it is: where two touch, pixels have no one owner.
        A sperm that is not found in this frame may still be such a neighbour: where two heads are
        found as one, one of their tracks coasts.
    """
    kept = (tracks.state != TrackState.TENTATIVE) & np.isin(tracks.label, _CLASSES)
    labels = tracks.label[kept]
    seen = tracks.state[kept] == TrackState.CONFIRMED
    rows, columns, inside = _windows(track_px[kept], class_map.shape)
    around = np.where(inside, class_map[rows, columns], SpermClass.BACKGROUND)
    # An even count is a normal one: like the class of a head, whose pixels vote.
    normal, abnormal = ((around == kind).sum(axis=1) for kind in _CLASSES)
    found = np.where(normal >= abnormal, SpermClass.NORMAL, SpermClass.ABNORMAL)
    contrary = np.flatnonzero(seen & (normal + abnormal > 0) & (found != labels))
    if len(contrary) == 0:
        return class_map
    result = class_map.copy()
    for k in contrary.tolist():
        v, u = rows[k], columns[k]
        mine = inside[k] & (result[v, u] == found[k])
        if mine.any():  # else turned already, with another head in the same region
            first = int(np.argmax(mine))
            rival = (labels == found[k]) & (np.arange(len(labels)) != k)
            seed = (int(u[first]), int(v[first]))
            places = rows[rival], columns[rival], inside[rival]
            _turn(result, seed, int(labels[k]), places)
    return result


def _windows(centre_px: Float64, shape: tuple[int, ...]) -> tuple[Int64, Int64, BoolArray]:
    """(N, 25) rows and columns around each head's middle, and which of them lie in the picture."""
    middle = np.round(centre_px).astype(np.int64)
    rows, columns = middle[:, 1:] + _AROUND[0], middle[:, :1] + _AROUND[1]
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return np.where(inside, rows, 0), np.where(inside, columns, 0), inside


def _turn(
    class_map: UInt8,
    seed: tuple[int, int],
    label: int,
    rivals: tuple[Int64, Int64, BoolArray],
) -> None:
    """Turn the region of a pixel to a label, in place, unless the head of a rival lies in it."""
    was = int(class_map[seed[1], seed[0]])
    _, _, _, (left, top, width, height) = cv2.floodFill(class_map, None, seed, _TAKEN, flags=8)
    rows, columns, inside = rivals
    held = bool((inside & (class_map[rows, columns] == _TAKEN)).any())
    region = class_map[top : top + height, left : left + width]
    region[region == _TAKEN] = was if held else label
