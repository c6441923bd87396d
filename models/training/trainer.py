"""One training: network, average, optimiser and step, which a checkpoint holds."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.errors import ModelError
from models.sfcnet.losses import Target, total_losses
from models.sfcnet.manifest import shipped_archive
from models.sfcnet.network import SFCNet
from models.sfcnet.pretrained import is_torchvision, load_encoder
from models.sfcnet.runtime import best_precision
from models.sfcnet.unfold import is_archive, load_archive, settle
from models.sfcnet.variant import VARIANTS, variant
from models.sfcnet.weights_file import reason_of
from models.training.average import AverageWeights
from models.training.beginning import begin_even
from models.training.checkpoint import CHECKPOINT as CHECKPOINT
from models.training.checkpoint import WEIGHTS as WEIGHTS
from models.training.checkpoint import held_settings, opened, refuse_other
from models.training.crops import Crop
from models.training.imitation import divided_losses, shown_by
from models.training.origin import refuse_other_origin, start_of
from models.training.processes import Processes
from models.training.schedule import learning_rate
from models.training.settings import TrainSettings
from models.training.step_schedule import stepped_rate
from models.training.weights_file import average_of, loaded

# What is trained where a training names one part, by the network's names.
TAUGHT_ALONE = {"segmentation": ("segmentation", "head_pointers"), "detection": ("detection",)}
NOTHING_IMITATED = (
    "training: imitation needs weights to imitate, a resumed one again: name --init or --teacher"
)
_MOMENTUM = 0.9
_SETTLING_BATCHES, _SETTLING_CROPS = 6, 4
_LOG = logging.getLogger("sfcscope.training")


class Trainer:
    """Trains step by step.

    Parameters
    ----------
    settings : TrainSettings
    device : str
    processes : Processes
        Those that train together, each on its part of the batch.
    """

    def __init__(
        self, settings: TrainSettings, device: str = "cpu", processes: Processes | None = None
    ) -> None:
        self.settings = settings
        self.device = torch.device(device)
        self.processes = processes or Processes()
        torch.manual_seed(settings.seed)
        network = SFCNet(variant(settings.variant), settings.task)
        begin_even(network)
        if settings.head_pointers:
            network.attach_head_pointers()
        self.network: SFCNet = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AverageWeights(self.network, settings.decay)
        # Whose detection is imitated; no part of a checkpoint.
        self.teacher: SFCNet | None = None
        self.optimiser = self._optimiser()
        self.step = 0
        # Of this training so far, before an interruption too: a schedule by time goes on.
        self.spent_s = 0.0
        # What it began with and is taught on, see ``origin``.
        self.origin: dict[str, object] = {"start": "random weights"}
        self.losses = settings.loss_settings()
        self.mixed = best_precision(self.device) != torch.float32

    def _optimiser(self) -> torch.optim.Optimizer:
        settings = self.settings
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(self._taught(name))
        taught = [p for p in self.network.parameters() if p.requires_grad]
        if not taught:
            raise ModelError(
                f"training: a network for task '{settings.task}' has no {settings.only} that could "
                "be trained"
            )
        decayed, plain = ([p for p in taught if (p.ndim > 1) == many] for many in (True, False))
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        if settings.optimiser == "sgd":
            return torch.optim.SGD(groups, lr=settings.peak_rate, momentum=_MOMENTUM)
        if settings.optimiser == "adamw":
            return torch.optim.AdamW(groups, lr=settings.peak_rate)
        raise ModelError(f"optimiser '{settings.optimiser}' is unknown; choose adamw or sgd")

    def _taught(self, name: str) -> bool:
        """Whether the part of the network that ``name`` begins with is trained."""
        if self.settings.only is None:
            return True
        if self.settings.only not in TAUGHT_ALONE:
            known = " or ".join(TAUGHT_ALONE)
            raise ModelError(f"training only '{self.settings.only}' is unknown; choose {known}")
        return name.partition(".")[0] in TAUGHT_ALONE[self.settings.only]

    def _train_mode(self) -> None:
        """Let what is trained gather statistics, and nothing else."""
        for name, part in self.network.named_children():
            # By the statistics of a batch the same weights answer otherwise than the one imitated.
            imitates = self.settings.imitate and name == "detection"
            part.train(self._taught(name) and not imitates)
        if self.network.class_head is not None:
            # It has no statistics of its own if it comes from an archive.
            self.network.class_head.eval()

    def imitate(self, network: SFCNet) -> None:
        """Keep a frozen copy of a network whose detection is imitated, see ``imitation``.

        Raises
        ------
        ModelError
            It has no detection.
        """
        if network.detection is None:
            raise ModelError(
                f"imitation is of the detection; a network for task '{network.task}' has none"
            )
        self.teacher = copy.deepcopy(network).eval().requires_grad_(False)

    def start_from(self, weights: Path, crops: Dataset[Crop] | None = None) -> None:
        """Begin with trained weights, or an ImageNet ResNet50, instead of random ones.

        What the weights of another task lack stays random: detection starts from the encoder that
        the segmentation trained.

        Parameters
        ----------
        weights : Path
            Of a training; an exported archive, or the name of a variant whose archive ships; or a
            ResNet50 in torchvision's format.
        crops : Dataset, optional
            An archive has no statistics: they are taken of these.

        Raises
        ------
        ModelError
            A file that is none, or that fits nowhere.
        """
        if not weights.exists() and str(weights) in VARIANTS:
            weights = shipped_archive(str(weights))
        self._start_from(weights, crops)
        self.origin = {
            **{k: v for k, v in self.origin.items() if k != "start"},
            **start_of(weights),
        }

    def _start_from(self, weights: Path, crops: Dataset[Crop] | None) -> None:
        if is_archive(weights):
            self._start_from_archive(weights, crops)
            return
        state = loaded(weights)
        if is_torchvision(state):
            load_encoder(self.network.encoder, state, str(weights))
        else:
            average = average_of(state, weights)
            self._attach(average)
            mine = self.network.state_dict()
            fitting = {k: v for k, v in average.items() if k in mine and v.shape == mine[k].shape}
            if not any(key.startswith("encoder.") for key in fitting):
                raise ModelError(
                    f"{weights}: holds weights of another variant; train "
                    f"'{self.settings.variant}' from its own"
                )
            self.network.load_state_dict(fitting, strict=False)
            _tell_misfits(weights, len(average) - len(fitting))
        self.average = AverageWeights(self.network, self.settings.decay)

    def _start_from_archive(self, archive: Path, crops: Dataset[Crop] | None) -> None:
        _tell_misfits(archive, load_archive(self.network, archive))
        self.optimiser = self._optimiser()
        if crops is not None:
            numbers = range(_SETTLING_BATCHES * _SETTLING_CROPS)
            rows = [crops[k].image for k in numbers]
            images = torch.from_numpy(np.stack(rows)).to(self.device).float()[:, None]
            parts = None if self.settings.only is None else TAUGHT_ALONE[self.settings.only]
            settle(self.network, images.split(_SETTLING_CROPS), parts)
        self.average = AverageWeights(self.network, self.settings.decay)

    def save(self, out: Path) -> None:
        """Write the checkpoint and, beside it, the averaged weights."""
        state = {
            "settings": asdict(self.settings),
            "step": self.step,
            "origin": self.origin,
            "spent_s": self.spent_s,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        for name, content in (
            (CHECKPOINT, state),
            (WEIGHTS, {k: state[k] for k in ("settings", "step", "origin", "average")}),
        ):
            partial = out / (name + ".part")
            torch.save(content, partial)
            partial.replace(out / name)

    def resume(self, out: Path) -> None:
        """Go on from the checkpoint in ``out``.

        Raises
        ------
        ModelError
            There is none, it is of other settings or data, or does not fit.
        """
        path = out / CHECKPOINT
        state = opened(path, self.device)
        refuse_other(held_settings(state, path), self.settings, path)
        refuse_other_origin(state.get("origin"), self.origin, path)
        try:
            self._take(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: cannot be resumed ({reason_of(error)}); start a new training, with "
                f"--init {out / WEIGHTS} from where it was"
            ) from error
        spent_s = state.get("spent_s")
        self.spent_s = float(str(spent_s or 0.0))
        if spent_s is None and self.settings.minutes and self.processes.rank == 0:
            _LOG.warning(
                "%s: does not say what time was spent; %g minutes begin anew",
                path, self.settings.minutes,
            )  # fmt: skip

    def _take(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        self.step = int(state["step"])
        self._attach(state["network"], exactly=True)
        self.network.load_state_dict(state["network"])
        self.average = AverageWeights(self.network, self.settings.decay)
        self.average.network.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.origin = dict(state.get("origin", self.origin))

    def _attach(self, names: Iterable[str], *, exactly: bool = False) -> None:
        """Have a class head and head pointers if the weights do; the optimiser must know them.

        ``exactly``: and none if they have none.
        """
        if exactly:
            self.network.class_head = self.network.head_pointers = None
        self.network.attach_as_in(names)
        self.network.to(self.device)
        self.optimiser = self._optimiser()

    def _rate(self, progress: float) -> float:
        settings = self.settings
        if settings.schedule == "steps":
            return stepped_rate(
                self.step, progress, peak=settings.peak_rate, warm_up=settings.warm_up
            )
        return learning_rate(
            self.step,
            progress,
            peak=settings.peak_rate,
            warm_up=settings.warm_up,
            last=settings.last_rate,
        )

    def _teacher(self) -> SFCNet | None:
        if self.settings.imitate and self.teacher is None:
            raise ModelError(NOTHING_IMITATED)
        return self.teacher if self.settings.imitate else None

    def train_step(self, image: Tensor, target: Target, progress: float) -> dict[str, float]:
        """Do one step and return its losses."""
        settings = self.settings
        # The step's own seed: a resumed training draws the same samples and drops the same.
        torch.manual_seed(settings.seed * 1_000_003 + self.step + 7_919 * self.processes.rank)
        rate = self._rate(progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self._train_mode()
        # Convolutions in bfloat16: twice as fast where a processor has instructions for it.
        image, target = image.to(self.device), moved(target, self.device)
        detect = settings.only != "segmentation" and (
            settings.task == "detect" or self.step % settings.detect_every == 0
        )
        teacher = self._teacher() if detect else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            outputs = self.network(image, detect, settings.only != "detection")
            shown = {} if teacher is None else shown_by(teacher, image, target)
        if teacher is None:
            losses = total_losses(self.network, outputs, target, self.losses)
        else:
            losses = divided_losses(self.network, teacher, outputs, shown, target, self.losses)
        self.optimiser.zero_grad(set_to_none=True)
        if losses:
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise ModelError(
                    f"training: the loss is not finite at step {self.step}; lower the rate"
                )
            total.backward()
        self.processes.mean_gradients(self.network)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.processes.mean_statistics(self.network)
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
        None if target.to_head_px is None else target.to_head_px.to(device),
        target.modality,
    )


def _tell_misfits(path: Path, count: int) -> None:
    if count:
        _LOG.warning(
            "%s: %d of its weights fit nowhere; what they are for is learnt anew", path, count
        )
