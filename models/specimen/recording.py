"""Labelled synthetic recordings: a directory of frames, annotations and true tables."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from models.errors import DataError, ModelError
from models.labelme import (
    CLASS_NAMES,
    LabelmeShape,
    Region,
    outlines,
    rectangle,
    write_labelme_frame,
)
from models.specimen.profiles import profile as named_profile
from models.specimen.scene import Specimen
from models.specimen.truth import Truth
from models.specimen.truth_tables import sperm_rows, track_rows, write_table
from models.types import SpermClass, UInt8

FILM = "frames.mkv"
ANNOTATIONS = "annotations.json"
EXPOSURE_S = 0.008
_LEAST_INSIDE = 0.5

Float64 = NDArray[np.float64]


def write_recording(
    out: Path | str,
    *,
    profile: str = "exam",
    frames: int = 60,
    seed: int = 0,
    modality: str = "brightfield",
    density: float | None = None,
    objective: int = 20,
    fps: float = 30.0,
    labelme: bool = False,
) -> dict[str, object]:
    """Write a specimen directory: film, COCO annotations, true tracks, true sperm.

    Parameters
    ----------
    out : directory, made if it is missing; files of a former recording are replaced
    profile, modality, density, objective : as ``models.specimen.profiles.profile``
    frames : how many
    seed : of everything random
    fps : frames a second
    labelme : write one labelme JSON file and one PNG per frame as well

    Returns
    -------
    dict
        frames, sperm (different sperm seen), dir.

    Raises
    ------
    ModelError
        A profile, density or objective that is not known, or no frame.
    DataError
        The directory cannot be written.
    """
    if frames < 1:
        raise ModelError(f"specimen: {frames} frames asked for; at least 1 is needed")
    if not fps > 0:
        raise ModelError(f"specimen: {fps} frames a second asked for; a positive number is needed")
    chosen = named_profile(profile, modality=modality, density=density, objective=objective)
    specimen = Specimen(chosen, seed)
    folder = Path(out)
    rest = np.zeros(2)
    truths: list[Truth] = []
    annotations: list[dict[str, object]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _Film(folder / FILM, specimen.width_px, specimen.height_px, fps) as film:
            for k in range(frames):
                time_s = k / fps
                image = specimen.render(time_s, EXPOSURE_S, lambda t: np.zeros((len(t), 2)))
                truth = specimen.truth(time_s, rest, masks=True)
                film.write(image)
                annotations.extend(_annotations(truth, k, len(annotations)))
                if labelme:
                    _write_labelme(folder / "labelme", k, image, truth)
                truths.append(_without_maps(truth))
        _write_coco(folder / ANNOTATIONS, specimen, annotations, frames, fps, seed)
        write_table(folder / "truth_tracks.csv", track_rows(truths))
        rows = sperm_rows(specimen, truths, fps)
        write_table(folder / "truth_sperm.csv", rows)
    except OSError as fault:
        raise DataError(
            f"{folder}: cannot be written ({fault.strerror or fault}); choose another --out"
        ) from fault
    return {"frames": frames, "sperm": len(rows), "dir": str(folder)}


class _Film:
    """FFV1 in Matroska: lossless grey frames."""

    def __init__(self, path: Path, width_px: int, height_px: int, fps: float) -> None:
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("ffv1", rate=round(fps))
        self._stream.width = width_px
        self._stream.height = height_px
        self._stream.pix_fmt = "gray"

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, *_: object) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()

    def write(self, image: UInt8) -> None:
        """Append one (H, W) frame."""
        frame = av.VideoFrame.from_ndarray(image, format="gray")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _without_maps(truth: Truth) -> Truth:
    columns = {name: getattr(truth, name) for name in Truth.__slots__ if not name.endswith("_map")}
    return Truth(**columns)


def _annotations(truth: Truth, frame: int, first: int) -> list[dict[str, object]]:
    """COCO annotations of one frame; a tail whose head is outside has an empty box."""
    if truth.identity_map is None or truth.class_map is None:
        raise ValueError("annotations need the truth's maps")
    height, width = truth.class_map.shape
    rows: list[dict[str, object]] = []
    in_view = {int(i): k for k, i in enumerate(truth.sperm_id)}
    painted = {int(i) for i in np.unique(truth.identity_map)} - {0}
    for sperm in sorted(painted | set(in_view)):
        mask = truth.identity_map == sperm
        area = int(mask.sum())
        k = in_view.get(sperm)
        box = [0.0, 0.0, 0.0, 0.0]
        crowd = 1
        if k is not None:
            box, share = _cut(truth.box_px[k], width, height)
            crowd = int(not (bool(truth.visible[k]) and share > _LEAST_INSIDE))
            label = int(truth.label[k])
        else:
            label = int(truth.class_map[mask][0])
        packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        rows.append({
            "id": first + len(rows) + 1,
            "image_id": frame + 1,
            "category_id": label,
            "bbox": [round(v, 3) for v in box],
            "area": area,
            "iscrowd": crowd,
            "track_id": sperm,
            "segmentation": {
                "size": [height, width], "counts": packed["counts"].decode("ascii")
            } if area else [],
        })  # fmt: skip
    return rows


def _cut(box_px: Float64, width: int, height: int) -> tuple[list[float], float]:
    """Cut a box at the border: top-left x, y, width, height edge to edge, and the share left."""
    x0, y0 = box_px[0] - box_px[2] / 2 + 0.5, box_px[1] - box_px[3] / 2 + 0.5
    left, top = max(x0, 0.0), max(y0, 0.0)
    right, bottom = min(x0 + box_px[2], float(width)), min(y0 + box_px[3], float(height))
    w, h = max(right - left, 0.0), max(bottom - top, 0.0)
    return [float(left), float(top), float(w), float(h)], float(w * h / (box_px[2] * box_px[3]))


def _write_coco(
    path: Path,
    specimen: Specimen,
    annotations: list[dict[str, object]],
    frames: int,
    fps: float,
    seed: int,
) -> None:
    content = {
        "info": {
            "description": "synthetic sperm, sfcscope specimen model",
            "profile": specimen.profile.name,
            "modality": specimen.profile.modality,
            "seed": seed,
            "fps": fps,
            "um_per_px": specimen.look.um_per_px,
        },
        "images": [
            {"id": k + 1, "width": specimen.width_px, "height": specimen.height_px,
             "file_name": FILM, "frame": k}
            for k in range(frames)
        ],
        "categories": [
            {"id": int(c), "name": c.name.lower()}
            for c in (SpermClass.NORMAL, SpermClass.ABNORMAL)
        ],
        "annotations": annotations,
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")


def _write_labelme(folder: Path, frame: int, image: UInt8, truth: Truth) -> None:
    """One picture with head rectangles and whole-sperm outlines: what the annotations say."""
    if truth.identity_map is None or truth.class_map is None:
        raise ValueError("labels need the truth's maps")
    folder.mkdir(exist_ok=True)
    shapes: list[LabelmeShape] = []
    height, width = image.shape
    for k, sperm in enumerate(truth.sperm_id):
        label = CLASS_NAMES[SpermClass(int(truth.label[k]))]
        (x, y, w, h), share = _cut(truth.box_px[k], width, height)
        asked = bool(truth.visible[k]) and share > _LEAST_INSIDE
        if share > 0:
            name = f"{label} head" if asked else "ignored"
            shapes.append(rectangle(name, int(sperm), (x, y, w, h)))
    # Tails whose heads lie outside are outlined, too: they are no background.
    regions: list[Region] = []
    for sperm in np.unique(truth.identity_map[truth.identity_map > 0]).tolist():
        mask = truth.identity_map == sperm
        label = CLASS_NAMES[SpermClass(int(truth.class_map[mask][0]))]
        regions.append(Region(mask, label, sperm))
    shapes += outlines(regions)
    write_labelme_frame(folder, f"{frame:06d}", image, shapes)
