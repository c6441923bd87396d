"""Settings of a Basler camera, by whichever names its generation uses.

Parameters are probed by presence, not by model: SFNC 2 names (USB 3, newer GigE) first, then
SFNC 1 names with Abs or Raw (older GigE). Sources: Basler product documentation
(docs.baslerweb.com), GenICam Standard Features Naming Convention.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.errors import CameraError

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class BaslerSettings:
    """How a camera is set when it is opened.

    Attributes
    ----------
    width_px, height_px : int or None
        Size of the picture, rounded down to the camera's increments; None is all of it.
    offset_x_px, offset_y_px : int or None
        Its place on the sensor; None is the middle.
    binning : int
        Sensor pixels that make one pixel, in both directions. The sizes are in binned pixels.
    exposure_s : float
    gain : float or None
        dB where the camera counts in dB, its raw number otherwise; None leaves it as it is.
    frame_rate_hz : float or None
        None is as fast as it can.
    transfer_s : float
        From the end of the exposure until the host has the frame: what the latency calibration
        measures.
    buffers : int
    features : mapping of str to value
        Any other parameter by name, set first, in this order.
    """

    width_px: int | None = 640
    height_px: int | None = 480
    offset_x_px: int | None = None
    offset_y_px: int | None = None
    binning: int = 1
    exposure_s: float = 0.005
    gain: float | None = None
    frame_rate_hz: float | None = 30.0
    transfer_s: float = 0.008
    buffers: int = 8
    features: Mapping[str, Value] = field(default_factory=dict)


class Nodes:
    """The parameters of one open camera."""

    def __init__(self, camera: Any, genicam: Any, device: str) -> None:
        self._map = camera.GetNodeMap()
        self._genicam = genicam
        self._device = device

    def get(self, *names: str) -> Any:
        """Value of the first of ``names`` that the camera has now, else None."""
        node = self._first(self._genicam.IsReadable, names)
        return None if node is None else node.GetValue()

    def set(self, value: Value, *names: str) -> bool:
        """Set the first of ``names`` that is writable; False where none is.

        Raises
        ------
        CameraError
            The camera refuses the value; says what it allows.
        """
        node = self._first(self._genicam.IsWritable, names)
        if node is None:
            return False
        try:
            node.SetValue(_fitted(value, node))
        except (self._genicam.GenericException, TypeError, ValueError) as error:
            name = node.GetNode().GetName()
            raise CameraError(
                self._device, f"refuses {name} = {value}", _allowed(node) or _short(error)
            ) from error
        return True

    def _first(self, usable: Callable[[Any], bool], names: tuple[str, ...]) -> Any:
        for name in names:
            node = self._map.GetNode(name)
            if node is not None and usable(node):
                return node
        return None


def apply(settings: BaslerSettings, nodes: Nodes, device: str) -> float:
    """Set a camera that does not grab; return the frame rate that it will reach, in Hz.

    Raises
    ------
    CameraError
        A parameter is refused or missing, or the frame rate cannot be reached.
    """
    for name, value in settings.features.items():
        if not nodes.set(value, name):
            raise CameraError(device, f"has no parameter {name} to set", "look into its manual")
    if not nodes.set("Mono8", "PixelFormat"):
        raise CameraError(device, "does not let its pixel format be set", "close other programs")
    for name in ("BinningHorizontal", "BinningVertical"):
        if not nodes.set(settings.binning, name) and settings.binning != 1:
            raise CameraError(device, "cannot bin pixels", "leave binning out of the rig file")
    _place(settings, nodes, device)
    nodes.set("Off", "TriggerMode")
    nodes.set("Off", "ExposureAuto")
    nodes.set("Timed", "ExposureMode")
    exposure_us = settings.exposure_s * 1e6
    if not nodes.set(exposure_us, "ExposureTime", "ExposureTimeAbs"):
        raise CameraError(device, "has no exposure time to set", "look into its manual")
    if settings.gain is not None:
        nodes.set("Off", "GainAuto")
        if not nodes.set(settings.gain, "Gain", "GainRaw"):
            raise CameraError(device, "has no gain to set", "leave gain out of the rig file")
    return _pace(settings, nodes, device)


def _place(settings: BaslerSettings, nodes: Nodes, device: str) -> None:
    for size, offset, size_px, offset_px in (
        ("Width", "OffsetX", settings.width_px, settings.offset_x_px),
        ("Height", "OffsetY", settings.height_px, settings.offset_y_px),
    ):
        nodes.set(0, offset)  # or the size cannot grow
        sensor_px = int(nodes.get(size + "Max") or nodes.get("Sensor" + size) or 0)
        wanted_px = size_px or sensor_px
        if wanted_px and not nodes.set(wanted_px, size):
            raise CameraError(device, f"does not let {size} be set", "close other programs")
        if offset_px is None:
            offset_px = max(0, (sensor_px - int(nodes.get(size))) // 2)
        if offset_px and not nodes.set(offset_px, offset):
            raise CameraError(device, f"does not let {offset} be set", "leave it out")


def _pace(settings: BaslerSettings, nodes: Nodes, device: str) -> float:
    wanted_hz = settings.frame_rate_hz
    nodes.set(wanted_hz is not None, "AcquisitionFrameRateEnable")
    if wanted_hz is not None and not nodes.set(
        wanted_hz, "AcquisitionFrameRate", "AcquisitionFrameRateAbs"
    ):
        raise CameraError(device, "has no frame rate to set", "leave frame_rate_hz out")
    reached_hz = nodes.get("ResultingFrameRate", "ResultingFrameRateAbs")
    if reached_hz is None:
        reached_hz = wanted_hz or nodes.get("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
    if reached_hz is None:
        raise CameraError(device, "does not tell its frame rate", "state frame_rate_hz")
    if wanted_hz is not None and reached_hz < 0.98 * wanted_hz:
        raise CameraError(
            device, f"reaches {reached_hz:.1f} frames/s, not {wanted_hz:g}",
            "shorten the exposure, make the picture smaller, or use a faster port",
        )  # fmt: skip
    return float(reached_hz)


def _fitted(value: Value, node: Any) -> Value:
    """Whole numbers where the camera wants them, rounded down to its increment."""
    if hasattr(node, "GetSymbolics") or isinstance(value, (bool, str)):
        return value
    if hasattr(node, "HasInc"):  # a floating-point parameter
        return float(value)
    low = int(node.GetMin())
    return low + (round(value) - low) // int(node.GetInc()) * int(node.GetInc())


def _allowed(node: Any) -> str:
    if hasattr(node, "GetSymbolics"):
        return f"allowed are {', '.join(node.GetSymbolics())}"
    if hasattr(node, "GetMin"):
        return f"allowed is {node.GetMin():g} to {node.GetMax():g}"
    return ""


def _short(error: Exception) -> str:
    return str(error).split(" : ")[0].replace("\n", " ")
