"""Verdicts while the sperm swim: shapes twice a second, speeds over seconds, and a score.

Costs little between: a frame's shapes are measured every ``SHAPES_S``, its heads fitted to the
picture a few at a time in the frames that follow, verdicts renewed every ``VERDICT_S``, and what is
known of each track is repeated in the frames between. Time is that of the frames; nothing depends
on how many there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from models.measure.grey_head import with_grey_heads
from models.measure.motility import COLUMNS as MOTILITY
from models.measure.motility import OK, RATIOS
from models.measure.paper_head import with_paper_heads
from models.measure.profile import CriteriaProfile, named_profile
from models.measure.reasons import beat_unseen, reasons
from models.measure.shape_record import COLUMNS as SHAPE
from models.measure.shape_record import Shape, ShapeRecord
from models.measure.shapes import Shapes, measure_shapes
from models.measure.soft import Planes, planes_of
from models.measure.verdict import GRADES, judge
from models.types import Float32, Float64, Int64, Measurements, Perception, Tracks, UInt8

SHAPES_S = 0.45
VERDICT_S = 0.33
_FITTED_BY = 0.7  # of that time: all heads of a frame are fitted
# Speeds of one second waver with the path; a verdict rests on some seconds.
_STEADY_S = 1.5
# Whether it beats shows in two to four of them: of one second alone a sperm's beat can be missed.
_BEAT_S = 4.0
# One that was seen to beat does until this little is left of it: jitter alone gives 0.7.
_LEAST_BEAT = 0.85
# Relative standard uncertainty of a live speed, and of a ratio; from specimens.
_SPEED_SD = 0.08
_RATIO_SD = 0.05
_STEADIED = (*MOTILITY, "swing")
_MEMORY_S = np.array([_STEADY_S] * len(MOTILITY) + [_BEAT_S])
_OUT = (*SHAPE, "score", "score_sd", "morphology_normal", "motility_normal", "healthy", "frames")
_UNKNOWN = (math.nan,) * len(_OUT)


@dataclass(slots=True)
class _Looked:
    """A frame whose heads are being fitted, ``done`` of its tracks by now."""

    time_s: float
    image: UInt8
    planes: Planes
    box_px: Float32
    shapes: Shapes
    track_id: Int64
    detection: Int64
    done: int = 0


@dataclass(slots=True)
class _Known:
    """One track: steady speeds, its shape, and what was said of it last."""

    speeds: Float64 = field(default_factory=lambda: np.full(len(_STEADIED), np.nan))
    time_s: float = -math.inf
    beats: bool = False
    shape: Shape | None = None
    frames: int = 0
    row: tuple[float, ...] = _UNKNOWN
    grade: str = ""
    reasons: tuple[str, ...] = ()


class LiveVerdict:
    """Adds shape, verdict, score and reasons to live motility; one thread calls both methods.

    Parameters
    ----------
    um_per_px : float
    height_px, width_px : int
        Of the frames.
    profile : CriteriaProfile, optional
        The default profile when left out.

    Attributes
    ----------
    record : ShapeRecord
        What was seen of each track's shape.
    """

    def __init__(
        self,
        um_per_px: float,
        height_px: int,
        width_px: int,
        profile: CriteriaProfile | None = None,
    ) -> None:
        self.profile = profile or named_profile()
        self._size = (height_px, width_px)
        self._um_per_px = um_per_px
        self.record = ShapeRecord(um_per_px)
        self._looked: _Looked | None = None
        self._known: dict[int, _Known] = {}
        self._shaped_s = self._judged_s = -math.inf

    def renew(
        self,
        tracks: Tracks,
        measured: Measurements,
        perception: Perception | None,
        image: UInt8 | None = None,
    ) -> None:
        """Measure shapes and renew verdicts, if it is time to: some milliseconds.

        Parameters
        ----------
        tracks : Tracks
        measured : Measurements
            Live motility of the same rows.
        perception : Perception or None
            Of this frame; None, or one without parts, shows no shapes.
        image : (H, W) uint8, optional
            Of this frame; it is kept for a while, and not changed. Without it heads are measured
            by the network's outline alone. The paper's estimators have no use for it.
        """
        time_s = tracks.time_s
        if time_s < max(self._shaped_s, self._judged_s):  # the clock was set back
            self._shaped_s = self._judged_s = -math.inf
            self._looked = None
        if perception is not None and time_s - self._shaped_s >= SHAPES_S:
            planes = planes_of(perception)
            if planes is not None:
                self._fit_some(math.inf)
                self._shaped_s = time_s
                box_px = perception.detections.box_px
                shapes = measure_shapes(planes, box_px, *self._size)
                ids, detection = tracks.track_id, tracks.detection
                if self.profile.estimators == "paper" and perception.part_map is not None:
                    # Cheap: a crop of the part map a head, nothing is fitted.
                    shapes = with_paper_heads(shapes, perception.part_map, box_px)
                    self.record.add(ids, detection, shapes)
                elif image is None:
                    self.record.add(ids, detection, shapes)
                else:
                    self._looked = _Looked(time_s, image, planes, box_px, shapes, ids, detection)
                return  # the verdicts wait for the next frame: never both at once
        self._fit_some(time_s)
        if time_s - self._judged_s >= VERDICT_S:
            self._judged_s = time_s
            self._judge(tracks, measured)

    def known(self, tracks: Tracks, measured: Measurements) -> Measurements:
        """Add what is known of each track by now to its live motility."""
        known = [self._known.get(track) for track in tracks.track_id.tolist()]
        table = np.array([_UNKNOWN if one is None else one.row for one in known])
        table = table.reshape(len(known), len(_OUT))
        table.flags.writeable = False
        return Measurements(
            measured.track_id,
            measured.values | {name: table[:, k] for k, name in enumerate(_OUT)},
            measured.quality,
            tuple("" if one is None else one.grade for one in known),
            tuple(() if one is None else one.reasons for one in known),
        )

    def _fit_some(self, time_s: float) -> None:
        """Fit as many heads as are due, so that all are done well before the next frame's."""
        looked = self._looked
        if looked is None:
            return
        count = len(looked.track_id)
        share = (time_s - looked.time_s) / (_FITTED_BY * SHAPES_S)
        due = count if share >= 1.0 else math.ceil(count * share)
        if due > looked.done:
            now = slice(looked.done, due)
            rows = looked.detection[now]
            shapes = with_grey_heads(
                looked.shapes, looked.planes, looked.image, looked.box_px, self._um_per_px,
                rows[rows >= 0],
            )  # fmt: skip
            self.record.add(looked.track_id[now], rows, shapes)
            looked.done = due
        if looked.done == count:
            self._looked = None

    def _judge(self, tracks: Tracks, measured: Measurements) -> None:
        present = tracks.track_id.tolist()
        for gone in self._known.keys() - set(present):
            del self._known[gone]
        self.record.keep(tracks.track_id)
        rows = [self._known.setdefault(track, _Known()) for track in present]
        for k, (track, one) in enumerate(zip(present, rows, strict=True)):
            if measured.quality[k] == OK:
                speeds = np.array(
                    [measured.values[n][k] if n in measured.values else np.nan for n in _STEADIED]
                )
                _steady(one, speeds, tracks.time_s)
            elif tracks.time_s - one.time_s > _BEAT_S:
                # It may have died since: what was measured so long ago is not how it swims.
                one.speeds, one.beats = np.full(len(_STEADIED), np.nan), False
            self._look_at_shape(track, one)
        values, spread = _columns(rows)
        if self.profile.estimators == "paper":
            # What these give is the head's angle to the picture, which is no bend of the neck.
            values["head_angle_deg"] = spread["head_angle_deg"] = np.full(len(rows), np.nan)
        if "vcl_noise_um_s" in measured.values:
            values["vcl_noise_um_s"] = measured.values["vcl_noise_um_s"]
        verdicts = judge(values, self.profile, spread)
        rates_hz = measured.values.get("frame_rate_hz", np.full(len(rows), np.nan))
        terms = [term.measure for term in self.profile.term]
        for k, one in enumerate(rows):
            shape = one.shape
            one.grade = GRADES[verdicts.grade[k]]
            one.row = (
                *(values[name][k] for name in SHAPE), verdicts.score[k], verdicts.score_sd[k],
                verdicts.morphology_normal[k], verdicts.motility_normal[k], verdicts.healthy[k],
                math.nan if shape is None else float(shape.frames[0]),
            )  # fmt: skip
            frames = {} if shape is None else dict(zip(SHAPE, shape.frames.tolist(), strict=True))
            found = reasons(
                {name: float(values[name][k]) for name in terms},
                dict(zip(terms, verdicts.merit[:, k].tolist(), strict=True)),
                self.profile,
                {name: float(spread[name][k]) for name in terms},
                frames,
                carried=bool(verdicts.carried[k]),
            )
            texts = [reason.text for reason in found]
            if measured.quality[k] == OK and (unseen := beat_unseen(float(rates_hz[k]))):
                texts.append(unseen)
            if shape is not None and shape.why_not:
                texts.insert(0, f"head: {shape.why_not}")
            one.reasons = tuple(texts)

    def _look_at_shape(self, track: int, one: _Known) -> None:
        """Renew the shape when there are new frames; less often once there are many."""
        frames = self.record.frames(track)
        if frames == one.frames and one.shape is not None:
            return
        if frames < 16 or frames - one.frames >= 4 or one.shape is None:
            one.shape, one.frames = self.record.shape(track), frames


def _steady(one: _Known, speeds: Float64, time_s: float) -> None:
    """Take new speeds into the means, which forget over ``_MEMORY_S``."""
    share = 1.0 - np.exp(-(time_s - one.time_s) / _MEMORY_S)
    old = np.where(np.isfinite(one.speeds), one.speeds, speeds)
    # A ratio that is no longer known was that of a sperm that swam.
    one.speeds = old + np.clip(share, 0.0, 1.0) * (speeds - old)
    one.time_s = time_s
    one.beats = bool(one.speeds[-1] > (_LEAST_BEAT if one.beats else 1.0))


def _columns(rows: list[_Known]) -> tuple[dict[str, Float64], dict[str, Float64]]:
    """Values and uncertainties of all tracks, by column."""
    unknown = np.full(len(SHAPE), np.nan)
    speeds = np.array([one.speeds for one in rows]).reshape(len(rows), len(_STEADIED))
    shapes = [one.shape for one in rows]
    shape = np.array([unknown if s is None else s.values for s in shapes])
    shape_sd = np.array([unknown if s is None else s.uncertainty for s in shapes])
    shape, shape_sd = (a.reshape(len(rows), len(SHAPE)) for a in (shape, shape_sd))
    values = {name: speeds[:, k] for k, name in enumerate(_STEADIED)}
    values["swing"] = np.where([one.beats for one in rows], np.inf, values["swing"])
    spread = {
        name: np.full(len(rows), _RATIO_SD) if name in RATIOS else _SPEED_SD * values[name]
        for name in MOTILITY
    }
    values |= {name: shape[:, k] for k, name in enumerate(SHAPE)}
    spread |= {name: shape_sd[:, k] for k, name in enumerate(SHAPE)}
    return values, spread
