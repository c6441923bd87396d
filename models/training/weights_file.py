"""Files of weights as ``torch.save`` writes them: reading, and what is said of those it cannot."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.errors import ModelError
from models.sfcnet.weights_file import UNREADABLE, reason_of


def loaded(path: Path) -> dict[str, object]:
    """Return what a file of weights holds.

    Raises
    ------
    ModelError
        It cannot be read, or holds no table.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise _no_weights(path, reason_of(error)) from error
    if not isinstance(state, dict):
        raise _no_weights(path, type(state).__name__)
    return state


def average_of(state: dict[str, object], path: Path) -> dict[str, Tensor]:
    """Return the averaged weights that a training wrote.

    Raises
    ------
    ModelError
        There are none.
    """
    average = state.get("average")
    if not isinstance(average, dict):
        raise _no_weights(path, "no key 'average'")
    return average


def _no_weights(path: Path, reason: str) -> ModelError:
    return ModelError(f"{path}: no weights of a training ({reason}); name a weights.pt")
