"""One cell of a table: a network trained within the budget, and its scores, kept in files."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.errors import ModelError
from models.sfcnet.losses import LossSettings
from models.sfcnet.runtime import best_precision
from models.sfcnet.variant import LITE
from models.training.average import AverageWeights
from models.training.baselines.registry import SFCNET, candidate, cost
from models.training.crops import Crop, collate, mirrored
from models.training.evaluation import evaluate
from models.training.schedule import learning_rate
from models.training.tables.budget import Budget
from models.training.tables.eager import EagerDetector
from models.training.tables.exam import exam_set

_PEAK_RATE, _LAST_RATE, _WEIGHT_DECAY, _WARM_UP = 2e-3, 1e-6, 0.03, 30
_AVERAGE_DECAY = 0.99
_LARGEST_NORM = 5.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What is trained.

    Attributes
    ----------
    method : str
        See ``baselines.registry``.
    task : {'segment', 'detect', 'joint'}
        Of SFCNet; of others, what they do.
    guide_start, resize_stage : int
        Of SFCNet (Table IV).
    seed : int
    """

    method: str
    task: str
    guide_start: int = 1
    resize_stage: int = 1
    seed: int = 1

    @property
    def slug(self) -> str:
        """Name for files."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.method.lower().replace("+", "p")).strip("-")
        switches = f"g{self.guide_start}r{self.resize_stage}"
        return f"{plain}-{self.task}-{switches}-seed{self.seed}"

    def network(self) -> nn.Module:
        """Return it, untrained."""
        torch.manual_seed(self.seed)
        changed = LITE.with_changes(guide_start=self.guide_start, resize_stage=self.resize_stage)
        if self.method == SFCNET:
            return candidate(SFCNET, self.task, changed)
        return candidate(self.method)


def trained(cell: Cell, budget: Budget, pool: list[Crop]) -> tuple[nn.Module, dict[str, object]]:
    """Train within the budget; return the averaged network, and steps, seconds and last loss.

    Raises
    ------
    ModelError
        The loss is not finite.
    """
    network = cell.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AverageWeights(network, _AVERAGE_DECAY)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    rng = np.random.default_rng([cell.seed, 5])
    settings = LossSettings()
    # As the trainer does: half as much again in the same time, where a processor can.
    mixed = best_precision(torch.device("cpu")) != torch.float32
    begin, first_s, step, loss = time.monotonic(), _processor_s(), 0, float("nan")
    while True:
        spent_s = _processor_s() - first_s
        progress = max(spent_s / (60 * budget.minutes), step / budget.steps)
        if progress >= 1.0:
            break
        chosen = rng.integers(len(pool), size=budget.batch)
        turned = rng.random((budget.batch, 2)) < 0.5
        drawn = zip(chosen, turned, strict=True)
        batch = [mirrored(pool[i], bool(across), bool(down)) for i, (across, down) in drawn]
        image, target = collate(batch)
        rate = learning_rate(step, progress, peak=_PEAK_RATE, warm_up=_WARM_UP, last=_LAST_RATE)
        for group in optimiser.param_groups:
            group["lr"] = rate
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            losses = network.losses(image, target, settings)
        total = torch.stack([value.float() for value in losses.values()]).sum()
        if not torch.isfinite(total):
            raise ModelError(f"{cell.slug}: the loss is not finite at step {step}")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_NORM)
        optimiser.step()
        step += 1
        loss = float(total.detach())
        average.follow(network, step)
    facts: dict[str, object] = {
        "steps": step, "seconds": time.monotonic() - begin, "processor_s": spent_s, "loss": loss,
    }  # fmt: skip
    result: nn.Module = average.network.eval()
    return result, facts


def _processor_s() -> float:
    return time.process_time() / torch.get_num_threads()


class Cells:
    """Cells in a folder: each is trained once, whoever asks for it and whenever.

    Parameters
    ----------
    folder : Path
    budget : Budget
    pool : list of Crop
    """

    def __init__(self, folder: Path, budget: Budget, pool: list[Crop]) -> None:
        self.folder = folder / f"cells-{budget.digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.budget = budget
        self.pool = pool

    def known(self, cell: Cell) -> bool:
        """Whether the cell was trained and scored before."""
        return (self.folder / f"{cell.slug}.json").is_file()

    def scores(self, cell: Cell) -> dict[str, object]:
        """Return the scores of a cell, as ``evaluation.evaluate``; train it if need be."""
        file = self.folder / f"{cell.slug}.json"
        if file.is_file():
            content: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
            return content
        network, facts = trained(cell, self.budget, self.pool)
        weights = file.with_suffix(".pt")
        partial = weights.with_suffix(".part")
        torch.save(network.state_dict(), partial)
        partial.replace(weights)
        detector = self._detector(cell, network)
        table = evaluate(detector, exam_set(self.budget.exam_scenes))
        content = {**table, "cell": asdict(cell), "budget": asdict(self.budget), **facts}
        write_json(file, content)
        return content

    def detector(self, cell: Cell) -> EagerDetector:
        """Return the trained network of a cell as a detector."""
        self.scores(cell)
        network = cell.network()
        state = torch.load(self.folder / f"{cell.slug}.pt", weights_only=True)
        network.load_state_dict(state)
        return self._detector(cell, network)

    @staticmethod
    def _detector(cell: Cell, network: nn.Module) -> EagerDetector:
        params_m, gmacs = cost(network)
        return EagerDetector(cell.method, network, params_m, gmacs)


def write_json(file: Path, content: dict[str, object]) -> None:
    """Write a whole file or none."""
    partial = file.with_suffix(".json.part")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(file)
