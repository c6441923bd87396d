"""Without --json a person reads figures, each once."""

from __future__ import annotations

import math

from app.plain_text import checks_text, plain_text

FILM = {"input": "a.mkv", "frames": 200, "fps_mean": 39.71234, "drift_um_s": None, "notice": ""}


def test_a_line_for_each_figure() -> None:
    result = {
        "frames": 902, "fps_mean": 29.97321, "overlay_ms": {"p50": 61.02, "p95": math.nan},
        "ok": True, "steps": 12345.6, "gates": [1.5, 2],
    }  # fmt: skip
    assert plain_text(result).splitlines() == [
        "frames      902",
        "fps_mean    29.97",
        "overlay_ms  p50 61.02, p95 -",
        "ok          yes",
        "steps       12346",
        "gates       1.5, 2",
    ]


def test_of_several_recordings_each_has_a_paragraph_and_of_one_nothing_is_said_twice() -> None:
    one = plain_text({**FILM, "inputs": [FILM]})
    assert one.splitlines() == [
        "input       a.mkv", "frames      200", "fps_mean    39.71", "drift_um_s  -",
    ]  # fmt: skip
    other = {**FILM, "input": "b.mkv"}
    assert plain_text({"inputs": [FILM, other]}) == f"{one}\n\n{one.replace('a.mkv', 'b.mkv')}"


def test_a_check_that_failed_says_what_to_do() -> None:
    checks = [
        {"name": "disk", "ok": True, "detail": "8 GB free", "hint": ""},
        {"name": "stage port", "ok": False, "detail": "cannot be opened", "hint": "plug it in"},
    ]
    assert checks_text(checks).splitlines() == [
        "ok   disk: 8 GB free",
        "FAIL stage port: cannot be opened -> plug it in",
    ]
