"""A bare host: keeps the stage moving until it is killed. Run by the guardian's tests."""

from __future__ import annotations

import sys
import time

from drivers.guarded import GuardedStage
from drivers.limits import SoftLimits


def main() -> None:
    url, how = sys.argv[1:]
    stage = GuardedStage(url, SoftLimits((-50_000.0, -30_000.0), (50_000.0, 30_000.0), 5_000.0))
    if how == "move":
        stage.move_to(20_000.0, 0.0)
    else:
        stage.set_velocity(3_000.0, 1_000.0)
    print(f"moving {stage.guardian_pid}", flush=True)
    while True:
        if how == "velocity":
            stage.set_velocity(3_000.0, 1_000.0)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
