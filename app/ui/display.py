"""Whether Qt can show a window here, and what is missing if it cannot. Imports no Qt."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

from drivers.errors import DeviceError

QT_LIBRARIES: Final = {
    "libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libxkbcommon.so.0": "libxkbcommon0",
    "libfontconfig.so.1": "libfontconfig1", "libdbus-1.so.3": "libdbus-1-3",
    "libglib-2.0.so.0": "libglib2.0-0",
}  # fmt: skip
X11_LIBRARIES: Final = {
    "libxcb-cursor.so.0": "libxcb-cursor0", "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0", "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0", "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0", "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}  # fmt: skip
OFFSCREEN: Final = "offscreen"


def has_display() -> bool:
    """Whether there is a screen to show a window on."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def prepare(*, headless: bool) -> None:
    """Choose Qt's platform, and make sure that Qt can start on it; call it before Qt is imported.

    Qt itself ends the whole process when its platform's libraries are missing, and its own words do
    not say which package has them.

    Raises
    ------
    DeviceError
        No display, or system libraries are missing; the message names the Debian packages.
    """
    if headless:
        os.environ["QT_QPA_PLATFORM"] = OFFSCREEN
    elif not has_display() and "QT_QPA_PLATFORM" not in os.environ:
        raise DeviceError(
            "window", "there is no display", "use --headless SECONDS, or start it on a desktop"
        )
    if sys.platform != "linux":
        return
    wanted = dict(QT_LIBRARIES)
    platform = os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0]
    if platform == "xcb" and not os.environ.get("WAYLAND_DISPLAY"):
        wanted |= X11_LIBRARIES
    packages = sorted({package for name, package in wanted.items() if not _loads(name)})
    if packages:
        raise DeviceError(
            "window",
            "Qt cannot start, system libraries are missing",
            f"on Debian and Ubuntu: sudo apt-get install {' '.join(packages)}",
        )


def _loads(name: str) -> bool:
    """Whether the loader finds a shared library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
