"""Teaches a trained network to tell normal from abnormal sperm: its class head alone.

``python -m models.training.class_head --weights W --out RUN`` begins with the weights of a training
or with an archive, leaves all that it holds as it is, and writes ``weights.pt`` with a class head
taught on specimens (``sperm_samples``). Weights that have a class head go on with it: it looks
along the tails that the maps show, so after maps have changed it learns them anew.
``models.training.release`` makes an archive of them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError
from models.sfcnet.class_head import HEAD_KINDS, TAIL_KINDS, ClassHead
from models.sfcnet.export import network_from
from models.sfcnet.manifest import trusted_entry
from models.sfcnet.memory import keep_freed_memory
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import best_precision
from models.sfcnet.unfold import is_archive, load_archive
from models.sfcnet.variant import variant
from models.training.average import AverageWeights
from models.training.schedule import learning_rate
from models.training.sperm_samples import SpermSamples, draw_samples, looks_at, owners, scene
from models.training.sperm_samples import frozen_maps as maps_of
from models.training.trainer import WEIGHTS

_LESSON, _LENGTH, _SMOOTH = 0.4, 0.3, 0.02
_TOLD_EVERY = 500
# Scenes of another seed, never trained on, for the accuracy that is told at the end.
_CHECK_SEED = 900


@dataclass(frozen=True, slots=True)
class ClassHeadSettings:
    """What a training of the class head is made of.

    Attributes
    ----------
    windows : int
        Looks at sperm that are cut out of scenes, two of each sperm.
    check_frames : int
        Scenes never trained on, for the accuracy told at the end.
    """

    windows: int = 120_000
    steps: int = 9_000
    batch: int = 128
    peak_rate: float = 2e-3
    last_rate: float = 1e-6
    warm_up: int = 150
    weight_decay: float = 0.05
    decay: float = 0.998
    seed: int = 1
    check_frames: int = 80


def start(weights: Path) -> SFCNet:
    """Return the network of a training's weights, or of an archive."""
    if not is_archive(weights):
        return network_from(weights)
    entry = trusted_entry(weights)
    network = SFCNet(variant(entry.variant), entry.task)
    load_archive(network, weights)
    return network.eval()


def loss_of(logits: Tensor, lessons: Tensor, truth: Tensor) -> Tensor:
    """Return the loss of a batch.

    Parameters
    ----------
    logits, lessons : as ``ClassHead`` returns them
    truth : (N, 4) tensor
        See ``SpermSamples``.
    """
    told = truth[:, :3].to(torch.int64)
    of_class = functional.cross_entropy(logits, told[:, 0], label_smoothing=_SMOOTH)
    of_head = functional.cross_entropy(lessons[:, :HEAD_KINDS], told[:, 1])
    tails = lessons[:, HEAD_KINDS : HEAD_KINDS + TAIL_KINDS]
    of_tail = functional.cross_entropy(tails, told[:, 2])
    of_length = functional.smooth_l1_loss(lessons[:, -1], truth[:, 3])
    return of_class + _LESSON * (of_head + of_tail) + _LENGTH * of_length


def mirrored(tail: Tensor, head: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror windows along the tail, or not; exchange the fields of heads, or not."""
    if rng.random() < 0.5:
        tail, head = tail.flip(2), head.flip(2)
    if rng.random() < 0.5:
        head = head.flip(1)
    layout = torch.channels_last
    return tail.contiguous(memory_format=layout), head.contiguous(memory_format=layout)


def teach(
    head: ClassHead, samples: SpermSamples, settings: ClassHeadSettings, *, taught: bool = False
) -> ClassHead:
    """Train a class head on windows; return the average of its weights.

    ``taught``: it knows something, and keeps its normalisation as it is, for that of an archive has
    no statistics.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 14])
    head.train()
    for part in head.modules():
        if taught and isinstance(part, nn.BatchNorm2d):
            part.eval()
    average = AverageWeights(head, settings.decay)
    optimiser = torch.optim.AdamW(
        head.parameters(), settings.peak_rate, weight_decay=settings.weight_decay
    )
    mixed = best_precision(torch.device("cpu")) != torch.float32
    order = np.zeros(0, np.int64)
    for step in range(settings.steps):
        if len(order) < settings.batch:
            order = rng.permutation(len(samples))
        rows, order = order[: settings.batch], order[settings.batch :]
        tail, near, truth = samples.batch(np.sort(rows))
        tail, near = mirrored(tail, near, rng)
        rate = learning_rate(
            step, step / settings.steps, peak=settings.peak_rate, warm_up=settings.warm_up,
            last=settings.last_rate,
        )  # fmt: skip
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits, lessons = head(tail, near)
        loss = loss_of(logits.float(), lessons.float(), truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.follow(head, step + 1)
        if (step + 1) % _TOLD_EVERY == 0:
            print(f"step {step + 1}: loss {float(loss.detach()):.3f}", flush=True)
    return average.network


@torch.inference_mode()
def accuracy(network: SFCNet, head: ClassHead, frames: int) -> dict[str, float]:
    """Return the share of sperm of each class judged rightly, in scenes never trained on."""
    maps = maps_of(network)
    right, count = np.zeros(2), np.zeros(2)
    specimen = None
    for number in range(frames):
        specimen, frame = scene(_CHECK_SEED, number, specimen)
        boxes, tail, near = looks_at(maps, head, frame.image, None)
        if not len(boxes):
            continue
        rows = owners(boxes, frame)
        logits, _ = head(tail.float(), near.float())
        judged, known = logits.argmax(1).numpy(), rows >= 0
        label = np.asarray(frame.label)[rows] - 1
        for k in (0, 1):
            count[k] += (known & (label == k)).sum()
            right[k] += (known & (label == k) & (judged == k)).sum()
    share = right / np.maximum(count, 1)
    return {"normal": float(share[0]), "abnormal": float(share[1])}


def train(weights: Path, out: Path, settings: ClassHeadSettings) -> dict[str, float]:
    """Teach the class head of some weights and write ``weights.pt`` into ``out``.

    Raises
    ------
    ModelError
        Weights that cannot be read, or of a network that cannot have a class head.
    """
    network = start(weights)
    torch.manual_seed(settings.seed)
    taught = network.class_head is not None
    head = network.class_head or network.attach_class_head()
    samples = draw_samples(network, head, settings.windows, settings.seed, out / "windows")
    network.class_head = teach(head, samples, settings, taught=taught).eval()
    shares = accuracy(network, network.class_head, settings.check_frames)
    state = {
        "settings": {
            "variant": network.variant.name, "task": network.task, **asdict(settings),
        },
        "step": settings.steps,
        "average": network.state_dict(),
        "class_accuracy": shares,
    }  # fmt: skip
    partial = out / (WEIGHTS + ".part")
    torch.save(state, partial)
    partial.replace(out / WEIGHTS)
    return shares


def main() -> int:
    """Train from the command line; 2 for a user's mistake."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--weights", type=Path, required=True)
    given.add_argument("--out", type=Path, required=True)
    plain = ClassHeadSettings()
    for name in ("windows", "steps", "seed"):
        given.add_argument(f"--{name}", type=int, default=getattr(plain, name))
    given.add_argument("--peak-rate", type=float, default=plain.peak_rate)
    options = given.parse_args()
    settings = ClassHeadSettings(
        windows=options.windows, steps=options.steps, seed=options.seed,
        peak_rate=options.peak_rate,
    )  # fmt: skip
    keep_freed_memory()
    try:
        shares = train(options.weights, options.out, settings)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"right: {shares['normal']:.1%} of normal, {shares['abnormal']:.1%} of abnormal sperm")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
