"""Set up what is missing, then run sfcscope.

Without arguments: the simulated rig in a window, or, where there is no display, 20 seconds of it
headless, following the best sperm, with a picture of the window saved. Arguments, if any, go to
``sfcscope`` as they are (``python3 scripts/run.py analyze film.mp4 --out results``).
"""

from __future__ import annotations

import sys

from environment import ROOT, call, ensure, has_display

if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--set-up-only"]
    python = ensure(window=has_display())
    if "--set-up-only" in sys.argv[1:]:
        raise SystemExit(0)
    if not arguments:
        arguments = ["live"]
        if not has_display():
            arguments += ["--headless", "20", "--follow", "best", "--out", str(ROOT / "runs/demo")]
    raise SystemExit(call([str(python), "-m", "app.cli", *arguments]))
