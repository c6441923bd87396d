"""Training crops drawn on the fly: sample i of seed s is always the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from models.sfcnet.losses import UNKNOWN, Target
from models.specimen.profiles import profile
from models.specimen.sampling import training_profile, training_sample

# Seeds below this are for training; examinations start above it and are never trained on.
FIRST_EXAM_SEED = 1_000_000
# In the maps of a crop: nothing is known of this pixel.
UNKNOWN_PIXEL = 255


@dataclass(frozen=True, slots=True)
class Crop:
    """One labelled crop. Image frame; boxes are centre x, y, width, height in px.

    ``to_head_px`` (2, H, W) leads from each pixel of a sperm to the middle of its head; NaN
    elsewhere and where not known. None says nothing of any pixel. ``modality`` is one of
    ``models.specimen.profiles.MODALITIES``, or '' where unknown.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    class_map: NDArray[np.uint8]
    part_map: NDArray[np.uint8]
    ignore: NDArray[np.float32]
    to_head_px: NDArray[np.float32] | None = None
    modality: str = ""


class SpecimenCrops(Dataset[Crop]):
    """Crops of fresh specimens.

    Parameters
    ----------
    seed : int
    size_px : (height, width)
    exam_share : float
        Share drawn with the optics of profile 'exam'; the rest draws its optics from 'train'.
    phase_share : float
        Share of phase contrast among the former, and among those of profile 'recorded'.
    recorded_share : float
        Share of the rest that is drawn from profile 'recorded' instead.
    """

    def __init__(
        self,
        seed: int,
        size_px: tuple[int, int],
        exam_share: float,
        phase_share: float,
        recorded_share: float = 0.0,
    ) -> None:
        self.seed = seed
        self.size_px = size_px
        self.exam_share = exam_share
        self.phase_share = phase_share
        self.recorded_share = recorded_share

    def __getitem__(self, index: int) -> Crop:
        """Draw crop number ``index``."""
        rng = np.random.default_rng([self.seed, index])
        if rng.random() < self.exam_share:
            phase = rng.random() < self.phase_share
            base = profile("exam", modality="phase" if phase else "brightfield")
        elif self.recorded_share and rng.random() < self.recorded_share:
            phase = rng.random() < self.phase_share
            base = profile("recorded", modality="phase" if phase else "brightfield")
        else:
            base = training_profile(rng)
        sample = training_sample(rng, *self.size_px, base=base)
        crop = Crop(
            sample.image, sample.boxes, sample.class_map, sample.part_map, sample.ignore,
            modality=base.modality,
        )  # fmt: skip
        return mirrored(crop, bool(rng.random() < 0.5), bool(rng.random() < 0.5))


def mirrored(crop: Crop, across: bool, down: bool) -> Crop:
    """Return the crop mirrored. Rows stay rows: interlacing and noise know which is which."""
    height, width = crop.image.shape
    boxes, ignore = crop.boxes.copy(), crop.ignore.copy()
    maps = [crop.image, crop.class_map, crop.part_map]
    to_head = crop.to_head_px
    if across:
        maps = [m[:, ::-1] for m in maps]
        to_head = _turned(to_head, (-1.0, 1.0), (1, -1))
        boxes[:, 0] = width - 1 - boxes[:, 0]
        ignore[:, 0] = width - 1 - ignore[:, 0]
    if down:
        maps = [m[::-1] for m in maps]
        to_head = _turned(to_head, (1.0, -1.0), (-1, 1))
        boxes[:, 1] = height - 1 - boxes[:, 1]
        ignore[:, 1] = height - 1 - ignore[:, 1]
    image, class_map, part_map = (np.ascontiguousarray(m) for m in maps)
    return Crop(image, boxes, class_map, part_map, ignore, to_head, crop.modality)


def _turned(
    to_head: NDArray[np.float32] | None, sign: tuple[float, float], step: tuple[int, int]
) -> NDArray[np.float32] | None:
    if to_head is None:
        return None
    turned = to_head[:, :: step[0], :: step[1]] * np.array(sign, np.float32)[:, None, None]
    return np.ascontiguousarray(turned)


class StepSampler(Sampler[int]):
    """Sample numbers from step ``first`` on: a resumed training sees what it would have seen."""

    def __init__(self, first: int, steps: int, batch: int) -> None:
        self.numbers = range(first * batch, steps * batch)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def corners(boxes: NDArray[np.float32]) -> Tensor:
    """Return centre boxes as corner boxes."""
    b = torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 4))
    return torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1)


def _labels(maps: list[NDArray[np.uint8]]) -> Tensor:
    labels = torch.from_numpy(np.stack(maps)).to(torch.int64)
    return torch.where(labels == UNKNOWN_PIXEL, UNKNOWN, labels)


def collate(crops: list[Crop]) -> tuple[Tensor, Target]:
    """Return pictures (B, 1, H, W) uint8 and their truth."""
    return torch.from_numpy(np.stack([crop.image for crop in crops]))[:, None], Target(
        class_map=_labels([crop.class_map for crop in crops]),
        part_map=_labels([crop.part_map for crop in crops]),
        boxes=[corners(crop.boxes) for crop in crops],
        ignore=[corners(crop.ignore) for crop in crops],
        to_head_px=_to_heads(crops),
        modality=[crop.modality for crop in crops],
    )


def _to_heads(crops: list[Crop]) -> Tensor | None:
    if all(crop.to_head_px is None for crop in crops):
        return None
    unknown = np.full((2, *crops[0].image.shape), np.nan, np.float32)
    rows = [unknown if crop.to_head_px is None else crop.to_head_px for crop in crops]
    return torch.from_numpy(np.stack(rows))


def _quiet_worker(_: int) -> None:
    torch.set_num_threads(1)


def loader(
    crops: Dataset[Crop], first: int, steps: int, batch: int, workers: int
) -> DataLoader[Crop]:
    """Return batches for steps ``first`` to ``steps``; worker processes are spawned."""
    return DataLoader(
        crops,
        batch_size=batch,
        sampler=StepSampler(first, steps, batch),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_quiet_worker,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=4 if workers else None,
    )
