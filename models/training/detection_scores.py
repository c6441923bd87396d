"""Scores of head detection: average precision, F1 by distance, error of the centre."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy.optimize import linear_sum_assignment

from models.types import Detections, Float64

# More than the 100 of the usual protocol, which would cut a dense field off.
MAX_DETECTIONS = 300
MATCH_PX = 10.0

Bool = NDArray[np.bool_]


@dataclass(slots=True)
class DetectionScores:
    """Collects frames, then scores them together.

    Boxes are centre x, y, width, height in px, image frame. Ignored boxes are labelled things that
    are neither a sperm to be found nor a mistake: a detection on one counts as nothing.
    """

    _truth: list[Float64] = field(default_factory=list)
    _ignored: list[Float64] = field(default_factory=list)
    _found: list[Detections] = field(default_factory=list)

    def add(self, found: Detections, truth_px: Float64, ignored_px: Float64 | None = None) -> None:
        """Add one frame.

        Parameters
        ----------
        found : Detections
        truth_px : (N, 4) float64
        ignored_px : (M, 4) float64, optional
        """
        self._found.append(found)
        self._truth.append(np.asarray(truth_px, np.float64).reshape(-1, 4))
        ignored = np.zeros((0, 4)) if ignored_px is None else np.asarray(ignored_px, np.float64)
        self._ignored.append(ignored.reshape(-1, 4))

    def __len__(self) -> int:
        return len(self._found)

    @property
    def heads(self) -> int:
        """Number of labelled heads so far."""
        return sum(len(t) for t in self._truth)

    def average_precision(self) -> dict[str, float]:
        """Return ap (mean over IoU .50 to .95), ap50 and ap75, in percent; NaN without a head.

        101 recall points and at most 300 detections a frame, as COCO defines them; ignored boxes
        are crowd regions.
        """
        if not self.heads:
            return dict.fromkeys(("ap", "ap50", "ap75"), float("nan"))
        if not any(len(f) for f in self._found):
            return dict.fromkeys(("ap", "ap50", "ap75"), 0.0)
        with contextlib.redirect_stdout(io.StringIO()):
            truth = self._coco_truth()
            found = truth.loadRes(self._coco_rows())
            run = COCOeval(truth, found, "bbox")
            run.params.maxDets = [1, 100, MAX_DETECTIONS]
            run.evaluate()
            run.accumulate()
        # IoU threshold, recall, category, area (0: all), most detections (2: 300)
        precision = np.asarray(run.eval["precision"])[:, :, 0, 0, 2]
        return {
            "ap": 100 * float(precision.mean()),
            "ap50": 100 * float(precision[0].mean()),
            "ap75": 100 * float(precision[5].mean()),
        }

    def by_distance(self, match_px: float = MATCH_PX) -> dict[str, float]:
        """Match centres one to one within a distance, and keep the score that serves F1 best.

        Returns
        -------
        dict
            f1, precision, recall in percent; score, the threshold on the detector's score;
            centre_error_px, the mean distance of the matched centres at that threshold.
            NaN without a head; precision is NaN where nothing was found.
        """
        none = float("nan")
        if not self.heads:
            return dict.fromkeys(("f1", "precision", "recall", "score", "centre_error_px"), none)
        score, hit = self._ranked(match_px)
        if not hit.any():
            precision = 0.0 if len(score) else none  # of nothing found there is none
            return {"f1": 0.0, "precision": precision, "recall": 0.0, "score": none,
                    "centre_error_px": none}  # fmt: skip
        true = np.cumsum(hit)
        f1 = 2 * true / (np.arange(1, len(true) + 1) + self.heads)
        # A threshold takes all detections of equal score or none.
        last_of_score = np.append(score[1:] < score[:-1], True)
        best = int(np.argmax(np.where(last_of_score, f1, -1.0)))
        threshold = float(score[best])
        return {
            "f1": 100 * float(f1[best]),
            "precision": 100 * float(true[best]) / (best + 1),
            "recall": 100 * float(true[best]) / self.heads,
            "score": threshold,
            "centre_error_px": self._centre_error_px(threshold, match_px),
        }

    def at_thresholds(self, thresholds: Float64, match_px: float = MATCH_PX) -> Float64:
        """Score what a threshold on the detector's score lets through, matched as above.

        Parameters
        ----------
        thresholds : (K,) float64

        Returns
        -------
        (K, 3) float64
            F1, precision and recall in percent; precision is NaN where nothing is let through,
            and all are NaN without a head.
        """
        if not self.heads:
            return np.full((len(thresholds), 3), np.nan)
        score, hit = self._ranked(match_px)
        # As precise as scores are: 0.9 lets a score of 0.9 through.
        least = np.asarray(thresholds, np.float32).astype(np.float64)
        through = np.searchsorted(-score, -least, side="right")
        true = np.append(0, np.cumsum(hit))[through]
        f1 = 2 * true / (through + self.heads)
        precision = np.where(through > 0, true / np.maximum(through, 1), np.nan)
        return 100 * np.stack([f1, precision, true / self.heads], axis=1)

    def recall_at(self, per_frame: float, match_px: float = MATCH_PX) -> float:
        """Return the recall of the best detections, at most ``per_frame`` of them a frame.

        In percent, at the lowest score threshold that lets no more through, detections in ignored
        regions not counted; NaN without a head.
        """
        if not self.heads:
            return float("nan")
        score, hit = self._ranked(match_px)
        allowed = int(per_frame * len(self))
        if len(score) > allowed:
            # A threshold takes all detections of equal score or none.
            allowed = int((score > score[allowed]).sum())
        return 100 * float(hit[:allowed].sum()) / self.heads

    def _ranked(self, match_px: float) -> tuple[Float64, Bool]:
        """Return the scores of all detections that count, best first, and whether they hit."""
        scores, hits = [np.zeros(0)], [np.zeros(0, bool)]
        for found, truth, ignored in zip(self._found, self._truth, self._ignored, strict=True):
            box_px = found.box_px.astype(np.float64)
            score = found.score.astype(np.float64)
            hit = incremental_matches(box_px, score, truth, match_px)
            counted = hit | ~_inside_any(box_px, ignored)
            scores.append(score[counted])
            hits.append(hit[counted])
        every, hit = np.concatenate(scores), np.concatenate(hits)
        order = np.argsort(-every, kind="stable")
        return every[order], hit[order]

    def _centre_error_px(self, threshold: float, match_px: float) -> float:
        distances: list[float] = []
        for found, truth in zip(self._found, self._truth, strict=True):
            chosen = found.box_px[found.score >= threshold].astype(np.float64)
            if not len(chosen) or not len(truth):
                continue
            distance = centre_distances(chosen, truth)
            # A pair out of reach costs more than all pairs within it, so it is never preferred.
            cost = np.where(distance <= match_px, distance, 1e3 * match_px)
            row, column = linear_sum_assignment(cost)
            matched = distance[row, column]
            distances.extend(matched[matched <= match_px])
        return float(np.mean(distances)) if distances else float("nan")

    def _coco_truth(self) -> COCO:
        annotations: list[dict[str, object]] = []
        for image, (truth, ignored) in enumerate(zip(self._truth, self._ignored, strict=True)):
            for crowd, boxes in ((0, truth), (1, ignored)):
                for box in _corner_boxes(boxes):
                    annotations.append({
                        "id": len(annotations) + 1, "image_id": image, "category_id": 1,
                        "bbox": box, "area": box[2] * box[3], "iscrowd": crowd,
                    })  # fmt: skip
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(self._truth))],
            "categories": [{"id": 1, "name": "sperm"}],
            "annotations": annotations,
        }
        coco.createIndex()
        return coco

    def _coco_rows(self) -> list[dict[str, object]]:
        return [
            {"image_id": image, "category_id": 1, "bbox": box, "score": float(score)}
            for image, found in enumerate(self._found)
            for box, score in zip(
                _corner_boxes(found.box_px.astype(np.float64)), found.score, strict=True
            )
        ]


def _corner_boxes(boxes_px: Float64) -> list[list[float]]:
    corners = np.hstack([boxes_px[:, :2] - boxes_px[:, 2:] / 2, boxes_px[:, 2:]])
    return [[float(v) for v in row] for row in corners]


def centre_distances(a_px: Float64, b_px: Float64) -> Float64:
    """Return the (N, M) distances between the centres of two sets of boxes, px."""
    difference = a_px[:, None, :2] - b_px[None, :, :2]
    return np.asarray(np.hypot(difference[..., 0], difference[..., 1]), np.float64)


def _inside_any(boxes_px: Float64, regions_px: Float64) -> Bool:
    """Whether each box's centre lies in any region."""
    if not len(regions_px) or not len(boxes_px):
        return np.zeros(len(boxes_px), bool)
    offset = np.abs(boxes_px[:, None, :2] - regions_px[None, :, :2])
    inside = np.logical_and.reduce(offset <= regions_px[None, :, 2:] / 2, axis=2)
    return np.asarray(np.logical_or.reduce(inside, axis=1), np.bool_)


def incremental_matches(
    boxes_px: Float64, score: Float64, truth_px: Float64, match_px: float
) -> Bool:
    """Tell which detections find a head of their own, best score first.

    After any number of detections, in the order of their scores, the number of hits is that of the
    largest one-to-one matching of those detections (augmenting paths: a head already taken is
    handed on where that lets one more detection in). So one pass serves every score threshold.

    Parameters
    ----------
    boxes_px : (N, 4) float64
    score : (N,) float64
    truth_px : (M, 4) float64
    match_px : float
        Largest distance of centres.

    Returns
    -------
    (N,) bool, in the order given
    """
    hit = np.zeros(len(score), bool)
    if not len(truth_px):
        return hit
    distance = centre_distances(boxes_px, truth_px)
    # Nearest first: paths stay short, and pairs sensible.
    reachable: Sequence[list[int]] = [
        [int(t) for t in np.argsort(row) if row[t] <= match_px] for row in distance
    ]
    owner: dict[int, int] = {}

    def place(detection: int, seen: set[int]) -> bool:
        for head in reachable[detection]:
            if head not in seen:
                seen.add(head)
                if head not in owner or place(owner[head], seen):
                    owner[head] = detection
                    return True
        return False

    for detection in np.argsort(-score, kind="stable"):
        hit[detection] = place(int(detection), set())
    return hit
