"""The state of all sperm over time: integrated in fixed steps, with a short history."""

from __future__ import annotations

import math
import threading

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.specimen.randomness import address, uniform
from models.specimen.swimming import STATE, STEP_S, Swim, advance

Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int64 = NDArray[np.int64]

HISTORY_S = 3.0
BEFORE_S = 0.25  # frames at time 0 look a little into the past
_NEVER = np.iinfo(np.int64).max
_OCTAVES = 13
_LOWEST_HZ = 1.0 / 600.0


class World:
    """Integrates all sperm; any time within the history is a look-up, older times start anew.

    May be asked from several threads.

    Parameters
    ----------
    swim : how they swim
    state : (n, 8) at the beginning, ``BEFORE_S`` before time 0
    seed : of the random numbers
    drift_um_s : (2,) flow of the medium
    """

    def __init__(self, swim: Swim, state: Float64, seed: int, drift_um_s: Float64) -> None:
        self._parameters = swim.parameters
        self._first = state
        self._first_mode = swim.mode
        self._seed = np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
        self._drift = (float(drift_um_s[0]), float(drift_um_s[1]))
        self._still_from = np.full(len(state), _NEVER, np.int64)
        self._length = int(HISTORY_S / STEP_S)
        # Written at once, so that resident memory does not seem to grow over the first seconds.
        self._states = np.full((self._length, len(state), STATE), 0.0)
        self._modes = np.full((self._length, len(state)), 0, np.int8)
        self._newest = self._oldest = 0
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._states[0] = self._first
        self._modes[0] = self._first_mode
        self._newest = self._oldest = 0

    def immobilise(self, row: int, time_s: float) -> None:
        """Stop sperm ``row`` from ``time_s`` on."""
        step = max(math.ceil((time_s + BEFORE_S) / STEP_S), 0)
        with self._lock:
            self._still_from[row] = min(step, int(self._still_from[row]))
            if step < self._newest:
                # The past changes: go back to it, or to the beginning if it is forgotten.
                if step >= self._oldest:
                    self._newest = step
                else:
                    self._restart()

    def at(self, time_s: float, rows: Int64 | None = None) -> tuple[Float64, Int8]:
        """State (m, 8) and mode (m,) at a time, of all sperm or of ``rows``: own copies.

        Raises
        ------
        ValueError
            For a time before the beginning.
        """
        exact = (time_s + BEFORE_S) / STEP_S
        if exact < 0:
            raise ValueError(f"specimen: time {time_s:.3f} s is before the beginning")
        step = int(exact)
        with self._lock:
            self._reach(step + 1)
            part = exact - step
            here, there = step % self._length, (step + 1) % self._length
            before, after, mode = self._states[here], self._states[there], self._modes[here]
            if rows is not None:
                before, after, mode = before[rows], after[rows], mode[rows]
            return before + part * (after - before), mode.copy()

    def _reach(self, step: int) -> None:
        if step - 1 < self._oldest:
            self._restart()
        while self._newest < step:
            k = self._newest
            here, there = k % self._length, (k + 1) % self._length
            advance(
                self._states[here],
                self._modes[here],
                self._parameters,
                self._still_from,
                k,
                self._seed,
                self._drift[0],
                self._drift[1],
                self._states[there],
                self._modes[there],
            )
            self._newest = k + 1
            self._oldest = max(self._oldest, k + 2 - self._length)


@njit(nogil=True, cache=True)
def _wander(seed: np.uint64, item: Int64, diffusion: Float64, time_s: float, out: Float64) -> None:
    for i in range(len(item)):
        for axis in range(2):
            moved = 0.0
            hz = _LOWEST_HZ
            for octave in range(_OCTAVES):
                bits = address(seed, item[i], octave, 10 + axis)
                turn = uniform(bits)
                tune = 0.8 + 0.45 * uniform(bits << np.uint64(32))
                f = hz * tune
                # A^2 = 2 D ln 2 / (pi^2 f) makes the mean squared step over t equal to 2 D t.
                size = math.sqrt(2.0 * diffusion[i] * 0.6931 / (math.pi * math.pi * f))
                angle = 2.0 * math.pi * (f * time_s + turn)
                moved += size * (math.sin(angle) - math.sin(2.0 * math.pi * turn))
                hz *= 2.0
            out[i, axis] = moved


def wander(seed: int, item: Int64, diffusion_um2_s: Float64, time_s: float) -> Float64:
    """Brownian motion (m, 2), um, of items as a function of time, zero at time 0.

    A Fourier series with random phases, one term per octave from ten minutes to 0.1 s: no state
    to keep, and any time costs the same.
    """
    out = np.empty((len(item), 2))
    _wander(np.uint64(seed & 0xFFFFFFFFFFFFFFFF), item, diffusion_um2_s, time_s, out)
    return out
