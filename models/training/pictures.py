"""Grey frames from films and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from models.errors import DataError
from models.types import UInt8

FILMS = frozenset({".mp4", ".mkv", ".avi", ".mov", ".m4v", ".webm"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})


def film_frames(path: Path) -> Iterator[UInt8]:
    """Decode a film, frame by frame, as (H, W) uint8.

    Raises
    ------
    DataError
        A file that is missing, that is no film, or that breaks off in a damaged place.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such film; check the path")
    number = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no picture in it; a film is needed")
            for frame in container.decode(video=0):
                if frame.format.name == "gray":
                    yield np.ascontiguousarray(frame.to_ndarray())
                else:
                    # By way of colour, as most programs do: grey levels stay comparable.
                    colour = frame.to_ndarray(format="bgr24")
                    yield np.asarray(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY), np.uint8)
                number += 1
    except av.error.FFmpegError as fault:
        raise DataError(
            f"{path}: cannot be decoded at frame {number} ({fault.strerror}); copy it again"
        ) from fault


def film_rate(path: Path) -> tuple[int, float]:
    """Return the number of frames that the file claims (0: not told) and frames per second."""
    if not path.is_file():
        raise DataError(f"{path}: no such film; check the path")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no picture in it; a film is needed")
            stream = container.streams.video[0]
            rate = stream.average_rate
            return int(stream.frames), float(rate) if rate else float("nan")
    except av.error.FFmpegError as fault:
        raise DataError(f"{path}: is no film ({fault.strerror}); check the file") from fault


def picture(path: Path) -> UInt8:
    """Read a picture as (H, W) uint8.

    Raises
    ------
    DataError
        A file that is missing or that is no picture.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such picture; check the path")
    # Through memory: imread cannot open every path on Windows, and complains on its own.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if image is None:
        raise DataError(f"{path}: is no picture ({len(data)} bytes); check the file")
    return np.asarray(image, np.uint8)
