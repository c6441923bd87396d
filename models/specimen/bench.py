"""What a frame of the specimen costs: it is drawn beside the network, on the same processor."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.types import Float64

WARM_UP = 10
EXPOSURE_S = 0.010
SPEED_UM_S = 100.0  # of the stage, where it moves
TIP_UM = (40.0, -20.0, 0.0)

Path = Callable[[Float64], Float64]


def bench_specimen(
    sperm: int = 40, modality: str = "brightfield", *, frames: int = 100, seed: int = 3
) -> dict[str, object]:
    """Time frames of 640x480 of profile ``exam`` at 30 frames a second, exposed for 10 ms.

    Parameters
    ----------
    sperm : int
        In view.
    modality : {'brightfield', 'phase'}
    frames : int
        Timed, of each kind.
    seed : int
        Of the specimen.

    Returns
    -------
    dict
        sperm, modality, frames, and milliseconds of a frame: ``ms`` with the stage at rest,
        ``moving_ms`` with the stage moving, ``pipette_ms`` at rest with the pipette in view; each
        p50 and p95 as the clock saw them, and ``cpu``, the least processor time: on a busy machine
        that alone tells what a frame costs.
    """
    specimen = Specimen(profile("exam", modality=modality, density=sperm), seed)
    result: dict[str, object] = {"sperm": sperm, "modality": modality, "frames": frames}
    for name, stage_um, tip_um in (
        ("ms", _resting, None), ("moving_ms", _moving, None), ("pipette_ms", _resting, _tip),
    ):  # fmt: skip
        result[name] = _timed(specimen, stage_um, tip_um, frames)
    return result


def _timed(
    specimen: Specimen, stage_um: Path, tip_um: Path | None, frames: int
) -> dict[str, float]:
    spent_s, busy_s = np.empty(frames), np.empty(frames)
    for k in range(-WARM_UP, frames):
        begin_s, begin_busy_s = time.perf_counter(), time.thread_time()
        specimen.render((k + WARM_UP) / 30, EXPOSURE_S, stage_um, tip_um)
        if k >= 0:
            spent_s[k] = time.perf_counter() - begin_s
            busy_s[k] = time.thread_time() - begin_busy_s
    p50, p95 = np.percentile(spent_s, (50, 95)) * 1e3
    cpu = busy_s.min() * 1e3
    return {"cpu": round(float(cpu), 2), "p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _resting(times_s: Float64) -> Float64:
    return np.zeros((len(times_s), 2))


def _moving(times_s: Float64) -> Float64:
    return np.stack([SPEED_UM_S * times_s, np.zeros_like(times_s)], axis=1)


def _tip(times_s: Float64) -> Float64:
    return np.tile(np.array(TIP_UM), (len(times_s), 1))
