"""What the detections of one frame say of each track: before, and after they were associated."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.tracking.life import update_existence
from models.tracking.merging import merge
from models.tracking.motion import combine_one, correct_one
from models.tracking.population import COLUMNS, TRAIL, Records
from models.tracking.proximity import contested, depth_um, nearest_fellow_um
from models.types import Float64, Int64

_ALL_HITS = (1 << 32) - 1
# A track just outside the field may still be found.
_LEAST_VISIBLE = 0.05


@njit(cache=True, nogil=True)
def flawed(
    measured: Float64, box_px: Float64, score: Float64, label: Int64
) -> tuple[NDArray[np.bool_], int, bool]:
    """Which detections (N,) are not finite in a number of theirs, how many; is a label unknown."""
    n = score.shape[0]
    bad = np.zeros(n, np.bool_)
    count, unknown = 0, False
    for j in range(n):
        finite = np.isfinite(score[j])
        for k in range(2):
            finite &= np.isfinite(measured[j, k])
        for k in range(4):
            finite &= np.isfinite(box_px[j, k])
        bad[j] = not finite
        count += not finite
        unknown |= label[j] < 0 or label[j] > 2
    return bad, count, unknown


@njit(cache=True, nogil=True)
def detectable(
    records: Records,
    inward: Float64,
    offset_um: Float64,
    probability: float,
    head_um: float,
    resolution_um: float,
) -> tuple[Float64, Float64]:
    """Probability that each sperm (N,) is detected if it can be, and if it may be hidden.

    It is less at the border, and where two heads may be seen as one. Only established neighbours
    count: a second track on one head must not excuse itself.
    """
    n = records.shape[0]
    position, confirmed = np.empty((n, 2)), np.empty(n, np.bool_)
    for i in range(n):
        position[i, 0], position[i, 1] = records[i].mean[0], records[i].mean[1]
        confirmed[i] = records[i].confirmed
    # Farther away, the probability is one within the last bit.
    apart = nearest_fellow_um(position, confirmed, 7.0 * resolution_um)
    found, chance = np.empty(n), np.empty(n)
    for i in range(n):
        visible = 0.5 + depth_um(position[i, 0], position[i, 1], inward, offset_um) / head_um
        visible = min(max(visible, _LEAST_VISIBLE), 1.0)
        found[i] = probability * visible * -np.expm1(-((apart[i] / resolution_um) ** 2))
        chance[i] = found[i] * records[i].detectable
    return found, chance


@njit(cache=True, nogil=True)
def take_in(
    records: Records,
    start: Int64,
    measurement: Int64,
    innovation: Float64,
    density: Float64,
    missed: Float64,
    paired: Float64,
    found: Float64,
    variance: Float64,
    gate_probability: float,
    associated: float,
    contested_share: float,
    time_s: float,
    measured: Float64,
    chance: Float64,
    probability: float,
    merged_um: float,
    resolution_um: float,
    recall_s: float,
    step_s: float,
    established: int,
) -> tuple[Int64, Float64, Int64]:
    """Correct all tracks with what belongs to them.

    Returns
    -------
    own : (N + M,) int64
        Each track's own detection; -1: none. The rest is room for tracks to be born.
    explained : (M,) float64
        How much of each detection the tracks explain.
    contested_id : (C, 2) int64
        Tracks that may both have the same detection, elder first.
    """
    n, measurements = records.shape[0], measured.shape[0]
    both, both_share, both_innovation, both_density = merge(
        records, start, measurement, density, measured, chance, missed, paired, variance,
        probability, merged_um, resolution_um, time_s - recall_s, time_s - 1.5 * step_s,
        established,
    )  # fmt: skip
    seen = update_existence(records, missed, found, gate_probability)
    share, explained = np.empty(measurement.shape[0]), np.zeros(measurements)
    own = np.full(n + measurements, -1, np.int64)
    holder, best = np.full(measurements, -1, np.int64), np.zeros(measurements)
    for i in range(n):
        one = records[i]
        existence = max(one.detectable + one.hidden, 1e-12)
        for e in range(start[i], start[i + 1]):
            j = measurement[e]
            share[e] = min(paired[e] / existence, 1.0)
            explained[j] += paired[e]
            # Shares of a track sum to one at most: above a half only one can be its own.
            if share[e] >= associated and share[e] > best[j]:
                if holder[j] >= 0:
                    own[holder[j]] = -1
                own[i], holder[j], best[j] = j, i, share[e]
        pairs = slice(start[i], start[i + 1])
        shift, likelihood, part = innovation[pairs], density[pairs], share[pairs]
        if both[i] >= 0:
            own_share = min(both_share[i] / existence, 1.0)
            explained[both[i]] = max(explained[both[i]], both_share[i])
            shift = np.concatenate((shift, both_innovation[i : i + 1]))
            likelihood = np.concatenate((likelihood, both_density[i : i + 1]))
            part = np.append(part, own_share)
        correct_one(
            one.mode_mean, one.mode_covariance, one.mode, variance, shift, likelihood, part,
            seen[i],
        )  # fmt: skip
        combine_one(one.mode_mean, one.mode_covariance, one.mode, one.mean, one.covariance)
        hit = seen[i] >= associated
        one.coasting = not hit
        if hit:
            one.seen_s = time_s
        one.hits = (one.hits << 1 | hit) & _ALL_HITS
        one.steps += 1
    rivals = contested(start, measurement, share, measurements, contested_share)
    for c in range(rivals.shape[0]):
        for k in range(2):
            rivals[c, k] = records[rivals[c, k]].track_id
    return own, explained, rivals


@njit(cache=True, nogil=True)
def note(
    records: Records, own: Int64, measured: Float64, box_px: Float64, score: Float64,
    label: Int64, slot: int, time_s: float, gain: float,
) -> None:  # fmt: skip
    """Write each track's own detection into its trail; forget doubts that are over.

    ``gain`` is the share of the newest in a track's smoothed score.
    """
    for i in range(records.shape[0]):
        one, j = records[i], own[i]
        if time_s > one.doubt_until_s:
            one.identity = 1.0
        if j < 0:
            for k in range(COLUMNS):
                one.trail[slot, k] = np.nan
            continue
        width, height = np.log(max(box_px[j, 2], 1e-3)), np.log(max(box_px[j, 3], 1e-3))
        one.trail[slot, 0] = time_s
        one.score += gain * (score[j] - one.score)
        one.trail[slot, 1], one.trail[slot, 2] = measured[j, 0], measured[j, 1]
        one.trail[slot, 3], one.trail[slot, 4] = width + height, width - height
        one.trail[slot, 5] = 0.5 if label[j] == 0 else label[j] - 1.0


@njit(cache=True, nogil=True)
def faint_swimmers(
    records: Records, hits: int, moved_um: float, moved_um_s: float, faint: float
) -> NDArray[np.bool_]:
    """Which tracks (N,) move, but score low: weak detections may continue them.

    They have so many detections of their own in their trail, the oldest and the newest at least
    ``moved_um`` apart, a speed of ``moved_um_s`` or more now, and a smoothed score below ``faint``.
    """
    found = np.zeros(records.shape[0], np.bool_)
    for i in range(records.shape[0]):
        vx, vy = records[i].mean[2], records[i].mean[3]
        if records[i].score >= faint or vx * vx + vy * vy < moved_um_s * moved_um_s:
            continue
        trail = records[i].trail
        count, first, last = 0, -1, -1
        for k in range(trail.shape[0]):
            if np.isnan(trail[k, 0]):
                continue
            count += 1
            if first < 0 or trail[k, 0] < trail[first, 0]:
                first = k
            if last < 0 or trail[k, 0] > trail[last, 0]:
                last = k
        if count >= hits:
            dx, dy = trail[last, 1] - trail[first, 1], trail[last, 2] - trail[first, 2]
            found[i] = dx * dx + dy * dy >= moved_um * moved_um
    return found


def slot_of(frame: int) -> int:
    """Place of a frame in every trail."""
    return frame % TRAIL


@njit(cache=True, nogil=True)
def report(
    records: Records, own: Int64, measured: Float64, score: Float64, share: Float64
) -> tuple[
    Int64, Float64, Float64, Float64, Float64, Float64, Float64, Float64,
    NDArray[np.int8], NDArray[np.int8], Int64, Float64, Float64, Float64, Float64,
]:  # fmt: skip
    """Columns of Tracks, from track_id to head_um; no detection is shared.

    ``share`` (K,) is, in each mode, how much of a measurement's distance from the mean path is the
    head's own.
    """
    n = records.shape[0]
    track_id, position, velocity = np.empty(n, np.int64), np.empty((n, 2)), np.empty((n, 2))
    covariance, raw, size = np.empty((n, 4, 4)), np.empty((n, 2)), np.empty((n, 2))
    own_score, existence, identity = np.empty(n), np.empty(n), np.empty(n)
    state, label = np.empty(n, np.int8), np.empty(n, np.int8)
    head = np.empty((n, 2))
    for i in range(n):
        one, j = records[i], own[i]
        track_id[i], existence[i] = one.track_id, one.detectable + one.hidden
        for a in range(2):
            position[i, a], velocity[i, a] = one.mean[a], one.mean[a + 2]
            raw[i, a] = measured[j, a] if j >= 0 else np.nan
            size[i, a] = one.size_px[a]
            head[i, a] = one.mean[a]
            if j >= 0:
                for k in range(share.shape[0]):
                    swing = measured[j, a] - one.mode_mean[k, a]
                    head[i, a] += one.mode[k] * share[k] * swing
        covariance[i] = one.covariance
        own_score[i] = score[j] if j >= 0 else np.nan
        identity[i] = one.identity
        # Of TrackState: coasting, confirmed, tentative.
        state[i] = (1 if j >= 0 else 2) if one.confirmed else 0
        normal, abnormal = one.votes[1], one.votes[2]
        told = normal + abnormal >= 0.25 * (one.votes[0] + normal + abnormal)
        label[i] = (2 if abnormal > normal else 1) if told else 0
    return (
        track_id, position, velocity, covariance, raw, size, own_score, existence, state, label,
        own.copy(), identity, raw, np.full((n, 2), np.nan), head,
    )  # fmt: skip
