"""Grey frames and their times out of any recording that FFmpeg can decode."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from drivers.errors import CameraError, EndOfStream
from drivers.types import Image

# 8-bit luma in a plane of its own, black 0 and white 255: the plane is the grey picture.
_FULL_RANGE = {"gray", "yuvj411p", "yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p"}
# The same, black 16 and white 235 unless the file says otherwise.
_TAGGED_RANGE = {
    "nv12", "nv16", "nv21", "nv24", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p",
    "yuv444p",
}  # fmt: skip
# Containers count frames that players leave out (edit lists, broken first groups).
_MISSING_ALLOWED = 0.02


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One decoded picture, not yet converted.

    Attributes
    ----------
    number : int
        Place in the recording, from 0. Frames that do not decode leave gaps.
    time_s : float
        Time since the recording's first frame.
    picture : av.VideoFrame
    """

    number: int
    time_s: float
    picture: Any


class VideoReader:
    """A recording opened for one pass from its first frame to its last.

    Parameters
    ----------
    path : Path
        A file.
    frame_rate_hz : float or None
        Overrules the file: frame n is then at n / frame_rate_hz.
    threads : int
        Decoder threads.

    Raises
    ------
    CameraError
        Not a file, not a recording, without pictures, or without a frame rate.
    """

    def __init__(self, path: Path, *, frame_rate_hz: float | None = None, threads: int = 2) -> None:
        self.path = path
        self._container: Any = _open(path)
        try:
            self._stream: Any = _picture_stream(path, self._container)
            self._stream.thread_type = "AUTO"
            self._stream.codec_context.thread_count = threads
            self._fixed_rate = frame_rate_hz is not None
            self.frame_rate_hz: float = frame_rate_hz or _rate_hz(path, self._stream)
        except BaseException:
            self._container.close()
            raise
        self.width_px: int = self._stream.codec_context.width
        self.height_px: int = self._stream.codec_context.height
        self.codec: str = self._stream.codec_context.name
        self._duration_s = _stated_duration_s(self._stream)
        self.frame_count: int | None = self._stream.frames or None
        if self.frame_count is None and self._duration_s is not None:
            self.frame_count = round(self._duration_s * self.frame_rate_hz)
        self._reformatter = VideoReformatter()
        self._cut = False
        self._first_s: float | None = None
        self._last_s = 0.0
        self._previous_s = -1.0 / self.frame_rate_hz

    def frames(self) -> Iterator[VideoFrame]:
        """Yield every frame that decodes, in the order of display.

        Yields
        ------
        VideoFrame

        Raises
        ------
        EndOfStream
            After the last frame: the recording was complete.
        CameraError
            After the last frame that can be read of a recording that is cut short.
        """
        number = good = 0
        for picture in self._pictures():
            if picture is not None and self._fits(picture):
                yield VideoFrame(number, self._stamp_s(number, picture.time), picture)
                good += 1
            number += 1
        self._end(number, good)

    def grey(self, picture: Any) -> Image:
        """Grey levels of a decoded picture, (H, W) uint8, read-only, full range 0 to 255."""
        name = picture.format.name
        if name in _FULL_RANGE or (
            name in _TAGGED_RANGE and picture.color_range == ColorRange.JPEG
        ):
            grey = _luma(picture).copy()
        else:
            # FFmpeg stretches studio levels (16 to 235) and weighs colours by Rec. 601. With more
            # threads than one its scaler now and then gives a wrong pixel.
            grey = _luma(self._reformatter.reformat(picture, format="gray", threads=1)).copy()
        grey.setflags(write=False)
        return grey

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self._container.close()

    def _fits(self, picture: Any) -> bool:
        return (picture.width, picture.height) == (self.width_px, self.height_px)

    def _stamp_s(self, number: int, stamp_s: float | None) -> float:
        """Time since the first frame; strictly rising, whatever the file says."""
        self._last_s = self._last_s if stamp_s is None else stamp_s
        if self._fixed_rate:
            return number / self.frame_rate_hz
        if stamp_s is not None and self._first_s is None:
            self._first_s = stamp_s - number / self.frame_rate_hz
        time_s = -math.inf if stamp_s is None else stamp_s - (self._first_s or 0.0)
        if time_s <= self._previous_s:
            time_s = self._previous_s + 1 / self.frame_rate_hz
        self._previous_s = time_s
        return time_s

    def _pictures(self) -> Iterator[Any]:
        """Decode; None stands for a picture that does not decode."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self._cut = True
                return
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self._cut = True
                yield None
                continue
            # Damage that good pictures follow is a gap; damage at the end is a cut.
            self._cut = packet.is_corrupt or (self._cut and not pictures)
            for picture in pictures:
                self._cut = self._cut or picture.is_corrupt
                yield None if picture.is_corrupt else picture

    def _end(self, number: int, good: int) -> None:
        name = f"recording {self.path}"
        promised = self.frame_count or 0
        if self._stream.frames:
            lost = promised - number
        else:
            missing_s = (self._duration_s or 0.0) - self._last_s
            lost = round(missing_s * self.frame_rate_hz) - 1
        if good == 0:
            raise CameraError(name, "holds no frame that can be read", "record it again")
        if self._cut or lost > max(1.0, _MISSING_ALLOWED * promised):
            of = f" of {promised}" if promised > good else ""
            raise CameraError(
                name, f"is cut short after {good}{of} frames", "what was read before is good"
            )
        raise EndOfStream(name, f"ended after {good} frames")


def _open(path: Path) -> Any:
    name = f"recording {path}"
    # Looked at first: FFmpeg would take a name with a colon for an address.
    if not path.exists():
        raise CameraError(name, "does not exist", "check the path")
    if not path.is_file():
        raise CameraError(name, "is not a file", "name one recording")
    if path.stat().st_size == 0:
        raise CameraError(name, "is empty", "record it again")
    try:
        return av.open(f"file:{path}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CameraError(
            name, f"cannot be read ({reason})", "give a video file that is whole and readable"
        ) from error


def _picture_stream(path: Path, container: Any) -> Any:
    for stream in container.streams.video:
        # The cover of a sound file is a video stream of one picture.
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise CameraError(
                    f"recording {path}", "has a codec that is not known here", "convert it"
                )
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams}))
    what = f"has no pictures (only {kinds})" if kinds else "cannot be read (nothing in it)"
    raise CameraError(f"recording {path}", what, "give a video file that is whole")


def _rate_hz(path: Path, stream: Any) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            return float(rate)
    raise CameraError(f"recording {path}", "has no frame rate", "state it (--fps)")


def _stated_duration_s(stream: Any) -> float | None:
    """Length that Matroska notes when a recording is closed, as 00:00:03.333000000."""
    try:
        hours, minutes, seconds = (float(x) for x in stream.metadata["DURATION"].split(":"))
    except (KeyError, ValueError):
        return None
    return 3600 * hours + 60 * minutes + seconds


def _luma(picture: Any) -> Image:
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: picture.height, : picture.width]
