"""Trains SFCNet on specimens drawn on the fly, or on labelled folders.

``python -m models.training.train --out DIR`` trains the lite network for both tasks.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.errors import ModelError
from models.sfcnet.losses import LossSettings, Target, total_losses
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import best_precision, chosen_device
from models.sfcnet.variant import variant
from models.training.average import AverageWeights
from models.training.crops import Crop, SpecimenCrops, loader
from models.training.folder_crops import FolderCrops
from models.training.progress import exam_frames, quick_scores
from models.training.scene_crops import SceneCrops
from models.training.schedule import learning_rate

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.pt"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Progress ends with ``steps`` or ``minutes``, whichever is first.

    The detection learns sooner than the segmentation and costs two fifths of a joint step: it
    takes part in one of ``detect_every`` steps.
    """

    variant: str = "lite"
    task: str = "joint"
    steps: int = 20_000
    minutes: float | None = None
    batch: int = 8
    crop_px: int = 256
    peak_rate: float = 2e-3
    last_rate: float = 1e-6
    warm_up: int = 200
    weight_decay: float = 0.03
    decay: float = 0.998
    seed: int = 1
    workers: int = 1
    detect_every: int = 2
    exam_share: float = 0.6
    phase_share: float = 0.25
    scene_share: float = 0.5
    check_every: int = 500
    check_frames: int = 4


PRESETS = {
    "lite": TrainSettings(),
    # The paper's: batch 4 of 512x512, AdamW from 5e-5 up to 5e-4 and down to 1e-6.
    "paper": TrainSettings(variant="r50", batch=4, crop_px=512, peak_rate=5e-4),
}


class Trainer:
    """One training: network, average, optimiser and step, which a checkpoint holds."""

    def __init__(self, settings: TrainSettings, device: str = "cpu") -> None:
        self.settings = settings
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        network = SFCNet(variant(settings.variant), settings.task)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AverageWeights(self.network, settings.decay)
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=settings.peak_rate,
        )
        self.step = 0
        self.losses = LossSettings()
        self.mixed = best_precision(self.device) != torch.float32

    def start_from(self, weights: Path) -> None:
        """Begin with trained weights instead of random ones."""
        state = load_weights(weights)
        self.network.load_state_dict(state, strict=False)
        self.average = AverageWeights(self.network, self.settings.decay)

    def save(self, out: Path) -> None:
        """Write the checkpoint and, beside it, the averaged weights."""
        state = {
            "settings": asdict(self.settings),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        for name, content in (
            (CHECKPOINT, state),
            (WEIGHTS, {k: state[k] for k in ("settings", "step", "average")}),
        ):
            partial = out / (name + ".part")
            torch.save(content, partial)
            partial.replace(out / name)

    def resume(self, out: Path) -> None:
        """Go on from the checkpoint in ``out``."""
        try:
            state = torch.load(out / CHECKPOINT, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, UnpicklingError) as error:
            raise ModelError(
                f"{out / CHECKPOINT}: cannot be read ({str(error).splitlines()[0]}); "
                "start a new training"
            ) from error
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])

    def train_step(self, image: Tensor, target: Target, progress: float) -> dict[str, float]:
        """Do one step and return its losses."""
        settings = self.settings
        # The step's own seed: a resumed training draws the same samples and drops the same.
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        rate = learning_rate(
            self.step,
            progress,
            peak=settings.peak_rate,
            warm_up=settings.warm_up,
            last=settings.last_rate,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        # Convolutions in bfloat16: twice as fast where a processor has instructions for it.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            outputs = self.network(
                image.to(self.device),
                settings.task == "detect" or self.step % settings.detect_every == 0,
            )
        losses = total_losses(self.network, outputs, moved(target, self.device), self.losses)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise ModelError(
                f"training: the loss is not finite at step {self.step}; lower the rate"
            )
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.average.follow(self.network, self.step)
        return {name: float(value.detach()) for name, value in losses.items()}


def moved(target: Target, device: torch.device) -> Target:
    """Return the truth on a device."""
    return Target(
        target.class_map.to(device),
        target.part_map.to(device),
        [b.to(device) for b in target.boxes],
        [b.to(device) for b in target.ignore],
    )


def load_weights(path: Path) -> dict[str, Tensor]:
    """Return the averaged weights that a training wrote."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        average: dict[str, Tensor] = state["average"]
    except (OSError, RuntimeError, KeyError, UnpicklingError) as error:
        raise ModelError(
            f"{path}: no weights of a training ({str(error).splitlines()[0]}); name a weights.pt"
        ) from error
    return average


def run(
    settings: TrainSettings,
    out: Path,
    *,
    data: Sequence[Path] = (),
    init: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> dict[str, object]:
    """Train to the end, with a line of progress now and then; return the last scores.

    Parameters
    ----------
    data : sequence of Path
        Labelled folders; specimens drawn on the fly where there are none.
    init : Path, optional
        Weights to begin with.
    resume : bool
        Go on from the checkpoint in ``out``, to the same result as without the interruption.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, device)
    if init is not None:
        trainer.start_from(init)
    if resume:
        trainer.resume(out)
    size = (settings.crop_px, settings.crop_px)
    crops: Dataset[Crop]
    if data:
        crops = FolderCrops(data, settings.seed, size)
    else:
        drawn = SpecimenCrops(settings.seed, size, settings.exam_share, settings.phase_share)
        crops = SceneCrops(drawn, settings.scene_share)
    batches = loader(crops, trainer.step, settings.steps, settings.batch, settings.workers)
    frames = exam_frames(settings.check_frames)
    begin, first = time.monotonic(), trainer.step
    budget_s = settings.minutes * 60 if settings.minutes else None
    sums: dict[str, list[float]] = {}
    scores = quick_scores(trainer.average.network, frames)
    for image, target in batches:
        elapsed = time.monotonic() - begin
        progress = trainer.step / settings.steps
        if budget_s is not None:
            progress = max(progress, elapsed / budget_s)
        if progress >= 1.0:
            break
        for name, value in trainer.train_step(image, target, progress).items():
            sums.setdefault(name, []).append(value)
        if trainer.step % settings.check_every == 0 or trainer.step == settings.steps:
            scores = quick_scores(trainer.average.network, frames)
            trainer.save(out)
            elapsed = time.monotonic() - begin
            left = elapsed * (1 - progress) / max(progress - first / settings.steps, 1e-6)
            means = " ".join(f"{k} {sum(v) / len(v):.3f}" for k, v in sums.items())
            print(
                f"step {trainer.step} {elapsed / 60:.1f} min, {left / 60:.0f} left | {means} | "
                f"AP50 {scores.ap50:.1f} Dice {scores.dice:.1f} binary {scores.binary_dice:.1f}",
                flush=True,
            )
            sums = {}
    trainer.save(out)
    scores = quick_scores(trainer.average.network, frames)
    return {
        **{name: _known(value) for name, value in asdict(scores).items()},
        "steps": trainer.step,
        "seconds": time.monotonic() - begin,
        "weights": str(out / WEIGHTS),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def train(
    task: str,
    data: Sequence[Path],
    out: Path,
    *,
    preset: str = "lite",
    init: Path | None = None,
    device: str = "cpu",
    **changes: object,
) -> dict[str, object]:
    """Train ``task``; what verb ``train`` does.

    Parameters
    ----------
    task : {'joint', 'detect', 'segment'}
    data : sequence of Path
        Labelled folders; none means specimens drawn on the fly.
    preset : {'lite', 'paper'}
    changes
        Settings that differ from the preset's.

    Returns
    -------
    dict
        ap50, dice and binary_dice on four exam frames (None for a task without them), steps,
        seconds, weights.
    """
    if preset not in PRESETS:
        known = " or ".join(sorted(PRESETS))
        raise ModelError(f"training preset '{preset}' is unknown; choose {known}")
    settings = replace(PRESETS[preset], task=task, **changes)  # type: ignore[arg-type]
    return run(settings, Path(out), data=data, init=init, device=str(chosen_device(device)))


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", default="joint")
    parser.add_argument("--preset", default="lite", choices=sorted(PRESETS))
    parser.add_argument("--init", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    for name in ("steps", "batch", "crop_px", "seed", "check_every", "workers", "detect_every"):
        parser.add_argument("--" + name.replace("_", "-"), type=int)
    for name in ("minutes", "peak_rate", "exam_share", "phase_share", "scene_share", "decay"):
        parser.add_argument("--" + name.replace("_", "-"), type=float)
    given = vars(parser.parse_args())
    preset = asdict(PRESETS[given["preset"]])
    changes = {k: v for k, v in given.items() if k in preset and v is not None}
    settings = TrainSettings(**{**preset, **changes})
    result = run(
        settings,
        given["out"],
        data=given["data"],
        init=given["init"],
        resume=given["resume"],
        device=given["device"],
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
