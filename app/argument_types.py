"""Numbers of the command line: what is not allowed is one line, before anything starts."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def positive(text: str) -> float:
    """Read a finite number above 0.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.
    """
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def pixel_size(text: str) -> float:
    """Read a pixel size, micrometres: as of any microscope, and of no other unit.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.
    """
    return _within(text, 0.001, 100.0, "um is no pixel of a microscope")


def frame_rate(text: str) -> float:
    """Read frames a second: as of any camera.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.
    """
    return _within(text, 0.1, 10_000.0, "frames a second are no camera's")


def output(text: str) -> Path:
    """Read the name of a folder or file to write.

    Raises
    ------
    argparse.ArgumentTypeError
        It is empty, as of a variable that was never set: the current folder was not meant.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; name what to write, or . for this folder")
    return Path(text)


def inner_share(text: str) -> float:
    """Read a number above 0 and below 1.

    Raises
    ------
    argparse.ArgumentTypeError
        It is none.
    """
    value = float(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def count(text: str) -> int:
    """Read a whole number of 1 or more.

    Raises
    ------
    argparse.ArgumentTypeError
        It is less.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def seed(text: str) -> int:
    """Read a whole number of 0 or more.

    Raises
    ------
    argparse.ArgumentTypeError
        It is negative.
    """
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative; a seed is 0 or more")
    return value


def _within(text: str, least: float, most: float, otherwise: str) -> float:
    value = positive(text)
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} {otherwise}; {least:g} to {most:g} are possible")
    return value
