"""Teaches the detection of a trained network alone: pyramid, proposals and second stage.

``python -m models.training.detection_alone --weights W --out RUN`` begins with the weights of a
training or with an archive and leaves encoder, segmentation and class head bit by bit as they are,
so that the maps stay. Half of the crops come from scenes of profile ``exam``, the others show the
looks of profile ``train``, ``recorded_share`` of them through optics about those of recordings.
``models.training.release --like ARCHIVE --new-boxes`` makes an archive of what it writes.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.errors import ModelError
from models.sfcnet.losses import LossSettings, Target, total_losses
from models.sfcnet.memory import keep_freed_memory
from models.sfcnet.network import Detection, SFCNet, normalise
from models.sfcnet.runtime import best_precision
from models.sfcnet.unfold import settle
from models.training.average import AverageWeights
from models.training.class_head import start
from models.training.crops import Crop, SpecimenCrops, collate
from models.training.scene_crops import SceneCrops
from models.training.schedule import learning_rate
from models.training.trainer import WEIGHTS

_TOLD_EVERY = 300
_SETTLING_CROPS, _AT_ONCE = 24, 4
# Crops that no step sees.
_FIRST_SETTLING = 10_000_000


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """What a training of the detection is made of; see ``TrainSettings``.

    Attributes
    ----------
    recorded_share : float
        Of the drawn crops, those with optics about the recordings'.
    """

    steps: int = 3000
    minutes: float | None = None
    batch: int = 8
    crop_px: int = 256
    peak_rate: float = 8e-4
    last_rate: float = 1e-6
    warm_up: int = 50
    weight_decay: float = 0.02
    decay: float = 0.998
    seed: int = 1
    phase_share: float = 0.45
    scene_share: float = 0.5
    recorded_share: float = 0.5

    def crops(self) -> SceneCrops:
        """Return what is trained on."""
        size = (self.crop_px, self.crop_px)
        drawn = SpecimenCrops(self.seed, size, 0.0, self.phase_share, self.recorded_share)
        return SceneCrops(drawn, self.scene_share)


class DetectionTrainer:
    """Trains the detection of a network step by step; nothing else of it ever changes."""

    def __init__(self, network: SFCNet, crops: Dataset[Crop], settings: DetectionSettings) -> None:
        if network.detection is None:
            raise ModelError("this network has no detection that could be trained")
        self.network = network.eval()
        self.crops = crops
        self.settings = settings
        self.detection: Detection = network.detection
        self._settle()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        self.parameters = list(self.detection.parameters())
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1],
             "weight_decay": settings.weight_decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=settings.peak_rate)
        self.average = AverageWeights(network, settings.decay)
        self.losses = LossSettings()
        self.mixed = best_precision(torch.device("cpu")) != torch.float32
        self.step = 0

    def _settle(self) -> None:
        # An archive has no statistics. A copy is settled, for the encoder must keep its bits.
        rows = [self.crops[_FIRST_SETTLING + k].image for k in range(_SETTLING_CROPS)]
        settled = copy.deepcopy(self.network)
        settle(settled, torch.from_numpy(np.stack(rows)).float()[:, None].split(_AT_ONCE))
        if settled.detection is not None:
            self.detection.load_state_dict(settled.detection.state_dict())

    def train_step(self, image: Tensor, target: Target, progress: float) -> dict[str, float]:
        """Do one step and return its losses."""
        settings = self.settings
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        rate = learning_rate(
            self.step, progress, peak=settings.peak_rate, warm_up=settings.warm_up,
            last=settings.last_rate,
        )  # fmt: skip
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.detection.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            with torch.no_grad():
                stages = self.network.encoder(normalise(image))
            levels, objectness, deltas = self.detection(stages)
        outputs = {"objectness": objectness, "deltas": deltas}
        outputs.update({f"p{k + 2}": level for k, level in enumerate(levels)})
        losses = total_losses(self.network, outputs, target, self.losses)
        total = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimiser.step()
        self.step += 1
        self.average.follow(self.network, self.step)
        return {name: float(value.detach()) for name, value in losses.items()}

    def to_the_end(self) -> None:
        """Train until the steps are done or the time is spent."""
        settings, begin = self.settings, time.monotonic()
        while True:
            progress = self.step / settings.steps
            if settings.minutes is not None:
                spent = (time.monotonic() - begin) / (60 * settings.minutes)
                progress = max(progress, spent)
            if progress >= 1.0:
                return
            first = self.step * settings.batch
            batch = collate([self.crops[first + k] for k in range(settings.batch)])
            losses = self.train_step(*batch, progress)
            if self.step % _TOLD_EVERY == 0:
                told = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                print(f"step {self.step}: {told}", flush=True)


def train(weights: Path, out: Path, settings: DetectionSettings) -> SFCNet:
    """Teach the detection of some weights and write ``weights.pt`` into ``out``.

    Raises
    ------
    ModelError
        Weights that cannot be read, or of a network without detection.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = DetectionTrainer(start(weights), settings.crops(), settings)
    trainer.to_the_end()
    network = trainer.average.network
    state = {
        "settings": {
            "variant": network.variant.name, "task": network.task, **asdict(settings),
        },
        "step": trainer.step,
        "average": network.state_dict(),
    }  # fmt: skip
    partial = out / (WEIGHTS + ".part")
    torch.save(state, partial)
    partial.replace(out / WEIGHTS)
    return network


def main() -> int:
    """Train from the command line; 2 for a user's mistake."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--weights", type=Path, required=True)
    given.add_argument("--out", type=Path, required=True)
    plain = DetectionSettings()
    for name in ("steps", "seed"):
        given.add_argument(f"--{name}", type=int, default=getattr(plain, name))
    for name in ("minutes", "peak_rate", "phase_share", "scene_share", "recorded_share"):
        flag = "--" + name.replace("_", "-")
        given.add_argument(flag, type=float, default=getattr(plain, name))
    options = vars(given.parse_args())
    weights, out = options.pop("weights"), options.pop("out")
    keep_freed_memory()
    torch.set_num_threads(1)
    try:
        train(weights, out, DetectionSettings(**options))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
