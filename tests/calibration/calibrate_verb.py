"""``sfcscope calibrate`` as a person or a script runs it."""

from __future__ import annotations

import json

import pytest

from app import cli


def run(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object], str]:
    """Exit code, what was printed as JSON, and the errors."""
    code = cli.main(["calibrate", *words.split(), "--json"])
    said = capsys.readouterr()
    lines = said.out.splitlines()
    return code, json.loads(lines[-1]) if lines else {}, said.err.strip()
