"""Set up everything on a bare machine with Python, and nothing but the standard library.

``run.py`` and ``test.py`` call ``ensure``; it is safe to call again and quick when nothing changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "sfcscope-installed.sha256"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

# What Qt needs on a bare Debian or Ubuntu: to draw offscreen, and to open a real window.
QT_OFFSCREEN = "libglib2.0-0 libgl1 libegl1 libxkbcommon0 libfontconfig1 libdbus-1-3".split()
QT_WINDOW = "libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0".split()


def say(text: str) -> None:
    """Print one line of progress on standard error."""
    print(f"[set-up] {text}", file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """End with one clear line and exit code 2."""
    print(f"set-up: {text}", file=sys.stderr)
    raise SystemExit(2)


def call(command: list[str], **options: Any) -> int:
    """Run a command until it ends by itself; return its exit code, 130 where it was interrupted.

    Ctrl-C reaches the command as well: it stops the stage and completes its files, which must not
    be cut short from here. A request to end is passed on.
    """
    interrupted = False
    child = subprocess.Popen(command, **options)
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        while True:
            try:
                code = child.wait()
                return 130 if interrupted else code if code >= 0 else 128 - code
            except KeyboardInterrupt:
                interrupted = True
    finally:
        signal.signal(signal.SIGTERM, before)


def has_display() -> bool:
    """Tell whether a window can be shown here."""
    if os.name == "nt" or sys.platform == "darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _wanted() -> str:
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _has_pip(python: Path) -> bool:
    """Whether an environment was made to its end, and not interrupted."""
    if not python.exists():
        return False
    asked = [str(python), "-m", "pip", "--version"]
    return subprocess.run(asked, capture_output=True).returncode == 0


def _create_venv() -> None:
    say(f"creating {VENV.name} with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    failed = call(command, stdout=subprocess.DEVNULL)
    if failed and failed != 130 and _apt_install(["python3-venv"]):
        failed = call(command, stdout=subprocess.DEVNULL)
    if failed == 130:
        raise SystemExit(failed)
    if failed:
        fail(
            "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"
        )


def _apt_install(packages: list[str]) -> bool:
    if not shutil.which("apt-get"):
        return False
    prefix: list[str] = []
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            return False
        if subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode:
            return False
        prefix = ["sudo", "-n"]
    say("installing system libraries: " + " ".join(packages))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environment, capture_output=True)
    command = [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return subprocess.run(command, env=environment, capture_output=True).returncode == 0


def _qt_starts(platform: str) -> bool:
    environment = {**os.environ, "QT_QPA_PLATFORM": platform}
    code = "from PySide6.QtWidgets import QApplication; QApplication([])"
    return (
        subprocess.run([str(PYTHON), "-c", code], env=environment, capture_output=True).returncode
        == 0
    )


def _ensure_qt(platform: str, packages: list[str]) -> None:
    if _qt_starts(platform):
        return
    if _apt_install(packages) and _qt_starts(platform):
        return
    fail(
        f"Qt cannot start ({platform}): system libraries are missing; install them with: "
        f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    )


def ensure(window: bool) -> Path:
    """Create the environment if needed and return its Python.

    Parameters
    ----------
    window : bool
        True to make sure that a real window can open, too.
    """
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        fail(f"Python 3.11, 3.12 or 3.13 is needed, this is {sys.version.split()[0]}")
    if not (STAMP.exists() and PYTHON.exists()) and not _has_pip(PYTHON):
        _create_venv()
    if not (STAMP.exists() and STAMP.read_text() == _wanted()):
        say("installing packages (a few minutes the first time; torch and pypylon are large)")
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[dev]"]
        failed = call(command)
        if failed == 130:
            raise SystemExit(failed)
        if failed:
            fail("pip could not install the packages; its message is above; then run this again")
        STAMP.write_text(_wanted())
    _ensure_qt("offscreen", QT_OFFSCREEN)
    if window and sys.platform.startswith("linux") and os.environ.get("DISPLAY"):
        _ensure_qt("xcb", QT_OFFSCREEN + QT_WINDOW)
    return PYTHON
