"""Many seeds of each procedure against what is promised: the table of calibration/README.md.

    python -m tests.calibration.many_seeds --seeds 100 [--what tip --what stage ...] [--keep FILE]

Virtual time, but for ``--what rig``: every procedure on the simulated rig, by the wall clock; run
that one on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from calibration.errors import CalibrationError
from tests.calibration.rig_trials import rig
from tests.calibration.trials import TRIALS, Found

# what -> name -> (quantile that is promised, limit); 1.0 is the worst of all
PROMISED: dict[str, dict[str, tuple[float, float]]] = {
    "pixel": {"error_percent": (0.95, 0.2), "beyond_what_is_stated": (1.0, 0.0)},
    "beads": {"error_percent": (1.0, 5.0)},
    "tip": {"error_px": (0.95, 1.5), "found_where_none_is": (1.0, 0.0)},
    "stage": {
        "position_um": (0.95, 0.3), "angle_deg": (0.95, 0.05), "mirror_wrong": (1.0, 0.0),
        "backlash_um": (0.95, 0.3), "residual_um": (0.95, 0.3), "seconds": (1.0, 60.0),
    },
    "latency": {
        "sum_ms": (0.95, 3.0), "command_ms": (0.95, 8.0), "exposure_ms": (0.95, 8.0),
        "seconds": (1.0, 60.0),
    },
    "pipette": {"position_um": (0.95, 1.0), "seconds": (1.0, 60.0)},
    "objective": {"noticed_s": (1.0, 3.0), "wrongly_suspected": (1.0, 0.0)},
    "rig": {
        "pixel_percent": (1.0, 0.2), "stage_position_um": (1.0, 0.3),
        "stage_angle_deg": (1.0, 0.05), "stage_backlash_um": (1.0, 0.3),
        "pipette_position_um": (1.0, 1.0), "pixel_seconds": (1.0, 60.0),
        "stage_seconds": (1.0, 60.0), "latency_seconds": (1.0, 60.0),
        "pipette_seconds": (1.0, 60.0),
    },
}  # fmt: skip


def attempt(what: str, seed: int) -> tuple[Found | None, str]:
    """One trial: what was found, or why it was refused."""
    try:
        return (rig if what == "rig" else TRIALS[what])(seed), ""
    except CalibrationError as error:
        return None, str(error)


def table(what: str, found: list[Found], refused: int) -> tuple[list[str], bool]:
    """Lines of the table, and whether all that is promised holds."""
    lines, held = [f"{what}: {len(found)} measured, {refused} refused"], True
    for name in found[0] if found else ():
        values = np.array([one[name] for one in found])
        known = values[~np.isnan(values)]
        middle, most, worst = (float(np.quantile(known, q)) for q in (0.5, 0.95, 1))
        text = f"  {name:22} median {middle:9.4f}  p95 {most:9.4f}  worst {worst:9.4f}"
        if len(known) < len(values):
            text += f"  ({len(values) - len(known)} not known)"
        if name in PROMISED[what]:
            quantile, limit = PROMISED[what][name]
            value = worst if quantile == 1.0 else most
            held &= value <= limit
            text += f"  promised {'worst' if quantile == 1.0 else 'p95'} {limit:g}: "
            text += "holds" if value <= limit else "MISSED"
        lines.append(text)
    return lines, held


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--what", action="append", choices=[*TRIALS, "rig"])
    parser.add_argument("--keep", type=Path, help="append every trial to this file, a line each")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    all_held = True
    for what in options.what or list(TRIALS):
        found, refused = [], 0
        for seed in range(options.first, options.first + options.seeds):
            began_s = time.process_time()
            one, why = attempt(what, seed)
            refused += one is None
            if one is not None:
                found.append(one)
            if options.keep is not None:
                line = {"what": what, "seed": seed, "refused": why, "cpu_s": 0.0}
                line["cpu_s"] = round(time.process_time() - began_s, 2)
                shown = {k: v if math.isfinite(v) else None for k, v in (one or {}).items()}
                with options.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line | shown) + "\n")
        lines, held = table(what, found, refused)
        all_held &= held and bool(found)
        print("\n".join(lines), flush=True)
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
