"""What the class head learns from: windows of sperm in scenes, as the network shows them.

The network is frozen, so its maps of a scene never change: windows are cut once, kept in files,
and trained on as often as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.sfcnet.class_head import ClassHead
from models.sfcnet.fold import folded, fuse_activations
from models.sfcnet.inference import LEAST_JUDGED, BoxHead
from models.sfcnet.network import SFCNet, normalise
from models.sfcnet.runtime import best_precision
from models.specimen.profiles import MODALITIES, profile
from models.specimen.scene import Specimen
from models.training.evaluation import specimen_frame
from models.training.labelled_frames import LabelledFrame
from models.types import Int64, UInt8

# Far from the seeds of crops (1,000,000 and more), calibration and examination.
FIRST_SEED = 60_000_000
FRAMES, APART_S = 4, 0.7
EXAM_SHARE, DENSITY = 0.85, (12.0, 30.0)
MOVING_SHARE, STAGE_UM_S = 0.3, (5.0, 130.0)
# Every sperm is looked at twice: with the centre of its head and the direction of its tail off.
LOOKS, OFF_PX, OFF_RAD = 2, 0.6, 0.12
_NEAR_PX = 5.0
# Windows are kept in steps of contrast.
STEP = 1.0 / 32.0
TRUTH = 4


class FrozenMaps(nn.Module):
    """A network's boxes and all that a class head sees, of one picture."""

    def __init__(self, network: SFCNet) -> None:
        super().__init__()
        if network.segmentation is None:
            raise ValueError("a network without segmentation has no maps")
        self.encoder = network.encoder
        self.boxes = BoxHead(network)
        self.maps = network.segmentation

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rows (300, 5), contrast (H, W) and logits at half size."""
        contrast = normalise(image)
        precision: torch.dtype = self.encoder.stem[0].weight.dtype  # type: ignore[assignment]
        x = contrast.to(precision).contiguous(memory_format=torch.channels_last)
        stages = self.encoder(x)
        logits, _ = self.maps(stages)
        return self.boxes(stages), contrast[0, 0], logits[0].to(torch.float32)


def frozen_maps(network: SFCNet) -> torch.jit.ScriptModule:
    """Return a network's maps as fast as this processor gives them."""
    model = folded(FrozenMaps(network)).to(best_precision(torch.device("cpu")))
    scripted: torch.jit.ScriptModule = torch.jit.script(model).eval()
    frozen: torch.jit.ScriptModule = torch.jit.freeze(scripted)
    fuse_activations(frozen)
    return frozen


def scene(seed: int, number: int, specimen: Specimen | None) -> tuple[Specimen, LabelledFrame]:
    """Return frame ``number`` of all scenes of a seed, and its specimen.

    ``specimen`` is the one that frame ``number - 1`` came with: it lasts for FRAMES frames.
    """
    rng = np.random.default_rng([seed, 12, number])
    group, k = divmod(number, FRAMES)
    if specimen is None or k == 0:
        drawn = np.random.default_rng([seed, 13, group])
        name = "exam" if drawn.random() < EXAM_SHARE else "train"
        chosen = profile(
            name, modality=MODALITIES[group % 2], density=float(drawn.uniform(*DENSITY))
        )
        specimen = Specimen(chosen, FIRST_SEED + 1_000_000 * seed + group)
    velocity = 0.0, 0.0
    if rng.random() < MOVING_SHARE:
        speed, way = rng.uniform(*STAGE_UM_S), rng.uniform(0.0, 2.0 * np.pi)
        velocity = float(speed * np.cos(way)), float(speed * np.sin(way))
    return specimen, specimen_frame(specimen, k * APART_S, masks=False, stage_um_s=velocity)


def owners(box_px: NDArray[np.floating], frame: LabelledFrame) -> Int64:
    """Return for each box (N, 4) the row of the sperm of ``frame`` that it is of, or -1."""
    rows = np.full(len(box_px), -1, np.int64)
    if len(frame.box_px) and len(box_px):
        away = np.hypot(
            box_px[:, None, 0] - frame.box_px[None, :, 0],
            box_px[:, None, 1] - frame.box_px[None, :, 1],
        )
        nearest = away.argmin(axis=1)
        near = away[np.arange(len(box_px)), nearest] < _NEAR_PX
        rows[near] = nearest[near]
    return rows


@dataclass(frozen=True, slots=True)
class SpermSamples:
    """Windows of sperm in files, and what is true of each.

    Attributes
    ----------
    tail, head : (N, C, rows, columns), (N, 2, side, side) int8
        In steps of STEP.
    truth : (N, TRUTH) float32
        Class (0 normal, 1 abnormal), kind of head, kind of tail, length of the tail (50 px).
    """

    tail: NDArray[np.int8]
    head: NDArray[np.int8]
    truth: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.truth)

    def batch(self, rows: Int64) -> tuple[Tensor, Tensor, Tensor]:
        """Return tail windows, head windows and truth of some rows."""
        layout = torch.channels_last
        tail, head = (
            (torch.from_numpy(kept[rows]).float() * STEP).contiguous(memory_format=layout)
            for kept in (self.tail, self.head)
        )
        return tail, head, torch.from_numpy(self.truth[rows])


def _kept(windows: Tensor) -> NDArray[np.int8]:
    steps = torch.round(windows.float() / STEP).clamp(-127, 127)
    whole: NDArray[np.int8] = steps.to(torch.int8).numpy()
    return whole


@torch.inference_mode()
def looks_at(
    maps: nn.Module, head: ClassHead, image: UInt8, rng: np.random.Generator | None
) -> tuple[NDArray[np.float32], Tensor, Tensor]:
    """Return the boxes (N, 4) found in a picture and their windows; exact without ``rng``."""
    rows, picture, logits = maps(torch.from_numpy(image)[None, None])
    boxes = rows[rows[:, 4] >= LEAST_JUDGED][:, :4]
    off, turn = torch.zeros(len(boxes), 2), torch.zeros(len(boxes))
    if rng is not None:
        off = torch.from_numpy(rng.normal(0.0, OFF_PX, (len(boxes), 2)).astype(np.float32))
        turn = torch.from_numpy(rng.normal(0.0, OFF_RAD, len(boxes)).astype(np.float32))
    tail, near = head.windows(picture, logits, boxes[:, :2] + off, turn)
    return boxes.numpy(), tail, near


def draw_samples(
    network: SFCNet, head: ClassHead, count: int, seed: int, out: Path
) -> SpermSamples:
    """Cut ``count`` windows of sperm whose head the network finds; keep them in folder ``out``."""
    maps, rng = frozen_maps(network), np.random.default_rng([seed, 11])
    out.mkdir(parents=True, exist_ok=True)
    held: list[NDArray[np.int8]] = []
    truth = np.zeros((count, TRUTH), np.float32)
    filled, number = 0, 0
    specimen: Specimen | None = None
    while filled < count:
        specimen, frame = scene(seed, number, specimen)
        number += 1
        for _ in range(LOOKS):
            boxes, tail, near = looks_at(maps, head, frame.image, rng)
            rows = owners(boxes, frame)
            known = np.flatnonzero(rows >= 0)[: count - filled]
            if not held:
                held = [
                    np.lib.format.open_memmap(
                        out / f"{name}.npy", "w+", np.int8, (count, *windows.shape[1:])
                    )
                    for name, windows in (("tail", tail), ("head", near))
                ]
            here = slice(filled, filled + len(known))
            for file, windows in zip(held, (tail, near), strict=True):
                file[here] = _kept(windows)[known]
            truth[here] = _truth(specimen, frame, rows[known])
            filled += len(known)
    return SpermSamples(held[0], held[1], truth)


def _truth(specimen: Specimen, frame: LabelledFrame, rows: Int64) -> NDArray[np.float32]:
    body = np.asarray(frame.sperm_id)[rows] - 1
    anatomy = specimen.anatomy
    columns = (
        np.asarray(frame.label)[rows] - 1,
        anatomy.head_kind[body],
        anatomy.tail_kind[body],
        anatomy.tail_length_um[body] / specimen.look.um_per_px / 50.0,
    )
    return np.stack(columns, axis=1).astype(np.float32)
