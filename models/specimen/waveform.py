"""The flagellum: a travelling wave of curvature, and how it makes the head yaw.

The tangent angle of the tail, seen from the head, is (Friedrich, Riedel-Kruse, Howard and
Juelicher, J. Exp. Biol. 213:1226, 2010)

    psi(s, phase) = K0 s + 2 A0 s cos(phase - 2 pi s / lambda)

with s along the tail. Resistive-force theory asks that force and torque on head and tail vanish,
which gives the velocity of the body at each phase from a 3x3 system; integrated over one beat
that is the yawing of the head and its side to side path. Drag: 0.69 fN s/um^2 along the tail,
1.81 times that across (Friedrich 2010; Saggiorato et al., Nat. Commun. 8:1415, 2017).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

PHASES = 64
DRAG_ALONG = 0.69  # fN s / um^2
DRAG_RATIO = 1.81
VISCOSITY = 1.0  # fN s / um^2, water
HEAD_RADIUS_UM = 1.8  # of the sphere with a head's drag
NECK_UM = 2.2  # head centre to neck

WAVE_RATIOS = np.array([0.65, 0.8, 0.95, 1.1, 1.25])  # wavelength / tail length
TAIL_LENGTHS_UM = np.array([38.0, 42.0, 46.0, 52.0])
AMPLITUDES = np.linspace(0.0, 0.036, 10)  # A0, rad / um


class Yaw(NamedTuple):
    """Motion of the head over one beat, about its mean path along +x.

    Attributes
    ----------
    table : (lengths, ratios, amplitudes, PHASES, 3) float64
        x, y of the head's centre in um and its angle in rad.
    lateral_um : (lengths, ratios, amplitudes) float64
        Half the peak to peak of y.
    stride_um : (lengths, ratios, amplitudes) float64
        Advance in one beat.
    """

    table: Float64
    lateral_um: Float64
    stride_um: Float64


def _shape(length: float, wave: float, a0: float, count: int) -> tuple[Float64, Float64]:
    """Tail points (PHASES, count, 2) from the head's centre, and arc length (count,)."""
    s = (np.arange(count) + 0.5) * length / count
    phase = np.arange(PHASES) * (2 * np.pi / PHASES)
    psi = 2 * a0 * s[None, :] * np.cos(phase[:, None] - 2 * np.pi * s[None, :] / wave)
    step = length / count
    tangent = -np.stack([np.cos(psi), np.sin(psi)], axis=-1)
    points = np.cumsum(tangent, axis=1) * step - 0.5 * tangent * step
    points[..., 0] -= NECK_UM
    return points, s


def _swim(length: float, wave: float, a0: float) -> tuple[Float64, float, float]:
    """Solve one waveform: head motion (PHASES, 3), lateral peak um, stride um."""
    count = 40
    r, _ = _shape(length, wave, a0, count)
    step = length / count
    rate = (np.roll(r, -1, axis=0) - np.roll(r, 1, axis=0)) / (4 * np.pi / PHASES)
    tangent = np.gradient(r, axis=1)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    along, across = DRAG_ALONG, DRAG_ALONG * DRAG_RATIO
    eye = np.eye(2)
    drag = across * eye + (along - across) * tangent[..., :, None] * tangent[..., None, :]
    drag *= step
    matrix = np.zeros((PHASES, 3, 3))
    matrix[:, :2, :2] = drag.sum(axis=1)
    turn = np.stack([-r[..., 1], r[..., 0]], axis=-1)  # velocity of a point for one rad/s
    dragged = np.einsum("pnij,pnj->pni", drag, turn)
    matrix[:, :2, 2] = dragged.sum(axis=1)
    matrix[:, 2, :2] = matrix[:, :2, 2]
    matrix[:, 2, 2] = np.einsum("pni,pni->p", turn, dragged)
    matrix[:, 0, 0] += 6 * np.pi * VISCOSITY * HEAD_RADIUS_UM
    matrix[:, 1, 1] += 6 * np.pi * VISCOSITY * HEAD_RADIUS_UM
    matrix[:, 2, 2] += 8 * np.pi * VISCOSITY * HEAD_RADIUS_UM**3
    pushed = np.einsum("pnij,pnj->pni", drag, rate)
    load = np.empty((PHASES, 3))
    load[:, :2] = -pushed.sum(axis=1)
    load[:, 2] = -np.einsum("pni,pni->p", turn, pushed)
    velocity = np.linalg.solve(matrix, load[..., None])[..., 0]  # per rad of phase
    dphi = 2 * np.pi / PHASES
    omega = velocity[:, 2] - velocity[:, 2].mean()
    angle = np.concatenate([[0.0], np.cumsum(omega)[:-1]]) * dphi
    angle -= angle.mean()
    c, s = np.cos(angle), np.sin(angle)
    vx = c * velocity[:, 0] - s * velocity[:, 1]
    vy = s * velocity[:, 0] + c * velocity[:, 1]
    heading = math.atan2(vy.sum(), vx.sum()) if a0 > 0 else 0.0
    c0, s0 = math.cos(-heading), math.sin(-heading)
    vx, vy = c0 * vx - s0 * vy, s0 * vx + c0 * vy
    angle = angle - heading
    stride = float(vx.sum() * dphi)
    x = np.concatenate([[0.0], np.cumsum(vx - vx.mean())[:-1]]) * dphi
    y = np.concatenate([[0.0], np.cumsum(vy - vy.mean())[:-1]]) * dphi
    motion = np.stack([x - x.mean(), y - y.mean(), angle], axis=-1)
    return motion, float(np.ptp(motion[:, 1]) / 2), stride


@cache
def yaw_tables() -> Yaw:
    """Solve the 200 waveforms of the grid (once in a process)."""
    grid = (len(TAIL_LENGTHS_UM), len(WAVE_RATIOS), len(AMPLITUDES))
    table = np.zeros((*grid, PHASES, 3))
    lateral = np.zeros(grid)
    stride = np.zeros(grid)
    for i, length in enumerate(TAIL_LENGTHS_UM):
        for j, ratio in enumerate(WAVE_RATIOS):
            for k, a0 in enumerate(AMPLITUDES):
                table[i, j, k], lateral[i, j, k], stride[i, j, k] = _swim(
                    float(length), float(ratio * length), float(a0)
                )
    return Yaw(table, lateral, stride)


@njit(nogil=True, cache=True, inline="always")
def yaw_at(table: Float64, wave: int, amplitude: float, phase: float) -> tuple[float, float, float]:
    """Interpolate the head's motion.

    Parameters
    ----------
    table : (waves, amplitudes, PHASES, 3), the first two axes of Yaw.table in one
    wave : row; amplitude : A0, rad/um; phase : rad
    """
    top = table.shape[1] - 1
    a = min(max(amplitude / AMPLITUDE_STEP, 0.0), top - 1e-9)
    k = int(a)
    fa = a - k
    p = phase / (2.0 * math.pi)
    p = (p - math.floor(p)) * PHASES
    j = int(p) % PHASES
    j2 = (j + 1) % PHASES
    fp = p - math.floor(p)
    w00 = (1 - fa) * (1 - fp)
    w01 = (1 - fa) * fp
    w10 = fa * (1 - fp)
    w11 = fa * fp
    lo = table[wave, k]
    hi = table[wave, k + 1]
    return (
        w00 * lo[j, 0] + w01 * lo[j2, 0] + w10 * hi[j, 0] + w11 * hi[j2, 0],
        w00 * lo[j, 1] + w01 * lo[j2, 1] + w10 * hi[j, 1] + w11 * hi[j2, 1],
        w00 * lo[j, 2] + w01 * lo[j2, 2] + w10 * hi[j, 2] + w11 * hi[j2, 2],
    )


AMPLITUDE_STEP = float(AMPLITUDES[1] - AMPLITUDES[0])
