"""Grey frames from films and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
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


def film_packets(path: Path) -> int:
    """Count the frames of a film that does not tell their number, without decoding them.

    Raises
    ------
    DataError
        No film.
    """
    try:
        with av.open(str(path)) as container:
            return sum(packet.size > 0 for packet in container.demux(video=0))
    except av.error.FFmpegError as fault:
        raise DataError(f"{path}: is no film ({fault.strerror}); check the file") from fault


def picture(path: Path, *, named_by: str = "") -> UInt8:
    """Read a picture as (H, W) uint8.

    Parameters
    ----------
    path : Path
    named_by : str
        The labels that ask for it, for the message.

    Raises
    ------
    DataError
        A file that is missing or that is no picture.
    """
    asked = f" (named by {named_by})" if named_by else ""
    if not path.is_file():
        raise DataError(f"{path}: no such picture{asked}; check the path")
    # Through memory: imread cannot open every path on Windows, and complains on its own.
    return decoded_picture(path.read_bytes(), f"{path}{asked}")


def decoded_picture(packed: bytes, where: str) -> UInt8:
    """Decode a picture's file as (H, W) uint8; DataError, which names ``where``, if it is none."""
    data = np.frombuffer(packed, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
    if image is None:
        raise DataError(f"{where}: is no picture ({len(data)} bytes); check the file")
    return np.asarray(image, np.uint8)


def picture_beside(path: Path, file: Path) -> Path:
    """Return the picture that a file of labels belongs to, by name.

    Raises
    ------
    DataError
        There is none beside the labels, in ``path`` or in its folder ``images``.
    """
    for folder in (file.parent, path, path / "images"):
        for suffix in sorted(PICTURES):
            if (folder / (file.stem + suffix)).is_file():
                return folder / (file.stem + suffix)
    raise DataError(f"{file}: no picture and no film belongs to it; put {file.stem}.png beside it")


def write_picture(path: Path, image: UInt8) -> None:
    """Write (H, W) uint8 as PNG."""
    done, packed = cv2.imencode(".png", image)
    if not done:
        raise DataError(f"{path}: a picture of shape {image.shape} cannot be encoded")
    path.write_bytes(packed.tobytes())


def write_film(path: Path, frames: Iterable[UInt8], fps: float) -> None:
    """Write grey frames of one size, losslessly (FFV1 in Matroska).

    Raises
    ------
    DataError
        Frames of different size.
    """
    rate = Fraction(fps if fps > 0 else 30.0).limit_denominator(1000)
    with av.open(str(path), "w") as container:
        stream = None
        for image in frames:
            if stream is None:
                stream = container.add_stream("ffv1", rate=rate)
                stream.height, stream.width = image.shape
                stream.pix_fmt = "gray"
            if image.shape != (stream.height, stream.width):
                raise DataError(
                    f"{path}: a frame of shape {image.shape} after {stream.height}x{stream.width}; "
                    "a film has one size, choose pictures instead"
                )
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        if stream is not None:
            container.mux(stream.encode())
