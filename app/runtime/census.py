"""What the confirmed tracks really are, by the truth that only a simulated rig knows."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from models.types import Float64, Int8, Int64, Tracks, TrackState

LOOK_EVERY_S = 0.25


class Kind(IntEnum):
    """What is at a place. Where several are, the first of these."""

    SPERM = 0
    DEBRIS = 1
    GLASS = 2
    NOTHING = 3


class Kinds(Protocol):
    """Knows what is where. Times in ascending order, some seconds back at most."""

    def at(self, position_um: Float64, time_s: float) -> Int8:
        """Return the Kind (n,) at stage-frame points (n, 2)."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    time_s: float
    track_id: Int64
    position_um: Float64


class Census:
    """Counts confirmed tracks by what they are on, four times a second.

    Only tracks seen in the frame count: where an unseen one is, the tracker merely believes.
    The loop takes notes; the truth is worked out by whoever digests them.

    Parameters
    ----------
    kinds : Kinds
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._lock = threading.Lock()
        self._notes: deque[_Look] = deque()
        self._next_s = -np.inf
        self._looks = 0
        self._total: Counter[Kind] = Counter()
        self._on_glass: Counter[int] = Counter()

    def add(self, tracks: Tracks) -> None:
        """Take in a frame."""
        if tracks.time_s < self._next_s:
            return
        self._next_s = tracks.time_s + LOOK_EVERY_S
        seen = tracks.state == TrackState.CONFIRMED
        self._notes.append(_Look(tracks.time_s, tracks.track_id[seen], tracks.position_um[seen]))

    def digest(self) -> None:
        """Work the notes off."""
        with self._lock:
            while self._notes:
                look = self._notes.popleft()
                kinds = self._kinds.at(look.position_um, look.time_s)
                self._looks += 1
                self._total.update(Kind(int(kind)) for kind in kinds)
                self._on_glass.update(int(i) for i in look.track_id[kinds == Kind.GLASS])

    def result(self) -> dict[str, object]:
        """Return the mean number of confirmed tracks of each kind, and those on the pipette.

        ``pipette_tracks`` were on the glass itself, with no sperm or debris there, in two looks or
        more; ``pipette_longest_s`` is for how long the worst one was.
        """
        self.digest()
        with self._lock:
            looks = max(self._looks, 1)
            stayed = [count for count in self._on_glass.values() if count > 1]
            return {
                "tracks_by_kind": {
                    kind.name.lower(): round(self._total[kind] / looks, 2) for kind in Kind
                },
                "pipette_tracks": len(stayed),
                "pipette_longest_s": round(max(stayed, default=0) * LOOK_EVERY_S, 2),
            }
