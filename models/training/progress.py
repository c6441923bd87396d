"""Quick scores on a few fixed exam frames while a training runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.sfcnet.finish import class_and_part_maps
from models.sfcnet.inference import Inference
from models.sfcnet.network import SFCNet
from models.sfcnet.nms import box_iou
from models.specimen.profiles import profile
from models.specimen.sampling import training_sample
from models.training.crops import FIRST_EXAM_SEED, UNKNOWN_PIXEL, Crop, corners
from models.training.labelled_frames import LabelledFrames
from models.training.window import cut


def exam_frames(
    count: int, *, modality: str = "brightfield", first_seed: int = FIRST_EXAM_SEED
) -> list[Crop]:
    """Draw labelled 640x480 frames of profile 'exam', each from a seed of its own."""
    base = profile("exam", modality=modality)
    frames = []
    for k in range(count):
        s = training_sample(np.random.default_rng(first_seed + k), 480, 640, base=base)
        frames.append(Crop(s.image, s.boxes, s.class_map, s.part_map, s.ignore, modality=modality))
    return frames


def held_out_frames(recordings: Sequence[LabelledFrames], count: int) -> list[Crop]:
    """Return up to ``count`` frames spread over recordings, enlarged to multiples of 32 px."""
    total = sum(len(r) for r in recordings)
    chosen = set(np.linspace(0, max(total - 1, 0), min(count, total)).astype(int).tolist())
    frames: list[Crop] = []
    number = 0
    for recording in recordings:
        for frame in recording:
            if number in chosen:
                height, width = (-(-side // 32) * 32 for side in frame.image.shape)
                frames.append(cut(frame, 0, 0, height, width))
            number += 1
    return frames


@dataclass(frozen=True, slots=True)
class QuickScores:
    """Percent.

    Attributes
    ----------
    ap50 : average precision at an intersection over union of 0.5 (all points)
    dice : mean of background, normal and abnormal, pooled over the frames
    binary_dice : sperm against background
    """

    ap50: float
    dice: float
    binary_dice: float


def average_precision(hit: NDArray[np.bool_], score: NDArray[np.float64], truths: int) -> float:
    """Return the area under the precision envelope over recall, 0 to 1."""
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(hit[order])
    precision = found / np.arange(1, len(found) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0], found])) > 0
    return float(precision[steps].sum() / max(truths, 1))


def _match(
    boxes: torch.Tensor, truth: torch.Tensor, ignore: torch.Tensor
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each box, best first, whether it hits a free truth, and whether it counts."""
    hit, counts = np.zeros(len(boxes), bool), np.ones(len(boxes), bool)
    free = np.ones(len(truth), bool)
    iou = box_iou(boxes, truth).numpy() if len(truth) else np.zeros((len(boxes), 0))
    dark = box_iou(boxes, ignore).numpy() if len(ignore) else np.zeros((len(boxes), 0))
    for k in range(len(boxes)):
        row = np.where(free, iou[k], 0.0)
        best = int(row.argmax()) if len(row) else -1
        if best >= 0 and row[best] >= 0.5:
            free[best] = False
            hit[k] = True
        elif dark.shape[1] and dark[k].max() >= 0.3:
            counts[k] = False
    return hit, counts


@torch.inference_mode()
def quick_scores(network: SFCNet, frames: list[Crop]) -> QuickScores:
    """Score a network on labelled frames."""
    model = Inference(network).eval()
    device = next(network.parameters()).device
    hits, scores, truths = [], [], 0
    overlap, total = np.zeros(4), np.zeros(4)
    for frame in frames:
        rows, logits, _ = model(torch.from_numpy(frame.image)[None, None].to(device))
        if network.detection is not None:
            rows = rows[rows[:, 4] > 0.01].cpu()
            hit, counts = _match(
                corners(rows[:, :4].numpy()), corners(frame.boxes), corners(frame.ignore)
            )
            hits.append(hit[counts])
            scores.append(rows[:, 4].numpy()[counts])
            truths += len(frame.boxes)
        if network.segmentation is not None:
            found, _ = class_and_part_maps(logits[0].cpu().numpy(), *frame.image.shape)
            known = frame.class_map != UNKNOWN_PIXEL
            found, truth = found[known], frame.class_map[known]
            for k in range(3):
                a, b = found == k, truth == k
                overlap[k] += (a & b).sum()
                total[k] += a.sum() + b.sum()
            overlap[3] += ((found > 0) & (truth > 0)).sum()
            total[3] += (found > 0).sum() + (truth > 0).sum()
    dice = 200.0 * overlap / np.maximum(total, 1.0)
    if network.segmentation is None or not total.any():
        dice[:] = np.nan
    ap50 = (
        100.0 * average_precision(np.concatenate(hits), np.concatenate(scores), truths)
        if hits
        else float("nan")
    )
    return QuickScores(ap50, float(dice[:3].mean()), float(dice[3]))
