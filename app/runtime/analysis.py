"""The verbs analyze and track: recordings, or detections, to tables and an overlay."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from app.records.criteria import load_criteria
from app.records.export import DETECTIONS, label_value, read_columns
from app.runtime.analysis_run import NOMINAL_UM_PER_PX, AnalysisOptions, AnalysisRun
from app.runtime.film_progress import FilmProgress
from app.runtime.lookahead import detect_ahead
from drivers.video_file import VideoFile
from models.detector import Detector
from models.errors import DataError, NoWeights
from models.measure.profile import DEFAULT
from models.resampled import at_known_size
from models.tracking.tracker import warm_up as warm_up_tracker
from models.types import Detections, Float64

# Where a table of detections has no sizes.
_HEAD_PX = 10.0
# Frames in the network at once; more only take memory, as tracking and drawing need cores too.
_MOST_SIDE_BY_SIDE = 8


def analyze(
    paths: Sequence[Path],
    out: Path,
    *,
    um_per_px: float | None = None,
    fps: float | None = None,
    overlay: bool = False,
    labelme: bool = False,
    masks: bool = True,
    online: bool = False,
    criteria: str = DEFAULT,
    workers: int = 1,
    detector: Detector | None = None,
) -> dict[str, object]:
    """Analyse recordings: detections.csv, tracks.csv, sperm.csv and more, for each.

    One recording is written to ``out`` itself, several to a folder each below it. The tables grow
    while the recording is read, and are completed even if it is cut short or interrupted.

    Parameters
    ----------
    paths : sequence of Path
    out : Path
    um_per_px, fps, overlay, labelme, masks, online, criteria
        See AnalysisOptions.
    workers : int
        Recordings at the same time, in processes of their own.
    detector : Detector or None
        None takes the network with the weights that are shipped.

    Returns
    -------
    dict
        ``inputs``: for each recording frames, fps_mean (from the first frame done to the last
        table: without what a first start compiles), tracks, seconds and more; with a single
        recording the same keys stand at the top too.

    Raises
    ------
    CameraError
        A recording that is missing, unreadable, or cut short.
    """
    options = AnalysisOptions(um_per_px, fps, overlay, labelme, masks, online, criteria)
    load_criteria(criteria)  # a wrong name is told at once
    paths = [Path(path) for path in paths]
    if not paths:
        raise DataError("analyze: no recording; name one or more")
    for path in paths:  # rather now than after an hour of work
        video = VideoFile(path, realtime=False, frame_rate_hz=fps)
        video.open()
        video.close()
    folders = _folders(paths, Path(out))
    if workers > 1 and len(paths) > 1 and detector is None:
        with ProcessPoolExecutor(min(workers, len(paths)), get_context("spawn")) as pool:
            inputs = list(pool.map(_analyze_alone, paths, folders, [options] * len(paths)))
    else:
        chosen, notice, side_by_side = detector, "", 1
        if chosen is None:
            side_by_side = min(os.cpu_count() or 1, _MOST_SIDE_BY_SIDE)
            chosen, notice = default_detector(threads=1)
            chosen = at_known_size(chosen, um_per_px)
        inputs = [
            analyze_recording(
                path, folder, chosen, options, notice=notice, side_by_side=side_by_side
            )
            for path, folder in zip(paths, folders, strict=True)
        ]
    top = inputs[0] if len(inputs) == 1 else {}
    return {**top, "inputs": inputs}


def track(
    detections: Path,
    out: Path,
    *,
    um_per_px: float | None = None,
    fps: float | None = None,
    online: bool = False,
    criteria: str = DEFAULT,
) -> dict[str, object]:
    """Track a table of detections, without pictures: tracks.csv and sperm.csv.

    Columns frame, x_px and y_px are needed, and time_s unless ``fps`` is given; without the
    others a head is 10 px wide and of no known class. The picture's size is read from the
    analysis.json beside the table; without that, the detections' extent is taken for it.

    Raises
    ------
    DataError
        A table that is missing or cannot be tracked.
    """
    begin_s = time.perf_counter()
    source, out = Path(detections), Path(out)
    times_s, frames = _read_detections(source, fps)
    width_px, height_px = _picture_size(source, frames)
    out.mkdir(parents=True, exist_ok=True)
    warm_up_tracker()
    options = AnalysisOptions(um_per_px=um_per_px, fps=fps, online=online, criteria=criteria)
    facts: dict[str, object] = {"input": str(source), "notice": _assumption(source, options)}
    run = AnalysisRun(out, width_px, height_px, options, facts)
    with run.open():
        for k, (time_s, found) in enumerate(zip(times_s.tolist(), frames, strict=True)):
            run.follow(k, time_s, found)
    return run.summary() | {"seconds": time.perf_counter() - begin_s}


def _assumption(source: Path, options: AnalysisOptions) -> str:
    """Tell the operator once that micrometres rest on an assumption; empty when they do not."""
    if options.um_per_px is not None:
        return ""
    text = (
        f"pixel size not given: {NOMINAL_UM_PER_PX} um assumed for lengths, speeds and verdicts; "
        "give --um-per-px"
    )
    print(f"sfcscope: {source}: {text}", file=sys.stderr)
    return text


def default_detector(*, threads: int) -> tuple[Detector, str]:
    """Build the network as shipped, or the classical detector and a notice that says why.

    ``threads`` of the processor work on one frame. Weights that are there but damaged are no
    reason to do with less: ModelError.
    """
    from models.sfcnet.runtime import load_shipped, use_threads

    use_threads(threads)
    try:
        return load_shipped(), ""
    except NoWeights as error:
        from models.threshold import ThresholdDetector

        notice = f"no network ({error}): the classical detector stands in, without masks or classes"
        print(f"sfcscope: {notice}", file=sys.stderr)
        return ThresholdDetector(), notice


def analyze_recording(
    path: Path,
    folder: Path,
    detector: Detector,
    options: AnalysisOptions,
    *,
    notice: str = "",
    side_by_side: int = 1,
    bar: bool | None = None,
) -> dict[str, object]:
    """Analyse one recording into ``folder``; returns its part of the result.

    ``side_by_side`` frames are in the detector at the same time; ``bar`` is that of FilmProgress.
    """
    begin_s = time.perf_counter()
    video = VideoFile(path, realtime=False, frame_rate_hz=options.fps)
    video.open()
    rate_hz, total = video.frame_rate_hz, video.frame_count
    width_px, height_px = video.width_px, video.height_px
    video.close()
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{path.name}: starting {detector.name}; the first start on a machine compiles for a "
        "minute or two",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    warm_up_tracker()
    detector.warm_up(height_px, width_px)
    notice = "; ".join(filter(None, [notice, _assumption(path, options)]))
    facts = {
        "input": str(path), "detector": detector.name, "notice": notice, "frame_rate_hz": rate_hz,
    }  # fmt: skip
    run = AnalysisRun(folder, width_px, height_px, options, facts)
    progress = FilmProgress(path.name, total, bar=bar, clock=time.perf_counter)
    with run.open(rate_hz), closing(progress):
        for frame, perception in detect_ahead(video.frames(), detector, side_by_side):
            run.see(frame, perception)
            progress.seen()
    done_s = time.perf_counter()
    return run.summary() | {
        "fps_mean": progress.rate_hz(done_s),
        "seconds": done_s - begin_s,
    }


def _analyze_alone(path: Path, folder: Path, options: AnalysisOptions) -> dict[str, object]:
    """Analyse in a process of its own, on one core."""
    detector, notice = default_detector(threads=1)
    detector = at_known_size(detector, options.um_per_px)
    # Bars of several processes would write over each other.
    return analyze_recording(path, folder, detector, options, notice=notice, bar=False)


def _folders(paths: Sequence[Path], out: Path) -> list[Path]:
    """One folder for each recording; recordings of one name get a number."""
    if len(paths) == 1:
        return [out]
    folders: list[Path] = []
    for path in paths:
        folder, count = out / path.stem, 1
        while folder in folders:
            count += 1
            folder = out / f"{path.stem}_{count}"
        folders.append(folder)
    return folders


def _read_detections(path: Path, fps: float | None) -> tuple[Float64, list[Detections]]:
    """Time of every frame from 0 to the last one, and what was found in it."""
    columns = read_columns(path, DETECTIONS, required=("frame", "x_px", "y_px"))
    number = {
        name: np.asarray(column, dtype=np.float64)
        for name, column in columns.items()
        if name != "label"
    }
    frame = number["frame"]
    if not len(frame):
        raise DataError(f"{path}: holds no detection; nothing to track")
    for name in ("frame", "x_px", "y_px"):
        bad = np.flatnonzero(~np.isfinite(number[name]))
        if len(bad):
            raise DataError(f"{path}: line {bad[0] + 2}: {name} is empty; fill it in")
    if (frame < 0).any() or (frame % 1 != 0).any():
        raise DataError(f"{path}: frame must count 0, 1, 2, ...; number the frames so")
    row_frame = frame.astype(np.int64)
    order = np.argsort(row_frame, kind="stable")
    bounds = np.searchsorted(row_frame[order], np.arange(row_frame.max() + 2))
    n = len(frame)
    box = np.stack(
        [
            number["x_px"], number["y_px"],
            np.nan_to_num(number.get("w_px", np.full(n, _HEAD_PX)), nan=_HEAD_PX),
            np.nan_to_num(number.get("h_px", np.full(n, _HEAD_PX)), nan=_HEAD_PX),
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    score = np.nan_to_num(number.get("score", np.ones(n)), nan=1.0).astype(np.float32)
    label = label_value(columns["label"].tolist()) if "label" in columns else np.zeros(n, np.int8)
    frames = [
        Detections(box[rows], score[rows], label[rows])
        for rows in (order[a:b] for a, b in pairwise(bounds.tolist()))
    ]
    return _frame_times(path, row_frame, number.get("time_s"), fps), frames


def _frame_times(
    path: Path, frame: np.ndarray[tuple[int], np.dtype[np.int64]], time_s: Float64 | None,
    fps: float | None,
) -> Float64:  # fmt: skip
    """Time of each frame; frames without any detection lie between their neighbours."""
    every = np.arange(int(frame.max()) + 1)
    if fps is not None:
        stated: Float64 = every / fps
        return stated
    if time_s is None or not np.isfinite(time_s).all():
        raise DataError(f"{path}: time_s is missing; fill it in, or state the frame rate (--fps)")
    known, row = np.unique(frame, return_index=True)
    times = time_s[row]
    if not (np.diff(times) > 0).all():
        raise DataError(f"{path}: time_s must increase with frame; correct it, or state --fps")
    # With a single frame there is no rate, and none is needed.
    step_s = float(np.median(np.diff(times) / np.diff(known))) if len(known) > 1 else 1.0
    before = times[0] + (every - known[0]) * step_s
    filled: Float64 = np.where(every < known[0], before, np.interp(every, known, times))
    return filled


def _picture_size(path: Path, frames: Sequence[Detections]) -> tuple[int, int]:
    """Columns and rows of the pictures that the detections come from."""
    about = path.with_name("analysis.json")
    if about.is_file():
        try:
            document = json.loads(about.read_text(encoding="utf-8"))
            return int(document["width_px"]), int(document["height_px"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{about}: does not tell width_px and height_px; remove it, or analyse again"
            ) from error
    box = np.concatenate([one.box_px for one in frames])
    return int(np.ceil(box[:, 0].max())) + 1, int(np.ceil(box[:, 1].max())) + 1
