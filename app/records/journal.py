"""What happened, line by line: each line carries the SHA-256 of the one before it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from app.config import ConfigError

START = "0" * 64
SYNC_S = 0.5

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


class JournalError(ConfigError):
    """A journal that cannot be written. One line: what, where, what to do."""


class Journal:
    """Appends entries to a JSONL file; safe to use from any thread, and fast.

    A thread of its own brings them to disk: a window that waited for a slow disk would not hear
    the next key, and that may be Stop.

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
        self._news = threading.Event()
        self._closing = threading.Event()
        self._failure: OSError | None = None
        self.path = path
        try:
            self._file: TextIO = path.open("x", encoding="utf-8", newline="\n")
        except OSError as error:
            raise JournalError(f"{path}: cannot be written ({error}); choose a folder") from error
        self._syncer = threading.Thread(target=self._sync, name="sfcscope-journal", daemon=True)
        self._syncer.start()

    def write(self, kind: str, time_s: float, data: dict[str, Value]) -> None:
        """Append one entry; it is in the operating system's hands on return, on disk within 1 s.

        After ``close`` nothing is appended: what a thread says then is not part of the session.
        Raises OSError where it cannot be written, or an earlier one could not be brought to disk.
        """
        with self._lock:
            if self._file.closed:
                return
            if self._failure is not None:
                raise self._failure
            entry: dict[str, Value] = {
                "n": self._n,
                "wall": self._wall().isoformat(timespec="milliseconds"),
                "time_s": round(time_s, 6),
                "kind": kind,
                "data": data,
                "previous": self._previous,
            }
            entry["sha256"] = self._previous = _digest(entry)
            try:
                self._file.write(_line(entry).decode("utf-8"))
                self._file.flush()
            except OSError as error:
                self._failure = error
                raise
            finally:
                self._news.set()
            self._n += 1

    def close(self) -> None:
        """Bring everything to disk. Safe to call twice."""
        self._closing.set()
        self._news.set()
        self._syncer.join()
        with self._lock:
            if not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()

    def _sync(self) -> None:
        """Bring to disk what is new, twice a second at most."""
        while self._failure is None:
            self._news.wait()
            self._news.clear()
            if self._closing.is_set() or self._failure is not None:
                return  # the rest is brought there by whoever closes
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self._failure = error
            self._closing.wait(SYNC_S)


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
