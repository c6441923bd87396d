"""What a checkpoint holds, and what a training that goes on from it may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import torch

from models.errors import ModelError
from models.sfcnet.weights_file import UNREADABLE, reason_of
from models.training.settings import TrainSettings

CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.pt"
# What may be raised, and what changes nothing that is learnt.
_MAY_GROW = ("steps", "minutes")
_FREE = ("preset", "workers", "check_every", "check_frames")


def opened(path: Path, device: torch.device | str = "cpu") -> dict[str, object]:
    """Return what a checkpoint holds, tensors on ``device``.

    Raises
    ------
    ModelError
        It is missing, cannot be read, or is no checkpoint.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except UNREADABLE as error:
        raise ModelError(
            f"{path}: cannot be read ({reason_of(error)}); start a new training"
        ) from error
    if not isinstance(state, dict):
        raise ModelError(f"{path}: holds no training; start a new training")
    return state


def held_settings(state: Mapping[str, object], path: Path) -> TrainSettings:
    """Return the settings of the training that wrote a checkpoint.

    What an earlier version of the program did not know yet is as it was then: the default.

    Raises
    ------
    ModelError
        It holds none, or some that this program does not know.
    """
    held = state.get("settings")
    try:
        return TrainSettings(**held)  # type: ignore[arg-type]
    except TypeError as error:
        raise ModelError(
            f"{path}: cannot be resumed ({reason_of(error)}); start a new training"
        ) from error


def refuse_other(held: TrainSettings, asked: TrainSettings, path: Path) -> None:
    """Refuse settings that would not go on with the training that a checkpoint is of.

    Steps and minutes may be raised; how often scores are taken, and by how many loaders crops are
    drawn, is free.

    Raises
    ------
    ModelError
        Names each setting that differs.
    """
    differing = []
    more_steps = asked.steps > held.steps
    for field in fields(TrainSettings):
        name = field.name
        mine, theirs = getattr(asked, name), getattr(held, name)
        grown = name in _MAY_GROW and None not in (mine, theirs) and mine > theirs
        # More steps than the passes over the frames take, where both were told.
        grown = grown or (name == "epochs" and mine is None and more_steps)
        if name not in _FREE and mine != theirs and not grown:
            differing.append(f"{name} {theirs}, not {mine}")
    if differing:
        raise ModelError(
            f"{path}: was begun with {', '.join(differing)}; leave such words out to go on as it "
            "was begun (steps and minutes can be raised), or start a new training elsewhere"
        )


def resumed_settings(
    out: Path, task: str | None, preset: str | None, given: Mapping[str, object]
) -> TrainSettings:
    """Return the settings with which the training in ``out`` goes on: its own.

    Parameters
    ----------
    task, preset : str, optional
        As they were told again, if they were.
    given : mapping
        Settings that were told again; those of ``steps`` and ``minutes`` that are higher hold.

    Raises
    ------
    ModelError
        There is no checkpoint, or what was told contradicts it.
    """
    path = out / CHECKPOINT
    state = opened(path)
    held = held_settings(state, path)
    told = dict(given) if task is None else {**given, "task": task}
    if int(str(told.get("steps", 0))) > held.steps and "epochs" not in told:
        told["epochs"] = None
    asked = replace(held, **told)  # type: ignore[arg-type]
    refuse_other(held, asked, path)
    # Preset lite is a fine-tuning where weights and folders were named.
    known = "preset" in dict(state["settings"])  # type: ignore[call-overload]
    same = preset == held.preset or (preset == "lite" and held.preset == "tune")
    if preset is not None and known and not same:
        raise ModelError(
            f"{path}: was begun with preset {held.preset}, not {preset}; leave --preset out to go "
            "on as it was begun, or start a new training elsewhere"
        )
    return asked


def refuse_used(out: Path) -> None:
    """Refuse a folder in which a training stands already: it would be written over.

    Raises
    ------
    ModelError
        It holds a checkpoint or weights.
    """
    for name in (CHECKPOINT, WEIGHTS):
        if (out / name).exists():
            raise ModelError(
                f"{out / name}: a training stands there already; add --resume to go on with it, "
                "or name another --out"
            )
