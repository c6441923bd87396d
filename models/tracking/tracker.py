"""The tracker: detections of one frame in, tracks as of that frame out."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.tracking.association import Association, associate, paper_weights, textbook_weights
from models.tracking.coalescence import Coalescence
from models.tracking.gating import Candidates, gate
from models.tracking.identity import Meetings
from models.tracking.life import (
    TRAIL,
    Population,
    clock_shadows,
    confirm,
    predict_existence,
    surviving,
    update_existence,
)
from models.tracking.motion import MotionModel
from models.tracking.proximity import contested, nearest_fellow_um, nearest_um
from models.tracking.settings import TrackerSettings
from models.tracking.view import View
from models.types import Float32, Float64, Int8, Int64, Tracks, TrackState

Bool = NDArray[np.bool_]
_ALL_HITS = (1 << 32) - 1
# Share of a new box in a track's smoothed size.
_SIZE_GAIN = 0.2
_REPORTED = tuple(column.name for column in fields(Tracks) if column.name != "time_s")


def warm_up() -> None:
    """Compile (or load) the kernels, so that the first frame is as fast as the others.

    Two sperm pass each other and part, a third rests: whatever happens to a track, happens here.
    """
    tracker = Tracker()
    view = View.rectangle(0.0, 0.0, 200.0, 100.0)
    for k in range(90):
        along = 100.0 + 2.0 * (k - 45)
        place = np.array([[along, 50.0], [200.0 - along, 51.0], [100.0, 80.0]])
        tracker.step(k / 30.0, place, np.full((3, 4), 12.0), np.ones(3), np.ones(3, np.int8), view)


class Tracker:
    """Joint integrated probabilistic data association in the stage frame.

    One thread calls ``step`` once a frame. The time between frames may vary.

    Attributes
    ----------
    overloads : int
        Clusters so far that were too wide for exact association.
    unusable : int
        Detections so far that were left out, as a number of theirs was not finite.
    exchanges : int
        Times so far that two tracks, parted after an encounter, got each other's sperm back.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._motion = MotionModel(self._settings)
        self._tracks = Population.born(
            np.zeros(0, np.int64), self._motion.birth(np.zeros((0, 2))), 0.0, np.zeros((0, 2)),
            np.zeros(0, np.int8), self._settings,
        )  # fmt: skip
        self._clutter_per_um2 = self._settings.clutter_per_um2
        self._time_s: float | None = None
        self._next_id = 1
        self._meetings = Meetings(self._settings)
        self._coalescence = Coalescence(self._settings)
        self._contested_id = np.zeros((0, 2), np.int64)
        self._frame = 0
        self.overloads = 0
        self.unusable = 0
        self.exchanges = 0

    @property
    def settings(self) -> TrackerSettings:
        """As given."""
        return self._settings

    @property
    def sharpened(self) -> int:
        """Clusters so far that were associated without averaging over who is who."""
        return self._coalescence.clusters

    @property
    def clutter_per_um2(self) -> float:
        """False detections per square micrometre and frame, as estimated so far."""
        return self._clutter_per_um2

    def step(
        self,
        time_s: float,
        position_um: Float64,
        box_px: Float32 | Float64,
        score: Float32 | Float64,
        label: Int8,
        view: View,
    ) -> Tracks:
        """Follow the sperm into the frame of ``time_s``.

        Parameters
        ----------
        time_s : float
            Mid exposure; later than that of the step before.
        position_um : (N, 2)
            Detected head centres, stage frame. A detection with a place, box or score that is not
            finite is left out, and counted.
        box_px : (N, 4)
            Their boxes (centre, width, height), image frame; only the sizes are used.
        score : (N,)
        label : (N,)
            SpermClass.
        view : View
            Field of view of this frame, stage frame.

        Raises
        ------
        ValueError
            Time does not increase, columns differ in length, or a label is no SpermClass.
        """
        measured = np.ascontiguousarray(position_um, dtype=np.float64).reshape(-1, 2)
        self._check(time_s, measured, box_px, score, label)
        usable = _usable(measured, box_px, score)
        if not usable.all():
            return self._without(usable, time_s, measured, box_px, score, label, view)
        step_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        tracks = self._tracks
        if step_s > 0.0 and len(tracks):
            tracks.motion = self._motion.predict(tracks.motion, step_s, tracks.coasting)
            tracks.mean, tracks.covariance = tracks.motion.combined()
            predict_existence(tracks, step_s, self._settings)
        explained = np.zeros(len(measured))
        own = np.zeros(0, np.int64)
        self._contested_id = self._contested_id[:0]
        if len(tracks):
            own, explained = self._update(time_s, measured, view)
            self._remember(own, box_px, label, step_s)
            own = self._end(time_s, step_s, view, own)
        own = self._begin(time_s, measured, box_px, score, label, explained, own)
        self._adapt(step_s, explained, view)
        own = self._tell_apart(time_s, measured, box_px, label, own)
        return self._report(time_s, measured, score, own)

    def _without(
        self,
        usable: Bool,
        time_s: float,
        measured: Float64,
        box_px: Float32 | Float64,
        score: Float32 | Float64,
        label: Int8,
        view: View,
    ) -> Tracks:
        """Follow with the usable detections alone; rows are those of all."""
        self.unusable += int((~usable).sum())
        box = np.asarray(box_px, dtype=np.float64).reshape(-1, 4)
        tracks = self.step(
            time_s, measured[usable], box[usable], score[usable], label[usable], view
        )
        row = np.append(np.flatnonzero(usable), -1)[tracks.detection]
        row.flags.writeable = False
        return replace(tracks, detection=row)

    def _check(
        self,
        time_s: float,
        measured: Float64,
        box_px: Float32 | Float64,
        score: Float32 | Float64,
        label: Int8,
    ) -> None:
        n = len(measured)
        if len(box_px) != n or len(score) != n or len(label) != n:
            raise ValueError(
                f"Tracker.step: columns differ in length: {n} positions, {len(box_px)} boxes, "
                f"{len(score)} scores, {len(label)} labels"
            )
        if not np.isfinite(time_s) or (self._time_s is not None and time_s <= self._time_s):
            raise ValueError(f"Tracker.step: time {time_s} s after {self._time_s} s")
        if n and not (0 <= np.min(label) and np.max(label) <= 2):
            raise ValueError("Tracker.step: a label is no SpermClass")

    def _update(self, time_s: float, measured: Float64, view: View) -> tuple[Int64, Float64]:
        """Correct all tracks; return their own detections (-1: none) and what is explained."""
        tracks, settings = self._tracks, self._settings
        detectable = self._detection_probability(view)
        motion = tracks.motion
        close = self._coalescence.rows(
            time_s, tracks.track_id, tracks.mean, tracks.covariance, tracks.confirmed
        )
        pairs, association = self._associate(measured, detectable, close)
        self.overloads += association.overloads
        seen = update_existence(tracks, association.missed, detectable, settings.gate_probability)
        share = np.minimum(association.paired / tracks.existence[pairs.track], 1.0)
        tracks.motion = self._motion.correct(motion, pairs, share, seen)
        tracks.mean, tracks.covariance = tracks.motion.combined()
        found = seen >= settings.associated
        tracks.coasting = ~found
        tracks.seen_s = np.where(found, time_s, tracks.seen_s)
        tracks.hits = (tracks.hits << 1 | found) & _ALL_HITS
        tracks.steps += 1
        rivals = contested(
            pairs.start, pairs.measurement, share, len(measured), settings.contested_share
        )
        self._contested_id = tracks.track_id[rivals]
        explained: Float64 = np.zeros(len(measured))
        np.add.at(explained, pairs.measurement, association.paired)
        own = _claims(pairs.start, pairs.measurement, share, len(measured), settings.associated)
        return own, explained

    def _detection_probability(self, view: View) -> Float64:
        """Of each track (N,): less at the border, and where two heads may be seen as one."""
        settings = self._settings
        position = self._tracks.mean[:, :2]
        visible = np.clip(0.5 + view.depth_um(position) / settings.head_um, 0.05, 1.0)
        # Only established neighbours count: a second track on one head must not excuse itself.
        apart = nearest_fellow_um(position, self._tracks.confirmed)
        resolved = -np.expm1(-((apart / settings.resolution_um) ** 2))
        detectable: Float64 = settings.detection_probability * visible * resolved
        return detectable

    def _associate(
        self, measured: Float64, detectable: Float64, close: list[tuple[int, int]]
    ) -> tuple[Candidates, Association]:
        """From the gate to the marginals; ``close`` are rows of tracks that might coalesce."""
        settings, motion = self._settings, self._tracks.motion
        covariance = self._motion.innovation_covariance(motion.covariance)
        pairs = gate(motion.mean[:, :, :2], covariance, measured, settings.gate)
        chance = detectable * self._tracks.detectable
        if settings.kernel == "paper":
            weight, miss = paper_weights(pairs.distance2, settings.gate, len(chance))
        else:
            weight, miss = textbook_weights(
                motion.mode, pairs.track, pairs.density, chance, self._clutter_per_um2,
                settings.gate_probability,
            )  # fmt: skip
        association = associate(
            pairs.start,
            pairs.measurement,
            weight,
            pairs.distance2,
            miss,
            len(measured),
            negligible=settings.negligible,
            max_live_bits=settings.max_live_bits,
            narrow_gate=settings.narrow_gate,
        )
        if close:
            self._coalescence.sharpen(pairs, weight, miss, association, close)
        return pairs, association

    def _remember(self, own: Int64, box_px: Float32 | Float64, label: Int8, step_s: float) -> None:
        """Smooth each track's size, and count its votes."""
        tracks = self._tracks
        rows = np.flatnonzero(own >= 0)
        size = np.asarray(box_px, dtype=np.float64).reshape(-1, 4)[own[rows], 2:]
        tracks.size_px[rows] += _SIZE_GAIN * (size - tracks.size_px[rows])
        tracks.votes *= np.exp(-step_s / self._settings.label_s)
        tracks.votes[rows, np.asarray(label)[own[rows]]] += 1.0

    def _end(self, time_s: float, step_s: float, view: View, own: Int64) -> Int64:
        """Confirm and delete; return ``own`` of those that live on."""
        tracks, settings = self._tracks, self._settings
        confirm(tracks, settings)
        clock_shadows(tracks, own, time_s, step_s, settings)
        s = tracks.covariance[:, :2, :2]
        root = np.sqrt(s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] * s[:, 1, 0])
        rows = surviving(
            tracks, time_s, step_s, np.pi * settings.gate * root,
            view.depth_um(tracks.mean[:, :2]), settings,
        )  # fmt: skip
        tracks.keep(rows)
        return own[rows]

    def _begin(
        self,
        time_s: float,
        measured: Float64,
        box_px: Float32 | Float64,
        score: Float32 | Float64,
        label: Int8,
        explained: Float64,
        own: Int64,
    ) -> Int64:
        """Start tracks on unexplained detections; return ``own`` with theirs."""
        tracks, settings = self._tracks, self._settings
        fresh = (explained < 0.5) & np.greater_equal(score, settings.birth_score)
        fresh[own[own >= 0]] = False
        there = tracks.mean[~tracks.coasting, :2]
        if fresh.any() and len(there):
            fresh &= nearest_um(measured, there) > settings.birth_clearance_um
        rows = np.flatnonzero(fresh)
        if len(rows) == 0:
            return own
        motion = self._motion.birth(measured[rows])
        track_id = np.arange(self._next_id, self._next_id + len(rows), dtype=np.int64)
        self._next_id += len(rows)
        size = np.asarray(box_px, dtype=np.float64).reshape(-1, 4)[rows, 2:]
        tracks.append(
            Population.born(track_id, motion, time_s, size, np.asarray(label)[rows], settings)
        )
        return np.concatenate([own, rows])

    def _tell_apart(
        self,
        time_s: float,
        measured: Float64,
        box_px: Float32 | Float64,
        label: Int8,
        own: Int64,
    ) -> Int64:
        """Note what was seen; weigh who is who after encounters; return ``own`` as it is then."""
        tracks, settings = self._tracks, self._settings
        self._frame += 1
        slot = self._frame % TRAIL
        tracks.trail[:, slot] = np.nan
        rows = np.flatnonzero(own >= 0)
        if len(rows):
            size = np.log(
                np.maximum(np.asarray(box_px, np.float64).reshape(-1, 4)[own[rows], 2:], 1e-3)
            )
            told = np.array([0.5, 0.0, 1.0])[np.asarray(label)[own[rows]]]
            tracks.trail[rows, slot] = np.column_stack(
                [np.full(len(rows), time_s), measured[own[rows]], size.sum(axis=1),
                 size[:, 0] - size[:, 1], told]
            )  # fmt: skip
        tracks.identity[time_s > tracks.doubt_until_s] = 1.0
        own = own.copy()
        for verdict in self._meetings.update(
            time_s, tracks.track_id, tracks.mean[:, :2], tracks.confirmed, tracks.trail,
            own >= 0, self._contested_id,
        ):  # fmt: skip
            rows = np.array([k for k in (verdict.first, verdict.second) if k >= 0])
            exchanged = verdict.both and verdict.exchanged > settings.exchange_above
            if exchanged:
                tracks.exchange(verdict.first, verdict.second, verdict.begun_s)
                own[rows] = own[rows[::-1]]
                self.exchanges += 1
            sure = verdict.exchanged if exchanged else 1.0 - verdict.exchanged
            tracks.identity[rows] = np.minimum(tracks.identity[rows], sure)
            tracks.doubt_until_s[rows] = time_s + settings.doubt_s
        return own

    def _adapt(self, step_s: float, explained: Float64, view: View) -> None:
        """Let the clutter density follow the detections that no track explains."""
        settings = self._settings
        gain = -np.expm1(-step_s / settings.clutter_adapt_s)
        seen = (1.0 - explained).sum() / view.area_um2
        self._clutter_per_um2 += float(gain * (seen - self._clutter_per_um2))
        start, factor = settings.clutter_per_um2, settings.clutter_range
        self._clutter_per_um2 = min(max(self._clutter_per_um2, start / factor), start * factor)

    def _report(
        self, time_s: float, measured: Float64, score: Float32 | Float64, own: Int64
    ) -> Tracks:
        tracks = self._tracks
        seen = own >= 0
        raw = np.full((len(tracks), 2), np.nan)
        raw[seen] = measured[own[seen]]
        own_score = np.full(len(tracks), np.nan)
        own_score[seen] = np.asarray(score)[own[seen]]
        state = np.where(
            tracks.confirmed,
            np.where(seen, TrackState.CONFIRMED, TrackState.COASTING),
            TrackState.TENTATIVE,
        )
        report = Tracks(
            time_s=time_s,
            track_id=tracks.track_id.copy(),
            position_um=tracks.mean[:, :2].copy(),
            velocity_um_s=tracks.mean[:, 2:].copy(),
            covariance=tracks.covariance.copy(),
            raw_um=raw,
            size_px=tracks.size_px.copy(),
            score=own_score,
            p_exist=tracks.existence,
            state=state.astype(np.int8),
            label=_elected(tracks.votes),
            detection=own,
            identity=tracks.identity.copy(),
        )
        for name in _REPORTED:
            getattr(report, name).flags.writeable = False
        return report


def _usable(measured: Float64, box_px: Float32 | Float64, score: Float32 | Float64) -> Bool:
    """Tell which detections (N,) are finite in all their numbers."""
    finite: Bool = np.isfinite(measured).all(axis=1) & np.isfinite(score)
    finite &= np.isfinite(np.asarray(box_px, dtype=np.float64).reshape(-1, 4)).all(axis=1)
    return finite


@njit(cache=True, nogil=True)
def _claims(
    start: Int64, measurement: Int64, share: Float64, measurements: int, least: float
) -> Int64:
    """Choose each track's own detection (N,), -1 where none is; no detection twice."""
    tracks = start.shape[0] - 1
    own = np.full(tracks, -1, np.int64)
    holder = np.full(measurements, -1, np.int64)
    best = np.zeros(measurements)
    for i in range(tracks):
        for e in range(start[i], start[i + 1]):
            # Shares of a track sum to one at most: above a half only one can be its own.
            j = measurement[e]
            if share[e] >= least and share[e] > best[j]:
                if holder[j] >= 0:
                    own[holder[j]] = -1
                own[i], holder[j], best[j] = j, i, share[e]
    return own


def _elected(votes: Float64) -> Int8:
    """Class with most votes (N,); unknown only where three in four frames do not tell."""
    known = votes[:, 1:]
    told = known.sum(axis=1) >= 0.25 * votes.sum(axis=1)
    return np.where(told, 1 + known.argmax(axis=1), 0).astype(np.int8)
