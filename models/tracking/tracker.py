"""The tracker: detections of one frame in, tracks as of that frame out."""

from __future__ import annotations

from dataclasses import fields, replace
from math import expm1, isfinite

import numpy as np
from numpy.typing import NDArray

from models.tracking.association import Association, associate, paper_weights, textbook_weights
from models.tracking.coalescence import Coalescence
from models.tracking.evidence import (
    detectable,
    faint_swimmers,
    flawed,
    note,
    report,
    slot_of,
    take_in,
)
from models.tracking.gating import Candidates, candidates
from models.tracking.identity import Meetings
from models.tracking.life import begin, live_on, predict_existence
from models.tracking.motion import MotionModel, advance
from models.tracking.piles import PLENTY, piled
from models.tracking.population import Population
from models.tracking.settings import TrackerSettings
from models.tracking.view import View
from models.types import Float32, Float64, Int8, Int64, Tracks

_REPORTED = tuple(column.name for column in fields(Tracks) if column.name != "time_s")


def warm_up() -> None:
    """Compile (or load) the kernels, so that the first frame is as fast as the others.

    Two sperm pass each other and part, one rests alone, and two come to lie side by side: whatever
    happens to a track, happens here.
    """
    tracker = Tracker()
    view = View.rectangle(0.0, 0.0, 200.0, 100.0)
    for k in range(90):
        along = 100.0 + 2.0 * (k - 45)
        beside = 60.0 + max(0.6, 12.0 - 0.5 * k)
        place = np.array(
            [[along, 50.0], [200.0 - along, 51.0], [100.0, 80.0], [60.0, 80.0], [beside, 80.0]]
        )
        tracker.step(k / 30.0, place, np.full((5, 4), 12.0), np.ones(5), np.ones(5, np.int8), view)


class Tracker:
    """Joint integrated probabilistic data association in the stage frame.

    One thread calls ``step`` once a frame. The time between frames may vary.

    Attributes
    ----------
    overloads : int
        Crowds so far that were too dense to weigh all ways of who is who: clusters too wide for
        exact association, frames in which a track had too many detections in its gate, and frames
        with more encounters than can be kept in mind.
    unusable : int
        Detections so far that were left out, as a number of theirs was not finite.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._motion = MotionModel(self._settings)
        self._tracks = Population(len(self._settings.modes))
        self._clutter_per_um2 = self._settings.clutter_per_um2
        self._time_s: float | None = None
        self._next_id = 1
        self._meetings = Meetings(self._settings)
        self._coalescence = Coalescence(self._settings)
        self._frame = 0
        self.overloads = 0
        self.unusable = 0

    @property
    def exchanges(self) -> int:
        """Times so far that two tracks, parted after an encounter, got each other's sperm back."""
        return self._meetings.exchanges

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
        weak: int = 0,
        chosen: int = 0,
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
        weak : int
            The last so many detections are weak: they continue tracks that move, and begin none.
        chosen : int
            The track that the stage goes after; 0 is none.

        Raises
        ------
        ValueError
            Time does not increase, columns differ in length, or a label is no SpermClass.
        """
        measured = np.ascontiguousarray(position_um, dtype=np.float64).reshape(-1, 2)
        box = np.ascontiguousarray(box_px, dtype=np.float64).reshape(-1, 4)
        scores = np.ascontiguousarray(score, dtype=np.float64)
        labels = np.ascontiguousarray(label, dtype=np.int64)
        self._check(time_s, len(measured), len(box_px), len(scores), len(labels))
        bad, flaws, unknown = flawed(measured, box, scores, labels)
        if unknown:
            raise ValueError("Tracker.step: a label is no SpermClass")
        self.unusable += flaws
        if not flaws and len(measured) > PLENTY:
            bad = piled(measured, scores)
            flaws = int(bad.sum())
            self.overloads += flaws > 0
        if flaws:
            return self._without(bad, time_s, measured, box, scores, labels, view, weak, chosen)
        sure = len(measured) - weak
        step_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        tracks, settings = self._tracks, self._settings
        if step_s > 0.0 and len(tracks):
            advance(tracks.records, *self._motion.matrices(step_s))
            predict_existence(tracks.records, step_s, settings)
        own, explained = np.full(len(measured), -1, np.int64), np.zeros(len(measured))
        contested_id = np.zeros((0, 2), np.int64)
        if len(tracks):
            own, explained, contested_id = self._update(time_s, step_s, measured, view, sure)
            left = live_on(
                tracks.records, own, box, labels, time_s, step_s, view.inward, view.offset_um,
                settings, chosen,
            )  # fmt: skip
            tracks.resize(left)
        explained[sure:] = 1.0  # what is weak begins no track
        own = self._begin(time_s, measured, box, scores, labels, explained, own)
        self._adapt(step_s, explained[:sure], view)
        self._frame += 1
        note(
            tracks.records, own, measured, box, scores, labels, slot_of(self._frame), time_s,
            -expm1(-step_s / settings.score_s),
        )  # fmt: skip
        crowded = self._meetings.crowded
        self._meetings.update(time_s, tracks.records, own, contested_id)
        self.overloads += self._meetings.crowded - crowded
        return self._report(time_s, measured, scores, own)

    def _without(
        self,
        bad: NDArray[np.bool_],
        time_s: float,
        measured: Float64,
        box_px: Float64,
        score: Float64,
        label: Int64,
        view: View,
        weak: int,
        chosen: int,
    ) -> Tracks:
        """Follow with the usable detections alone; rows are those of all."""
        usable = ~bad
        tracks = self.step(
            time_s, measured[usable], box_px[usable], score[usable],
            label[usable].astype(np.int8), view, int(usable[len(usable) - weak :].sum()),
            chosen,
        )  # fmt: skip
        row = np.append(np.flatnonzero(usable), -1)[tracks.detection]
        row.flags.writeable = False
        return replace(tracks, detection=row)

    def _check(self, time_s: float, places: int, boxes: int, scores: int, labels: int) -> None:
        if not places == boxes == scores == labels:
            raise ValueError(
                f"Tracker.step: columns differ in length: {places} positions, {boxes} boxes, "
                f"{scores} scores, {labels} labels"
            )
        if not isfinite(time_s) or (self._time_s is not None and time_s <= self._time_s):
            raise ValueError(f"Tracker.step: time {time_s} s after {self._time_s} s")

    def _update(
        self, time_s: float, step_s: float, measured: Float64, view: View, sure: int
    ) -> tuple[Int64, Float64, Int64]:
        """Correct all tracks; see ``evidence.take_in`` for what is returned."""
        settings, records = self._settings, self._tracks.records
        found, chance = detectable(
            records, view.inward, view.offset_um, settings.detection_probability,
            settings.head_um, settings.resolution_um,
        )  # fmt: skip
        close = self._coalescence.rows(time_s, records)
        pairs, association = self._associate(measured, sure, chance, close)
        self.overloads += association.overloads + (pairs.thinned > 0)
        own, explained, contested_id = take_in(
            records, pairs.start, pairs.measurement, pairs.innovation_um, pairs.density,
            association.missed, association.paired, found, self._motion.variance,
            settings.gate_probability, settings.associated, settings.contested_share, time_s,
            measured, chance, settings.detection_probability, settings.merged_um,
            settings.resolution_um, settings.recall_s, step_s, settings.established_hits,
        )  # fmt: skip
        return own, explained, contested_id

    def _associate(
        self, measured: Float64, sure: int, chance: Float64, close: list[tuple[int, int]]
    ) -> tuple[Candidates, Association]:
        """From the gate to the marginals; from row ``sure`` on detections are weak.

        ``close`` are rows of tracks that might coalesce.
        """
        settings, records = self._settings, self._tracks.records
        some_weak = sure < len(measured)
        takes_weak = np.zeros(len(records), np.bool_)
        if some_weak:
            takes_weak = faint_swimmers(
                records, settings.established_hits, settings.moved_um, settings.moved_um_s,
                settings.faint,
            )  # fmt: skip
        pairs = candidates(
            records["mode_mean"], records["mode_covariance"], self._motion.variance, measured,
            settings.gate, takes_weak, sure,
        )  # fmt: skip
        if settings.kernel == "paper":
            weight, miss = paper_weights(pairs.distance2, settings.gate, len(chance))
        else:
            weight, miss = textbook_weights(
                records["mode"], pairs.track, pairs.density, chance, self._clutter_per_um2,
                settings.gate_probability,
            )  # fmt: skip
        if some_weak:
            weight[pairs.measurement >= sure] *= settings.weak_weight
        association = associate(
            pairs.start,
            pairs.measurement,
            weight,
            pairs.distance2,
            miss,
            len(measured),
            negligible=settings.negligible,
            max_steps=settings.max_steps,
            narrow_gate=settings.narrow_gate,
        )
        if close:
            self._coalescence.sharpen(pairs, weight, miss, association, close)
        return pairs, association

    def _begin(
        self,
        time_s: float,
        measured: Float64,
        box_px: Float64,
        score: Float64,
        label: Int64,
        explained: Float64,
        own: Int64,
    ) -> Int64:
        """Start tracks on unexplained detections; return ``own`` with theirs."""
        tracks, settings, motion = self._tracks, self._settings, self._motion
        count = len(tracks)
        born = begin(
            tracks.room(len(measured)), count, own, self._next_id, time_s, measured, box_px, score,
            label, explained, settings.birth_score, settings.birth_clearance_um,
            settings.birth_existence, motion.variance, motion.speed_variance, motion.prior,
        )  # fmt: skip
        self._next_id += born - count
        tracks.resize(born)
        return own[:born]

    def _adapt(self, step_s: float, explained: Float64, view: View) -> None:
        """Let the clutter density follow the detections that no track explains."""
        settings = self._settings
        gain = -expm1(-step_s / settings.clutter_adapt_s)
        seen = (len(explained) - float(explained.sum())) / view.area_um2
        density = self._clutter_per_um2 + gain * (seen - self._clutter_per_um2)
        start, factor = settings.clutter_per_um2, settings.clutter_range
        self._clutter_per_um2 = min(max(density, start / factor), start * factor)

    def _report(self, time_s: float, measured: Float64, score: Float64, own: Int64) -> Tracks:
        share = self._motion.swing_share
        tracks = Tracks(time_s, *report(self._tracks.records, own, measured, score, share))
        for name in _REPORTED:
            getattr(tracks, name).flags.writeable = False
        return tracks
