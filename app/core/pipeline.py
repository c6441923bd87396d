"""From one frame's detections to everything that is known as of that frame. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from app.core.ranking import Ranking
from calibration.transform import ImageToStage
from models.measure.centre import refine_centres
from models.tracking.border import whole_boxes
from models.tracking.view import View
from models.types import (
    Detections,
    Float32,
    Float64,
    Int8,
    Measurements,
    Perception,
    Tracks,
    TrackState,
    UInt8,
)

_SAME_UM = 0.01
_TOGETHER_UM = 5.0  # heads are found as one up to a head's length apart


class Follower(Protocol):
    """What ``models.tracking.tracker.Tracker`` does; ``overloads`` are counted from the start."""

    overloads: int

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
        """Follow the sperm into the frame of ``time_s``."""
        ...


class Measurer(Protocol):
    """What ``models.measure.live.LiveMotility`` does."""

    def update(self, tracks: Tracks) -> Measurements:
        """Measure each track over the window that ends with this frame."""
        ...


class Assessor(Protocol):
    """What ``models.measure.live_verdict.LiveVerdict`` does."""

    def known(self, tracks: Tracks, measured: Measurements) -> Measurements:
        """Add what is known of shape, verdict, score and reasons to the motility of each track."""
        ...

    def renew(
        self,
        tracks: Tracks,
        measured: Measurements,
        perception: Perception | None,
        image: UInt8 | None = None,
    ) -> None:
        """Learn from a frame what is due; takes longer than there is time before it is shown."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What one frame says.

    Attributes
    ----------
    tracks : Tracks
        Stage frame.
    track_px : (N, 2) float64
        Where they are in the picture, image frame.
    measurements : Measurements
        Same rows as ``tracks``.
    ranking : tuple of int
        Best first if ``judged``, else fastest first.
    first_changes : int
        How often the first place changed so far.
    first_change : str
        Why it changed last.
    overloads : int
        Crowds so far that were too dense to weigh all ways of who is who.
    judged : bool
        Whether ``ranking`` is by score; else it is by speed, and no sperm is judged yet.
    """

    tracks: Tracks
    track_px: Float64
    measurements: Measurements
    ranking: tuple[int, ...]
    first_changes: int = 0
    first_change: str = ""
    overloads: int = 0
    judged: bool = False


class Pipeline:
    """Detections to tracks to measurements to ranking.

    Tracking comes first and alone (``follow``), so that the servo's target leaves before anything
    else of the frame is computed; ``measure`` does what is shown, ``learn`` what can wait.

    Parameters
    ----------
    image_to_stage : ImageToStage
    width_px, height_px : int
        Of the frames.
    tracker : Follower
    motility : Measurer
    assessor : Assessor, optional
        Without one the ranking is by speed.
    """

    def __init__(
        self,
        image_to_stage: ImageToStage,
        width_px: int,
        height_px: int,
        tracker: Follower,
        motility: Measurer,
        assessor: Assessor | None = None,
    ) -> None:
        self._affine = image_to_stage
        self._width_px = width_px
        self._height_px = height_px
        self._tracker = tracker
        self._motility = motility
        self._assessor = assessor
        self._ranking = Ranking(width_px, height_px)
        self._before: Tracks | None = None

    def follow(
        self,
        time_s: float,
        pose_um: Float64,
        detections: Detections,
        image: UInt8 | None = None,
        weak: Detections | None = None,
        chosen: int | None = None,
    ) -> Tracks:
        """Track into the frame exposed at ``time_s`` with the stage at ``pose_um`` (2,).

        Boxes are associated and filtered; with the ``image`` (H, W), what the kinematics are
        measured from (``raw_um``) is the middle of each head in the picture instead. ``weak`` may
        continue tracks that move; ``Tracks.detection`` is a row of ``detections`` alone.
        ``chosen`` is the track that the stage goes after.
        """
        found = detections if weak is None else _joined(detections, weak)
        box_px = self._whole(found.box_px, time_s, pose_um)
        position_um = self._affine.image_to_stage(box_px[:, :2].astype("float64"), pose_um)
        view = View.of_picture(
            self._affine.image_to_stage(self._middle_px(), pose_um),
            self._affine.matrix_um_per_px,
            self._width_px,
            self._height_px,
        )
        tracks = self._tracker.step(
            time_s, position_um, box_px, found.score, found.label, view,
            len(found) - len(detections), chosen or 0,
        )  # fmt: skip
        self._before = tracks
        if not len(found):
            return tracks
        row_told = np.where(tracks.detection < len(detections), tracks.detection, -1)
        row_told.setflags(write=False)
        told = replace(tracks, shared_um=_shared(tracks, position_um), detection=row_told)
        if image is None:
            return told
        head_um = self._affine.image_to_stage(refine_centres(image, found.box_px), pose_um)
        own = tracks.detection >= 0
        row = np.where(own, tracks.detection, 0)
        # A measurement that two heads share is no one's own.
        own &= np.hypot(*(tracks.raw_um - position_um[row]).T) < _SAME_UM
        raw_um = np.where(own[:, None], head_um[row], tracks.raw_um)
        return replace(told, raw_um=raw_um)

    def _whole(self, box_px: Float32, time_s: float, pose_um: Float64) -> Float32:
        """Let boxes (N, 4) that the border cuts reach beyond it, by what was followed there."""
        before = self._before
        if before is None:
            return box_px
        expected_um = before.position_um + before.velocity_um_s * (time_s - before.time_s)
        track_px = self._affine.stage_to_image(expected_um, pose_um)
        return whole_boxes(box_px, track_px, before.size_px, self._width_px, self._height_px)

    def measure(self, tracks: Tracks, pose_um: Float64) -> Findings:
        """Measure and rank the tracks of a frame taken with the stage at ``pose_um`` (2,).

        Shapes and verdicts are as of the last ``learn``.
        """
        track_px = self._affine.stage_to_image(tracks.position_um, pose_um)
        track_px.setflags(write=False)
        measurements = self._motility.update(tracks)
        if self._assessor is not None:
            measurements = self._assessor.known(tracks, measurements)
        order = self._ranking.update(tracks, track_px, measurements)
        return Findings(
            tracks, track_px, measurements, order, self._ranking.changes, self._ranking.change,
            self._tracker.overloads, self._ranking.judged,
        )  # fmt: skip

    def learn(self, findings: Findings, perception: Perception, image: UInt8 | None = None) -> None:
        """Renew shapes and verdicts from a frame that has been shown already.

        With the ``image`` (H, W) heads are fitted to the picture, else outlined by the network.
        """
        if self._assessor is not None:
            self._assessor.renew(findings.tracks, findings.measurements, perception, image)

    def _middle_px(self) -> Float64:
        return ImageToStage.nominal(1.0, self._width_px, self._height_px).centre_px


def _joined(found: Detections, weak: Detections) -> Detections:
    return Detections(
        np.concatenate((found.box_px, weak.box_px)),
        np.concatenate((found.score, weak.score)),
        np.concatenate((found.label, weak.label)),
    )


def _shared(tracks: Tracks, position_um: Float64) -> Float64:
    """Find, for tracks without a detection of their own, one (N, 2) that they may share."""
    shared_um = np.full((len(tracks), 2), np.nan)
    for row in np.flatnonzero(tracks.state == TrackState.COASTING):
        away_um = np.hypot(*(position_um - tracks.position_um[row]).T)
        # A detection that is no number would be the least of all.
        nearest = int(np.where(np.isnan(away_um), np.inf, away_um).argmin())
        if away_um[nearest] <= _TOGETHER_UM:
            shared_um[row] = position_um[nearest]
    shared_um.setflags(write=False)
    return shared_um
