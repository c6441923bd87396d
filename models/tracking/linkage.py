"""How likely what is seen of a sperm after an encounter continues what was seen of one before.

Each piece of path is filtered under a grid of constant velocity models, which differ in how fast
the velocity wanders and how widely the head swings; the piece before weighs them. The sperm's
look (size of its box, class) adds what the detector says of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from models.types import Float64

# Spectral density of the acceleration, um^2/s^3: v^2 2 D for a heading that diffuses with D
# (rad^2/s); from still cells to hyperactive ones.
_WANDER = np.array([3.0, 60.0, 400.0, 2000.0, 10000.0])
# Variance of a measurement about the mean path, um^2 per axis: noise, and the head's yawing.
_SWING = np.array([0.08, 0.25, 0.8, 2.5, 8.0])
_SPEED_VARIANCE = 50.0**2
# Share of the weight that is spread evenly: a sperm may change its way of swimming.
_FORGET = 0.1
# Logarithm of box sides: spread of one sperm's mean from place to place, of single frames, and
# of all sperm.
_SIZE_DRIFT, _SIZE_NOISE, _SIZE_SPREAD = 0.02, 0.04, 0.14
# The same for the ratio of the sides, which turns with the head.
_SHAPE_DRIFT, _SHAPE_NOISE, _SHAPE_SPREAD = 0.10, 0.06, 0.25
# Frames of the class that count as independent.
_LABEL_FRAMES = 3.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of what was seen of one track, frame by frame.

    Attributes
    ----------
    time_s : (n,) float64
        Increasing.
    place_um : (n, 2) float64
        Its own detections.
    look : (n, 3) float64
        Logarithms of the box's area and of width by height, and the class: 0 normal, 1 abnormal,
        0.5 unknown.
    """

    time_s: Float64
    place_um: Float64
    look: Float64

    def __len__(self) -> int:
        return len(self.time_s)

    def table(self) -> Float64:
        """All of it side by side (n, 6)."""
        return np.column_stack([self.time_s, self.place_um, self.look])


def link(before: Piece, after: Piece) -> tuple[float, float]:
    """Log likelihood ratio of ``after`` as the continuation of ``before``, to any sperm's.

    Returns what the path says (in which a path from anywhere has density 1 per um^2) and what
    the look says.
    """
    path, look = link_paths_and_looks(before.table(), after.table())
    return float(path), float(look)


@njit(cache=True, nogil=True)
def link_paths_and_looks(before: Float64, after: Float64) -> tuple[float, float]:
    """Do that for pieces (n, 6): time, x, y, and the three of ``Piece.look``."""
    path = _path(before, after)
    return path - _path(after[:0], after), _look(before[:, 3:], after[:, 3:])


@njit(cache=True, nogil=True)
def _look(before: Float64, after: Float64) -> float:
    n, m = before.shape[0], after.shape[0]
    total = 0.0
    for column, drift, noise, spread in (
        (0, _SIZE_DRIFT, _SIZE_NOISE, _SIZE_SPREAD),
        (1, _SHAPE_DRIFT, _SHAPE_NOISE, _SHAPE_SPREAD),
    ):
        gap = np.median(after[:, column]) - np.median(before[:, column])
        same = np.hypot(drift, noise * np.sqrt(1.5 / n + 1.5 / m))
        # Student's t with 3 degrees of freedom against a flat density over all sperm's spread.
        total += np.log(0.3676 / same) - 2.0 * np.log1p(gap * gap / (3.0 * same * same))
        total += np.log(np.sqrt(12.0) * spread)
    abnormal = 0.1 + 0.8 * before[:, 2].mean()
    now = after[:, 2].mean()
    frames = min(float(m), _LABEL_FRAMES)
    told = now * np.log(abnormal) + (1.0 - now) * np.log(1.0 - abnormal) - np.log(0.5)
    return float(total + frames * told)


@njit(cache=True, nogil=True)
def _path(before: Float64, after: Float64) -> float:
    """Log density of the places after, given those before."""
    models = _WANDER.shape[0] * _SWING.shape[0]
    weight, found = np.empty(models), np.empty(models)
    n, m = before.shape[0], after.shape[0]
    for k in range(models):
        density, variance = _WANDER[k // _SWING.shape[0]], _SWING[k % _SWING.shape[0]]
        x, y, vx, vy = 0.0, 0.0, 0.0, 0.0
        a, b, c = variance, 0.0, _SPEED_VARIANCE
        weight[k], found[k] = 0.0, 0.0
        last = 0.0
        for e in range(n + m):
            row = before[e] if e < n else after[e - n]
            now, zx, zy = row[0], row[1], row[2]
            if e == 0:
                x, y, last = zx, zy, now
                continue
            dt = now - last
            last = now
            x, y = x + dt * vx, y + dt * vy
            a += 2.0 * dt * b + dt * dt * c + density * dt**3 / 3.0
            b += dt * c + density * dt * dt / 2.0
            c += density * dt
            s = a + variance
            ex, ey = zx - x, zy - y
            step = -0.5 * (ex * ex + ey * ey) / s - np.log(2.0 * np.pi * s)
            if e < n:
                weight[k] += step
            else:
                found[k] += step
            gain, gain_speed = a / s, b / s
            x, y = x + gain * ex, y + gain * ey
            vx, vy = vx + gain_speed * ex, vy + gain_speed * ey
            c -= gain_speed * b
            a, b = (1.0 - gain) * a, (1.0 - gain) * b
    top = weight.max()
    total = 0.0
    for k in range(models):
        weight[k] = np.exp(weight[k] - top)
        total += weight[k]
    best = found.max()
    mixed = 0.0
    for k in range(models):
        share = (1.0 - _FORGET) * weight[k] / total + _FORGET / models
        mixed += share * np.exp(found[k] - best)
    return float(best + np.log(mixed))
