"""How sperm swim: five modes, switching between them, and the step that moves all of them.

Modes and their proportions are named as by Choi et al. 2022; the ranges are bounded by published
kinematics of human sperm (WHO laboratory manual, 6th edition).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.morphology import Anatomy, TailKind
from models.specimen.randomness import address, normal_pair, uniform
from models.specimen.waveform import AMPLITUDES, yaw_tables

Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]

STEP_S = 1.0 / 240.0
SWITCH_PER_S = 0.05
RELAX_S = 0.25
HYPER_TURN_PER_S = 2.0
STUCK = 0.13  # share of the immotile that start beside another sperm

# Columns of the state of one sperm.
X, Y, HEADING, PHASE, SPEED, A0, K0, SCALE = range(8)
STATE = 8
# Columns of the parameters of one sperm in one mode.
P_SPEED, P_A0, P_K0, P_SCALE, P_HZ, P_CURVE, P_TURN, P_DIFFUSE = range(8)
PARAMETERS = 8


class Mode(IntEnum):
    """Swimming modes."""

    LINEAR = 0
    CIRCULAR = 1
    HYPERACTIVE = 2
    NONPROGRESSIVE = 3
    IMMOTILE = 4


MODE_SHARE = np.array([0.45, 0.10, 0.05, 0.10, 0.30])


@dataclass(frozen=True, slots=True)
class Swim:
    """What each sperm would do in each mode.

    Attributes
    ----------
    parameters : (n, 5, 8) float64
        Speed um/s, A0 rad/um, K0 rad/um, scale of the yaw, beat Hz, path curvature 1/um,
        rotational diffusion rad^2/s, translational diffusion um^2/s.
    mode : (n,) int8
        Mode at time 0.
    """

    parameters: Float64
    mode: Int8


def draw_swim(
    rng: np.random.Generator, anatomy: Anatomy, *, pace: float = 1.0, share: Float64 = MODE_SHARE
) -> Swim:
    """Draw modes and their parameters.

    ``pace`` multiplies speeds and side to side motion, and its root the beat: 0.2 to 0.4 is a
    viscous medium such as polyvinylpyrrolidone.
    """
    n = len(anatomy)
    tailless = np.isin(anatomy.tail_kind, (TailKind.ABSENT, TailKind.COILED, TailKind.SHORT))
    # Sperm without a working tail are immotile; the others make up for it.
    motile = share / share[:4].sum()
    mode = rng.choice(4, n, p=motile[:4])
    spare = max(share[4] - float(tailless.mean() if n else 0.0), 0.0)
    still = tailless | (rng.random(n) < spare / max(1.0 - float(tailless.mean() if n else 0), 0.1))
    mode = np.where(still, Mode.IMMOTILE, mode)

    sign = rng.choice([-1.0, 1.0], n)
    zero = np.zeros(n)
    speed = np.stack(
        [
            np.minimum(np.exp(rng.normal(np.log(35.0), 0.45, n)), 110.0),
            rng.uniform(20, 60, n),
            rng.uniform(5, 30, n),
            rng.uniform(0.5, 5, n),
            zero,
        ],
        axis=1,
    )
    lateral = np.stack(
        [
            rng.uniform(1.0, 2.5, n),
            rng.uniform(1.0, 3.0, n),
            rng.uniform(3.5, 6.0, n),
            rng.uniform(0.5, 1.5, n),
            zero,
        ],
        axis=1,
    )
    beat = np.stack(
        [
            rng.uniform(8, 16, n),
            rng.uniform(8, 16, n),
            rng.uniform(5, 12, n),
            rng.uniform(3, 10, n),
            zero,
        ],
        axis=1,
    )
    curve = np.stack(
        [
            rng.normal(0, 0.002, n),
            sign * rng.uniform(0.01, 0.05, n),
            sign * rng.uniform(0.02, 0.10, n),
            rng.normal(0, 0.03, n),
            zero,
        ],
        axis=1,
    )
    turn = np.stack(
        [
            rng.uniform(0.05, 0.2, n),
            np.full(n, 0.05),
            rng.uniform(1.0, 2.0, n),
            np.full(n, 0.5),
            np.full(n, 0.01),
        ],
        axis=1,
    )
    diffuse = np.stack([zero, zero, zero, zero, rng.uniform(0.02, 0.05, n)], axis=1)
    speed, lateral, beat = speed * pace, lateral * pace, beat * min(pace, 1.0) ** 0.5
    a0, scale = _waveform_for(anatomy.wave, lateral)
    # Path curvature is about twice the mean curvature of the flagellum (Friedrich 2010).
    k0 = -0.5 * np.clip(curve, -0.06, 0.06)
    k0[:, Mode.IMMOTILE] = rng.normal(0.0, 0.012, n)
    parameters = np.stack([speed, a0, k0, scale, beat, curve, turn, diffuse], axis=-1)
    return Swim(parameters=np.ascontiguousarray(parameters), mode=mode.astype(np.int8))


def _waveform_for(wave: Int64, lateral_um: Float64) -> tuple[Float64, Float64]:
    """A0 whose head swings by ``lateral_um`` (n, 5), and the scale for what A0 cannot give.

    Beyond A0 = 0.024 rad/um the tail would touch itself: the rest is scaled kinematically.
    """
    yaw = yaw_tables()
    top = int(np.searchsorted(AMPLITUDES, 0.0245))
    rows = yaw.lateral_um.reshape(-1, len(AMPLITUDES))[wave, :top]  # (n, top)
    reachable = np.maximum.accumulate(rows, axis=1)
    wanted = np.minimum(lateral_um, reachable[:, -1:])
    below = (reachable[:, None, :] < wanted[:, :, None]).sum(axis=2).clip(1, top - 1)
    take = np.take_along_axis
    lo, hi = take(reachable, below - 1, axis=1), take(reachable, below, axis=1)
    part = ((wanted - lo) / np.maximum(hi - lo, 1e-9)).clip(0, 1)
    a0 = AMPLITUDES[below - 1] + part * (AMPLITUDES[1] - AMPLITUDES[0])
    a0 = np.where(lateral_um > 0, a0, 0.0)
    scale = np.where(lateral_um > 0, lateral_um / np.maximum(wanted, 1e-6), 1.0)
    return a0, scale.clip(0.5, 6.0)


def first_state(rng: np.random.Generator, swim: Swim, size_um: tuple[float, float]) -> Float64:
    """State (n, 8) at time 0, spread evenly over a world of ``size_um``."""
    n = len(swim.mode)
    now = swim.parameters[np.arange(n), swim.mode]
    state = np.zeros((n, STATE))
    state[:, X] = rng.uniform(0, size_um[0], n)
    state[:, Y] = rng.uniform(0, size_um[1], n)
    # Some of the immotile stick to another sperm.
    stuck = np.flatnonzero((swim.mode == Mode.IMMOTILE) & (rng.random(n) < STUCK))
    if n > 1 and len(stuck):
        partner = (stuck + rng.integers(1, n, len(stuck))) % n
        turn = rng.uniform(0, 2 * np.pi, len(stuck))
        apart = rng.uniform(3.0, 9.0, len(stuck))
        state[stuck, X] = state[partner, X] + apart * np.cos(turn)
        state[stuck, Y] = state[partner, Y] + apart * np.sin(turn)
    state[:, HEADING] = rng.uniform(0, 2 * np.pi, n)
    state[:, PHASE] = rng.uniform(0, 2 * np.pi, n)
    state[:, SPEED] = now[:, P_SPEED]
    state[:, A0] = now[:, P_A0]
    state[:, K0] = now[:, P_K0]
    state[:, SCALE] = now[:, P_SCALE]
    return state


def glide(state: Float64, swim: Swim, dt_s: float) -> Float64:
    """Advance (n, 8) by a short time without randomness: for single frames without a history."""
    n = len(state)
    now = swim.parameters[np.arange(n), swim.mode]
    moved = state.copy()
    moved[:, X] += dt_s * state[:, SPEED] * np.cos(state[:, HEADING])
    moved[:, Y] += dt_s * state[:, SPEED] * np.sin(state[:, HEADING])
    moved[:, PHASE] += dt_s * 2 * np.pi * now[:, P_HZ]
    return moved


@njit(nogil=True, cache=True)
def advance(
    state: Float64,
    mode: Int8,
    parameters: Float64,
    still_from: Int64,
    step: int,
    seed: np.uint64,
    flow_x: float,
    flow_y: float,
    out_state: Float64,
    out_mode: Int8,
) -> None:
    """Make step ``step`` to ``step + 1``.

    Parameters
    ----------
    state, out_state : (n, 8) before and after
    mode, out_mode : (n,) before and after
    parameters : (n, 5, 8)
    still_from : (n,) step from which a sperm is immobilised
    step, seed : address of the random numbers
    flow_x, flow_y : drift of the medium, um/s
    """
    relax = STEP_S / RELAX_S
    for i in range(len(state)):
        m = int(mode[i])
        stopped = step >= still_from[i]
        if stopped:
            m = 4
        elif m != 4 and uniform(address(seed, i, step, 1)) < SWITCH_PER_S * STEP_S:
            v = uniform(address(seed, i, step, 2)) * 0.70
            m = 0 if v < 0.45 else (1 if v < 0.55 else (2 if v < 0.60 else 3))
        p = parameters[i, m]
        g0, g1 = normal_pair(address(seed, i, step, 3))
        g2 = 0.0
        if p[P_DIFFUSE] > 0.0:
            g2, _ = normal_pair(address(seed, i, step, 4))
        curve = p[P_CURVE]
        if m == 2:
            # A hyperactive sperm turns to the other side at random, about twice a second.
            block = int(step * STEP_S * HYPER_TURN_PER_S)
            if uniform(address(seed, i, block, 5)) < 0.5:
                curve = -curve
        speed = state[i, SPEED] + relax * (p[P_SPEED] - state[i, SPEED])
        if stopped:
            speed = 0.0
        heading = (
            state[i, HEADING] + curve * speed * STEP_S + math.sqrt(2.0 * p[P_TURN] * STEP_S) * g0
        )
        walk = math.sqrt(2.0 * p[P_DIFFUSE] * STEP_S)
        out_state[i, X] = state[i, X] + (speed * math.cos(heading) + flow_x) * STEP_S + walk * g1
        out_state[i, Y] = state[i, Y] + (speed * math.sin(heading) + flow_y) * STEP_S + walk * g2
        out_state[i, HEADING] = heading
        out_state[i, PHASE] = state[i, PHASE] + (
            0.0 if stopped else 2.0 * math.pi * p[P_HZ] * STEP_S
        )
        out_state[i, SPEED] = speed
        for c in range(A0, STATE):
            target = p[P_A0 + c - A0]
            out_state[i, c] = state[i, c] + (0.0 if stopped else relax * (target - state[i, c]))
        out_mode[i] = m
