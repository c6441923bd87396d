"""Speed of the exported network: both tasks, frames of 640x480, on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.errors import WeightsError
from models.sfcnet.cost import count_all
from models.sfcnet.export import export_random
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.runtime import SFCNetDetector
from models.sfcnet.variant import variant as settings_of

HEIGHT_PX, WIDTH_PX = 480, 640


def reference_stack() -> nn.Sequential:
    """Return a fixed plain stack of 3x3 convolutions, 2.0 GMAC at 640x480: tells machines apart."""
    layers: list[nn.Module] = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1)]
    for _ in range(10):
        layers += [nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1)]
    layers += [nn.ReLU(), nn.Conv2d(32, 19, 3, 1, 1)]
    return nn.Sequential(*layers).eval()


def timed(action: Callable[[], object], times: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the seconds that each of ``times`` calls took."""
    seconds = np.empty(times)
    for k in range(times):
        begin = time.perf_counter()
        action()
        seconds[k] = time.perf_counter() - begin
    return seconds


def bench_frame(seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Return a grainy frame with 40 dark spots, so that the suppression has work to do."""
    rng = np.random.default_rng(seed)
    frame = 150.0 + 3.0 * rng.standard_normal((HEIGHT_PX, WIDTH_PX))
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    for row, column in zip(
        rng.uniform(0, HEIGHT_PX, 40), rng.uniform(0, WIDTH_PX, 40), strict=True
    ):
        frame -= 80.0 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18.0)
    return frame.clip(0, 255).astype(np.uint8)


def bench_network(
    variant: str = "lite", device: str = "cpu", half: bool = False, *, frames: int = 200
) -> dict[str, object]:
    """Time ``variant`` on ``device``; what verb ``bench network`` prints.

    The weights are those that are shipped, else random ones (``weights`` says which). The time
    is from the grey frame to boxes and maps: what ``detect`` takes.

    Returns
    -------
    dict
        variant, device, dtype, params_m, gmacs, ms, fps, reference_ms; and gmacs_of (boxes and
        sperm that the multiply-adds are of), threads, weights, detections. Parameters and
        multiply-adds are those of all parts that the archive has.
    """
    settings = settings_of(variant)
    dtype = None
    if half:
        dtype = torch.float16 if device.startswith("cuda") else torch.bfloat16
    with tempfile.TemporaryDirectory() as folder:
        try:
            archive, weights = shipped_archive(variant), "shipped"
        except WeightsError:
            archive, weights = export_random(Path(folder) / "random.pt", variant), "random"
        detector = SFCNetDetector(archive, device=device, dtype=dtype)
        frame = bench_frame()
        detector.warm_up(HEIGHT_PX, WIDTH_PX)
        found = len(detector.detect(frame).detections)
        seconds = timed(lambda: detector.detect(frame), frames)
    costs = count_all(settings, height_px=HEIGHT_PX, width_px=WIDTH_PX, parts=detector.parts)
    p50, p95, p99 = (1000 * float(v) for v in np.percentile(seconds, (50, 95, 99)))
    return {
        "variant": variant,
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "dtype": str(detector.dtype).removeprefix("torch."),
        "params_m": {task: round(cost.params_m, 3) for task, cost in costs.items()},
        "gmacs": {task: round(cost.gmacs, 3) for task, cost in costs.items()},
        "gmacs_of": detector.gmacs_of,
        "ms": {"p50": p50, "p95": p95, "p99": p99},
        "fps": 1.0 / float(seconds.mean()),
        "reference_ms": reference_ms(detector.device),
        "threads": torch.get_num_threads(),
        "weights": weights,
        "detections": found,
    }


def reference_ms(device: torch.device) -> float:
    """Return the median time of the reference stack in float32, in ms."""
    picture = torch.rand(1, 1, HEIGHT_PX, WIDTH_PX, device=device)
    picture = picture.contiguous(memory_format=torch.channels_last)
    stack = reference_stack().to(device)
    stack = stack.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        frozen = torch.jit.freeze(torch.jit.trace(stack, picture))

        def run() -> None:
            frozen(picture)
            if device.type == "cuda":
                torch.cuda.synchronize()

        timed(run, 8)
        return 1000 * float(np.median(timed(run, 30)))
