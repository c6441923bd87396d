"""Strict TOML: a file is read as it stands or refused with its line; nothing is guessed."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import tomlkit
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class TomlError(Exception):
    """A file that cannot be used as it is. One line: file, line, key, value, what is allowed."""


def read_toml(path: Path, model: type[Model]) -> Model:
    """Read ``path`` into ``model``.

    Raises
    ------
    TomlError
        Missing file, broken TOML, unknown key or a value that is not allowed; the message names
        file, line, key, value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TomlError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TomlError(f"{path}: cannot be read ({error}); check the file") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(f"{path}: not valid TOML: {error}; correct that line") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise TomlError(explain(error, path, text)) from error


def write_toml(path: Path, model: BaseModel, comment: str = "") -> None:
    """Write ``model`` to ``path`` in one step: a crash leaves the old file or the new one."""
    document = tomlkit.document()
    for line in comment.splitlines():
        document.add(tomlkit.comment(line))
    for key, value in _plain(model.model_dump(exclude_none=True)).items():
        document.add(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(tomlkit.dumps(document))
        file.flush()
        os.fsync(file.fileno())  # or a power cut leaves the new name with nothing behind it
    os.replace(beside, path)


def explain(error: ValidationError, path: Path, text: str) -> str:
    """Say the first problem of ``error`` in one line: file, line, key, value, what is allowed."""
    problems = error.errors()
    first = problems[0]
    shown = _without_tags(first["loc"], tomllib.loads(text))
    value = first["input"]
    if first["type"] == "union_tag_invalid" and isinstance(value, dict):
        shown, value = [*shown, "kind"], value.get("kind")
    line = line_of(text, shown)
    where = f"{path}:{line}" if line else str(path)
    key = ".".join(shown)
    if first["type"] == "extra_forbidden":
        what = f"unknown key {key} = {_short(value)}; remove it or correct its spelling"
    elif first["type"] == "missing":
        what = f"key {key} is missing; add it"
    elif first["type"] == "union_tag_not_found":
        what = f"key {key}.kind is missing; add it"
    else:
        stated = f"{key} = {_short(value)} is not allowed: " if key else ""
        what = stated + _one_line(first["msg"]).removeprefix("Value error, ")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {what}{more}"


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """Find the line, counted from 1, on which the dotted key ``keys`` stands, or its table."""
    table: list[str] = []
    best: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+([^\]]+)\]+", line)
        if header:
            table = [part.strip().strip("\"'") for part in header.group(1).split(".")]
            if table == list(keys):
                return number
            if table == list(keys[: len(table)]):
                best = number
            continue
        entry = re.match(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=", line)
        if entry:
            here = table + [part.strip().strip("\"'") for part in entry.group(1).split(".")]
            if here == list(keys[: len(here)]):
                return number
    return best


def _without_tags(location: tuple[int | str, ...], values: object) -> list[str]:
    """Keep the keys of a location: no row numbers, no names of members of a tagged union."""
    keys: list[str] = []
    for index, part in enumerate(location):
        if isinstance(part, int):
            break
        known = isinstance(values, dict) and part in values
        if known or index == len(location) - 1:
            keys.append(part)
        if known and isinstance(values, dict):
            values = values[part]
    return keys


def _plain(value: Any) -> Any:
    """Turn tuples into lists and paths into text, for TOML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _short(value: object) -> str:
    text = f'"{value}"' if isinstance(value, (str, date)) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _one_line(text: str) -> str:
    return " ".join(text.split())
