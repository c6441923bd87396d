"""The tail of one sperm in one frame: from the neck to the tip along its centre line.

From the head's outline the line is followed step by step on the soft plane of midpiece and tail:
the heading that has most tail ahead is taken, turning costs, so that a line goes straight on where
another crosses it, and each step is centred between the tail's edges. Image frame, pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.measure.soft import sample
from models.types import Float32, Float64

MOST_POINTS = 200
STEP_PX = 1.0
_AHEAD = 4  # places at which a heading is looked at
_AHEAD_PX = 1.25  # between them
_HEADINGS = 3  # on either side of straight on
_SPREAD_RAD = 0.2  # between headings
_TURN_COST = 0.35  # per squared radian
_LEAST = 0.25  # mean probability ahead; less is the end
_BRIDGE_PX = 14  # a gap so long is bridged where the tail goes on behind it
_LEAVE = 6  # steps after which the own head is left behind
_RING = 48


@njit(cache=True, nogil=True)
def find_neck(body: Float32, per_px: float, own: Float64) -> tuple[float, float, float, float]:
    """Where the tail leaves the head: angle (rad), probability there, and those of a second tail.

    ``own`` is the head's row of HEAD_COLUMNS. Angles are of the direction from the head's centre.
    """
    a, b = 0.5 * own[2], 0.5 * own[3]
    strength = np.zeros(_RING)
    for k in range(_RING):
        turn = 2.0 * np.pi * k / _RING
        c, s = np.cos(turn), np.sin(turn)
        # Direction in the picture of this point of the ellipse, and how far out the ellipse lies.
        px = a * c * own[5] - b * s * own[6]
        py = a * c * own[6] + b * s * own[5]
        r = np.hypot(px, py)
        total = 0.0
        for j in range(4):
            reach = (r + 0.5 + 1.3 * j) / r
            total += sample(body, per_px, own[0] + px * reach, own[1] + py * reach)
        strength[k] = total / 4.0
    smooth = np.zeros(_RING)
    for k in range(_RING):
        for j in range(-2, 3):
            smooth[k] += strength[(k + j) % _RING] * (3 - abs(j)) / 9.0
    best = int(np.argmax(smooth))
    second, other = -1, 0.0
    for k in range(_RING):
        gap = abs((k - best + _RING // 2) % _RING - _RING // 2)
        peak = smooth[k] >= smooth[(k + 1) % _RING] and smooth[k] >= smooth[(k - 1) % _RING]
        if gap >= 5 and peak and smooth[k] > other:
            second, other = k, smooth[k]
    return _angle(own, best), smooth[best], _angle(own, second) if second >= 0 else np.nan, other


@njit(cache=True, nogil=True)
def _angle(own: Float64, k: int) -> float:
    turn = 2.0 * np.pi * k / _RING
    px = 0.5 * own[2] * np.cos(turn) * own[5] - 0.5 * own[3] * np.sin(turn) * own[6]
    py = 0.5 * own[2] * np.cos(turn) * own[6] + 0.5 * own[3] * np.sin(turn) * own[5]
    return float(np.arctan2(py, px))


@njit(cache=True, nogil=True)
def _ahead(plane: Float32, per_px: float, x: float, y: float, heading: float) -> float:
    c, s = _AHEAD_PX * np.cos(heading), _AHEAD_PX * np.sin(heading)
    total = 0.0
    for j in range(1, _AHEAD + 1):
        total += sample(plane, per_px, x + j * c, y + j * s)
    return total / _AHEAD


@njit(cache=True, nogil=True)
def trace(
    body: Float32, sperm: Float32, per_px: float, own: Float64, angle: float, points: Float64
) -> tuple[int, float]:
    """Follow a tail from the neck; return how many ``points`` (MOST_POINTS, 2) and its length, px.

    The length is measured from the head's outline to the tip, which lies half a width before the
    place where the plane falls to one half: an outline runs about the tip as it does about a side.

    Parameters
    ----------
    body, sperm : (h, w) float32
        Planes of midpiece and tail; of these and heads, as a tail goes on under another head.
    per_px : float
        Cells of the planes per pixel.
    own : (9,) float64
        The head's row of HEAD_COLUMNS.
    angle : float
        From the head's centre to the neck, radians.
    points : (MOST_POINTS, 2) float64, changed
        The centre line.
    """
    a, b = 0.5 * own[2], 0.5 * own[3]
    c = np.cos(angle) * own[5] + np.sin(angle) * own[6]
    s = np.sin(angle) * own[5] - np.cos(angle) * own[6]
    r = 1.0 / np.sqrt((c / a) ** 2 + (s / b) ** 2)
    x, y = own[0] + r * np.cos(angle), own[1] + r * np.sin(angle)
    points[0, 0], points[0, 1] = x, y
    count, heading, length, width = 1, angle, 0.0, 2.0
    reach = 2.0  # at the neck a bend may be sharp
    plane = body
    while count < MOST_POINTS - 1:
        if count == _LEAVE:
            plane = sperm
        here, turn = _best_turn(plane, per_px, x, y, heading, reach)
        if here < _LEAST:
            gap, turn = _beyond(plane, per_px, x, y, heading)
            if gap <= 0.0:
                break
            heading += turn
            x, y = x + gap * np.cos(heading), y + gap * np.sin(heading)
            length += gap
        else:
            heading += 0.6 * turn if reach < 1.5 else turn
            nx, ny = x + STEP_PX * np.cos(heading), y + STEP_PX * np.sin(heading)
            off, across = _centre(plane, per_px, nx, ny, heading)
            width += 0.2 * (across - width)
            nx -= 0.5 * off * np.sin(heading)
            ny += 0.5 * off * np.cos(heading)
            length += np.hypot(nx - x, ny - y)
            x, y = nx, ny
        points[count, 0], points[count, 1] = x, y
        count += 1
        reach = max(1.0, 0.7 * reach)
        if count > 12 and _returned(points, count):
            break
    beyond = _edge(plane, per_px, x, y, heading)
    points[count, 0] = x + beyond * np.cos(heading)
    points[count, 1] = y + beyond * np.sin(heading)
    return count + 1, max(length + beyond - 0.5 * width, 0.0)


@njit(cache=True, nogil=True)
def _best_turn(
    plane: Float32, per_px: float, x: float, y: float, heading: float, reach: float
) -> tuple[float, float]:
    """Mean probability ahead on the best heading, and the turn to it."""
    step = _SPREAD_RAD * reach
    value = np.empty(2 * _HEADINGS + 1)
    best, found = 0, 0.0
    for k in range(2 * _HEADINGS + 1):
        t = (k - _HEADINGS) * step
        here = _ahead(plane, per_px, x, y, heading + t)
        value[k] = here - _TURN_COST * t * t / reach
        if k == 0 or value[k] > value[best]:
            best, found = k, here
    turn = float(best - _HEADINGS)
    if 0 < best < 2 * _HEADINGS:
        # The crest of the parabola through three headings is finer than their spacing.
        curve = value[best - 1] - 2.0 * value[best] + value[best + 1]
        if curve < -1e-9:
            turn += 0.5 * (value[best - 1] - value[best + 1]) / curve
    return found, turn * step


@njit(cache=True, nogil=True)
def _edge(plane: Float32, per_px: float, x: float, y: float, heading: float) -> float:
    """How far ahead, or behind if negative, the plane falls to one half, px."""
    c, s = np.cos(heading), np.sin(heading)
    beyond = 0.0
    while beyond < 5.0 and sample(plane, per_px, x + beyond * c, y + beyond * s) >= 0.5:
        beyond += 0.25
    if beyond == 0.0:
        while beyond > -4.0 and sample(plane, per_px, x + beyond * c, y + beyond * s) < 0.5:
            beyond -= 0.25
    return beyond


@njit(cache=True, nogil=True)
def _beyond(
    plane: Float32, per_px: float, x: float, y: float, heading: float
) -> tuple[float, float]:
    """Length of the gap after which the tail goes on, and the turn to there; 0: it does not."""
    for gap in range(2, _BRIDGE_PX + 1):
        best, turn = 0.0, 0.0
        for k in range(-2, 3):
            t = 0.12 * k
            c, s = np.cos(heading + t), np.sin(heading + t)
            here = _ahead(plane, per_px, x + gap * c, y + gap * s, heading + t)
            if here > best:
                best, turn = here, t
        if best > 0.6:
            return float(gap), turn
    return 0.0, 0.0


@njit(cache=True, nogil=True)
def _centre(
    plane: Float32, per_px: float, x: float, y: float, heading: float
) -> tuple[float, float]:
    """How far the middle of the tail lies to the left of (x, y), and its width there, px."""
    c, s = np.cos(heading), np.sin(heading)
    total, moment = 0.0, 0.0
    for k in range(-3, 4):
        off = 0.7 * k
        p = sample(plane, per_px, x - off * s, y + off * c)
        total += p
        moment += p * off
    return (moment / total if total > 0.4 else 0.0), 0.7 * total


@njit(cache=True, nogil=True)
def _returned(points: Float64, count: int) -> bool:
    """Whether the line runs along itself: a coil has closed."""
    x, y = points[count - 1]
    for k in range(count - 8):
        if (points[k, 0] - x) ** 2 + (points[k, 1] - y) ** 2 < 0.7:
            return True
    return False
