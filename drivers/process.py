"""Helper processes: started alike on every platform."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_HIGH_PRIORITY_CLASS = 0x80

_ROOT = Path(__file__).resolve().parents[1]


def start_module(
    module: str, arguments: Sequence[str], errors: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Run ``python -m module`` with pipes for input and output; complaints go to ``errors``.

    The child ends when it sees the end of its input, so it never outlives its parent for long.
    An interrupt typed at the terminal reaches the parent only: the parent decides what stops.
    """
    environment = dict(os.environ)
    path = [str(_ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    command = [sys.executable, "-m", module, *arguments]
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            creationflags=subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        start_new_session=True,
    )


def raise_priority() -> None:
    """Ask to be woken before ordinary programs; where that is not allowed, go on without."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _HIGH_PRIORITY_CLASS)
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except OSError:
        pass  # a user's right on few systems; the dead man's patience allows for the delay


def ask_to_end(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Close the child's input, and wait; return whether it has ended."""
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            pass  # the child has closed its end first
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def leave_behind(process: subprocess.Popen[bytes]) -> None:
    """Let a child that was asked to end take its time: only a thread aside waits for its end."""
    if process.stdout is not None:
        process.stdout.close()
    threading.Thread(target=process.wait, name="end of a child", daemon=True).start()


def end_process(process: subprocess.Popen[bytes], timeout_s: float = 2.0) -> int:
    """Close the child's input, wait, then insist; return its exit code."""
    if not ask_to_end(process, timeout_s):
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return process.returncode
