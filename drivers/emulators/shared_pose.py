"""The true path of an emulated instrument, for the scene that it moves.

One writer, any number of readers, no lock: a ring of rows in shared memory and a count of the
rows ever written. A row is written before the count that announces it, and a reader drops the
rows that may have been overwritten while it copied, so it never sees half a row.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Iterable, Sized
from multiprocessing import resource_tracker, shared_memory

import numpy as np
from numpy.typing import NDArray

from drivers.emulators.plant import PlantSample
from drivers.errors import DeviceError

Float64 = NDArray[np.float64]

_MAGIC = 0x5343_4F50_4550_4F53
_HEADER = struct.Struct("<QQQ")  # magic, capacity, rows ever written
_COUNT_AT = 16
_DATA_AT = 64
_ROW = struct.Struct("<7d")  # time_s, x, y, z um, vx, vy, vz um/s

_CAPACITY = 2048
"""4 s at one row each 2 ms."""

_RECENT = 128
"""A quarter of a second: what a camera asks for, without copying the whole ring."""

_EXTRAPOLATE_S = 0.05

_attaching = threading.Lock()


class PosePublisher:
    """Writes the path. Creates the memory, and removes it when closed."""

    def __init__(self, name: str, *, capacity: int = _CAPACITY) -> None:
        size = _DATA_AT + capacity * _ROW.size
        try:
            self._memory = shared_memory.SharedMemory(name=name, create=True, size=size)
        except FileExistsError as error:
            raise DeviceError(
                f"pose memory {name!r}", "exists already", "another emulator uses it: end that one"
            ) from error
        self._capacity = capacity
        self._written = 0
        self._last_s = -float("inf")
        _HEADER.pack_into(self._buffer, 0, _MAGIC, capacity, 0)

    @property
    def name(self) -> str:
        """What readers attach to."""
        return self._memory.name

    def publish(self, samples: Iterable[PlantSample]) -> None:
        """Append rows; times that do not increase are left out."""
        buffer = self._buffer
        for sample in samples:
            if sample.time_s <= self._last_s:
                continue
            offset = _DATA_AT + (self._written % self._capacity) * _ROW.size
            _ROW.pack_into(buffer, offset, sample.time_s, *sample.load_um, *sample.velocity_um_s)
            self._written += 1
            self._last_s = sample.time_s
            _set_count(buffer, self._written)

    def close(self) -> None:
        """Remove the memory. Readers that are attached keep the last state."""
        self._memory.close()
        self._memory.unlink()

    @property
    def _buffer(self) -> memoryview:
        return _open(self._memory)


class PoseReader:
    """Reads the path that another process publishes. Any thread, one at a time."""

    def __init__(self, name: str) -> None:
        try:
            self._memory = _attach(name)
        except FileNotFoundError as error:
            raise DeviceError(
                f"pose memory {name!r}", "is not there", "start the emulator first"
            ) from error
        magic, capacity, _ = _HEADER.unpack_from(self._buffer, 0)
        if magic != _MAGIC:
            self._memory.close()
            raise DeviceError(f"pose memory {name!r}", "holds something else", "change the name")
        self._capacity = int(capacity)

    def at(self, times_s: Float64) -> Float64:
        """Position (n, 3) um at monotonic times (n,); between rows by linear interpolation.

        Before the oldest row: the oldest. After the newest: the velocity is continued for at
        most 50 ms, then held; at rest that is the last position.
        """
        times_s = np.asarray(times_s, dtype=np.float64)
        rows = self._rows(_RECENT)
        if len(times_s) and np.min(times_s) < rows[0, 0]:
            rows = self._rows(self._capacity)
        position_um = np.stack([np.interp(times_s, rows[:, 0], rows[:, k]) for k in (1, 2, 3)], 1)
        beyond_s = np.clip(times_s - rows[-1, 0], 0.0, _EXTRAPOLATE_S)
        return np.asarray(position_um + beyond_s[:, None] * rows[-1, 4:7], dtype=np.float64)

    def latest(self) -> tuple[float, Float64, Float64]:
        """Newest row: time_s, position (3,) um, velocity (3,) um/s."""
        row = self._rows(1)[-1]
        return float(row[0]), row[1:4], row[4:7]

    def path(self) -> Float64:
        """All rows that are remembered, (n, 7): time_s, x, y, z um, vx, vy, vz um/s."""
        return self._rows(self._capacity)

    def close(self) -> None:
        """Detach. The memory stays with its publisher."""
        self._memory.close()

    @property
    def _buffer(self) -> memoryview:
        return _open(self._memory)

    def _count(self) -> int:
        return int(np.frombuffer(self._buffer, np.uint64, 1, _COUNT_AT)[0])

    def _rows(self, wanted: int) -> Float64:
        """Newest ``wanted`` rows at most, (n, 7), oldest first, n >= 1, a copy."""
        buffer = self._buffer
        while True:
            count = self._count()
            if not count:
                raise DeviceError(
                    f"pose memory {self._memory.name!r}", "is empty", "wait until it is ready"
                )
            first = max(0, count - min(wanted, self._capacity))
            data = np.frombuffer(buffer, np.float64, self._capacity * 7, _DATA_AT).reshape(-1, 7)
            rows = data[np.arange(first, count) % self._capacity]
            del data
            safe = self._count() + 1 - self._capacity  # the row being written now is not
            if safe < count:
                return rows[max(0, safe - first) :]


def _set_count(buffer: memoryview, count: int) -> None:
    """Announce rows with one aligned store.

    ``struct.pack_into`` clears the bytes first and writes them one by one: a reader in between
    would see no rows, or a wrong number of them.
    """
    np.frombuffer(buffer, np.uint64, 1, _COUNT_AT)[0] = count


def _open(memory: shared_memory.SharedMemory) -> memoryview:
    if memory.buf is None:
        raise DeviceError(f"pose memory {memory.name!r}", "is closed")
    return memory.buf


def _attach(name: str) -> shared_memory.SharedMemory:
    """Attach without becoming an owner.

    Before Python 3.13 every process that attaches on POSIX registers as an owner, and unlinks
    the memory when it ends (https://docs.python.org/3.13/library/multiprocessing.shared_memory.html,
    parameter track).
    """
    if sys.version_info >= (3, 13):
        return shared_memory.SharedMemory(name=name, track=False)
    if os.name != "posix":
        return shared_memory.SharedMemory(name=name)
    with _attaching:
        register = resource_tracker.register
        resource_tracker.register = _leave_untracked
        try:
            return shared_memory.SharedMemory(name=name)
        finally:
            resource_tracker.register = register


def _leave_untracked(name: Sized, rtype: str) -> None:
    """Stand in for resource_tracker.register."""
