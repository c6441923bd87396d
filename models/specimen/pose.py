"""From the state of a sperm to where its head and tail lie in the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.morphology import Anatomy
from models.specimen.optics import Look, Tables
from models.specimen.splat import depth_level
from models.specimen.waveform import yaw_at, yaw_tables

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

POINTS = 23  # of a tail's centre line
ONE_TURN = 2.0 * math.pi


@dataclass(frozen=True, slots=True)
class Pose:
    """Sperm in the picture at one time. Image frame, px.

    Attributes
    ----------
    x, y : (n,) centre of the head
    ux, uy : (n,) unit vector along the head, towards its tip
    line_x, line_y : (lines, POINTS) centre lines of the tails, NaN where there is none
    line_sd, line_amplitude : (lines, POINTS) blur across, px, and contrast (positive)
    """

    x: Float64
    y: Float64
    ux: Float64
    uy: Float64
    line_x: Float64
    line_y: Float64
    line_sd: Float64
    line_amplitude: Float64


@njit(nogil=True, cache=True)
def head_centre(state: Float64, wave: int, yaw: Float64) -> tuple[float, float, float]:
    """Centre of one head, um, and its angle, rad, from its state (8,)."""
    ox, oy, turn = yaw_at(yaw, wave, state[5], state[3])
    scale = state[7]
    c = math.cos(state[2])
    s = math.sin(state[2])
    ox *= scale
    oy *= scale
    angle = state[2] + turn * min(scale, 1.5)
    return state[0] + c * ox - s * oy, state[1] + s * ox + c * oy, angle


@njit(nogil=True, cache=True)
def trace(
    state: Float64,
    wave: Int64,
    head: Float64,
    tail_um: Float64,
    midpiece_um: Float64,
    bend: Float64,
    coil: Float64,
    wavelength: Float64,
    z_um: Float64,
    z_slope: Float64,
    tail_gain: Float64,
    owner: Int64,
    line_offset: Float64,
    line_lag: Float64,
    yaw: Float64,
    to_px: Float64,
    blur_um: Float64,
    width_um: float,
    um_per_px: float,
    x: Float64,
    y: Float64,
    ux: Float64,
    uy: Float64,
    line_x: Float64,
    line_y: Float64,
    line_sd: Float64,
    line_amplitude: Float64,
) -> None:
    """Fill a Pose; ``to_px`` (2, 3) maps um to px, the other arrays are those of Anatomy."""
    focus = blur_um[depth_level(0.0)]
    thin = width_um * width_um / 12.0
    focus_sd = math.sqrt(focus * focus + thin)
    for i in range(len(state)):
        cx, cy, angle = head_centre(state[i], wave[i], yaw)
        x[i] = to_px[0, 0] * cx + to_px[0, 1] * cy + to_px[0, 2]
        y[i] = to_px[1, 0] * cx + to_px[1, 1] * cy + to_px[1, 2]
        c = math.cos(angle)
        s = math.sin(angle)
        vx = to_px[0, 0] * c + to_px[0, 1] * s
        vy = to_px[1, 0] * c + to_px[1, 1] * s
        norm = math.hypot(vx, vy)
        ux[i] = vx / norm
        uy[i] = vy / norm
    points = line_x.shape[1]
    for k in range(len(owner)):
        i = owner[k]
        length = tail_um[i]
        if length <= 0.0:
            for j in range(points):
                line_x[k, j] = math.nan
            continue
        cx, cy, angle = head_centre(state[i], wave[i], yaw)
        a = head[i, 0]
        px = cx - a * 0.93 * math.cos(angle)
        py = cy - a * 0.93 * math.sin(angle)
        step = length / (points - 1)
        a0 = state[i, 5]
        k0 = state[i, 6]
        phase = state[i, 3] - line_lag[k]
        inv_wave = ONE_TURN / wavelength[i]
        for j in range(points):
            arc = j * step
            line_x[k, j] = to_px[0, 0] * px + to_px[0, 1] * py + to_px[0, 2]
            line_y[k, j] = to_px[1, 0] * px + to_px[1, 1] * py + to_px[1, 2]
            sigma = blur_um[depth_level(z_um[i] + z_slope[i] * arc)]
            wide = thin
            gain = tail_gain[i] * (1.0 - 0.55 * arc / length)
            if arc < midpiece_um[i]:
                wide = thin * 2.2
                gain *= 1.9
            sd = math.sqrt(sigma * sigma + wide)
            line_sd[k, j] = sd / um_per_px
            line_amplitude[k, j] = gain * focus_sd / sd
            mid = arc + 0.5 * step
            psi = k0 * mid + 2.0 * a0 * mid * math.cos(phase - inv_wave * mid) + line_offset[k]
            # The neck bends within the first two micrometres.
            psi += bend[i] * min(mid / 2.0, 1.0)
            if mid > midpiece_um[i]:
                psi += coil[i] * (mid - midpiece_um[i])
            px -= step * math.cos(angle + psi)
            py -= step * math.sin(angle + psi)


def flat_yaw() -> Float64:
    """Yaw tables with tail length and wavelength in one axis: (waves, amplitudes, PHASES, 3)."""
    table = yaw_tables().table
    return table.reshape(-1, *table.shape[2:])


def pose(
    anatomy: Anatomy,
    state: Float64,
    share: Float64,
    look: Look,
    tables: Tables,
    yaw: Float64,
    to_px: Float64,
) -> Pose:
    """Place every sperm of ``anatomy`` with ``state`` (n, 8) in the picture.

    ``share`` (n,) is the part of the exposure that this pose stands for.
    """
    n, lines = len(anatomy), len(anatomy.line_owner)
    placed = Pose(*(np.empty(n) for _ in range(4)), *(np.empty((lines, POINTS)) for _ in range(4)))
    trace(
        state,
        anatomy.wave,
        anatomy.head,
        anatomy.tail_length_um,
        anatomy.midpiece_um,
        anatomy.bend_rad,
        anatomy.coil_per_um,
        anatomy.wavelength_um,
        anatomy.z_um,
        anatomy.z_slope,
        anatomy.tail_brightness * share * look.tail_contrast,
        anatomy.line_owner,
        anatomy.line_offset_rad,
        anatomy.line_lag_rad,
        yaw,
        to_px,
        tables.blur_um,
        look.tail_width_um,
        look.um_per_px,
        placed.x,
        placed.y,
        placed.ux,
        placed.uy,
        placed.line_x,
        placed.line_y,
        placed.line_sd,
        placed.line_amplitude,
    )
    return placed
