"""Films: an overlay or a preview as MP4, and the archive of a live session as FFV1."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pyarrow as pa

from app.records.export import TableWriter
from drivers.types import Frame, Pose
from models.types import UInt8

if TYPE_CHECKING:
    from typing import Any

# At the same size as 'superfast' for less than half of the time.
_MP4 = {"preset": "ultrafast", "crf": "24"}
# Intra-coded slices with checksums, and clusters that reach the disk as they are made.
_FFV1 = {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}
_MKV = {"cluster_time_limit": "1000", "flush_packets": "1"}
_TICKS_HZ = 90_000

SIDECAR = pa.schema(
    [
        ("frame", pa.int64()), ("device_counter", pa.int64()), ("time_s", pa.float64()),
        ("exposure_s", pa.float64()), ("stage_x_um", pa.float64()), ("stage_y_um", pa.float64()),
        ("pipette_x_um", pa.float64()), ("pipette_y_um", pa.float64()),
        ("pipette_z_um", pa.float64()),
    ]
)  # fmt: skip


class FilmWriter:
    """An H.264 film in MP4 that every player shows.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    frame_rate_hz : float
    """

    def __init__(self, path: Path, frame_rate_hz: float) -> None:
        self.path = path
        self._rate = Fraction(frame_rate_hz).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self.frames = 0

    def write(self, picture: UInt8) -> None:
        """Add a picture: (H, W) grey or (H, W, 3) blue, green, red; all of one size."""
        # The format stores colour for blocks of 2 x 2 pixels: an odd row or column is left out.
        height, width = (picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2)
        picture = np.ascontiguousarray(picture[:height, :width])
        if self._container is None:
            self._container = av.open(str(self.path), "w")
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=_MP4)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
        if picture.ndim == 2:
            frame = av.VideoFrame.from_ndarray(picture, "gray")
        else:
            planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts = self.frames
        frame.time_base = 1 / self._rate
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def close(self) -> None:
        """End the film. Safe to call twice."""
        container, self._container = self._container, None
        if container is not None:
            container.mux(self._stream.encode())
            container.close()

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RecordingWriter:
    """The archive of what the camera saw: lossless, with the time and the poses of each frame.

    Three files: ``NAME.mkv`` (FFV1, grey levels bit by bit), ``NAME.csv`` (one line per frame) and
    ``NAME_preview.mp4``. Picture and line reach the disk before ``write`` returns, so that a
    session that is cut short keeps all frames before the cut.

    Parameters
    ----------
    path : Path
        Without suffix.
    frame_rate_hz : float
        Nominal; the pictures carry their own times.
    preview : bool
    """

    def __init__(self, path: Path, frame_rate_hz: float, *, preview: bool = True) -> None:
        self.path = path.with_name(path.name + ".mkv")
        self._rate = Fraction(frame_rate_hz).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._sidecar = TableWriter(path.with_name(path.name + ".csv"), SIDECAR, decimals=6)
        self._preview = (
            FilmWriter(path.with_name(path.name + "_preview.mp4"), frame_rate_hz)
            if preview
            else None
        )
        self._start_s = 0.0
        self._ticks = -1
        self.frames = 0

    def write(self, frame: Frame, stage: Pose | None, pipette: Pose | None) -> None:
        """Add a frame, with the poses at its mid exposure; None is unknown."""
        if self._container is None:
            self._open(frame)
        ticks = round((frame.time_s - self._start_s) * _TICKS_HZ)
        self._ticks = max(ticks, self._ticks + _TICKS_HZ // 1000)
        picture = av.VideoFrame.from_ndarray(frame.image, "gray")
        picture.pts = self._ticks
        picture.time_base = Fraction(1, _TICKS_HZ)
        self._container.mux(self._stream.encode(picture))
        nan = float("nan")
        self._sidecar.write(
            {
                "frame": [self.frames], "device_counter": [frame.number],
                "time_s": [frame.time_s], "exposure_s": [frame.exposure_s],
                "stage_x_um": [stage.x_um if stage else nan],
                "stage_y_um": [stage.y_um if stage else nan],
                "pipette_x_um": [pipette.x_um if pipette else nan],
                "pipette_y_um": [pipette.y_um if pipette else nan],
                "pipette_z_um": [pipette.z_um if pipette else nan],
            }
        )  # fmt: skip
        if self._preview is not None:
            self._preview.write(frame.image)
        self.frames += 1

    def close(self) -> None:
        """End all files. Safe to call twice."""
        container, self._container = self._container, None
        if container is not None:
            container.mux(self._stream.encode())
            container.close()
        self._sidecar.close()
        if self._preview is not None:
            self._preview.close()

    def _open(self, frame: Frame) -> None:
        self._start_s = frame.time_s
        self._container = av.open(str(self.path), "w", options=_MKV)
        self._stream = self._container.add_stream("ffv1", rate=self._rate, options=_FFV1)
        self._stream.height, self._stream.width = frame.image.shape
        self._stream.pix_fmt = "gray"
        self._stream.time_base = Fraction(1, _TICKS_HZ)
        self._stream.codec_context.time_base = Fraction(1, _TICKS_HZ)
