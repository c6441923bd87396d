"""Scores of a detector on labelled frames: recordings, specimen directories, fresh specimens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.errors import DataError, ModelError
from models.specimen.profiles import Profile, profile
from models.specimen.scene import Specimen
from models.training.datasets import open_data
from models.training.detection_scores import DetectionScores
from models.training.labelled_frames import LabelledFrame, LabelledFrames
from models.training.segmentation_scores import SegmentationScores
from models.training.shapes import tell_left_out
from models.types import Detections, Float64

# A head this much of which lies outside the picture cannot be asked for.
_LEAST_INSIDE = 0.5
_EXPOSURE_S = 0.008
# Detections a frame at which recall is quoted beside F1: of films whose labels leave sperm out.
SPARSE = 8.5
# Less than one cell of the network's coarsest map says nothing.
LEAST_SIDE_PX = 32
BOX_SCALES = tuple(round(0.7 + 0.05 * k, 2) for k in range(23))


def evaluate(
    detector: Detector,
    data: Sequence[Path | LabelledFrames],
    *,
    box_scale: float = 1.0,
    um_per_px: float | None = None,
    skip_bad: bool = False,
) -> dict[str, object]:
    """Score a detector on all frames of some labelled data, pooled.

    Parameters
    ----------
    detector : Detector
    data : sequence of folders, or of opened data
        See ``datasets.open_data``.
    box_scale : float
        Boxes found are scaled about their centres before they are compared: data sets differ in
        how tightly their boxes hug the head.
    um_per_px : float, optional
        Pixel size on the object side, for the error of the centre in um; else the data's own.
    skip_bad : bool
        Leave out files that cannot be read instead of raising.

    Returns
    -------
    dict
        Scores in percent. Segmentation (if detector and data have class maps): dice, miou,
        sensitivity, precision, e_measure, pooled over three classes with background, and under
        foreground, binary, per_image; detection: ap, ap50, ap75, f1_10px with precision_10px,
        recall_10px and the score threshold that serves it best, recall_10px_sparse (at most 8.5
        detections a frame), centre_error_px, centre_error_um;
        at_threshold: score_threshold, f1_10px, precision_10px, recall_10px of what the archive's
        own threshold lets through, where the detector has one;
        frames, heads, detector, box_scale; fps, from grey frame to boxes and maps, in the median;
        gmacs, gmacs_of (boxes, sperm) and params_m where the detector knows them. None is unknown,
        or not asked of it.

    Raises
    ------
    DataError
        Nothing to read, or a bad file.
    """
    detection, segmentation = DetectionScores(), SegmentationScores()
    sizes: list[float] = []
    seconds: list[float] = []
    for recording in _opened(data, skip_bad):
        for frame in frames_of(recording, skip_bad):
            seconds.append(_score(detector, frame, detection, segmentation, box_scale))
            sizes.append(recording.um_per_px if um_per_px is None else um_per_px)
    if not len(detection):
        raise DataError(f"{', '.join(_names(data))}: no frame could be read; check the data")
    mean_um_per_px = float(np.mean(sizes))
    # The median: the first frames of a size are slower, and other programs come between.
    fps = 1.0 / max(float(np.median(seconds)), 1e-9)
    return {
        **_table(detection, segmentation, mean_um_per_px, _finds_heads(detector)),
        "at_threshold": _known(_at_threshold(detection, detector)),
        "fps": fps,
        "box_scale": box_scale,
        **_about(detector),
    }


def fitted_box_scale(
    detector: Detector, data: Sequence[Path | LabelledFrames], *, skip_bad: bool = False
) -> float:
    """Return the factor on the boxes found that serves AP best on some labelled data.

    Data sets differ in how tightly their boxes hug the head. A factor fitted on one recording may
    be used on others of the same set; it says nothing of any other set.

    Raises
    ------
    DataError
        Nothing to read, or a bad file.
    ModelError
        A detector that finds no boxes.
    """
    found: list[tuple[Detections, LabelledFrame]] = []
    for recording in _opened(data, skip_bad):
        frames = frames_of(recording, skip_bad)
        found += [(detector.detect(frame.image).detections, frame) for frame in frames]
    if not found:
        raise DataError(f"{', '.join(_names(data))}: no frame could be read; check the data")
    if not _finds_heads(detector):
        raise ModelError(f"{detector.name}: it finds no boxes that a factor could be fitted to")
    best, chosen = -1.0, 1.0
    for scale in BOX_SCALES:
        scores = DetectionScores()
        for one, frame in found:
            scores.add(_scaled(one, scale), frame.box_px, frame.ignored_px)
        ap = scores.average_precision()["ap"]
        if ap > best:
            best, chosen = ap, scale
    return chosen


def evaluate_fitted(
    detector: Detector,
    data: Sequence[Path | LabelledFrames],
    fit_on: str,
    *,
    um_per_px: float | None = None,
    skip_bad: bool = False,
) -> dict[str, object]:
    """Fit the box scale on one recording of the data and score a detector on all others.

    Parameters
    ----------
    detector, data, um_per_px, skip_bad : as ``evaluate``
    fit_on : str
        Name of the recording, or the last part of it.

    Returns
    -------
    dict
        As ``evaluate``.

    Raises
    ------
    DataError
        No such recording, or no other.
    """
    recordings = list(_opened(data, skip_bad))
    chosen = [fit_on in (r.name, r.name.rpartition("/")[2]) for r in recordings]
    fitted = [r for r, yes in zip(recordings, chosen, strict=True) if yes]
    others = [r for r, yes in zip(recordings, chosen, strict=True) if not yes]
    if not fitted or not others:
        names = ", ".join(r.name for r in recordings)
        raise DataError(f"no recording {fit_on!r}, or no other beside it; there are {names}")
    scale = fitted_box_scale(detector, fitted, skip_bad=skip_bad)
    return evaluate(detector, others, box_scale=scale, um_per_px=um_per_px, skip_bad=skip_bad)


def evaluate_exam(
    detector: Detector,
    seeds: Iterable[int],
    *,
    frames: int = 4,
    interval_s: float = 0.5,
    modality: str = "brightfield",
    box_scale: float = 1.0,
) -> dict[str, object]:
    """Score a detector on fresh specimens of profile ``exam``, one per seed.

    Parameters
    ----------
    detector : Detector
    seeds : iterable of int
        Never those of a training.
    frames : int
        Frames of each specimen, ``interval_s`` apart: far enough for its cells to have moved on.
    modality : 'brightfield' or 'phase'
    box_scale : float
        See ``evaluate``.

    Returns
    -------
    dict
        As ``evaluate``.
    """
    chosen = profile("exam", modality=modality)
    data = [specimen_frames(chosen, seed, frames, interval_s) for seed in seeds]
    return evaluate(detector, data, box_scale=box_scale)


def exam_table(
    detector: Detector, *, seeds: Iterable[int] = range(90_000, 90_012), frames: int = 3
) -> dict[str, dict[str, object]]:
    """Score a detector on fresh bright field and phase contrast specimens of profile ``exam``."""
    chosen = tuple(seeds)
    return {
        modality: evaluate_exam(detector, chosen, frames=frames, modality=modality)
        for modality in ("brightfield", "phase")
    }


def specimen_frames(
    chosen: Profile, seed: int, frames: int, interval_s: float, *, masks: bool = True
) -> LabelledFrames:
    """Return frames of a fresh specimen, the stage at rest, rendered when they are iterated over.

    Heads that are mostly outside the picture, or not visible (Truth.visible), are ignored regions.
    """

    def read() -> Iterator[LabelledFrame]:
        specimen = Specimen(chosen, seed)
        for number in range(frames):
            yield specimen_frame(specimen, number * interval_s, masks=masks)

    um = specimen_um_per_px(chosen)
    return LabelledFrames(f"{chosen.name} {seed}", frames, read, um, 1 / interval_s)


def specimen_um_per_px(chosen: Profile) -> float:
    """Return a profile's pixel size, um; NaN where it is drawn for each specimen."""
    low, high = chosen.um_per_px
    return low if low == high else float("nan")


def specimen_frame(
    specimen: Specimen,
    time_s: float,
    *,
    masks: bool = True,
    pipette_um: Callable[[Float64], Float64] | None = None,
    stage_um_s: tuple[float, float] = (0.0, 0.0),
) -> LabelledFrame:
    """Render one labelled frame of a specimen, the stage at its origin.

    ``pipette_um`` puts a micropipette into view (see ``Specimen.render``): it is never labelled.
    ``stage_um_s`` is the stage's velocity: what rests in the medium is then combed or blurred,
    and what the stage follows is not.
    """
    velocity = np.array(stage_um_s)
    image = specimen.render(
        time_s, _EXPOSURE_S, lambda times_s: np.outer(times_s - time_s, velocity), pipette_um
    )
    truth = specimen.truth(time_s, np.zeros(2), masks=masks)
    box_px, share = cut_at_border(truth.box_px, specimen.height_px, specimen.width_px)
    asked = truth.visible & (share > _LEAST_INSIDE)
    ignored = box_px[~asked & (share > 0)]
    return LabelledFrame(
        image, box_px[asked], truth.label[asked], truth.sperm_id[asked], ignored,
        truth.class_map, truth.part_map,
        None if truth.identity_map is None else truth.identity_map.astype(np.int32),
        modality=specimen.profile.modality,
    )  # fmt: skip


def cut_at_border(box_px: Float64, height_px: int, width_px: int) -> tuple[Float64, Float64]:
    """Cut boxes at the picture's border; return them and the share of each that is inside."""
    edge = np.array([width_px, height_px]) - 0.5
    low = np.clip(box_px[:, :2] - box_px[:, 2:] / 2, -0.5, edge)
    high = np.clip(box_px[:, :2] + box_px[:, 2:] / 2, -0.5, edge)
    size = high - low
    share = size.prod(axis=1) / np.maximum(box_px[:, 2:].prod(axis=1), 1e-9)
    return np.hstack([(low + high) / 2, size]), share


def _opened(data: Sequence[Path | LabelledFrames], skip_bad: bool) -> Iterator[LabelledFrames]:
    for item in data:
        if isinstance(item, LabelledFrames):
            yield item
        else:
            yield from open_data(Path(item), skip_bad=skip_bad)


def frames_of(recording: LabelledFrames, skip_bad: bool) -> Iterator[LabelledFrame]:
    """Yield the frames of a recording that a detector can look at.

    Parameters
    ----------
    recording : LabelledFrames
    skip_bad : bool
        Leave out frames that are too small, and what follows one that cannot be read, with a
        warning each, instead of raising.

    Raises
    ------
    DataError
        A bad frame, or one of less than LEAST_SIDE_PX a side.
    """
    frames = iter(recording)
    number = 0
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except DataError as fault:
            if not skip_bad:
                raise
            tell_left_out(fault)
            return
        number += 1
        if min(frame.image.shape) >= LEAST_SIDE_PX:
            yield frame
            continue
        small = DataError(
            f"{recording.name}, frame {number}: a picture of shape {frame.image.shape} is too "
            f"small; at least {LEAST_SIDE_PX} px a side are needed"
        )
        if not skip_bad:
            raise small
        tell_left_out(small)


def _names(data: Sequence[Path | LabelledFrames]) -> list[str]:
    return [d.name if isinstance(d, LabelledFrames) else str(d) for d in data] or ["no data"]


def _score(
    detector: Detector,
    frame: LabelledFrame,
    detection: DetectionScores,
    segmentation: SegmentationScores,
    box_scale: float,
) -> float:
    """Score one frame; return the seconds that the detector took."""
    begin = time.perf_counter()
    perception = detector.detect(frame.image)
    seconds = time.perf_counter() - begin
    found = perception.detections
    found = _scaled(found, box_scale)
    detection.add(found, frame.box_px, frame.ignored_px)
    if perception.class_map is not None and frame.class_map is not None:
        segmentation.add(perception.class_map, frame.class_map)
    return seconds


def _scaled(found: Detections, box_scale: float) -> Detections:
    if box_scale == 1.0:
        return found
    scaled = found.box_px * np.array([1, 1, box_scale, box_scale], np.float32)
    return Detections(scaled, found.score, found.label)


def _finds_heads(detector: Detector) -> bool:
    # A network may only segment.
    return bool(getattr(detector, "finds_heads", True))


def _table(
    detection: DetectionScores, segmentation: SegmentationScores, um_per_px: float, heads: bool
) -> dict[str, object]:
    distance = detection.by_distance()
    of_heads: dict[str, object] = {
        **detection.average_precision(),
        "f1_10px": distance["f1"],
        "precision_10px": distance["precision"],
        "recall_10px": distance["recall"],
        "recall_10px_sparse": detection.recall_at(SPARSE),
        "score_threshold": distance["score"],
        "centre_error_px": distance["centre_error_px"],
        "centre_error_um": distance["centre_error_px"] * um_per_px,
    }
    if not heads:
        of_heads = dict.fromkeys(of_heads, None)
    table = {"frames": len(detection), "heads": detection.heads, **of_heads}
    names = ("dice", "miou", "e_measure", "sensitivity", "precision")
    table.update(segmentation.scores() if len(segmentation) else dict.fromkeys(names, None))
    return {key: _known(value) for key, value in table.items()}


def _at_threshold(detection: DetectionScores, detector: Detector) -> dict[str, object] | None:
    """Score what a rig would show: the detections from the archive's own threshold on."""
    entry = getattr(detector, "entry", None)
    if entry is None or not detection.heads or not _finds_heads(detector):
        return None
    threshold = float(entry.score_threshold)
    f1, precision, recall = map(float, detection.at_thresholds(np.array([threshold]))[0])
    return {
        "score_threshold": threshold, "f1_10px": f1, "precision_10px": precision,
        "recall_10px": recall,
    }  # fmt: skip


def _known(value: object) -> object:
    """Replace NaN, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _about(detector: Detector) -> dict[str, object]:
    """Name the detector and its cost, where it knows."""
    return {
        "detector": detector.name,
        "gmacs": getattr(detector, "gmacs", None),
        "gmacs_of": getattr(detector, "gmacs_of", None),
        "params_m": getattr(detector, "params_m", None),
    }
