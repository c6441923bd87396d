"""Training crops cut from labelled folders: sample i of seed s is always the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from models.errors import DataError, ModelError
from models.training.augmentation import AUGMENTATIONS, augmented
from models.training.crops import Crop, mirrored
from models.training.datasets import open_data
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.window import cut as cut

MIRROR = "mirror"


class FolderCrops(Dataset[Crop]):
    """Random crops of all frames of some labelled folders.

    Frames without class maps train the detection alone; their pixels are unknown.

    Parameters
    ----------
    data : sequence of folders, or of opened recordings
    seed : int
    size_px : (height, width)
    augmentation : {'mirror', 'paper', 'short side'}
    skip_bad : bool
        Leave out files that cannot be used instead of raising.

    Raises
    ------
    DataError
        Nothing labelled in the folders.
    ModelError
        An augmentation that is not known.
    """

    def __init__(
        self,
        data: Sequence[Path | LabelledFrames],
        seed: int,
        size_px: tuple[int, int],
        augmentation: str = MIRROR,
        *,
        skip_bad: bool = False,
    ) -> None:
        if augmentation != MIRROR and augmentation not in AUGMENTATIONS:
            known = ", ".join((MIRROR, *AUGMENTATIONS))
            raise ModelError(f"augmentation '{augmentation}' is unknown; choose {known}")
        self.seed = seed
        self.size_px = size_px
        self.how = AUGMENTATIONS.get(augmentation)
        self.frames: list[LabelledFrame] = []
        for item in data:
            opened = (
                [item]
                if isinstance(item, LabelledFrames)
                else open_data(Path(item), skip_bad=skip_bad)
            )
            for recording in opened:
                self.frames.extend(recording)
        if not self.frames:
            names = ", ".join(str(getattr(item, "name", item)) for item in data)
            raise DataError(f"{names}: no labelled frame; check the data")

    def __getitem__(self, index: int) -> Crop:
        """Cut crop number ``index``."""
        rng = np.random.default_rng([self.seed, index])
        frame = self.frames[int(rng.integers(len(self.frames)))]
        if self.how is not None:
            return augmented(frame, rng, self.size_px, self.how)
        height, width = frame.image.shape
        y = int(rng.integers(max(height - self.size_px[0], 0) + 1))
        x = int(rng.integers(max(width - self.size_px[1], 0) + 1))
        crop = cut(frame, y, x, *self.size_px)
        return mirrored(crop, bool(rng.random() < 0.5), bool(rng.random() < 0.5))


class RehearsedCrops(Dataset[Crop]):
    """Crops of folders, ``share`` of them replaced by those of specimens."""

    def __init__(self, crops: FolderCrops, specimens: Dataset[Crop], share: float) -> None:
        self.crops = crops
        self.specimens = specimens
        self.share = share

    def __getitem__(self, index: int) -> Crop:
        """Return crop number ``index`` of the one or of the other."""
        rng = np.random.default_rng([self.crops.seed, 11, index])
        return (self.specimens if rng.random() < self.share else self.crops)[index]
