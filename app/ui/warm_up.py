"""What is said while the program warms up: what it does, and how long that may take. No Qt."""

from __future__ import annotations

from typing import Final

WARM_UP_S: Final = 300.0
"""Longest wait for the first frame; a slow machine compiles for some minutes, once."""
FIRST_START: Final = (
    "The first start on a machine compiles the network and the trackers: a minute or two. "
    "Later starts take seconds."
)


def waiting(elapsed_s: float) -> str:
    """Say, ``elapsed_s`` after the start, what is being waited for."""
    if elapsed_s > WARM_UP_S:
        return (
            f"No frame after {elapsed_s / 60:.0f} minutes: this is no warm-up any more. Close the "
            "program, and let 'sfcscope doctor' look at camera and network."
        )
    return f"{FIRST_START} {elapsed_s:.0f} s so far."


def progress_line(elapsed_s: float) -> str:
    """Say the same in a line of a run without a window."""
    return (
        f"warming up, {elapsed_s:.0f} s: the first start on a machine compiles for a minute or "
        f"two, later ones take seconds; given up after {WARM_UP_S:.0f} s"
    )
