"""Crops drawn once, for all cells to train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.training.crops import Crop, SpecimenCrops
from models.training.scene_crops import SceneCrops
from models.training.tables.budget import Budget

_FIELDS = ("image", "boxes", "class_map", "part_map", "ignore")
_SEED = 77
# As the shipped weights are trained.
_EXAM_SHARE, _PHASE_SHARE, _SCENE_SHARE = 0.6, 0.4, 0.5


def crop_pool(folder: Path, budget: Budget, say: Callable[[str], None]) -> list[Crop]:
    """Return the crops, from ``folder`` where they were drawn before."""
    size = budget.crop_px
    file = folder / f"pool-{size}-{budget.pool}.pt"
    if file.is_file():
        return [_crop(row) for row in torch.load(file, weights_only=True)]
    say(f"drawing {budget.pool} crops of {size}x{size} px")
    drawn = SpecimenCrops(_SEED, (size, size), _EXAM_SHARE, _PHASE_SHARE)
    source = SceneCrops(drawn, _SCENE_SHARE)
    crops = [source[k] for k in range(budget.pool)]
    rows = [{name: torch.from_numpy(getattr(crop, name)) for name in _FIELDS} for crop in crops]
    partial = file.with_suffix(".part")
    torch.save(rows, partial)
    partial.replace(file)
    return crops


def _crop(row: dict[str, torch.Tensor]) -> Crop:
    arrays: dict[str, NDArray[np.generic]] = {name: row[name].numpy() for name in _FIELDS}
    return Crop(**arrays)  # type: ignore[arg-type]
