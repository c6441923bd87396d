"""Motility of all tracks in view, over a sliding window."""

from __future__ import annotations

from collections import deque

import numpy as np
from numba import njit

from models.measure.motility import (
    COLUMNS,
    INSUFFICIENT,
    OK,
    convention,
    frame_rate_hz,
    path_measures,
    vcl_of_jitter,
)
from models.measure.settings import MotilitySettings
from models.types import Float64, Int64, Measurements, Tracks

_CAPACITY = 1024  # frames of a track: a second of the fastest cameras


class LiveMotility:
    """Motility over the last ``window_s``, of 1024 frames at most.

    One thread calls ``update`` once a frame. Of each track the newest unbroken piece inside the
    window is measured: a track that coasts keeps its values until they are older than the window.
    """

    def __init__(self, window_s: float = 1.0, settings: MotilitySettings | None = None) -> None:
        if not window_s > 0.0:
            raise ValueError(f"LiveMotility: a window of {window_s} s")
        self._window_s = window_s
        self._settings = settings or MotilitySettings()
        self._convention = convention(self._settings)
        self._times_s: deque[float] = deque(maxlen=31)
        self._slot: dict[int, int] = {}
        self._free = list(range(64))
        self._time_s = np.zeros((64, _CAPACITY))
        self._raw_um = np.zeros((64, _CAPACITY, 2))
        self._count = np.zeros(64, np.int64)

    def update(self, tracks: Tracks) -> Measurements:
        """Add the frame; return the values of its tracks, row by row."""
        present = tracks.track_id.tolist()
        for gone in self._slot.keys() - set(present):
            self._free.append(self._slot.pop(gone))
        slots = np.array([self._slot_of(track_id) for track_id in present], dtype=np.int64)
        # Read-only as in every other frame, also where there was none yet: one version to compile.
        raw_um = tracks.raw_um.view()
        raw_um.flags.writeable = False
        values = _update(
            slots, tracks.time_s, raw_um, self._time_s, self._raw_um, self._count,
            self._window_s, *self._convention,
        )  # fmt: skip
        values.flags.writeable = False
        known = np.isfinite(values[:, 0])
        self._times_s.append(tracks.time_s)
        rate_hz = frame_rate_hz(np.array(self._times_s))
        columns = {name: values[:, k] for k, name in enumerate(COLUMNS)}
        columns["swing"] = values[:, 10]
        columns["frame_rate_hz"] = np.full(len(known), rate_hz)
        columns["vcl_noise_um_s"] = np.full(len(known), vcl_of_jitter(rate_hz, self._settings))
        return Measurements(
            tracks.track_id,
            columns,
            tuple(OK if one else INSUFFICIENT for one in known),
        )

    def _slot_of(self, track_id: int) -> int:
        slot = self._slot.get(track_id)
        if slot is None:
            if not self._free:
                self._grow()
            slot = self._slot[track_id] = self._free.pop()
            self._count[slot] = 0
        return slot

    def _grow(self) -> None:
        size = len(self._count)
        self._free.extend(range(size, 2 * size))
        self._time_s = np.concatenate([self._time_s, np.zeros_like(self._time_s)])
        self._raw_um = np.concatenate([self._raw_um, np.zeros_like(self._raw_um)])
        self._count = np.concatenate([self._count, np.zeros_like(self._count)])


@njit(cache=True, nogil=True)
def _update(
    slots: Int64,
    time_s: float,
    raw_um: Float64,
    kept_time_s: Float64,
    kept_raw_um: Float64,
    count: Int64,
    window_s: float,
    average_s: float,
    minimum_s: float,
    gap_frames: float,
    least_step_um: float,
    localisation_um: float,
    still_um: float,
) -> Float64:
    """Keep the frame's positions; a row per slot: measures in the order of COLUMNS, then swing."""
    values = np.full((slots.shape[0], 11), np.nan)
    capacity = kept_time_s.shape[1]
    for row in range(slots.shape[0]):
        slot = slots[row]
        n = count[slot]
        old = 0
        while old < n and kept_time_s[slot, old] < time_s - window_s - 1e-9:
            old += 1
        if n - old == capacity:
            old += 1
        if old > 0:
            for k in range(old, n):
                kept_time_s[slot, k - old] = kept_time_s[slot, k]
                kept_raw_um[slot, k - old] = kept_raw_um[slot, k]
            n -= old
        kept_time_s[slot, n] = time_s
        kept_raw_um[slot, n] = raw_um[row]
        n += 1
        count[slot] = n
        found = path_measures(
            kept_time_s[slot, :n], kept_raw_um[slot, :n], True, average_s, minimum_s, gap_frames,
            least_step_um, localisation_um, still_um,
        )  # fmt: skip
        values[row, :10], values[row, 10] = found[:10], found[11]
    return values
