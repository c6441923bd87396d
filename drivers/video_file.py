"""A recording in place of a camera: in real time, or as fast as it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drivers.clock import Clock, HostClock
from drivers.errors import CameraError, EndOfStream
from drivers.types import Frame
from drivers.video_reader import VideoFrame, VideoReader


class VideoFile:
    """Plays a recording.

    In real time it behaves as a camera does: ``read`` waits for the next frame's instant, and a
    reader that comes late gets the newest frame that is due, the frames in between being gaps in
    ``Frame.number``. ``Frame.time_s`` is then host time. Otherwise ``read`` gives every frame as
    soon as it is decoded and ``Frame.time_s`` is the file's own time, from 0 at the first frame.

    ``Frame.number`` is the frame's place in the file, from 0 (and goes on counting from pass to
    pass in a loop). Frames that do not decode are gaps. A file does not tell the exposure time:
    ``Frame.exposure_s`` is what the caller states, 0 by default.

    Parameters
    ----------
    path : Path or str
        Anything that FFmpeg decodes.
    realtime : bool
    loop : bool
        Start again at the end instead of raising EndOfStream.
    frame_rate_hz : float or None
        Overrules the rate and the time stamps of the file.
    exposure_s : float
    clock : Clock
    """

    def __init__(
        self,
        path: Path | str,
        *,
        realtime: bool = True,
        loop: bool = False,
        frame_rate_hz: float | None = None,
        exposure_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        if frame_rate_hz is not None and not frame_rate_hz > 0:
            raise CameraError(f"recording {path}", f"frame rate {frame_rate_hz}", "give it above 0")
        self._path = Path(path)
        self._realtime = realtime
        self._loop = loop
        self._stated_rate_hz = frame_rate_hz
        self._exposure_s = exposure_s
        self._clock = clock or HostClock()
        self._reader: VideoReader | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._pending: VideoFrame | None = None
        self._pass_number = 0  # of the first frame of this pass
        self._pass_s = 0.0
        self._last: VideoFrame | None = None
        self._end: CameraError | None = None
        self._start_s: float | None = None

    @property
    def name(self) -> str:
        """What the user knows it as."""
        return f"recording {self._path}"

    @property
    def width_px(self) -> int:
        """Columns of each frame. Known after ``open``."""
        return self._opened().width_px

    @property
    def height_px(self) -> int:
        """Rows of each frame. Known after ``open``."""
        return self._opened().height_px

    @property
    def frame_rate_hz(self) -> float:
        """Mean rate that the file states, or that the caller stated. Known after ``open``."""
        return self._opened().frame_rate_hz

    @property
    def frame_count(self) -> int | None:
        """Frames that the file claims to hold, by number or by length; None where it does not.

        Known after ``open``.
        """
        return self._opened().frame_count

    def open(self) -> None:
        """Open the file at its first frame.

        Raises
        ------
        CameraError
            Missing, unreadable, empty, or without pictures.
        """
        self.close()
        self._reader = VideoReader(self._path, frame_rate_hz=self._stated_rate_hz)
        self._frames = self._reader.frames()
        self._pass_number, self._pass_s = 0, 0.0
        self._start_s = self._pending = self._last = self._end = None

    def read(self, timeout_s: float) -> Frame | None:
        """Wait for the newest frame, at most ``timeout_s``; None when none is due by then.

        Raises
        ------
        EndOfStream
            At the end.
        CameraError
            Where a recording that is cut short ends; all frames before it were delivered.
        """
        frame = self._take()
        if not self._realtime:
            return self._deliver(self._opened(), frame, frame.time_s)
        now_s = self._clock.now_s()
        deadline_s = now_s + timeout_s
        if self._start_s is None:
            self._start_s = now_s - frame.time_s
        if self._start_s + frame.time_s > deadline_s:
            self._pending = frame
            self._clock.wait_until(deadline_s)
            return None
        # Late: pass over what is no longer the newest, but give up when decoding cannot keep pace.
        while self._start_s + frame.time_s < self._clock.now_s() < deadline_s:
            try:
                newer = self._take()
            except CameraError:
                break  # the end: it is met again by the next read
            if self._start_s + newer.time_s > self._clock.now_s():
                self._pending = newer
                break
            frame = newer
        self._clock.wait_until(self._start_s + frame.time_s)
        return self._deliver(self._opened(), frame, self._start_s + frame.time_s)

    def frames(self) -> Iterator[Frame]:
        """Yield every frame once, from the first, with the file's own times: for analysis.

        Uses a decoder of its own, so that a playing file is not disturbed.

        Yields
        ------
        Frame

        Raises
        ------
        CameraError
            After the last frame that can be read of a recording that is cut short.
        """
        reader = VideoReader(self._path, frame_rate_hz=self._stated_rate_hz)
        try:
            for frame in reader.frames():
                yield self._deliver(reader, frame, frame.time_s)
        except EndOfStream:
            return
        finally:
            reader.close()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._frames = iter(())

    def _opened(self) -> VideoReader:
        if self._reader is None:
            raise CameraError(self.name, "is not open", "call open first")
        return self._reader

    def _deliver(self, reader: VideoReader, frame: VideoFrame, time_s: float) -> Frame:
        image = reader.grey(frame.picture)
        return Frame(image, frame.number, time_s, self._exposure_s, self._clock.now_s())

    def _take(self) -> VideoFrame:
        """Next frame, with number and time counted through all passes."""
        if (frame := self._pending) is not None:
            self._pending = None
            return frame
        if self._end is not None:
            raise self._end
        self._opened()
        try:
            frame = self._next()
        except CameraError as end:
            self._end = end
            raise
        self._last = VideoFrame(
            self._pass_number + frame.number, self._pass_s + frame.time_s, frame.picture
        )
        return self._last

    def _next(self) -> VideoFrame:
        try:
            return next(self._frames)
        except EndOfStream:
            if not self._loop or self._last is None:
                raise
            self._rewind(self._last)
            return next(self._frames)

    def _rewind(self, last: VideoFrame) -> None:
        reader = self._opened()
        reader.close()
        self._reader = VideoReader(self._path, frame_rate_hz=self._stated_rate_hz)
        self._frames = self._reader.frames()
        self._pass_number = last.number + 1
        self._pass_s = last.time_s + 1 / self._reader.frame_rate_hz
