"""Aspect: heads seen end-on or tilted, as most people would call round, and heads in clumps.

A drop is deeper than a head is long, so some sperm stand on end: the outline is round, and the
tail is hidden behind the head or runs out of focus. Others stick together by their heads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.specimen.morphology import Anatomy, HeadKind, TailKind
from models.specimen.swimming import HEADING, X, Y
from models.types import SpermClass

Float64 = NDArray[np.float64]

# Diameter of a disc of equal area. Round labelled heads of bright-field films at 20x have 39 to 67
# px2 at half contrast (10 and 90 %), dark dots that nobody labelled 22 to 35.
_DIAMETER_UM = (3.4, 4.6)
_ELONGATION = (1.0, 1.28)  # under the least ellipticity of a normal head
_HIDDEN, _STUB = 0.5, 0.2  # shares without a tail and with a piece; the others run out of focus
_STUB_UM = (3.0, 12.0)
_SLOPE = (0.25, 0.7)  # depth per length along a tail that runs out of focus
_DIM = (0.35, 0.75)  # brightness of a head whose thin side is up, or that is a pale disc
_LOBE = 0.12


def turn_end_on(rng: np.random.Generator, anatomy: Anatomy, share: float, dim: float) -> Anatomy:
    """Turn a ``share`` of the sperm until they are seen end-on, ``dim`` of these paler.

    What is seen then breaks the limits of a normal head, as anyone who labels would find, so they
    count as abnormal: round, with a short tail or none.
    """
    n = len(anatomy)
    turned = rng.random(n) < share
    width = rng.uniform(*_DIAMETER_UM, n)
    length = width * np.sqrt(rng.uniform(*_ELONGATION, n))
    width = width**2 / length
    shape = np.stack(
        [
            length / 2,
            width / 2,
            rng.uniform(-0.1, 0.25, n),
            rng.uniform(-_LOBE, _LOBE, n),
            rng.uniform(-_LOBE, _LOBE, n),
            rng.normal(0.0, 0.15, n).clip(-0.4, 0.4),
        ],
        axis=1,
    )
    pale = rng.random(n) < dim
    brightness = np.where(pale, rng.uniform(*_DIM, n), anatomy.brightness)
    fate = rng.random(n)
    stub = (fate >= _HIDDEN) & (fate < _HIDDEN + _STUB)
    tail = np.where(stub, rng.uniform(*_STUB_UM, n), anatomy.tail_length_um)
    tail = np.where(fate < _HIDDEN, 0.0, tail)
    kind = np.where(stub, TailKind.SHORT, anatomy.tail_kind)
    kind = np.where(fate < _HIDDEN, TailKind.ABSENT, kind)
    slope = rng.choice([-1.0, 1.0], n) * rng.uniform(*_SLOPE, n)
    return replace(
        anatomy,
        head=np.where(turned[:, None], shape, anatomy.head),
        tail_length_um=np.where(turned, tail, anatomy.tail_length_um),
        head_kind=np.where(turned, HeadKind.ROUND, anatomy.head_kind).astype(np.int8),
        tail_kind=np.where(turned, kind, anatomy.tail_kind).astype(np.int8),
        label=np.where(turned, SpermClass.ABNORMAL, anatomy.label).astype(np.int8),
        brightness=np.where(turned, brightness, anatomy.brightness),
        z_slope=np.where(turned, slope, anatomy.z_slope),
    )


def stick_together(
    rng: np.random.Generator, anatomy: Anatomy, state: Float64, share: float
) -> Float64:
    """Bring a ``share`` of the sperm (n, 8) to the head of another: clumps of two and more.

    Heads touch side by side; tails spread by up to a right angle either way.
    """
    n = len(anatomy)
    moved = state.copy()
    guests = np.flatnonzero(rng.random(n) < share)
    hosts = np.setdiff1d(np.arange(n), guests)
    if not len(hosts):
        return moved
    # Few hosts for many guests, so that some clumps are of three or four.
    few = hosts[: max(1, (len(guests) + 1) // 2)]
    host = few[rng.integers(0, len(few), len(guests))]
    wide = anatomy.head[:, :2].mean(axis=1)
    apart = (wide[guests] + wide[host]) * rng.uniform(0.95, 1.45, len(guests))
    turn = rng.uniform(0, 2 * np.pi, len(guests))
    moved[guests, X] = state[host, X] + apart * np.cos(turn)
    moved[guests, Y] = state[host, Y] + apart * np.sin(turn)
    moved[guests, HEADING] = state[host, HEADING] + rng.uniform(-1.6, 1.6, len(guests))
    return moved
