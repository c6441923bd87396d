"""The verbs analyze and track: recordings, or detections, to tables and an overlay."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from app.records.criteria import load_criteria
from app.runtime.analysis_run import NOMINAL_UM_PER_PX, AnalysisOptions, AnalysisRun
from app.runtime.detection_table import picture_size, read_detections
from app.runtime.film_progress import FilmProgress
from app.runtime.lookahead import detect_ahead
from drivers.video_file import VideoFile
from models.detector import Detector
from models.errors import DataError, NoWeights
from models.measure.profile import DEFAULT
from models.resampled import at_known_size
from models.tracking.tracker import warm_up as warm_up_tracker

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
        A table that is missing or cannot be tracked, or a folder with the masks or shapes of an
        analysis, which would be lost: without pictures there are none.
    """
    begin_s = time.perf_counter()
    source, out = Path(detections), Path(out)
    times_s, frames = read_detections(source, fps)
    width_px, height_px = picture_size(source, frames)
    load_criteria(criteria)
    _refuse_pictures_analysis(out)
    out.mkdir(parents=True, exist_ok=True)
    warm_up_tracker()
    options = AnalysisOptions(um_per_px=um_per_px, fps=fps, online=online, criteria=criteria)
    facts: dict[str, object] = {"input": str(source), "notice": _assumption(source, options)}
    run = AnalysisRun(out, width_px, height_px, options, facts)
    with run.open():
        for k, (time_s, found) in enumerate(zip(times_s.tolist(), frames, strict=True)):
            run.follow(k, time_s, found)
    return run.summary() | {"seconds": time.perf_counter() - begin_s}


def _refuse_pictures_analysis(out: Path) -> None:
    """Leave masks and shapes alone: they carry the names of the tracks that stand beside them."""
    there = [name for name in ("masks.json", "shapes.csv") if (out / name).is_file()]
    if there:
        raise DataError(
            f"{out}: holds {' and '.join(there)} of an analysis of pictures, which go with the "
            "tracks that are there now; give another folder (--out)"
        )


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
