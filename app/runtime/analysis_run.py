"""One analysis under way: each frame's findings go to the files as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.pipeline import Pipeline
from app.records.criteria import read_criteria
from app.records.drawing import OverlayPainter
from app.records.edit import forget_edits
from app.records.export import (
    DETECTIONS,
    SPERM,
    TRACKS,
    TableWriter,
    label_text,
    to_parquet,
    write_table,
)
from app.records.labelme import write_labelme
from app.records.masks import MaskWriter
from app.records.shape_table import SHAPES, shape_columns
from app.records.store import software_version
from app.records.track_table import TrackTable
from app.records.video import FilmWriter
from app.runtime.overlay import OverlayFrame, OverlayThread
from calibration.transform import ImageToStage
from drivers.types import Frame
from models.measure.grey_head import with_grey_heads
from models.measure.instances import identity_map
from models.measure.live import LiveMotility
from models.measure.paper_head import with_paper_heads
from models.measure.profile import DEFAULT
from models.measure.shape_record import ShapeRecord
from models.measure.shapes import Shapes, measure_shapes
from models.measure.soft import planes_of
from models.tracking.settings import TrackerSettings
from models.tracking.tracker import Tracker
from models.types import Detections, Perception, Tracks, UInt8

NOMINAL_UM_PER_PX = 0.495
_LABELME_EVERY = 10
_SHAPES_S = 0.1  # frames nearer to each other show the same
_REST_UM = np.zeros(2)


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What is wanted of each recording.

    Attributes
    ----------
    um_per_px : float or None
        Pixel size; None takes 0.495 um (20x, pixels of 9.9 um) and says so.
    fps : float or None
        Overrules the frame rate and time stamps of the file.
    overlay, labelme, masks : bool
        Write overlay.mp4; predictions of every tenth frame for labelme; masks.json.
    online : bool
        Positions as the tracker knew them in each frame, not smoothed afterwards.
    criteria : str
        Profile of what counts as normal: a name, or a TOML file.
    """

    um_per_px: float | None = None
    fps: float | None = None
    overlay: bool = False
    labelme: bool = False
    masks: bool = True
    online: bool = False
    criteria: str = DEFAULT


class AnalysisRun:
    """Files of one analysis, and the way of each frame into them.

    Parameters
    ----------
    folder : Path
        Exists.
    width_px, height_px : int
        Of the pictures.
    options : AnalysisOptions
    facts : dict
        More for the summary: input, detector.
    """

    def __init__(
        self,
        folder: Path,
        width_px: int,
        height_px: int,
        options: AnalysisOptions,
        facts: dict[str, object],
    ) -> None:
        self._folder = folder
        self._options = options
        self._um_per_px = options.um_per_px or NOMINAL_UM_PER_PX
        self._tracker_settings = TrackerSettings()
        self._transform = ImageToStage.nominal(self._um_per_px, width_px, height_px)
        self._tracker = Tracker(self._tracker_settings)
        self._pipeline = Pipeline(
            self._transform, width_px, height_px, self._tracker, LiveMotility()
        )
        self._judged_by = read_criteria(options.criteria)
        self._criteria = self._judged_by.profile
        self._table = TrackTable(self._transform, self._tracker_settings, self._criteria)
        self._shapes = ShapeRecord(self._um_per_px)
        self._shaped_s: float | None = None
        self._findings: dict[str, object] = {}
        self._rows: TableWriter | None = None
        self._detections: TableWriter | None = None
        self._masks: MaskWriter | None = None
        self._shape_rows: TableWriter | None = None
        self._overlay: OverlayThread | None = None
        self._stack = ExitStack()
        self._facts = {**facts, "width_px": width_px, "height_px": height_px}
        self._tracks = 0
        self.frames = 0

    @contextmanager
    def open(self, frame_rate_hz: float | None = None) -> Iterator[None]:
        """Open the files that grow; on leaving, whatever happened, complete all of them.

        Without ``frame_rate_hz`` there are no pictures: only tracks are written.
        """
        with self._stack as stack:
            stack.callback(self._finish)
            forget_edits(self._folder)
            self._rows = stack.enter_context(TableWriter(self._folder / "tracks.csv", TRACKS))
            if frame_rate_hz is not None:
                self._detections = stack.enter_context(
                    TableWriter(self._folder / "detections.csv", DETECTIONS)
                )
                if self._options.overlay:
                    film = FilmWriter(self._folder / "overlay.mp4", frame_rate_hz)
                    self._overlay = OverlayThread(OverlayPainter(self._um_per_px), film)
                    stack.callback(self._overlay.close)
            yield

    def see(self, frame: Frame, perception: Perception) -> None:
        """Take in one frame of a recording."""
        found, number = perception.detections, frame.number
        if self._detections is not None:
            x, y, w, h = found.box_px.T
            self._detections.write(
                {
                    "frame": np.full(len(found), number),
                    "time_s": np.full(len(found), frame.time_s),
                    "x_px": x, "y_px": y, "w_px": w, "h_px": h, "score": found.score,
                    "label": label_text(found.label),
                }
            )  # fmt: skip
        tracks = self.follow(number, frame.time_s, found, frame.image, perception.weak)
        shapes = self._see_shapes(frame, perception, tracks)
        class_map = perception.class_map
        keep_masks = class_map is not None and self._options.masks
        to_correct = self._options.labelme and number % _LABELME_EVERY == 0
        owner, track_id = None, _tracks_of(len(found), tracks)
        if shapes is not None and perception.part_map is not None and class_map is not None:
            if keep_masks or to_correct:
                owner = identity_map(class_map, perception.part_map, found.box_px, shapes)
        if class_map is not None and keep_masks:
            if self._masks is None:
                self._masks = MaskWriter(self._folder / "masks.json")
                self._stack.callback(self._masks.close)
            self._masks.write(number, class_map, owner, track_id)
        if self._overlay is not None:
            seen = np.isfinite(tracks.raw_um)
            head_um = np.where(seen, tracks.raw_um, tracks.position_um)
            track_px = self._transform.stage_to_image(head_um, _REST_UM)
            self._overlay.put(OverlayFrame(frame.image, tracks, track_px, class_map, number))
        if to_correct:
            folder = self._folder / "labelme"
            write_labelme(folder, number, frame.image, perception, owner, track_id)

    def _see_shapes(self, frame: Frame, perception: Perception, tracks: Tracks) -> Shapes | None:
        """Measure heads and tails; keep them ten times a second of the recording."""
        planes = planes_of(perception)
        if planes is None:
            return None
        box_px = perception.detections.box_px
        shapes = measure_shapes(planes, box_px, *frame.image.shape)
        if self._shaped_s is None or frame.time_s - self._shaped_s >= _SHAPES_S - 1e-6:
            self._shaped_s = frame.time_s
            parts = perception.part_map if self._criteria.estimators == "paper" else None
            if parts is not None:
                kept = with_paper_heads(shapes, parts, box_px)
            else:
                kept = with_grey_heads(shapes, planes, frame.image, box_px, self._um_per_px)
            self._shapes.add(tracks.track_id, tracks.detection, kept)
            if self._shape_rows is None:
                path = self._folder / "shapes.csv"
                self._shape_rows = self._stack.enter_context(TableWriter(path, SHAPES))
            angled = parts is not None
            self._shape_rows.write(shape_columns(frame.number, tracks, kept, image_angle=angled))
        return shapes

    def follow(
        self,
        number: int,
        time_s: float,
        found: Detections,
        image: UInt8 | None = None,
        weak: Detections | None = None,
    ) -> Tracks:
        """Track into one frame; ``image`` tells finer than boxes where the heads are.

        ``weak`` is what may continue a track, but begins none.
        """
        tracks = self._pipeline.follow(time_s, _REST_UM, found, image, weak)
        rows = self._table.add(number, tracks)
        if self._rows is not None:
            self._rows.write(rows)
        self.frames += 1
        return tracks

    def summary(self) -> dict[str, object]:
        """Say what was done and found; known once the files are complete."""
        return {
            **self._facts,
            "frames": self.frames,
            "tracks": self._tracks,
            "um_per_px": self._um_per_px,
            "um_per_px_assumed": self._options.um_per_px is None,
            "overloads": self._tracker.overloads,
            "criteria": self._criteria.name,
            "medium": self._criteria.medium,
            "temperature_c": self._criteria.temperature_c,
            **self._findings,
            "out": str(self._folder),
        }

    def _finish(self) -> None:
        """Replace the tracks as known on line by those known now; write the tables that need it."""
        shaped = None if self._shaped_s is None else self._shapes
        tables = self._table.finish(online=self._options.online, shapes=shaped)
        self._tracks = tables.count
        self._findings = tables.findings()
        write_table(self._folder / "tracks.csv", TRACKS, tables.tracks)
        write_table(self._folder / "sperm.csv", SPERM, tables.sperm)
        about = {"um_per_px": str(self._um_per_px), "software": f"sfcscope {software_version()}"}
        # VCL, ALH and BCF mean nothing without the rate at which the sperm was looked at.
        about |= {"frame_rate_hz": f"{tables.frame_rate_hz:.3f}", "criteria": self._criteria.name}
        tables_written = [("tracks", TRACKS), ("sperm", SPERM)]
        tables_written += [("detections", DETECTIONS)] * (self._detections is not None)
        tables_written += [("shapes", SHAPES)] * (self._shape_rows is not None)
        for name, schema in tables_written:
            to_parquet(self._folder / f"{name}.csv", schema, about)
        document = self.summary() | {
            "software": software_version(),
            "options": asdict(self._options),
            "tracker": asdict(self._tracker_settings),
            "criteria_profile": self._judged_by.record(),
        }
        text = json.dumps(document, indent=1)
        (self._folder / "analysis.json").write_text(text + "\n", encoding="utf-8")


def _tracks_of(count: int, tracks: Tracks) -> NDArray[np.int64]:
    """Track of each of ``count`` detections; 0 where there is none."""
    track_id = np.zeros(count, np.int64)
    seen = tracks.detection >= 0
    track_id[tracks.detection[seen]] = tracks.track_id[seen]
    return track_id
