"""What happened, line by line: each line carries the SHA-256 of the one before it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from app.config import ConfigError

START = "0" * 64
SYNC_S = 1.0

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


class JournalError(ConfigError):
    """A journal that cannot be written. One line: what, where, what to do."""


class Journal:
    """Appends entries to a JSONL file; safe to use from any thread.

    An entry is one JSON object: ``n``, ``wall`` (UTC), ``time_s`` (monotonic), ``kind``, ``data``,
    ``previous`` and ``sha256``, the hash of the line's other fields in canonical form. Whatever is
    changed, left out or put in later breaks the chain.

    Parameters
    ----------
    path : Path
        Must not exist yet.
    wall : callable
        The wall clock: used for the record and for nothing else.

    Raises
    ------
    JournalError
        The file exists or cannot be written.
    """

    def __init__(
        self, path: Path, wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._wall = wall
        self._lock = threading.Lock()
        self._previous = START
        self._n = 0
        self._synced_s = 0.0
        self.path = path
        try:
            self._file: TextIO = path.open("x", encoding="utf-8", newline="\n")
        except OSError as error:
            raise JournalError(f"{path}: cannot be written ({error}); choose a folder") from error

    def write(self, kind: str, time_s: float, data: dict[str, Value]) -> None:
        """Append one entry; it is in the operating system's hands on return, on disk within 1 s.

        After ``close`` nothing is appended: what a thread says then is not part of the session.
        """
        with self._lock:
            if self._file.closed:
                return
            entry: dict[str, Value] = {
                "n": self._n,
                "wall": self._wall().isoformat(timespec="milliseconds"),
                "time_s": round(time_s, 6),
                "kind": kind,
                "data": data,
                "previous": self._previous,
            }
            entry["sha256"] = self._previous = _digest(entry)
            self._file.write(_line(entry).decode("utf-8"))
            self._file.flush()
            self._n += 1
            now_s = time.perf_counter()
            if now_s - self._synced_s >= SYNC_S:
                os.fsync(self._file.fileno())
                self._synced_s = now_s

    def close(self) -> None:
        """Bring everything to disk. Safe to call twice."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at a journal found.

    Attributes
    ----------
    ok : bool
    entries : int
        Good ones, from the start.
    first_bad : int or None
        Line, counted from 1, at which the chain breaks.
    """

    ok: bool
    entries: int
    first_bad: int | None


def verify_journal(path: Path) -> Verdict:
    """Follow the chain from the first line to the last.

    Raises
    ------
    JournalError
        The file cannot be read.
    """
    previous = START
    count = 0
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        why = error.strerror or error
        raise JournalError(
            f"{path}: cannot be read ({why}); name a session's folder or its journal.jsonl"
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line.decode("utf-8"))
            stated = entry.pop("sha256")
            good = (
                line.endswith(b"\n")
                and entry["previous"] == previous
                and entry["n"] == number - 1
                and stated == _digest(entry)
                and line == _line({**entry, "sha256": stated})
            )
        except (ValueError, KeyError, AttributeError, TypeError):
            good = False
        if not good:
            return Verdict(False, count, number)
        previous, count = stated, count + 1
    return Verdict(True, count, None)


def _line(entry: dict[str, Value]) -> bytes:
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8")


def _digest(entry: dict[str, Value]) -> str:
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
