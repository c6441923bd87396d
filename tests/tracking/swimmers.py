"""A small world of swimmers for the tracker's tests: true paths, and what a detector sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.tracking.tracker import Tracker
from models.tracking.view import View
from models.types import Float64, Tracks

UM_PER_PX = 0.495
FIELD = View.rectangle(0.0, 0.0, 640 * UM_PER_PX, 480 * UM_PER_PX)


@dataclass(frozen=True)
class World:
    """time_s (T,), mean path (T, N, 2) um, head (T, N, 2) um: the mean path with the yaw."""

    time_s: Float64
    path_um: Float64
    head_um: Float64


def swim(
    count: int,
    frames: int,
    seed: int,
    *,
    fps: float = 30.0,
    speed_um_s: float = 40.0,
    diffusion: float = 0.05,
    yaw_um: float = 1.0,
    field_um: tuple[float, float] = (317.0, 238.0),
    apart_um: float = 0.0,
) -> World:
    """Let sperm swim with diffusing headings and 12 Hz yaw; walls reflect them."""
    rng = np.random.default_rng(seed)
    size = np.array(field_um)
    place = np.zeros((0, 2))
    while len(place) < count:
        one = rng.uniform(10.0, size - 10.0, (1, 2))
        if not len(place) or np.hypot(*(place - one).T).min() > apart_um:
            place = np.concatenate([place, one])
    heading = rng.uniform(0, 2 * np.pi, count)
    speed = speed_um_s * rng.choice([0.0, 0.5, 1.0, 1.5], count)
    phase = rng.uniform(0, 2 * np.pi, count)
    time_s = np.arange(frames) / fps
    path, head = np.empty((frames, count, 2)), np.empty((frames, count, 2))
    for k in range(frames):
        along = np.stack([np.cos(heading), np.sin(heading)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        swing = yaw_um * np.sin(2 * np.pi * 12.0 * time_s[k] + phase) * (speed > 0)
        path[k] = place
        head[k] = place + swing[:, None] * across
        place = place + speed[:, None] / fps * along
        heading = heading + rng.normal(0, np.sqrt(2 * diffusion / fps), count)
        for a in range(2):
            out = (place[:, a] < 5.0) | (place[:, a] > size[a] - 5.0)
            heading[out] = np.pi - heading[out] if a == 0 else -heading[out]
            place[:, a] = np.clip(place[:, a], 5.0, size[a] - 5.0)
    return World(time_s, path, head)


def step(tracker: Tracker, time_s: float, seen_um: Float64, view: View = FIELD) -> Tracks:
    """Give the tracker bare positions."""
    n = len(seen_um)
    return tracker.step(
        time_s, seen_um, np.full((n, 4), 10.0), np.ones(n), np.ones(n, np.int8), view
    )


def detect(
    world: World,
    frame: int,
    rng: np.random.Generator,
    *,
    miss: float = 0.08,
    clutter: float = 6.0,
    jitter_um: float = 0.3,
) -> Float64:
    """Head positions as a detector gives them: with misses, false ones, and noise."""
    head = world.head_um[frame]
    seen = head[rng.random(len(head)) >= miss]
    seen = seen + rng.normal(0.0, jitter_um, seen.shape)
    false = rng.uniform(0.0, (317.0, 238.0), (rng.poisson(clutter), 2))
    return np.concatenate([seen, false])
