"""Reads a JSON object, and says in one line why a file is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from models.errors import DataError


def read_json(file: Path) -> Mapping[str, object]:
    """Read a JSON object (UTF-8, with or without a byte order mark).

    Raises
    ------
    DataError
        A file that cannot be read, is no JSON, or holds something else than an object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise DataError(f"{file}: cannot be read ({fault.strerror}); check the path") from fault
    except ValueError as fault:
        size = file.stat().st_size
        raise DataError(f"{file}: is no JSON ({size} bytes, {fault}); label it again") from fault
    except RecursionError as fault:
        raise DataError(f"{file}: brackets within brackets without end; label it again") from fault
    if not isinstance(content, dict):
        raise DataError(f"{file}: holds no labels ({type(content).__name__}); label it again")
    return content
