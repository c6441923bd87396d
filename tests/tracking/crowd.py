"""Sperm of the specimen model on their true paths, and what a detector would see of them.

No picture is rendered: the detector is a model of one. Its two settings frame the shipped network
on ``exam`` specimens (600 frames of two seeds: centre noise 0.23 um per axis, 0.3 to 1 % of the
heads that stand alone missed, 2 to 4 false detections a frame, two heads found as one below
4 um and as two above, the one in between them, class right for 86 %, box sides within 4 %).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from models.specimen.profiles import profile
from models.specimen.scene import Specimen
from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.types import Float64, Int8, Int64, Tracks

UM_PER_PX = 0.495
WIDTH_PX, HEIGHT_PX = 640, 480
FPS = 30.0
# The specimen's origin lies in the middle of the picture; the stage is at rest there.
VIEW = View.rectangle(
    -WIDTH_PX / 2 * UM_PER_PX, -HEIGHT_PX / 2 * UM_PER_PX,
    WIDTH_PX / 2 * UM_PER_PX, HEIGHT_PX / 2 * UM_PER_PX,
)  # fmt: skip


@dataclass(frozen=True)
class Crowd:
    """Truth of T frames and N sperm; NaN where a sperm is not in view.

    head_um, path_um (mean path) : (T, N, 2); box_um (width, height) : (T, N, 2); label : (N,);
    visible : (T, N).
    """

    time_s: Float64
    head_um: Float64
    path_um: Float64
    box_um: Float64
    label: Int8
    visible: NDArray[np.bool_]

    @cached_property
    def speed_um_s(self) -> Float64:
        """Of the mean path, over the third of a second around each frame (T, N)."""
        span = 5
        padded = np.pad(self.path_um, ((span, span), (0, 0), (0, 0)), mode="edge")
        moved = padded[2 * span :] - padded[: -2 * span]
        speed: Float64 = np.hypot(moved[..., 0], moved[..., 1]) * FPS / (2 * span)
        return speed


@lru_cache(maxsize=4)
def crowd(seed: int, seconds: float, density: float | None = None) -> Crowd:
    """Watch one field of a fresh ``exam`` specimen."""
    specimen = Specimen(profile("exam", density=density), seed)
    time_s = np.arange(round(seconds * FPS)) / FPS
    truths = [specimen.truth(float(t), np.zeros(2)) for t in time_s]
    ids = np.unique(np.concatenate([t.sperm_id for t in truths]))
    shape = len(time_s), len(ids), 2
    head, path, box = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    visible = np.zeros(shape[:2], np.bool_)
    label = np.zeros(len(ids), np.int8)
    for k, truth in enumerate(truths):
        at = np.searchsorted(ids, truth.sperm_id)
        head[k, at], path[k, at] = truth.position_um, truth.mean_path_um
        box[k, at] = truth.box_px[:, 2:] * UM_PER_PX
        visible[k, at], label[at] = truth.visible, truth.label
    return Crowd(time_s, head, path, box, label, visible)


@dataclass(frozen=True)
class DetectorModel:
    """What a detector does to the truth.

    noise_um per axis; miss, and misses in rows of ``burst_s`` that begin ``bursts_hz`` times a
    second; two heads are one below ``merge_um``, softened over ``merge_soft_um``; ``false`` false
    detections a frame, each living ``false_s``.
    """

    noise_um: float
    miss: float
    bursts_hz: float
    burst_s: float
    merge_um: float
    merge_soft_um: float
    false: float
    false_s: float
    box_noise: float = 0.04
    right_label: float = 0.86


LIKE_SHIPPED = DetectorModel(0.25, 0.005, 0.05, 0.1, 4.0, 0.3, 3.0, 0.3)
POOR = DetectorModel(0.4, 0.05, 0.2, 0.12, 3.5, 0.4, 4.0, 0.15)


@dataclass(frozen=True)
class Seen:
    """Detections of one frame: stage frame, and the boxes as the tracker takes them."""

    position_um: Float64
    box_px: Float64
    score: Float64
    label: Int8


def detections(world: Crowd, model: DetectorModel, seed: int) -> list[Seen]:
    """What the detector finds in each frame."""
    rng = np.random.default_rng([seed, 7])
    frames, count = world.visible.shape
    hidden = _bursts(rng, frames, count, model)
    constant_label = np.where(rng.random(count) < 0.8, world.label, 3 - world.label)
    share = rng.uniform(0.3, 0.6, (count, count))
    false = np.zeros((0, 2))
    half = np.array([WIDTH_PX, HEIGHT_PX]) / 2 * UM_PER_PX
    stay = np.exp(-1.0 / FPS / model.false_s)
    seen = []
    for k in range(frames):
        here = np.flatnonzero(world.visible[k])
        head, box = world.head_um[k, here], world.box_um[k, here]
        groups = _merged(rng, head, model)
        place, size, of = [], [], []
        for group in groups:
            if len(group) == 1:
                if not hidden[k, here[group[0]]] and rng.random() >= model.miss:
                    place.append(head[group[0]])
                    size.append(box[group[0]])
                    of.append(here[group[0]])
                continue
            a, b = here[group[0]], here[group[1]]
            part = share[min(a, b), max(a, b)]
            first, second = (0, 1) if a < b else (1, 0)
            between = (1 - part) * head[group[first]] + part * head[group[second]]
            place.append(between if len(group) == 2 else head[group].mean(axis=0))
            size.append(box[group].mean(axis=0) * 1.08)
            of.append(here[group[int(rng.random() < 0.5)]])
        born = rng.poisson(model.false * (1.0 - stay))
        false = false[rng.random(len(false)) < stay]
        false = np.concatenate([false, rng.uniform(-half, half, (born, 2))])
        n = len(place)
        xy = np.concatenate([np.reshape(place, (-1, 2)), false])
        xy = xy + rng.normal(0.0, model.noise_um, xy.shape)
        side = np.concatenate([np.reshape(size, (-1, 2)), rng.uniform(4.0, 8.0, (len(false), 2))])
        side = side * np.exp(rng.normal(0.0, model.box_noise, side.shape)) / UM_PER_PX
        told = np.concatenate([constant_label[of], rng.integers(1, 3, len(false))]).astype(np.int8)
        flip = rng.random(len(told)) < (1.0 - model.right_label) / 2
        told = np.where(flip, 3 - told, told).astype(np.int8)
        score = np.clip(rng.normal(0.9, 0.02, len(xy)) - 0.1 * (np.arange(len(xy)) >= n), 0, 1)
        order = rng.permutation(len(xy))
        boxes = np.concatenate([xy / UM_PER_PX, side], axis=1)
        seen.append(Seen(xy[order], boxes[order], score[order], told[order]))
    return seen


def _bursts(
    rng: np.random.Generator, frames: int, count: int, model: DetectorModel
) -> NDArray[np.bool_]:
    """Frames in which a sperm hides (T, N)."""
    hidden = np.zeros((frames, count), np.bool_)
    begin = rng.random((frames, count)) < model.bursts_hz / FPS
    for k, i in zip(*np.nonzero(begin), strict=True):
        hidden[k : k + 1 + int(rng.exponential(model.burst_s) * FPS), i] = True
    return hidden


def _merged(rng: np.random.Generator, head: Float64, model: DetectorModel) -> list[Int64]:
    """Groups of heads that are found as one."""
    n = len(head)
    apart = np.hypot(*(head[:, None] - head[None]).transpose(2, 0, 1))
    cut = model.merge_um + model.merge_soft_um * rng.logistic(0.0, 0.5, (n, n))
    together = np.triu(apart < cut, 1)
    group = np.arange(n)
    for a, b in zip(*np.nonzero(together), strict=True):
        group[group == group[b]] = group[a]
    return [np.flatnonzero(group == g) for g in np.unique(group)]


def track(world: Crowd, seen: list[Seen], tracker: Tracker | None = None) -> list[Tracks]:
    """Follow them."""
    tracker = tracker or Tracker()
    return [
        tracker.step(float(t), d.position_um, d.box_px, d.score, d.label, VIEW)
        for t, d in zip(world.time_s, seen, strict=True)
    ]
