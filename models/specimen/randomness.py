"""Counter-based random numbers: a value depends on its address, never on what was drawn before.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_A = np.uint64(0xBF58476D1CE4E5B9)
_B = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_TO_UNIT = 1.0 / 4294967296.0


@njit(nogil=True, cache=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """Scramble 64 bits."""
    z = value + _GOLDEN
    z = (z ^ (z >> _S30)) * _A
    z = (z ^ (z >> _S27)) * _B
    return z ^ (z >> _S31)


@njit(nogil=True, cache=True, inline="always")
def address(seed: np.uint64, item: int, step: int, stream: int) -> np.uint64:
    """Hash of (seed, item, step, stream): the address of one random number."""
    bits: np.uint64 = mix(mix(mix(seed + np.uint64(stream)) ^ np.uint64(item)) ^ np.uint64(step))
    return bits


@njit(nogil=True, cache=True, inline="always")
def uniform(bits: np.uint64) -> float:
    """Uniform number in [0, 1) from the upper half of ``bits``."""
    return float(bits >> _S32) * _TO_UNIT


@njit(nogil=True, cache=True, inline="always")
def normal_pair(bits: np.uint64) -> tuple[float, float]:
    """Two independent standard normal numbers from one hash (Box and Muller)."""
    u = (float(bits >> _S32) + 0.5) * _TO_UNIT
    v = float(bits & _LOW) * _TO_UNIT
    r = math.sqrt(-2.0 * math.log(u))
    return r * math.cos(2.0 * math.pi * v), r * math.sin(2.0 * math.pi * v)
