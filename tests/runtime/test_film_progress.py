"""How far an analysis is: a bar on a terminal, a line now and then in a file."""

from __future__ import annotations

import io

from app.runtime.film_progress import LINE_EVERY_S, FilmProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(
    stream: io.StringIO, total: int | None, frames: int, frame_s: float, first_s: float = 0.0
) -> list[str]:
    time_s = 0.0
    progress = FilmProgress("a.mkv", total, stream=stream, clock=lambda: time_s)
    for k in range(frames):
        time_s += frame_s if k else first_s
        progress.seen()
    progress.close()
    return stream.getvalue().splitlines()


def test_lines_in_a_file_say_how_far_how_fast_and_how_long_still() -> None:
    lines = run(io.StringIO(), 101, 101, 0.25)
    assert len(lines) == round(25 / LINE_EVERY_S)
    assert lines[0] == "    5 s  a.mkv: frame 21 of 101, 4.0 frames/s, 00:20 left"
    assert lines[-1] == "   25 s  a.mkv: frame 101 of 101, 4.0 frames/s, 00:00 left"


def test_what_a_first_start_compiles_is_not_taken_for_the_pace() -> None:
    lines = run(io.StringIO(), 101, 101, 0.25, first_s=60.0)
    assert lines[0] == "   65 s  a.mkv: frame 21 of 101, 4.0 frames/s, 00:20 left"


def test_a_short_recording_says_nothing() -> None:
    assert run(io.StringIO(), 100, 100, 0.01) == []


def test_the_number_of_frames_may_be_unknown_or_stated_too_small() -> None:
    assert run(io.StringIO(), None, 7, 1.0) == ["    5 s  a.mkv: frame 6, 1.0 frames/s"]
    assert run(io.StringIO(), 3, 7, 1.0) == [
        "    5 s  a.mkv: frame 6 of 3, 1.0 frames/s, 00:00 left"
    ]


def test_a_terminal_has_a_bar_instead() -> None:
    shown = "\n".join(run(Terminal(), 100, 100, 0.25))
    assert "a.mkv: 100%" in shown
    assert "100/100" in shown
    assert "frame 20 of" not in shown
