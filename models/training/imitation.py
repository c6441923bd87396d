"""Imitation: a detection learns to answer as another one does, instead of from boxes.

What is measured in bright field makes drawn bright field crops more like recordings, and a
detection that learns from them better there and worse in phase contrast. So it learns from boxes
on bright field alone, and on phase contrast imitates the detection that it is to replace: levels of
the pyramid, proposals and second stage.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.sfcnet.losses import LossSettings, Target, detection_losses, total_losses
from models.sfcnet.network import Detection, SFCNet

IMITATED = "phase"
_LEVELS = ("p2", "p3", "p4", "p5", "p6")
# What ``SFCNet`` returns of its detection.
DETECTED = ("objectness", "deltas", *_LEVELS)
# Of the sum of losses: what makes each begin at about the size of those that boxes teach by.
_OBJECTNESS, _DELTAS, _SPERM, _BOXES = 2.0, 5.0, 0.05, 0.25
# Nearly all anchors see background: those that the teacher takes for heads count fifty times more.
_LEAST_ANCHOR = 0.02
# Looks of the second stage: truths a little off, and as many others that mostly show no sperm.
_OFF_PX = 1.5
_ELSEWHERE, _SIDE_PX = 24, (12.0, 24.0)


def imitated_rows(target: Target) -> list[int]:
    """Return the numbers of the pictures that are imitated on: those known as phase contrast."""
    return [k for k, modality in enumerate(target.modality) if modality == IMITATED]


def rows_of(outputs: dict[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Return what the detection says of some pictures of a batch."""
    return {name: outputs[name][list(rows)] for name in DETECTED}


def target_rows(target: Target, rows: Sequence[int]) -> Target:
    """Return the truth of some pictures of a batch."""
    chosen = list(rows)
    return Target(
        target.class_map[chosen],
        target.part_map[chosen],
        [target.boxes[k] for k in chosen],
        [target.ignore[k] for k in chosen],
        None if target.to_head_px is None else target.to_head_px[chosen],
        [target.modality[k] for k in chosen] if target.modality else [],
    )


def level_loss(levels: Sequence[Tensor], shown: Sequence[Tensor]) -> Tensor:
    """Return the mean squared difference of levels, in variances of the teacher's, summed.

    Parameters
    ----------
    levels, shown : sequences of (B, C, h, w) tensors
        The student's and the teacher's.
    """
    return torch.stack([
        functional.mse_loss(mine.float(), theirs.float())
        / theirs.float().var(correction=0).clamp(min=1e-6)
        for mine, theirs in zip(levels, shown, strict=True)
    ]).sum()  # fmt: skip


def proposal_losses(outputs: dict[str, Tensor], shown: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the losses of objectness and deltas, by anchor as sure as the teacher is of a head.

    Parameters
    ----------
    outputs, shown : dict
        The student's and the teacher's ``objectness`` (B, N) and ``deltas`` (B, N, 4).
    """
    theirs = shown["objectness"].float()
    weight = _LEAST_ANCHOR + theirs.sigmoid()
    scores = (outputs["objectness"].float() - theirs) ** 2
    shifts = (outputs["deltas"].float() - shown["deltas"].float()) ** 2
    return (weight * scores).mean(), (weight[..., None] * shifts).mean()


def looks(boxes: Tensor, ignore: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Return corner boxes (N, 4) that both second stages are asked about, drawn about the truth.

    Parameters
    ----------
    boxes, ignore : (n, 4), (m, 4) tensors
        See ``Target``.
    size_px : (height, width)
    """
    height, width = size_px
    low, high = _SIDE_PX
    centre = torch.rand(_ELSEWHERE, 2, device=boxes.device) * boxes.new_tensor([width, height])
    half = (low + (high - low) * torch.rand(_ELSEWHERE, 2, device=boxes.device)) / 2
    elsewhere = torch.cat([centre - half, centre + half], 1)
    return torch.cat([boxes + _OFF_PX * torch.randn_like(boxes), ignore, elsewhere])


def second_stage_losses(
    answer: tuple[Tensor, Tensor], shown: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the losses of what the second stage says of the same boxes.

    Parameters
    ----------
    answer, shown : (N, 2) and (N, 4) tensors
        Logits and deltas, the student's and the teacher's.
    """
    (logits, deltas), (their_logits, their_deltas) = answer, shown
    odds, their_odds = ((x[:, 1] - x[:, 0]).float() for x in (logits, their_logits))
    of_sperm = functional.mse_loss(odds, their_odds)
    return of_sperm, functional.smooth_l1_loss(deltas.float(), their_deltas.float())


def imitation_losses(
    student: Detection,
    teacher: Detection,
    outputs: dict[str, Tensor],
    shown: dict[str, Tensor],
    target: Target,
) -> dict[str, Tensor]:
    """Return the losses of a detection that imitates another, averaged over the pictures.

    Parameters
    ----------
    student, teacher : Detection
        Whose second stages are asked; no gradient reaches the teacher.
    outputs, shown : dict
        What ``SFCNet`` returned of the same pictures: the student, and the teacher.
    target : Target
        Their truth. It says where to look, not what is right.

    Returns
    -------
    dict
        imitated_levels, imitated_objectness, imitated_deltas, imitated_sperm, imitated_boxes: 0
        where both answer alike.
    """
    mine, theirs = ([table[name].float() for name in _LEVELS] for table in (outputs, shown))
    objectness, deltas = proposal_losses(outputs, shown)
    height, width = (int(side) for side in target.class_map.shape[1:])
    sperm, boxes = [], []
    for k, truth in enumerate(target.boxes):
        where = looks(truth, target.ignore[k], (height, width))
        answer = student.judge([level[k] for level in mine[:4]], where)
        with torch.no_grad():
            right = teacher.judge([level[k] for level in theirs[:4]], where)
        of_sperm, of_boxes = second_stage_losses(answer, right)
        sperm.append(of_sperm)
        boxes.append(of_boxes)
    return {
        "imitated_levels": level_loss(mine, theirs),
        "imitated_objectness": _OBJECTNESS * objectness,
        "imitated_deltas": _DELTAS * deltas,
        "imitated_sperm": _SPERM * torch.stack(sperm).mean(),
        "imitated_boxes": _BOXES * torch.stack(boxes).mean(),
    }


def shown_by(teacher: SFCNet, image: Tensor, target: Target) -> dict[str, Tensor]:
    """Return what the teacher's detection says of the pictures that are imitated on.

    Parameters
    ----------
    teacher : SFCNet
    image : (B, 1, H, W) tensor
        Grey levels.
    target : Target
        Tells which they are; empty if there are none.
    """
    rows = imitated_rows(target)
    if not rows:
        return {}
    with torch.no_grad():
        return rows_of(teacher(image[rows], segment=False), range(len(rows)))


def divided_losses(
    network: SFCNet,
    teacher: SFCNet,
    outputs: dict[str, Tensor],
    shown: dict[str, Tensor],
    target: Target,
    settings: LossSettings,
) -> dict[str, Tensor]:
    """Return the losses of a batch on which the detection learns and imitates.

    The detection learns from the boxes of what is not known as phase contrast; all else of the
    network learns from the whole batch.

    Parameters
    ----------
    network, teacher : SFCNet
        Both with a detection.
    outputs : dict
        What ``network`` returned of the batch.
    shown : dict
        See ``shown_by``.
    target : Target
    settings : LossSettings

    Raises
    ------
    ValueError
        A network without detection.
    """
    if network.detection is None or teacher.detection is None:
        raise ValueError("a network without detection can neither imitate nor be imitated")
    others = {name: value for name, value in outputs.items() if name not in DETECTED}
    losses = total_losses(network, others, target, settings)
    rows = imitated_rows(target)
    taught = [k for k in range(len(target.boxes)) if k not in rows]
    if taught:
        mine = rows_of(outputs, taught)
        losses.update(detection_losses(network, mine, target_rows(target, taught), settings))
    if rows:
        part = target_rows(target, rows)
        mine = rows_of(outputs, rows)
        losses.update(imitation_losses(network.detection, teacher.detection, mine, shown, part))
    return losses
