"""Basler cameras through pypylon: always the newest frame, and nothing silently lost.

pypylon is imported when a camera is opened: a rig without Basler does not need it. Its current
releases reach GigE Vision and USB3 Vision cameras, not IEEE 1394 (A600f series).
"""

from __future__ import annotations

import logging
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.basler_nodes import BaslerSettings, Nodes, apply
from drivers.clock import HostClock
from drivers.errors import CameraError
from drivers.frame_clock import FrameClock
from drivers.types import Frame, Image

_LOG = logging.getLogger(__name__)

_WAIT_MS = 250  # a longer wait could not be broken by Ctrl-C
_CLOSE_S = 2.0
_SILENCE_S = 1.0
_WARM_UP = 2  # the first frames after a start come late, or damaged
_BLOCK_IDS_GIGE = 65535  # GigE Vision 1 counts 1 to 65535 and starts again at 1
_NO_BLOCK_ID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that could be opened."""

    serial: str
    model: str
    interface: str


def list_cameras() -> list[CameraInfo]:
    """All Basler cameras that are reachable now, sorted by serial number.

    Raises
    ------
    CameraError
        pypylon is not installed.
    """
    pylon, _ = _pypylon()
    found = [
        CameraInfo(info.GetSerialNumber(), info.GetModelName(), info.GetDeviceClass())
        for info in pylon.TlFactory.GetInstance().EnumerateDevices()
    ]
    return sorted(found, key=lambda camera: camera.serial)


class BaslerCamera:
    """One camera, found by its serial number. Implements Camera.

    Grabbing keeps the latest image only. There is one grab thread: the one that calls ``read``.
    After a CameraError ``open`` makes a new connection and applies all settings again.

    Parameters
    ----------
    serial : str
        Printed on the camera; empty takes the only one there is.
    settings : BaslerSettings

    Attributes
    ----------
    failed : int
        Incomplete buffers since ``open``. Each is a gap in ``Frame.number``.
    """

    def __init__(self, serial: str, settings: BaslerSettings | None = None) -> None:
        self._serial = serial
        self._settings = settings or BaslerSettings()
        self._clock = HostClock()
        self._camera: Any = None
        self._pylon: Any = None
        self._genicam: Any = None
        self._width_px = self._height_px = 0
        self._frame_rate_hz = 0.0
        self._wraps = False
        self._number = -1
        self._alive_s = 0.0
        self._frames = FrameClock(1.0)
        self._tick_s = 0.0
        self._warm_up = 0
        self.failed = 0

    @property
    def name(self) -> str:
        """What the user knows it as."""
        return f"Basler camera {self._serial}" if self._serial else "Basler camera"

    @property
    def width_px(self) -> int:
        """Columns of each frame. Known after ``open``."""
        return self._width_px

    @property
    def height_px(self) -> int:
        """Rows of each frame. Known after ``open``."""
        return self._height_px

    @property
    def frame_rate_hz(self) -> float:
        """Rate that the camera says it reaches. Known after ``open``."""
        return self._frame_rate_hz

    def open(self) -> None:
        """Find the camera, set it, and start to grab.

        Raises
        ------
        CameraError
            Not there, in use elsewhere, or a setting is refused.
        """
        self.close()
        self._pylon, self._genicam = _pypylon()
        info = self._find()
        try:
            self._camera = self._pylon.InstantCamera(
                self._pylon.TlFactory.GetInstance().CreateDevice(info)
            )
            self._camera.Open()
            nodes = Nodes(self._camera, self._genicam, self.name)
            self._frame_rate_hz = apply(self._settings, nodes, self.name)
            self._width_px = int(nodes.get("Width"))
            self._height_px = int(nodes.get("Height"))
            self._tick_s = 1.0 / float(nodes.get("GevTimestampTickFrequency") or 1e9)
            self._camera.MaxNumBuffer.SetValue(self._settings.buffers)
            self._camera.StartGrabbing(self._pylon.GrabStrategy_LatestImageOnly)
        except self._genicam.GenericException as error:
            self.close()
            raise CameraError(
                self.name, f"cannot be opened: {_plain(error)}",
                "close other programs that use it, check cable and power",
            ) from error  # fmt: skip
        except CameraError:
            self.close()
            raise
        self._wraps = info.GetDeviceClass() == "BaslerGigE"
        self._number = -1
        self.failed = 0
        self._frames = FrameClock(1.0 / self._frame_rate_hz)
        self._warm_up = _WARM_UP
        self._alive_s = self._clock.now_s()

    def read(self, timeout_s: float) -> Frame | None:
        """Wait for the newest frame, at most ``timeout_s``; None when none came.

        ``Frame.time_s`` is freed from the reader's lateness by the promptest frames of late, and
        as exact as ``transfer_s`` is.

        Raises
        ------
        CameraError
            Not open, unplugged, or without a good frame for a second (five frames when slower).
        """
        if self._camera is None:
            raise CameraError(self.name, "is not open", "call open first")
        deadline_s = self._clock.now_s() + timeout_s
        while True:
            left_ms = max(0, round((deadline_s - self._clock.now_s()) * 1e3))
            frame = self._retrieve(min(left_ms, _WAIT_MS))
            if frame is not None:
                return frame
            self._check_alive()
            if self._clock.now_s() >= deadline_s:
                return None

    def close(self) -> None:
        """Stop and let go. Safe to call twice, and after an error.

        Pylon may hang over a camera that was pulled out, so this is done by a thread that is
        left behind after 2 s.
        """
        camera, self._camera = self._camera, None
        if camera is None:
            return
        release = threading.Thread(
            target=self._release, args=(camera,), name="sfcscope-basler-close", daemon=True
        )
        release.start()
        release.join(_CLOSE_S)
        if release.is_alive():
            _LOG.warning("%s does not let itself be closed; it is abandoned", self.name)

    def _find(self) -> Any:
        found = list(self._pylon.TlFactory.GetInstance().EnumerateDevices())
        matching = [info for info in found if self._serial in ("", info.GetSerialNumber())]
        if len(matching) == 1:
            self._serial = matching[0].GetSerialNumber()
            return matching[0]
        there = ", ".join(f"{info.GetSerialNumber()} ({info.GetModelName()})" for info in found)
        what = "is not there" if not matching else "is not the only one"
        hint = "check cable and power" if not matching else "name one by its serial number"
        raise CameraError(self.name, what, f"{hint}; found: {there or 'no camera'}")

    def _retrieve(self, timeout_ms: int) -> Frame | None:
        """One buffer: a frame, or None where none came or it had failed."""
        try:
            result = self._camera.RetrieveResult(timeout_ms, self._pylon.TimeoutHandling_Return)
            received_s = self._clock.now_s()
            if not result.IsValid():  # asked first: an empty result knows no GrabSucceeded
                return None
            try:
                number = self._unwrap(int(result.BlockID), int(result.GetNumberOfSkippedImages()))
                image = result.GetArray() if result.GrabSucceeded() else None
                stamp_s = int(result.TimeStamp) * self._tick_s
            finally:
                result.Release()
        except (self._genicam.GenericException, ValueError) as error:
            raise CameraError(
                self.name, f"failed while grabbing: {_plain(error)}", "open it again"
            ) from error
        self._number = number
        if image is None or image.shape != (self._height_px, self._width_px):
            self.failed += 1
            return None
        self._alive_s = received_s
        arrived_s = self._frames.arrival_s(number, stamp_s, received_s)
        if self._warm_up:
            self._warm_up -= 1
            return None
        return self._frame(image, number, arrived_s, received_s)

    def _frame(self, image: Image, number: int, arrived_s: float, received_s: float) -> Frame:
        settings = self._settings
        middle_s = arrived_s - settings.transfer_s - settings.exposure_s / 2
        image = np.ascontiguousarray(image)
        image.setflags(write=False)
        return Frame(image, number, middle_s, settings.exposure_s, received_s)

    def _unwrap(self, block_id: int, skipped: int) -> int:
        if block_id == _NO_BLOCK_ID:
            return self._number + 1 + skipped
        if self._wraps and block_id <= self._number:
            turns = -(-(self._number + 1 - block_id) // _BLOCK_IDS_GIGE)
            return block_id + turns * _BLOCK_IDS_GIGE
        return block_id

    def _check_alive(self) -> None:
        try:
            removed = bool(self._camera.IsCameraDeviceRemoved())
        except self._genicam.GenericException as error:
            raise CameraError(self.name, f"is gone: {_plain(error)}", "check the cable") from error
        if removed:
            raise CameraError(self.name, "was unplugged", "plug it in and open it again")
        silent_s = self._clock.now_s() - self._alive_s
        if silent_s > max(_SILENCE_S, 5 / self._frame_rate_hz):
            damaged = f" ({self.failed} were damaged)" if self.failed else ""
            raise CameraError(
                self.name, f"delivers no frames for {silent_s:.1f} s{damaged}",
                "check cable and power, then open it again",
            )  # fmt: skip

    def _release(self, camera: Any) -> None:
        try:
            camera.StopGrabbing()
            camera.Close()
            camera.DestroyDevice()
        except self._genicam.GenericException as error:
            _LOG.warning("%s was closed with an error: %s", self.name, _plain(error))


def _pypylon() -> tuple[Any, Any]:
    try:
        with warnings.catch_warnings():
            # SWIG's types warn while they are made, and crash where warnings are errors.
            warnings.simplefilter("ignore", DeprecationWarning)
            from pypylon import genicam, pylon
    except ImportError as error:
        raise CameraError(
            "Basler camera", f"pypylon cannot be loaded ({error})", "pip install pypylon"
        ) from error
    return pylon, genicam


def _plain(error: Exception) -> str:
    return str(error).split(" : ")[0].replace("\n", " ").strip()
