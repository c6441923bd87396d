"""From a grey frame to boxes and logits of fixed size: what is exported to TorchScript."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.sfcnet.anchors import cut, decode
from models.sfcnet.crowd import prior_logit, room_for
from models.sfcnet.network import SFCNet, normalise
from models.sfcnet.nms import nms_sorted
from models.sfcnet.proposals import level_shapes, select_proposals
from models.sfcnet.second_stage import delta_scale

# Rows that the second stage takes at once on a processor.
TOGETHER = 60
# Sperm that the class head takes at once, and how many at most; heads below a score get no vote.
JUDGED_TOGETHER, MANY_JUDGED, MOST_JUDGED, LEAST_JUDGED = 16, 48, 96, 0.5


class NoTask(nn.Module):
    """Stands where a task is absent, so that one definition scripts for all tasks."""

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Return nothing."""
        return torch.zeros(0)


class NoMaps(nn.Module):
    """Stands where the segmentation is absent."""

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return nothing."""
        return torch.zeros(0), stages


class BoxHead(nn.Module):
    """Detection with both suppressions: a fixed number of rows, best first."""

    def __init__(self, network: SFCNet) -> None:
        super().__init__()
        if network.detection is None:
            raise ValueError("a network without detection has no boxes")
        variant = network.variant
        self.detection = network.detection
        self.sizes_px = list(variant.anchor_sizes_px)
        self.ratios = list(variant.anchor_ratios)
        self.before, self.after = variant.proposals_before, variant.proposals
        # Level by level is the rule of detectron2, which knows no crowds.
        most = variant.proposals_before if variant.by_level else variant.proposals_most
        self.most = max(variant.proposals_before, most)
        self.proposal_iou, self.box_iou = variant.proposal_iou, variant.box_iou
        self.rows = variant.boxes
        self.by_level = variant.by_level
        self.strides = [4, 8, 16, 32, 64]
        self.together = TOGETHER

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Return (rows, 5): x, y, width, height, score; rows that hold nothing score 0."""
        levels = self.detection.pyramid(stages)
        objectness, deltas = self.detection.proposals(levels)
        # On a GPU a fixed number of rounds avoids a synchronisation.
        rounds = 16 if objectness.is_cuda else 0
        likely = objectness[0].to(torch.float32)
        room = room_for(likely, self.before, self.most)
        boxes, kept = select_proposals(
            likely, deltas[0], level_shapes(levels, self.strides), self.sizes_px, self.ratios,
            self.before, self.after, self.proposal_iou, rounds, self.by_level, self.most, room,
        )  # fmt: skip
        if rounds == 0:
            # What was suppressed needs no second stage, but oneDNN compiles and keeps a program
            # for every number of rows (10 to 20 ms, 2 MB): so only multiples of one number.
            parts = (int(kept.sum()) + self.together - 1) // self.together
            count = max(parts, 1) * self.together
            boxes, kept = boxes[:count], kept[:count]
        first = [levels[0][0], levels[1][0], levels[2][0], levels[3][0]]
        logits, shift = self._judge(self.detection.pool(first, boxes), rounds == 0)
        logits = logits.to(torch.float32)
        logits[:, 1] += prior_logit(room, self.before, self.most)
        score = torch.softmax(logits, 1)[:, 1] * kept.to(torch.float32)
        boxes = decode(shift.to(torch.float32) / delta_scale(boxes), boxes)
        if self.by_level:
            boxes = cut(boxes, levels[0].shape[2] * 4, levels[0].shape[3] * 4)
        score, order = torch.sort(score, descending=True)
        boxes = boxes[order]
        keep = nms_sorted(boxes, self.box_iou, rounds)
        score = score * keep.to(torch.float32)
        score, order = torch.sort(score, descending=True)
        boxes = boxes[order]
        centre, size = (boxes[:, :2] + boxes[:, 2:]) * 0.5, boxes[:, 2:] - boxes[:, :2]
        rows = torch.cat([centre, size, score[:, None]], 1)
        missing = self.rows - rows.shape[0]
        if missing > 0:
            rows = functional.pad(rows, [0, 0, 0, missing])
        return rows[: self.rows]

    def _judge(self, pooled: Tensor, in_parts: bool) -> tuple[Tensor, Tensor]:
        """Run the second stage on (N, bins, C); in parts of one size where asked."""
        if not in_parts:
            logits, shift = self.detection.second(pooled)
            return logits, shift
        classes: list[Tensor] = []
        shifts: list[Tensor] = []
        for part in torch.split(pooled, self.together):
            logits, shift = self.detection.second(part)
            classes.append(logits)
            shifts.append(shift)
        return torch.cat(classes), torch.cat(shifts)


class Inference(nn.Module):
    """One grey frame in, ``(rows, logits)`` out."""

    def __init__(self, network: SFCNet) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.boxes: nn.Module = BoxHead(network) if network.detection is not None else NoTask()
        self.maps: nn.Module = network.segmentation or NoMaps()
        self.pointers: nn.Module = network.head_pointers or NoTask()
        self.classes = network.class_head
        self.together, self.many = JUDGED_TOGETHER, MANY_JUDGED
        self.most, self.least = MOST_JUDGED, LEAST_JUDGED

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find heads, pixels and whose they are.

        Parameters
        ----------
        image : (1, 1, H, W) uint8 or float tensor
            Grey levels; H and W are multiples of 32.

        Returns
        -------
        rows : (300, 5) or, with a class head, (300, 6) float32 tensor
            Box centre x, y, width, height (px) and score; best first, 0 where there is none; then
            the vote of the class head: above 0 normal, below abnormal, 0 for none. Empty without
            detection.
        logits : (1, classes + parts, h, w) float32 tensor
            At the resize stage; models.sfcnet.finish makes maps of it. Empty without
            segmentation.
        pointers : (1, 2, H / 4, W / 4) float32 tensor
            From each cell to the head of the sperm that lies there, x and y, px. Empty without
            head pointers.
        """
        # The weights' own precision, so that one archive serves every precision.
        precision: torch.dtype = self.encoder.stem[0].weight.dtype  # type: ignore[assignment]
        contrast = normalise(image)
        x = contrast.to(precision).contiguous(memory_format=torch.channels_last)
        stages = self.encoder(x)
        raw, fused = self.maps(stages)
        logits = raw.to(torch.float32)
        pointers: Tensor = self.pointers(fused)
        rows: Tensor = self.boxes(stages)
        if self.classes is not None:
            rows = self._judged(rows, contrast[0, 0], logits[0])
        return rows, logits, pointers

    def _judged(self, rows: Tensor, picture: Tensor, logits: Tensor) -> Tensor:
        """Return ``rows`` with one more column, the votes of the class head."""
        count, together = min(self.most, rows.shape[0]), self.many
        if not rows.is_cuda:
            # Of two numbers only, as in the second stage; on a GPU without looking how many. 48 at
            # once take as long as 25 by sixteens.
            found = int((rows[:, 4] >= self.least).sum())
            together = self.together if found <= self.together else self.many
            parts = (found + together - 1) // together
            count = min(max(parts, 1) * together, count)
        votes = rows.new_zeros((rows.shape[0],))
        if self.classes is not None:
            centre_px = rows[:count, :2]
            straight = torch.zeros_like(centre_px[:, 0])
            tail, head = self.classes.windows(picture, logits, centre_px, straight)
            for first in range(0, count, together):
                last = first + together
                votes[first:last] = self.classes.favour(tail[first:last], head[first:last])
        votes = torch.where(rows[:, 4] >= self.least, votes, torch.zeros_like(votes))
        return torch.cat([rows, votes[:, None]], 1)
