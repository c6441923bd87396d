"""How often a track passes silently from one sperm to another, and whether it says so.

``python -m tests.tracking.encounters`` prints the tables of models/tracking/README.md.

A track's owner is the sperm whose mean path it follows, told only in clear frames: the track has
a detection, one sperm lies within 3.5 um of it and no other nearly as near. It has swapped when it
follows another for a second or to its end. An encounter begins where two visible heads come
within 3 um and ends where they have been farther apart for 0.3 s. Only tracks confirmed for more
than a second count.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Float64, Int64, Tracks, TrackState
from tests.tracking.crowd import FPS, LIKE_SHIPPED, POOR, VIEW, Crowd, crowd, detections, track

REACH_UM = 3.5
CLEARER_UM = 3.0
MEET_UM = 3.0
PART_S = 0.3
SETTLED_S = 1.0
PASSING_S = 0.2
MOTILE_UM_S = 10.0
FLAGGED_WITHIN_S = 1.0
# A followed sperm is kept from the border; swaps of those that leave the picture do not count.
BORDER_UM = 12.0


@dataclass(frozen=True)
class History:
    """One track: where it was confirmed, in frames; its owner at each (-1: none or unclear)."""

    track_id: int
    frame: Int64
    owner: Int64
    identity: Float64
    place_um: Float64

    def runs(self) -> list[tuple[int, int, int]]:
        """Owner, first and last clear frame; passing ones are left out."""
        clear = np.flatnonzero(self.owner >= 0)
        runs: list[list[int]] = []
        for k in clear:
            who, frame = int(self.owner[k]), int(self.frame[k])
            if runs and runs[-1][0] == who:
                runs[-1][2] = frame
            else:
                runs.append([who, frame, frame])
        kept: list[list[int]] = []
        for n, (who, first, last) in enumerate(runs):
            until = runs[n + 1][1] if n + 1 < len(runs) else None
            if until is None and last - first < PASSING_S * FPS:
                continue
            if until is not None and until - first < SETTLED_S * FPS:
                continue
            if kept and kept[-1][0] == who:
                kept[-1][2] = last
            else:
                kept.append([who, first, last])
        return [(a, b, c) for a, b, c in kept]


@dataclass
class Study:
    """Sums over recordings."""

    sperm_s: float = 0.0
    track_s: float = 0.0
    swaps: int = 0
    swap_identity: list[float] = field(default_factory=list)
    alarm_identity: list[float] = field(default_factory=list)
    encounters: list[tuple[str, float, float, float]] = field(default_factory=list)

    def swaps_per_minute(self) -> float:
        """Of following one motile sperm."""
        return 60.0 * self.swaps / max(self.track_s, 1e-9)

    def outcomes(self) -> Counter[str]:
        """Of encounters: kept, swapped, lost."""
        return Counter(name for name, *_ in self.encounters)

    def flagged(self, threshold: float) -> float:
        """Share of the swaps during or soon after which identity fell below the threshold."""
        return float(np.mean(np.array(self.swap_identity) < threshold)) if self.swaps else 1.0

    def false_alarms_per_minute(self, threshold: float) -> float:
        """Stretches of low identity without a swap, of following one motile sperm."""
        low = (np.array(self.alarm_identity) < threshold).sum()
        return float(60.0 * low / max(self.track_s, 1e-9))


def histories(world: Crowd, steps: list[Tracks]) -> list[History]:
    """Each track from a second after it was confirmed on."""
    rows: dict[int, list[tuple[int, int, float, Float64]]] = {}
    since: dict[int, int] = {}
    for k, tracks in enumerate(steps):
        owner = _owners(tracks.position_um, world.path_um[k])
        owner[tracks.detection < 0] = -1
        identity = getattr(tracks, "identity", np.ones(len(tracks)))
        for n, track_id in enumerate(tracks.track_id.tolist()):
            if tracks.state[n] == TrackState.TENTATIVE:
                continue
            if k - since.setdefault(track_id, k) > SETTLED_S * FPS:
                rows.setdefault(track_id, []).append(
                    (k, int(owner[n]), float(identity[n]), tracks.position_um[n])
                )
    return [
        History(
            track_id,
            np.array([r[0] for r in one]),
            np.array([r[1] for r in one]),
            np.array([r[2] for r in one]),
            np.array([r[3] for r in one]),
        )
        for track_id, one in rows.items()
    ]


def _owners(position_um: Float64, path_um: Float64) -> Int64:
    apart = np.hypot(*(position_um[:, None] - path_um[None]).transpose(2, 0, 1))
    apart = np.where(np.isnan(apart), np.inf, apart)
    order = np.sort(np.concatenate([apart, np.full((len(apart), 2), np.inf)], axis=1), axis=1)
    clear = (order[:, 0] < REACH_UM) & (order[:, 1] > order[:, 0] + CLEARER_UM)
    nearest = apart.argmin(axis=1) if apart.shape[1] else np.zeros(len(apart), np.int64)
    owner: Int64 = np.where(clear, nearest, -1).astype(np.int64)
    return owner


def meetings(world: Crowd) -> list[tuple[int, int, int, int]]:
    """Encounters: two sperm, first and last frame within reach."""
    head = np.where(world.visible[..., None], world.head_um, np.nan)
    found = []
    count = head.shape[1]
    for a in range(count):
        apart = np.hypot(*(head[:, a + 1 :] - head[:, a : a + 1]).transpose(2, 0, 1))
        for b in np.flatnonzero((np.nan_to_num(apart, nan=np.inf) < MEET_UM).any(axis=0)):
            near = np.flatnonzero(apart[:, b] < MEET_UM)
            cuts = np.flatnonzero(np.diff(near) > PART_S * FPS)
            for first, last in zip(np.r_[near[0], near[cuts + 1]], np.r_[near[cuts], near[-1]],
                                   strict=True):  # fmt: skip
                found.append((a, a + 1 + int(b), int(first), int(last)))
    return found


def judge(study: Study, world: Crowd, steps: list[Tracks]) -> None:
    """Add a recording to the study."""
    tracks = histories(world, steps)
    speed = world.speed_um_s
    study.sperm_s += float((np.nan_to_num(speed) >= MOTILE_UM_S).sum()) / FPS
    by_owner: dict[int, list[tuple[int, int, int | None]]] = {}
    for one in tracks:
        runs = one.runs()
        at = np.searchsorted(one.frame, [r[1] for r in runs])
        motile = np.zeros(len(one.frame), np.bool_)
        for n, (who, first, last) in enumerate(runs):
            inside = slice(int(at[n]), int(np.searchsorted(one.frame, last)) + 1)
            fast = bool(np.median(np.nan_to_num(speed[first : last + 1, who])) >= MOTILE_UM_S)
            motile[inside] = fast
            after = runs[n + 1] if n + 1 < len(runs) else None
            by_owner.setdefault(who, []).append((first, last, after[0] if after else None))
            if after and fast and _inside(world, last, who) and _inside(world, after[1], after[0]):
                study.swaps += 1
                window = (one.frame >= last) & (one.frame <= after[1] + FLAGGED_WITHIN_S * FPS)
                study.swap_identity.append(float(one.identity[window].min()))
        within = VIEW.depth_um(one.place_um) > BORDER_UM
        study.track_s += float((motile & within).sum()) / FPS
        _alarms(study, one, runs, motile)
    for a, b, first, last in meetings(world):
        for who, other in ((a, b), (b, a)):
            _outcome(study, world, by_owner.get(who, []), who, other, first, last)


def _inside(world: Crowd, frame: int, who: int) -> bool:
    return bool(VIEW.depth_um(world.path_um[frame, who][None])[0] > BORDER_UM)


def _alarms(study: Study, one: History, runs: list[tuple[int, int, int]], motile: object) -> None:
    """Minimum of each stretch of identity below one that holds no swap."""
    quiet = np.ones(len(one.frame), np.bool_)
    for before, after in itertools.pairwise(runs):
        quiet &= (one.frame < before[2]) | (one.frame > after[1] + FLAGGED_WITHIN_S * FPS)
    within = VIEW.depth_um(one.place_um) > BORDER_UM
    low = (one.identity < 0.999) & quiet & np.asarray(motile) & within
    edge = np.flatnonzero(np.diff(np.r_[0, low.astype(np.int8), 0]))
    for begin, end in zip(edge[::2], edge[1::2], strict=True):
        study.alarm_identity.append(float(one.identity[begin:end].min()))


def _outcome(
    study: Study, world: Crowd, runs: list[tuple[int, int, int | None]],
    who: int, other: int, first: int, last: int,
) -> None:  # fmt: skip
    """What became of the track of ``who``, if it had a settled one when it met ``other``."""
    look = round(SETTLED_S * FPS)
    speed = world.speed_um_s
    if first < look or last + look >= len(world.time_s):
        return
    ahead = world.path_um[[first - 8, first]][:, [who, other]]
    if np.isnan(ahead).any() or np.isnan(world.path_um[last + look, who]).any():
        return
    if not np.nan_to_num(speed[first, who]) >= MOTILE_UM_S:
        return
    had = [r for r in runs if r[0] < first - 1 and r[1] >= first - look]
    if not had:
        return
    begun, _ended, after = max(had)
    kept = any(r[0] <= begun and r[1] > last for r in had)
    name = "kept" if kept else ("swapped" if after is not None else "lost")
    velocity = (ahead[1] - ahead[0]) * FPS / 8
    angle = np.degrees(abs(np.angle(complex(*velocity[0]) / (complex(*velocity[1]) or 1.0))))
    relative = float(np.hypot(*(velocity[1] - velocity[0])))
    study.encounters.append((name, float(angle), relative, (last - first + 1) / FPS))


def study(
    seeds: range,
    seconds: float,
    *,
    poor: bool = True,
    density: float | None = None,
    settings: TrackerSettings | None = None,
) -> Study:
    """Watch fresh specimens."""
    result = Study()
    for seed in seeds:
        world = crowd(seed, seconds, density)
        seen = detections(world, POOR if poor else LIKE_SHIPPED, seed)
        judge(result, world, track(world, seen, Tracker(settings)))
    return result


def _table(result: Study) -> str:
    outcomes = result.outcomes()
    total = max(sum(outcomes.values()), 1)
    lines = [
        f"motile sperm in view {result.sperm_s:.0f} s, settled tracks on them "
        f"{result.track_s:.0f} s",
        f"encounters per settled motile track and second: {total / result.track_s:.3f}",
        "outcomes: " + ", ".join(f"{k} {v} ({v / total:.2%})" for k, v in outcomes.items()),
        f"silent swaps per minute: {result.swaps_per_minute():.3f} ({result.swaps})",
    ]
    for name, column, edges in (
        ("angle deg", 1, (0, 20, 45, 90, 181)),
        ("relative speed um/s", 2, (0, 15, 40, 80, 1000)),
        ("duration s", 3, (0, 0.1, 0.2, 0.5, 100)),
    ):
        for low, high in itertools.pairwise(edges):
            part = Counter(e[0] for e in result.encounters if low <= e[column] < high)
            n = max(sum(part.values()), 1)
            lines.append(
                f"  {name} {low} to {high}: {n}, kept {part['kept'] / n:.1%}, swapped "
                f"{part['swapped'] / n:.1%}, lost {part['lost'] / n:.1%}"
            )
    for threshold in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98):
        lines.append(
            f"identity < {threshold}: {result.flagged(threshold):.1%} of swaps flagged, "
            f"{result.false_alarms_per_minute(threshold):.3f} false alarms a minute"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Silent swaps of followed sperm.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--merged", type=float, default=0.0, help="TrackerSettings.merged_um")
    asked = parser.parse_args()
    settings = TrackerSettings(merged_um=asked.merged)
    seeds = range(asked.first, asked.first + asked.seeds)
    for poor, density in ((False, None), (True, None), (True, 80.0)):
        print("poor detector" if poor else "detector like the shipped one", density or "")
        found = study(seeds, asked.seconds, poor=poor, density=density, settings=settings)
        print(_table(found), flush=True)


if __name__ == "__main__":
    main()
