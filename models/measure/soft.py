"""Soft planes: how surely each place is head, or midpiece and tail, between 0 and 1.

From the network's logits, which lie at half the picture's size, or from hard maps. All kernels of
this package read planes through ``sample``, in the picture's pixels, so that both look the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.types import Float32, Perception, SpermPart, UInt8

# Logits of background this far above every other leave less than 2 % for sperm: not worth an exp.
_CLEAR = 4.0


@dataclass(frozen=True, slots=True)
class Planes:
    """Probabilities of one frame.

    Attributes
    ----------
    head, body : (h, w) float32
        Of head; of midpiece and tail.
    per_px : float
        Cells of a plane per pixel of the picture, along either axis.
    """

    head: Float32
    body: Float32
    per_px: float = 1.0


@njit(cache=True, nogil=True)
def sample(plane: Float32, per_px: float, x: float, y: float) -> float:
    """Read a plane at (x, y) px, bilinearly; 0 outside the picture."""
    u = (x + 0.5) * per_px - 0.5
    v = (y + 0.5) * per_px - 0.5
    rows, columns = plane.shape
    if not (-0.5 <= u <= columns - 0.5 and -0.5 <= v <= rows - 0.5):
        return 0.0
    u = min(max(u, 0.0), columns - 1.0)
    v = min(max(v, 0.0), rows - 1.0)
    left, top = int(u), int(v)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    fx, fy = u - left, v - top
    above = plane[top, left] * (1.0 - fx) + plane[top, right] * fx
    below = plane[bottom, left] * (1.0 - fx) + plane[bottom, right] * fx
    return float(above * (1.0 - fy) + below * fy)


@njit(cache=True, nogil=True)
def _soften(logits: Float32, head: Float32, body: Float32) -> None:
    """Share out the sperm's probability among its parts; ``logits`` (h, w, 7)."""
    for y in range(logits.shape[0]):
        for x in range(logits.shape[1]):
            ground = logits[y, x, 0]
            best = max(logits[y, x, 1], logits[y, x, 2])
            if ground - best > _CLEAR:
                continue
            sperm = np.exp(logits[y, x, 1] - best) + np.exp(logits[y, x, 2] - best)
            sperm = sperm / (sperm + np.exp(ground - best))
            top = max(logits[y, x, 4], logits[y, x, 5], logits[y, x, 6])
            h = np.exp(logits[y, x, 4] - top)
            m = np.exp(logits[y, x, 5] - top)
            t = np.exp(logits[y, x, 6] - top)
            total = h + m + t
            head[y, x] = sperm * h / total
            body[y, x] = sperm * (m + t) / total


def planes_of_logits(logits: Float32, per_px: float) -> Planes:
    """Turn logits into planes.

    Parameters
    ----------
    logits : (7, h, w) float32
        Of background, normal, abnormal; then of the parts none, head, midpiece, tail.
    per_px : float
        Cells per pixel of the picture that they were computed from.
    """
    pixels = np.ascontiguousarray(logits.transpose(1, 2, 0), np.float32)
    head = np.zeros(pixels.shape[:2], np.float32)
    body = np.zeros(pixels.shape[:2], np.float32)
    _soften(pixels, head, body)
    return Planes(head, body, per_px)


def planes_of_parts(part_map: UInt8) -> Planes:
    """Turn a part map (H, W) into planes of zeros and ones."""
    head = (part_map == SpermPart.HEAD).astype(np.float32)
    body = (part_map >= SpermPart.MIDPIECE).astype(np.float32)
    return Planes(head, body)


def planes_of(perception: Perception) -> Planes | None:
    """Return the planes of a frame; None where the detector does not tell parts."""
    if perception.part_map is None:
        return None
    if perception.logits is None or len(perception.logits) < 7:
        return planes_of_parts(perception.part_map)
    return planes_of_logits(perception.logits, perception.logits_per_px)
