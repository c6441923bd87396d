"""Where no window can be shown, one line says what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.ui import display
from drivers.errors import DeviceError

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")


@linux
def test_no_display_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeviceError, match="there is no display; use --headless SECONDS"):
        display.prepare(headless=False)


@linux
def test_missing_libraries_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setattr(
        display, "_loads", lambda name: name not in {"libEGL.so.1", "libxcb-cursor.so.0"}
    )
    with pytest.raises(DeviceError, match=r"apt-get install libegl1 libxcb-cursor0$"):
        display.prepare(headless=False)


@linux
def test_headless_needs_no_x11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setattr(display, "_loads", lambda name: "xcb" not in name)
    display.prepare(headless=True)
    assert display.os.environ["QT_QPA_PLATFORM"] == "offscreen"


def test_display_and_live_import_no_qt() -> None:
    code = (
        "import sys; import app.ui.live; "
        "sys.exit(any(m.startswith('PySide6') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
