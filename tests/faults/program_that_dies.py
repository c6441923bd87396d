"""The full program, on emulators that stand when it dies, as instruments do.

``program_that_dies.py live ...`` is ``python -m app.cli live ...``, with one difference: the
emulators' standard input is this process' own, which ends with whoever started it. It prints the
name of the memory in which the stage's true path is published.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

import app.rig.emulators


def start_outliving(
    module: str, arguments: Sequence[str], errors: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start an instrument that does not end with this process."""
    if arguments[0] == "proscan":
        print("path in", arguments[arguments.index("--pose-memory") + 1], flush=True)
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=os.name == "posix",
    )


if __name__ == "__main__":
    app.rig.emulators.start_module = start_outliving
    sys.argv[0] = "sfcscope"
    runpy.run_module("app.cli", run_name="__main__")
