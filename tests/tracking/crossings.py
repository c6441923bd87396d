"""How often two sperm that cross keep their tracks.

``python -m tests.tracking.crossings`` prints the table of models/tracking/README.md. Mean paths
are straight, 45 and 40 um/s; heads swing 1.5 um to either side at 12 Hz, detections have
0.25 um noise and 5 % are missing. The sperm reach the crossing up to 0.05 s apart. Where heads are
found as one, a single detection lies between them below 4 um. Nothing tells the two apart but
their paths.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np

from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Float64, Tracks
from tests.tracking.swimmers import step

SPEED_UM_S = np.array([45.0, 40.0])
SWING_UM, BEAT_HZ, NOISE_UM, SEEN = 1.5, 12.0, 0.25, 0.95
MERGE_UM = 4.0
HALF_S = 2.5
CENTRE_UM = np.array([155.0, 118.0])


def cross(angle_deg: float, rate_hz: float, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Head and mean path (T, 2, 2), um, of two sperm that meet in the middle of the time."""
    time_s = np.arange(-HALF_S, HALF_S, 1.0 / rate_hz)[:, None]
    turn = np.deg2rad([0.0, angle_deg])
    along = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    away = SPEED_UM_S * (time_s + rng.uniform(-0.025, 0.025, 2))
    path = CENTRE_UM + away[..., None] * along
    phase = rng.uniform(0.0, 2.0 * np.pi, 2)
    swing = SWING_UM * np.sin(2.0 * np.pi * BEAT_HZ * time_s + phase)
    return path + swing[..., None] * across, path


def seen(heads_um: Float64, rng: np.random.Generator, *, merge: bool) -> Float64:
    """What a detector finds of two heads (2, 2)."""
    if merge and np.hypot(*(heads_um[0] - heads_um[1])) < MERGE_UM:
        heads_um = heads_um.mean(axis=0, keepdims=True)
    found = heads_um[rng.random(len(heads_um)) < SEEN]
    noisy: Float64 = found + rng.normal(0.0, NOISE_UM, found.shape)
    return noisy


def outcome(
    angle_deg: float, rate_hz: float, seed: int, *, merge: bool, settings: TrackerSettings
) -> tuple[str, float]:
    """Tell whether both tracks are kept, swapped, or one is lost; and the least identity told."""
    rng = np.random.default_rng([seed, round(10 * angle_deg), round(rate_hz), merge])
    head, path = cross(angle_deg, rate_hz, rng)
    tracker, steps = Tracker(settings), []
    for k in range(len(head)):
        steps.append(step(tracker, k / rate_hz, seen(head[k], rng, merge=merge)))
    # From a second after the start on the tracks are settled; near the end those that coast ended.
    early = int(rate_hz)
    least = min(float(t.identity.min(initial=1.0)) for t in steps)
    before, after = _names(steps[early], path[early]), _names(steps[-1], path[-1])
    if before == after and -1 not in before:
        return "kept", least
    return ("swapped" if set(before) == set(after) else "lost"), least


def _names(tracks: Tracks, path_um: Float64) -> list[int]:
    names = []
    for place in path_um:
        apart = np.hypot(*(tracks.position_um - place).T)
        near = len(apart) > 0 and apart.min() < 5.0
        names.append(int(tracks.track_id[apart.argmin()]) if near else -1)
    return names


def study(
    angle_deg: float,
    runs: int,
    *,
    rate_hz: float = 30.0,
    merge: bool = True,
    settings: TrackerSettings | None = None,
    flag: float = 0.9,
) -> Counter[str]:
    """Outcomes of ``runs`` crossings; ``told``: not kept, and said so by an identity in doubt."""
    total: Counter[str] = Counter()
    for seed in range(runs):
        name, least = outcome(
            angle_deg, rate_hz, seed, merge=merge, settings=settings or TrackerSettings()
        )
        total[name] += 1
        total["told"] += name != "kept" and least < flag
        total["doubted"] += name == "kept" and least < flag
    return total


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Two sperm that cross.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--angles", type=float, nargs="+", default=[15, 30, 45, 90, 180])
    parser.add_argument("--rates", type=float, nargs="+", default=[30, 60])
    parser.add_argument("--kernel", default="textbook")
    parser.add_argument("--average", action="store_true", help="never leave out permutations")
    asked = parser.parse_args()
    settings = TrackerSettings(kernel=asked.kernel)
    if asked.average:
        settings = replace(settings, coalesce_sigma=0.0)
    print("| fps, heads | angle deg | kept | swapped | lost | of these told | kept but doubted |")
    print("|---|---|---|---|---|---|---|")
    for rate_hz in asked.rates:
        for merge in (False, True):
            for angle in asked.angles:
                found = study(angle, asked.runs, rate_hz=rate_hz, merge=merge, settings=settings)
                share = {key: f"{100.0 * found[key] / asked.runs:.1f} %" for key in found}
                failed = max(found["swapped"] + found["lost"], 1)
                print(
                    f"| {rate_hz:g}, {'as one below 4 um' if merge else 'apart'} | {angle:g} | "
                    f"{share['kept']} | {share.get('swapped', '0 %')} | {share.get('lost', '0 %')} "
                    f"| {100.0 * found['told'] / failed:.0f} % | {share['doubted']} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
