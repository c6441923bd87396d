"""Birth, existence and end of tracks.

Existence is estimated jointly with association (JIPDA: Musicki and Evans, 2004) on a Markov
chain of two living states: a sperm is detectable, or hidden (out of focus, overlapped), or it is
no more. Misses come in rows; the hidden state lets an established track survive them, while a
young one, whose existence rests on few detections, ends.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from models.tracking.motion import combine_one
from models.tracking.population import Records
from models.tracking.proximity import depth_um, shadows_senior
from models.tracking.settings import TrackerSettings
from models.types import Float64, Int64

# Share of a new box in a track's smoothed size.
_SIZE_GAIN = 0.2


def predict_existence(records: Records, step_s: float, settings: TrackerSettings) -> None:
    """Let ``step_s`` pass: sperm hide, come back, or vanish."""
    _predict_existence(
        records, step_s, settings.lifetime_s, settings.hidden_after_s, settings.hidden_for_s
    )


@njit(cache=True, nogil=True)
def _predict_existence(
    records: Records, step_s: float, lifetime_s: float, hidden_after_s: float, hidden_for_s: float
) -> None:
    survive = np.exp(-step_s / lifetime_s)
    hide = 1.0 - np.exp(-step_s / hidden_after_s)
    show = 1.0 - np.exp(-step_s / hidden_for_s)
    for i in range(records.shape[0]):
        one = records[i]
        detectable = one.detectable * (1.0 - hide) + one.hidden * show
        one.hidden = survive * (one.detectable * hide + one.hidden * (1.0 - show))
        one.detectable = survive * detectable


@njit(cache=True, nogil=True)
def update_existence(
    records: Records, missed: Float64, detection_probability: Float64, gate_probability: float
) -> Float64:
    """Weigh existence by what was seen; returns the (N,) chance that the sperm was detected.

    ``missed`` is the marginal probability that no measurement belongs to the track; the chance
    returned is conditional on existence.
    """
    seen = np.empty(records.shape[0])
    for i in range(records.shape[0]):
        one = records[i]
        found = 1.0 - missed[i]
        caught = detection_probability[i] * gate_probability
        unseen = 1.0 - caught * one.detectable
        one.detectable = missed[i] * (1.0 - caught) * one.detectable / unseen + found
        one.hidden = missed[i] * one.hidden / unseen
        seen[i] = min(found / max(one.detectable + one.hidden, 1e-12), 1.0)
    return seen


def live_on(
    records: Records,
    own: Int64,
    box_px: Float64,
    label: Int64,
    time_s: float,
    step_s: float,
    inward: Float64,
    offset_um: Float64,
    settings: TrackerSettings,
    chosen: int,
) -> int:
    """Let tracks learn from their own detections; confirm, and drop those that end.

    Parameters
    ----------
    records : (N,)
        Those that live on are moved to the front.
    own : (N,)
        Detection of each track, -1 for none; moved with them.
    box_px : (M, 4)
    label : (M,)
    time_s, step_s : float
    inward, offset_um
        Of the View.
    settings : TrackerSettings
    chosen : int
        The track that the stage goes after; 0 is none.

    Returns
    -------
    int
        How many live on.
    """
    _remember(records, own, box_px, label, np.exp(-step_s / settings.label_s))
    _confirm(records, settings.confirm_steps, settings.confirm_hits, settings.confirm_existence)
    _clock_shadows(
        records, own, time_s - settings.recall_s, step_s, settings.merge_um,
        settings.established_hits,
    )  # fmt: skip
    longest_s = max(settings.coast_s, settings.coast_steps * step_s)
    return int(
        _survive(
            records,
            own,
            inward,
            offset_um,
            time_s - longest_s - 1e-9,
            settings.gate,
            settings.gate_side_um,
            settings.outside_um,
            chosen,
            settings.chosen_outside_um,
            settings.merge_s,
            settings.delete_confirmed,
            settings.delete_tentative,
            settings.confirm_steps,
            settings.confirm_hits,
        )
    )


@njit(cache=True, nogil=True)
def _remember(records: Records, own: Int64, box_px: Float64, label: Int64, kept: float) -> None:
    """Smooth each track's size, and count its votes."""
    for i in range(records.shape[0]):
        one = records[i]
        for k in range(3):
            one.votes[k] *= kept
        if own[i] >= 0:
            one.votes[label[own[i]]] += 1.0
            for k in range(2):
                one.size_px[k] += _SIZE_GAIN * (box_px[own[i], 2 + k] - one.size_px[k])


@njit(cache=True, nogil=True)
def _hits(bits: int, frames: int) -> int:
    """Count of the newest frames in which a track was seen."""
    count = 0
    for k in range(frames):
        count += (bits >> k) & 1
    return count


@njit(cache=True, nogil=True)
def _confirm(records: Records, frames: int, hits: int, existence: float) -> None:
    """Confirm tentative tracks that exist beyond doubt and were seen often enough."""
    for i in range(records.shape[0]):
        one = records[i]
        if not one.confirmed and one.detectable + one.hidden > existence:
            one.confirmed = _hits(one.hits, frames) >= hits


@njit(cache=True, nogil=True)
def _clock_shadows(
    records: Records, own: Int64, recent_s: float, step_s: float, reach_um: float, established: int
) -> None:
    """Clock for how long each track has had no detection that a senior one does not need."""
    n = records.shape[0]
    position, confirmed, seen = np.empty((n, 2)), np.empty(n, np.bool_), np.empty(n, np.bool_)
    for i in range(n):
        position[i, 0], position[i, 1] = records[i].mean[0], records[i].mean[1]
        confirmed[i], seen[i] = records[i].confirmed, own[i] >= 0
    shadow = shadows_senior(position, confirmed, seen, reach_um)
    for i in range(n):
        one = records[i]
        if not shadow[i]:
            one.shadow_s = 0.0
            continue
        # Seen on its own often enough, it is no second track on one head.
        hits = 0
        for k in range(one.trail.shape[0]):
            hits += one.trail[k, 0] > recent_s
        one.shadow_s = one.shadow_s + step_s if hits < established else 0.0


@njit(cache=True, nogil=True)
def _survive(
    records: Records,
    own: Int64,
    inward: Float64,
    offset_um: Float64,
    seen_since_s: float,
    gate: float,
    gate_side_um: float,
    outside_um: float,
    chosen: int,
    chosen_outside_um: float,
    merge_s: float,
    delete_confirmed: float,
    delete_tentative: float,
    confirm_steps: int,
    confirm_hits: int,
) -> int:
    """Move the tracks that live on to the front; return how many they are."""
    count = 0
    for i in range(records.shape[0]):
        one = records[i]
        p = one.covariance
        area = np.pi * gate * np.sqrt(p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0])
        outside = chosen_outside_um if one.track_id == chosen else outside_um
        floor = delete_confirmed if one.confirmed else delete_tentative
        hopeless = (
            not one.confirmed
            and one.steps >= confirm_steps
            and _hits(one.hits, confirm_steps) < confirm_hits
        )
        if (
            one.detectable + one.hidden >= floor
            and one.seen_s >= seen_since_s
            and area <= gate_side_um * gate_side_um
            and depth_um(one.mean[0], one.mean[1], inward, offset_um) >= -outside
            and one.shadow_s < merge_s
            and not hopeless
        ):
            if count < i:
                records[count] = records[i]
                own[count] = own[i]
            count += 1
    return count


@njit(cache=True, nogil=True)
def begin(
    block: Records,
    count: int,
    own: Int64,
    next_id: int,
    time_s: float,
    measured: Float64,
    box_px: Float64,
    score: Float64,
    label: Int64,
    explained: Float64,
    birth_score: float,
    clearance_um: float,
    birth_existence: float,
    variance: Float64,
    speed_variance: Float64,
    prior: Float64,
) -> int:
    """Start tentative tracks on unexplained detections, behind the ``count`` that live.

    ``own`` has room for them, too. Returns how many there are then.
    """
    taken = np.zeros(measured.shape[0], np.bool_)
    for i in range(count):
        if own[i] >= 0:
            taken[own[i]] = True
    born = count
    for j in range(measured.shape[0]):
        if taken[j] or not (explained[j] < 0.5 and score[j] >= birth_score):
            continue
        clear = True
        for i in range(count):
            dx = measured[j, 0] - block[i].mean[0]
            dy = measured[j, 1] - block[i].mean[1]
            near = dx * dx + dy * dy <= clearance_um * clearance_um
            clear &= block[i].coasting or not near
        if not clear:
            continue
        one = block[born]
        one.track_id = next_id + born - count
        one.mode_mean[:] = 0.0
        one.mode_covariance[:] = 0.0
        for k in range(prior.shape[0]):
            one.mode[k] = prior[k]
            for a in range(2):
                one.mode_mean[k, a] = measured[j, a]
                one.mode_covariance[k, a, a] = variance[k]
                one.mode_covariance[k, a + 2, a + 2] = speed_variance[k]
        combine_one(one.mode_mean, one.mode_covariance, one.mode, one.mean, one.covariance)
        one.detectable, one.hidden = birth_existence, 0.0
        one.confirmed, one.coasting = False, False
        one.hits, one.steps, one.seen_s, one.shadow_s = 1, 1, time_s, 0.0
        one.size_px[0], one.size_px[1] = box_px[j, 2], box_px[j, 3]
        one.score = score[j]
        one.votes[:] = 0.0
        one.votes[label[j]] = 1.0
        one.trail[:, :] = np.nan
        one.identity, one.doubt_until_s = 1.0, -np.inf
        own[born] = j
        born += 1
    return born
