"""Set up what is missing, then check everything: ruff, mypy, the import contract, the tests.

``--all`` includes the tests marked slow; any other argument goes to pytest as it is.
"""

from __future__ import annotations

import os
import sys
import time

from environment import ROOT, call, ensure, say

if __name__ == "__main__":
    python = str(ensure(window=False))
    if "--set-up-only" in sys.argv[1:]:
        raise SystemExit(0)
    arguments = [a for a in sys.argv[1:] if a != "--all"]
    left_out = ["hardware", "gpu"] + ([] if "--all" in sys.argv[1:] else ["slow"])
    checks = {
        "ruff": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "mypy": ["-m", "mypy"],
        "imports": [
            "-c",
            "import sys; from importlinter.cli import lint_imports_command as c; c()",
        ],
        "pytest": ["-m", "pytest", "-m", "not " + " and not ".join(left_out), *arguments],
    }
    environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ, "PYTHONPATH": str(ROOT)}
    failed = []
    for name, command in checks.items():
        started = time.monotonic()
        code = call([python, *command], cwd=ROOT, env=environment)
        if code == 130:
            raise SystemExit(code)
        say(f"{name}: {'ok' if code == 0 else 'FAILED'} ({time.monotonic() - started:.0f} s)")
        failed += [name] if code else []
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
    raise SystemExit(1 if failed else 0)
