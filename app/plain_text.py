"""What a verb found, as a person reads it; ``--json`` says the same for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

UNKNOWN = "-"


def plain_text(result: Mapping[str, object]) -> str:
    """Write figures one to a line, with units as they stand in the names; each once.

    Parameters
    ----------
    result : mapping
        What a verb returned. Where it lists ``inputs``, each has a paragraph of its own.

    Returns
    -------
    str
        Lines; empty where there is nothing to say.
    """
    inputs = result.get("inputs")
    if isinstance(inputs, Sequence):
        return "\n\n".join(_paragraph(one) for one in inputs)
    return _paragraph(result)


def checks_text(checks: Sequence[Mapping[str, object]]) -> str:
    """Write the checks of ``doctor``, one to a line, and what to do where one failed."""
    lines = []
    for check in checks:
        mark = "ok  " if check["ok"] else "FAIL"
        hint = "" if check["ok"] or not check["hint"] else f" -> {check['hint']}"
        lines.append(f"{mark} {check['name']}: {check['detail']}{hint}")
    return "\n".join(lines)


def _paragraph(values: Mapping[str, object]) -> str:
    said = {key: text for key, value in values.items() if (text := _text(value))}
    width = max((len(key) for key in said), default=0)
    return "\n".join(f"{key:{width}}  {text}" for key, text in said.items())


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {text}" for key, item in value.items() if (text := _text(item)))
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    return UNKNOWN if value is None else str(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
