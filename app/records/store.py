"""The folder of one session: what it ran with, what happened, what it came to."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from app.config import RigConfig, save_rig
from app.records.journal import Journal, JournalError

RUNS: Final = Path("runs")
"""Where sessions are kept unless another folder is named."""


def software_version() -> str:
    """Return the version of this program."""
    try:
        return version("sfcscope")
    except PackageNotFoundError:
        return "not installed"


class Session:
    """A new folder under ``out``, named by the wall clock; nothing in it is ever overwritten.

    It holds ``rig.toml`` (read back by ``load_rig``), ``session.json`` (versions, detector) and
    ``journal.jsonl``; ``close`` adds ``summary.json``.

    Parameters
    ----------
    out : Path
    rig : RigConfig
    about : mapping
        More for session.json: detector, calibration.
    wall : callable
        The wall clock: used for the record and for nothing else.

    Raises
    ------
    JournalError
        The folder cannot be made.
    """

    def __init__(
        self,
        out: Path,
        rig: RigConfig,
        about: Mapping[str, object],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        started = wall()
        self.folder = _fresh(out, f"{started:%Y-%m-%dT%H-%M-%S}")
        save_rig(rig, self.folder / "rig.toml")
        facts = {
            "started": started.isoformat(timespec="seconds"),
            "software": software_version(),
            "python": sys.version.split()[0],
            "system": platform.platform(),
            **about,
        }
        _write(self.folder / "session.json", facts)
        self.journal = Journal(self.folder / "journal.jsonl", wall)

    def close(self, summary: Mapping[str, object]) -> None:
        """End the record."""
        self.journal.close()
        _write(self.folder / "summary.json", summary)


def _fresh(out: Path, name: str) -> Path:
    for number in range(1000):
        folder = out / (name if number == 0 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True, exist_ok=False)
        except FileExistsError:
            if out.exists() and not out.is_dir():
                raise JournalError(f"{out}: is a file; choose a folder for --out") from None
            continue
        except OSError as error:
            raise JournalError(f"{out}: cannot be written ({error}); choose a folder") from error
        return folder
    raise JournalError(f"{out}: holds a thousand sessions of this second; choose another folder")


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
