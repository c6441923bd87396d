"""Trains SFCNet on specimens drawn on the fly, or on labelled folders.

``python -m models.training.train --out DIR`` trains the lite network for both tasks;
``torchrun --nproc-per-node N -m models.training.train --out DIR`` does it in N processes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from models.errors import ModelError, exit_code_of
from models.sfcnet.memory import keep_freed_memory
from models.sfcnet.network import SFCNet
from models.sfcnet.runtime import chosen_device
from models.training.bar import TrainingBar
from models.training.checkpoint import refuse_used, resumed_settings
from models.training.crops import Crop, SpecimenCrops, loader
from models.training.datasets import open_data
from models.training.folder_crops import FolderCrops, RehearsedCrops
from models.training.lessons import check_lessons
from models.training.origin import data_of
from models.training.processes import Processes, ShareOf, joined, speaks
from models.training.progress import QuickScores, exam_frames, held_out_frames, quick_scores
from models.training.scene_crops import SceneCrops
from models.training.settings import TrainSettings as TrainSettings
from models.training.settings import preset as preset_settings
from models.training.split import split
from models.training.trainer import CHECKPOINT as CHECKPOINT
from models.training.trainer import NOTHING_IMITATED, WEIGHTS, Trainer


def run(
    settings: TrainSettings,
    out: Path,
    *,
    data: Sequence[Path] = (),
    init: Path | None = None,
    teacher: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    skip_bad: bool = False,
) -> dict[str, object]:
    """Train to the end, with a line of progress now and then; return the last scores.

    Parameters
    ----------
    data : sequence of Path
        Labelled folders; specimens drawn on the fly where there are none.
    init : Path, optional
        Weights to begin with: of a training, or an ImageNet ResNet50 in torchvision's format.
    teacher : Path, optional
        Of a training that imitates: the weights whose detection is imitated, those of ``init``
        where not named. No checkpoint holds them: a resumed training is told again.
    resume : bool
        Go on from the checkpoint in ``out``, to the same result as without the interruption. Else
        ``out`` must not hold a training.
    skip_bad : bool
        Leave out labelled files that cannot be used.

    Raises
    ------
    ModelError
        Weights or settings that do not go together; nothing to imitate, or to learn from the
        labelled frames; a training that stands in ``out`` already, or settings other than those it
        was begun with.
    DataError
        Labelled folders that cannot be used.
    """
    if teacher is not None and not settings.imitate:
        raise ModelError(f"training: '{teacher}' is a teacher of one that imitates; add --imitate")
    if not resume:
        refuse_used(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{out}: cannot be a folder for a training ({error.strerror}); name another --out"
        ) from error
    with joined(device) as processes:
        crops, frames = _data(settings, data, skip_bad)
        labelled = crops.crops if isinstance(crops, RehearsedCrops) else crops
        if isinstance(labelled, FolderCrops):
            check_lessons(settings, labelled.frames, told=processes.rank == 0)
            settings = _with_epochs(settings, labelled)
        trainer = Trainer(settings, processes.device(device), processes)
        trainer.origin.update(data_of(settings, data, crops))
        if init is not None:
            trainer.start_from(init, crops)
        if settings.imitate:
            trainer.imitate(_imitated(trainer, init, teacher, crops))
        if resume:
            trainer.resume(out)
        return _Run(trainer, out, frames).to_the_end(crops)


def _imitated(
    trainer: Trainer, init: Path | None, teacher: Path | None, crops: Dataset[Crop]
) -> SFCNet:
    """Return the network whose detection a training that has begun is to imitate."""
    if teacher is not None:
        other = Trainer(trainer.settings, str(trainer.device), trainer.processes)
        other.start_from(teacher, crops)
        return other.network
    if init is None:
        raise ModelError(NOTHING_IMITATED)
    return trainer.network


def _data(
    settings: TrainSettings, data: Sequence[Path], skip_bad: bool
) -> tuple[Dataset[Crop], list[Crop]]:
    """Return the crops to train on and the frames to take scores on."""
    size = (settings.crop_px, settings.crop_px)
    drawn = SpecimenCrops(
        settings.seed, size, settings.exam_share, settings.phase_share, settings.recorded_share
    )
    specimens = SceneCrops(drawn, settings.scene_share)
    if not data:
        return specimens, exam_frames(settings.check_frames)
    recordings = [r for folder in data for r in open_data(Path(folder), skip_bad=skip_bad)]
    if settings.held_out:
        divided = split(recordings, settings.held_out)
        recordings, frames = divided.train, held_out_frames(divided.test, settings.check_frames)
    else:
        frames = exam_frames(settings.check_frames)
    crops = FolderCrops(recordings, settings.seed, size, settings.augmentation)
    if settings.rehearsal:
        return RehearsedCrops(crops, specimens, settings.rehearsal), frames
    return crops, frames


def _with_epochs(settings: TrainSettings, crops: FolderCrops) -> TrainSettings:
    if settings.epochs is None:
        return settings
    steps = settings.epochs * math.ceil(len(crops.frames) / settings.batch)
    return replace(settings, steps=steps)


class _Run:
    """The loop over batches: budget, scores, checkpoints, what is printed."""

    def __init__(self, trainer: Trainer, out: Path, frames: list[Crop]) -> None:
        self.trainer = trainer
        self.settings = trainer.settings
        self.processes: Processes = trainer.processes
        self.out = out
        self.frames = frames
        self.begin = time.monotonic() - trainer.spent_s
        self.sums: dict[str, list[float]] = {}

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.processes.rank == 0

    def progress(self) -> float:
        """Return the part of the training that is done, by steps or by time."""
        done = self.trainer.step / self.settings.steps
        if self.settings.minutes:
            elapsed = (time.monotonic() - self.begin) / (self.settings.minutes * 60)
            done = max(done, elapsed)
        return self.processes.agreed(done)

    def to_the_end(self, crops: Dataset[Crop]) -> dict[str, object]:
        """Train; return what ``run`` returns."""
        trainer, settings = self.trainer, self.settings
        batch = settings.batch
        if self.processes.count > 1:
            crops = ShareOf(crops, batch, self.processes)
            batch = crops.part
        batches = loader(crops, trainer.step, settings.steps, batch, settings.workers)
        shown = None if self.first else False
        with TrainingBar(trainer.step / settings.steps, shown=shown) as bar:
            for image, target in batches:
                progress = self.progress()
                if progress >= 1.0:
                    break
                losses = trainer.train_step(image, target, progress)
                for name, value in losses.items():
                    self.sums.setdefault(name, []).append(value)
                bar.moved(trainer.step, progress, losses)
                if trainer.step % settings.check_every == 0 or trainer.step == settings.steps:
                    self.check(bar, progress)
        self.save()
        scores = self.scores()
        return {
            **{name: _known(value) for name, value in asdict(scores).items()},
            "steps": trainer.step,
            "seconds": time.monotonic() - self.begin,
            "weights": str(self.out / WEIGHTS),
        }

    def check(self, bar: TrainingBar, progress: float) -> None:
        """Score, write the checkpoint, print a line."""
        self.save()
        if self.first:
            scores = self.scores()
            bar.scored(scores.ap50)
            means = " ".join(f"{k} {sum(v) / len(v):.3f}" for k, v in self.sums.items())
            elapsed = time.monotonic() - self.begin
            bar.line(
                f"step {self.trainer.step} {elapsed / 60:.1f} min, "
                f"{bar.left_s(progress) / 60:.0f} left | {means} | AP50 {scores.ap50:.1f} "
                f"Dice {scores.dice:.1f} binary {scores.binary_dice:.1f}"
            )
        self.sums = {}

    def save(self) -> None:
        """Write the checkpoint, once."""
        self.processes.check_equal(self.trainer.network)
        self.trainer.spent_s = time.monotonic() - self.begin
        if self.first:
            self.trainer.save(self.out)

    def scores(self) -> QuickScores:
        """Score the averaged weights."""
        return quick_scores(self.trainer.average.network, self.frames if self.first else [])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def train(
    task: str | None,
    data: Sequence[Path],
    out: Path,
    *,
    preset: str | None = None,
    init: Path | None = None,
    teacher: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    skip_bad: bool = False,
    **changes: object,
) -> dict[str, object]:
    """Train ``task``; what verb ``train`` does.

    Parameters
    ----------
    task : {'joint', 'detect', 'segment'}
        None is joint, or that of the training which is resumed.
    data : sequence of Path
        Labelled folders; none means specimens drawn on the fly.
    preset : {'lite', 'paper', 'tune', 'maps', 'boxes'}
        None is lite.
    init, teacher, resume, skip_bad : as ``run``
    changes
        Settings that differ from the preset's; those that are None do not. ``steps`` alone takes
        the place of the preset's passes over the frames.

    A training of preset lite on labelled folders from trained weights is a fine-tuning: 25 minutes
    at most, slowly, two fifths of the crops being specimens. One that is resumed goes on with the
    settings it was begun with: only steps and minutes may be raised.

    Returns
    -------
    dict
        ap50, dice and binary_dice on a few exam frames, or on those held out (None for a task
        without them), steps, seconds, weights.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if resume:
        settings = resumed_settings(Path(out), task, preset, given)
    else:
        tunes = preset in (None, "lite") and data and init is not None
        chosen_preset = "tune" if tunes else preset or "lite"
        if "steps" in given and "epochs" not in given:
            changes = {**given, "epochs": None}
        else:
            changes = given
        settings = replace(preset_settings(chosen_preset, task or "joint"), **changes)  # type: ignore[arg-type]
    chosen = str(chosen_device(device))
    return run(
        settings, Path(out), data=data, init=init, teacher=teacher, resume=resume, device=chosen,
        skip_bad=skip_bad,
    )  # fmt: skip


def main() -> int:
    """Train from the command line; 2 for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task")
    parser.add_argument("--preset")
    parser.add_argument("--init", type=Path)
    parser.add_argument("--teacher", type=Path, help="weights to imitate, if not those of --init")
    parser.add_argument("--imitate", action="store_true", default=None,
                        help="the detection, on phase contrast")  # fmt: skip
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--skip-bad", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path, nargs="+", default=[])
    for name in ("variant", "augmentation", "losses", "only"):
        parser.add_argument("--" + name)
    for name in ("steps", "batch", "crop_px", "seed", "check_every", "check_frames", "workers",
                 "detect_every", "epochs", "warm_up"):  # fmt: skip
        parser.add_argument("--" + name.replace("_", "-"), type=int)
    for name in ("minutes", "peak_rate", "exam_share", "phase_share", "scene_share",
                 "recorded_share", "decay", "held_out", "weight_decay"):  # fmt: skip
        parser.add_argument("--" + name.replace("_", "-"), type=float)
    options = vars(parser.parse_args())
    keep_freed_memory()
    return exit_code_of(lambda: _train_and_tell(options))


def _train_and_tell(options: dict[str, Any]) -> None:
    result = train(**options)
    if speaks():
        print(json.dumps(result))


if __name__ == "__main__":
    raise SystemExit(main())
